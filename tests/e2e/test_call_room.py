"""Four people in one room, all real: two `visavis call`, two guests' browsers, and the pages of all four in Chromium.

Everybody's page gets each of the others straight from there: six pairs, twelve one-way links.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from avatar.identity.bundle import save_avatar
from tests.clips import astronaut_avatar, face_clip
from tests.e2e.test_call_browser import chromium_arguments

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.realtime,
    pytest.mark.skipif(not Path("/usr/bin/chromium").exists(), reason="no Chromium: apt-get install chromium"),
]

ADA, BOB = "Ada (avatar, AI generated)", "Bob (avatar, AI generated)"
CY, DI = "Cy", "Di"
EVERYBODY = {ADA, BOB, CY, DI}
HUNG_UP_S = 5.0  # a page closed or a process killed is seen at once; the rest is for a busy machine
AUDIBLE = 1e-5  # energy, of 1 for a second of full scale; a beep of Chromium's microphone has a hundred times that
VANISHED_S = 20.0  # who says nothing at all any more: a ping every 10 s, and 5 s for its answer

# Keeps the page's connections, and tells what comes over them: by caption of the tile.
LOOK = """
window.connections = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...how) { super(...how); connections.push(this); }
};
window.tiles = async () => {
  const canvas = new OffscreenCanvas(32, 32);
  const context = canvas.getContext('2d', {willReadFrequently: true});
  const found = {};
  for (const tile of document.querySelectorAll('#members .member:not(.mine)')) {
    const video = tile.querySelector('video');
    const tracks = video.srcObject?.getTracks() ?? [];
    const pc = connections.find(pc => pc.getReceivers().some(receiver => tracks.includes(receiver.track)));
    const seen = found[tile.querySelector('p').textContent] = {frames: 0, sound: 0, picture: []};
    for (const line of (await pc?.getStats())?.values() ?? []) {
      if (line.type !== 'inbound-rtp') continue;
      if (line.kind === 'video') seen.frames = line.framesDecoded;
      else seen.sound = line.totalAudioEnergy;
    }
    if (!video.videoWidth) continue;
    context.drawImage(video, 0, 0, 32, 32);
    seen.picture = Array.from(context.getImageData(0, 0, 32, 32).data);
  }
  return found;
};
"""


@dataclass
class Person:
    """Somebody's page, and the process behind it where there is one."""

    name: str
    page: Any
    process: subprocess.Popen[str] | None = None
    links: dict[str, str] | None = None

    def tiles(self) -> dict[str, Any]:
        found: dict[str, Any] = self.page.evaluate("tiles()")
        return found

    def state(self) -> Any:
        """As the person's own visavis tells it."""
        assert self.links is not None
        owner = self.links["page"].partition("#owner=")[2]
        return self.page.evaluate(
            "async owner => (await fetch('/api/state', {headers: {Authorization: 'Bearer ' + owner}})).json()", owner
        )


class Room:
    """Starts and ends people. Ada keeps the room."""

    def __init__(self, browser: Any, folder: Path, ends: ExitStack) -> None:
        self.people: dict[str, Person] = {}
        self._browser, self._folder, self._ends = browser, folder, ends
        save_avatar(astronaut_avatar(), folder / "astronaut.avatar")
        face_clip(folder / "driver.mp4", frames=30, fps=5)  # one computer does the work of four
        write_tone(folder / "tone.wav")

    def start(self, name: str, *options: str) -> tuple[subprocess.Popen[str], dict[str, str]]:
        """`visavis call` in a process of its own."""
        camera = ("--camera", str(self._folder / "driver.mp4"), "--loop", "--size", "256x256")
        engine = ("--engine", "onnxruntime", "--precision", "fp32", "--threads", "1")  # and no measuring which is best
        line = [sys.executable, "-m", "avatar.cli.main", "call", str(self._folder / "astronaut.avatar")]
        with (self._folder / f"{name}.log").open("w") as log:
            process = subprocess.Popen(
                [*line, *camera, *engine, "--as", name, "--no-open", "--json", *options],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "VISAVIS_HOME": str(self._folder / name)},
                start_new_session=True,
            )
        self._ends.callback(kill, process)
        assert process.stdout is not None
        links = process.stdout.readline()
        assert links, (self._folder / f"{name}.log").read_text()
        return process, json.loads(links)

    def host(self, caption: str, *options: str) -> Person:
        process, links = self.start(caption.partition(" ")[0], *options)
        page = self.open(links["page"])
        page.click("#to-call")
        return self._enter(Person(caption, page, process, links))

    def guest(self, caption: str) -> Person:
        links = self.people[ADA].links
        assert links is not None
        page = self.open(links["invitation"])
        page.fill("#guest-name", caption)
        page.click("#join [type=submit]")
        return self._enter(Person(caption, page))

    def leave(self, caption: str) -> None:
        self.people.pop(caption).page.context.close()

    def open(self, link: str) -> Any:
        page = self._browser.new_context(permissions=["camera", "microphone"]).new_page()
        page.add_init_script(LOOK)
        page.goto(link)
        return page

    def _enter(self, person: Person) -> Person:
        self.people[person.name] = person
        return person


def write_tone(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=48_000, layout="mono")
        samples = (8000 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def use_microphone(person: Person) -> None:
    person.page.click("#microphone")
    pressed = "document.querySelector('#microphone').getAttribute('aria-pressed') === 'true'"
    wait_until(f"microphone of {person.name}", lambda: person.page.evaluate(pressed), 60)
    wait_until(f"sound of {person.name}", lambda: person.state()["microphone"], 60)


def kill(process: subprocess.Popen[str]) -> None:
    """With its children, which may have been left alone."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def wait_until(what: str, true: Callable[[], Any], seconds: float) -> float:
    """Returns how long it took."""
    start_s = time.monotonic()
    while not true():
        assert time.monotonic() - start_s < seconds, f"{what}: not within {seconds} s"
        time.sleep(0.1)
    return time.monotonic() - start_s


def dead_links(people: dict[str, Person], seconds: float = 90) -> dict[tuple[str, str], Any]:
    """(from, to) of all that ought to bring moving pictures and sound, and do not within `seconds`; with what came.

    A link is alive when, since the first look, ten frames came, the picture changed, and something was heard.
    """
    first: dict[tuple[str, str], Any] = {}
    dead: dict[tuple[str, str], Any] = {(one, other): {} for one in people for other in people if one != other}
    end_s = time.monotonic() + seconds
    while dead and time.monotonic() < end_s:
        for to in {to for _, to in dead}:
            for sender, now in people[to].tiles().items():
                if (sender, to) not in dead or not now["picture"]:
                    continue
                before = first.setdefault((sender, to), now)
                change = np.abs(np.subtract(now["picture"], before["picture"], dtype=float)).mean()
                frames, sound = now["frames"] - before["frames"], now["sound"] - before["sound"]
                dead[sender, to] = {"frames": frames, "sound": sound, "change": round(change, 2)}
                if frames >= 10 and sound > AUDIBLE and change > 0.2:
                    del dead[sender, to]
        time.sleep(0.2)
    return dead


def sees(person: Person) -> set[str]:
    return set(person.tiles())


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with ExitStack() as ends:
        playwright = ends.enter_context(sync_api.sync_playwright())
        slow_webcam = "--use-fake-device-for-media-stream=fps=5"  # each guest encodes it three times
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=[*chromium_arguments(), slow_webcam]
        )
        ends.callback(browser.close)
        made = Room(browser, tmp_path_factory.mktemp("room"), ends)
        ada = made.host(ADA, "--microphone", str(made._folder / "tone.wav"))
        assert ada.links is not None
        bob = made.host(BOB, "--join", ada.links["invitation"])
        use_microphone(bob)  # the page's, where Ada's is a file
        made.guest(CY)
        made.guest(DI)
        yield made


def test_four_people_are_six_pairs_and_twelve_links_with_moving_pictures_and_sound(room: Room) -> None:
    people = room.people
    took_s = wait_until("four people", lambda: all(sees(people[one]) == EVERYBODY - {one} for one in people), 90)
    print(f"all four know of each other after {took_s:.1f} s")
    assert dead_links(people) == {}
    for name in (ADA, BOB):
        state = people[name].state()
        sent = [peer for peer in state["peers"] if peer["kind"] == "room"]
        assert [peer["state"] for peer in sent] == ["connected"] * 3
        assert all(peer["frames"] > 10 for peer in sent)
        print(name, json.dumps({key: state[key] for key in ("latency_ms", "lip_offset_ms", "figures")}))
    for name in (CY, DI):
        script = "connections.filter(pc => pc.connectionState === 'connected').map(pc => pc.getSenders().length)"
        links = people[name].page.evaluate(script)
        assert sorted(bool(senders) for senders in links) == [True] * 6  # three to see, three to be seen


def test_a_fifth_is_told_that_the_room_is_full(room: Room) -> None:
    ada = room.people[ADA]
    assert ada.links is not None
    fifth = room.open(ada.links["invitation"])
    wait_until("refused", lambda: fifth.is_visible("text=The call is full: 4 people"), 20)
    fifth.context.close()
    assert sees(room.people[CY]) == {ADA, BOB, DI}


def test_a_microphone_whose_link_to_visavis_fails_is_linked_again(room: Room) -> None:
    page = room.people[BOB].page
    page.evaluate("""() => {
      const pc = window.failing = connections.find(pc => pc.getSenders().some(({track}) => track?.kind === 'audio'));
      Object.defineProperty(pc, 'connectionState', {value: 'failed'});
      pc.onconnectionstatechange();
    }""")
    linked = """() => failing.signalingState === 'closed' && connections.some(
      pc => pc.connectionState === 'connected' && pc.getSenders().some(({track}) => track?.readyState === 'live'))"""
    wait_until("linked again", lambda: page.evaluate(linked), 60)
    wait_until("sound of Bob", lambda: room.people[BOB].state()["microphone"], 60)


def test_who_closes_the_page_is_gone_at_once_and_may_come_again(room: Room) -> None:
    room.leave(CY)
    others = room.people
    took_s = wait_until("Cy gone", lambda: all(CY not in sees(person) for person in others.values()), HUNG_UP_S)
    print(f"a page closed: gone from all after {took_s:.1f} s")
    assert dead_links(others) == {}  # the call goes on
    room.guest(CY)
    wait_until("Cy back", lambda: all(CY in sees(person) for name, person in others.items() if name != CY), 60)
    assert dead_links(others) == {}


def test_who_is_silent_is_taken_out_and_comes_back_by_itself(room: Room) -> None:
    """As a computer that sleeps, or a network that is gone."""
    bob = room.people[BOB]
    assert bob.process is not None
    others = {name: person for name, person in room.people.items() if name != BOB}
    os.kill(bob.process.pid, signal.SIGSTOP)
    try:
        gone = lambda: all(BOB not in sees(person) for person in others.values())  # noqa: E731
        took_s = wait_until("Bob gone", gone, VANISHED_S + HUNG_UP_S)
        print(f"a process that stands still: gone from all after {took_s:.1f} s")
        assert dead_links(others) == {}
    finally:
        os.kill(bob.process.pid, signal.SIGCONT)
    wait_until("Bob back", lambda: all(BOB in sees(person) for person in others.values()), 60)
    assert dead_links(room.people) == {}


def test_a_visavis_that_is_killed_is_gone_at_once_and_may_come_again(room: Room) -> None:
    bob = room.people.pop(BOB)
    assert bob.process is not None
    bob.process.kill()
    took_s = wait_until("Bob gone", lambda: all(BOB not in sees(one) for one in room.people.values()), HUNG_UP_S)
    print(f"a process killed: gone from all after {took_s:.1f} s")
    assert dead_links(room.people) == {}
    bob.page.context.close()
    links = room.people[ADA].links
    assert links is not None
    again = room.host(BOB, "--join", links["invitation"])
    use_microphone(again)
    wait_until("Bob back", lambda: all(sees(room.people[one]) == EVERYBODY - {one} for one in EVERYBODY), 90)
    assert dead_links(room.people) == {}
