"""The page in Chromium, as a person meets it: a face that lives, one's own, the call; by keyboard, and on a phone.

VISAVIS_SCREENSHOTS=FOLDER keeps pictures of it at the widths of a phone and a desktop, light and dark.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from avatar.trust.embedding import Marker
from avatar.trust.mark_message import MarkMessage
from tests.clips import write_clip
from tests.portraits import astronaut, enlarged, save

if TYPE_CHECKING:
    from tests.page_server import Links

sync_api = pytest.importorskip("playwright.sync_api")
axe_core = pytest.importorskip("axe_core_python")
page_server = pytest.importorskip("tests.page_server", exc_type=ImportError)  # without aiortc there is no call

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.realtime,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="no Chromium: apt-get install chromium"),
]
AXE = (Path(axe_core.__file__).parent / "axe.min.js").read_text()
SIZES = {"desktop": (1280, 900), "tablet": (768, 1024), "phone": (360, 740)}
expect = sync_api.expect


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Links]:
    with page_server.running(tmp_path_factory.mktemp("page")) as found:
        yield found


@pytest.fixture(scope="module")
def launch() -> Iterator[Callable[..., Any]]:
    """Opens a browser with these flags."""
    quiet = (
        "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync",
    )  # fmt: skip
    with sync_api.sync_playwright() as playwright:
        yield lambda *flags: playwright.chromium.launch(executable_path=str(CHROMIUM), args=[*quiet, *flags])


@pytest.fixture(scope="module")
def with_webcam(launch: Callable[..., Any], links: Links) -> Iterator[Any]:
    opened = launch(*fake_webcam(links))
    yield opened
    opened.close()


@pytest.fixture
def chromium(with_webcam: Any) -> Iterator[Any]:
    yield with_webcam
    for context in with_webcam.contexts:
        context.close()


def fake_webcam(links: Links) -> tuple[str, ...]:
    return (
        "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={links.home.parent / 'camera.mjpeg'}",
    )  # fmt: skip


def open_page(opened: Any, link: str) -> tuple[Any, list[str]]:
    """The page, and what it complains of in the console: nothing should come."""
    page = opened.new_context(viewport=dict(zip(("width", "height"), SIZES["desktop"], strict=True))).new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    page.goto(link)
    return page, complaints


def look(page: Any, name: str) -> None:
    """No fault of accessibility, nothing wider than a phone; a picture of it for whoever wants to see."""
    folder = os.environ.get("VISAVIS_SCREENSHOTS")
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        page.evaluate(AXE)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        assert not found, [(fault["id"], [node["html"] for node in fault["nodes"]]) for fault in found]
        for size, (width, height) in SIZES.items():
            page.set_viewport_size({"width": width, "height": height})
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, f"{name} at {width} px"
            if folder:
                page.screenshot(path=f"{folder}/{name}-{size}-{scheme}.png", full_page=True)
    page.set_viewport_size(dict(zip(("width", "height"), SIZES["desktop"], strict=True)))


def wait_for(page: Any, script: str, seconds: float = 20.0) -> Any:
    """Of the script's value, as soon as it is true. (Playwright's own waiting needs eval, which the page forbids.)"""
    end = time.monotonic() + seconds
    while not (value := page.evaluate(script)):
        assert time.monotonic() < end, script
        page.wait_for_timeout(100)
    return value


def finish_enrolment(page: Any, name: str) -> None:
    page.fill("#enrol-name", name)
    page.check("#consent")
    expect(page.locator("#enrol-create")).to_be_enabled(timeout=20_000)
    page.click("#enrol-create")
    expect(page.locator("#enrol")).not_to_be_visible(timeout=40_000)
    expect(face(page, name)).to_be_checked()


def face(page: Any, name: str) -> Any:
    return page.get_by_role("radio", name=name, exact=True)


def delete(page: Any, name: str) -> None:
    page.get_by_role("button", name=f"About {name}").click()
    page.click("#delete-face")
    expect(page.locator("#ask-no")).to_be_focused()  # Enter by mistake deletes nobody
    page.click("#ask-yes")
    expect(face(page, name)).to_have_count(0, timeout=20_000)


def see(page: Any, words: str, seconds: float = 60.0) -> None:
    """The picture says this of itself."""
    expect(page.locator("#live-state")).to_have_text(words, timeout=1000 * seconds)


DROP = """([name, type, base64]) => {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name, { type }));
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
}"""


def test_a_dropped_file_is_told_to_be_marked_or_not(links: Links, chromium: Any, tmp_path: Path) -> None:
    message = MarkMessage("0123456789", date(2026, 11, 30))
    marked = Marker(message, 512, 512).mark(astronaut())
    film = write_clip(tmp_path / "film.mp4", [marked] * 12, fps=4)
    page, complaints = open_page(chromium, f"{links.address}/verify.html#owner={links.owner}")
    look(page, "verify")
    page.evaluate(DROP, ["film.mp4", "video/mp4", base64.b64encode(film.read_bytes()).decode()])
    answer = page.locator("#answer")
    expect(answer).to_contain_text(f"the avatar {message.bundle}", timeout=40_000)
    expect(answer).to_contain_text("made on 2026-11-30")
    assert links.uploads() == []
    look(page, "verify-marked")
    plain = write_clip(tmp_path / "plain.mp4", [astronaut()[:200, 150:350]] * 4, fps=4)
    page.set_input_files("#file", str(plain))
    expect(answer).to_contain_text("No mark found: this is not a proof that the picture is real.", timeout=40_000)
    expect(answer).to_contain_text("plain.mp4")
    page.set_input_files("#file", {"name": "notes.mp4", "mimeType": "video/mp4", "buffer": b"no video"})
    expect(page.locator("#problem")).to_have_text(re.compile("^notes.mp4 cannot be read as a video"), timeout=40_000)
    expect(answer).to_have_text("", use_inner_text=True)
    page.reload()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"  # all of it by keyboard
    assert not complaints


PICTURE = "document.querySelector('#picture').toDataURL()"


def test_a_first_visit_from_a_ready_face_to_ones_own(links: Links, chromium: Any, tmp_path: Path) -> None:
    good, better = save(enlarged(1.5), tmp_path / "good.jpg"), save(enlarged(2.0), tmp_path / "better.png")
    text = tmp_path / "notes.jpg"
    text.write_text("no photo")
    page, complaints = open_page(chromium, f"{links.address}/#owner={links.owner}")
    see(page, "Idling")  # without a click
    assert links.owner not in page.url  # not to be copied or seen
    expect(page.locator("#say-text")).to_have_text("Bring Mona Lisa to life.")
    first = wait_for(page, f"{PICTURE}.length > 20000 && {PICTURE}")
    wait_for(page, f"{PICTURE} !== {first!r}")
    look(page, "first")

    page.get_by_role("button", name="Use my webcam").click()  # the one click
    see(page, "Live", 20)
    wait_for(page, "document.querySelector('#own-picture').videoWidth")
    page.click("#own-hide")
    page.click("#own-show")
    other, _ = open_page(chromium, f"{links.address}/#owner={links.owner}")  # of another profile
    expect(other.locator("#advice-text")).to_have_text("Your camera is lent from another window.", timeout=20_000)
    assert other.evaluate("document.querySelector('#own-picture').srcObject") is None
    other.get_by_role("button", name="Use this one’s").click()
    wait_for(other, "document.querySelector('#own-picture').videoWidth")
    expect(page.locator("#advice-text")).to_contain_text("lent from another window", timeout=20_000)
    assert page.evaluate("document.querySelector('#own-picture').srcObject") is None
    page.click("#advice-close")
    expect(page.locator("#advice")).not_to_contain_text("lent")  # it need not be said twice
    page.click("#webcam-off")
    page.get_by_role("button", name="Use my webcam").click()
    wait_for(page, "document.querySelector('#own-picture').videoWidth")
    other.context.close()

    page.click("#new-avatar")
    page.set_input_files("#files", [str(good), str(better), str(text)])
    expect(page.locator("#photos-status")).to_have_text("Photos: 2 can be used, 1 cannot.", timeout=20_000)
    expect(page.locator(".photo.bad")).to_contain_text("text file")
    page.fill("#enrol-name", "ada")
    page.click("#enrol-create")  # without the tick
    assert page.evaluate("!document.querySelector('#consent').validity.valid")
    look(page, "enrol")
    finish_enrolment(page, "ada")
    assert links.uploads() == []
    wait_for(page, "document.querySelector('.face img').naturalWidth")

    page.get_by_role("button", name="About ada").click()
    expect(page.locator("#about-face-text")).to_contain_text("2 portraits")
    page.click("#rename-face")
    page.fill("#ask-input", "../ada")
    page.keyboard.press("Enter")
    expect(page.locator("#ask-problem")).to_contain_text("cannot be the name")
    page.fill("#ask-input", "Eileen C.")
    page.keyboard.press("Enter")
    expect(face(page, "Eileen C.")).to_be_checked(timeout=20_000)

    for switch in ("#mirror", "#follow"):
        page.click(switch)
        expect(page.locator(switch)).to_have_attribute("aria-checked", "true")
    page.get_by_role("radio", name="4 : 3").check(force=True)
    wait_for(page, "document.querySelector('#picture').width === 640")
    page.get_by_role("radio", name="Forest").check(force=True)
    page.click("#recording")
    page.click("#calibrate")
    page.locator("#motion summary").click()
    page.locator("#gain-mouth").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#gain-mouth-shown")).to_have_text("110 %")
    page.check("#remember")
    page.uncheck("#remember")
    page.select_option("#expression", "relative")
    page.click("#paused")
    see(page, "Paused")
    look(page, "live")
    page.get_by_role("button", name="Go on").click()
    page.click("#recording")
    expect(page.locator("#recorded")).to_be_visible(timeout=20_000)
    wait_for(page, "document.querySelector('#recorded-video').readyState > 1")
    look(page, "recorded")
    page.click("#recorded-close")

    delete(page, "Eileen C.")  # another takes its place
    assert list((links.home / "avatars").glob("*.avatar")) == []
    page.click("#turn-off")
    see(page, "Off")
    # the refused name; a face that was still on the stage; a camera that visavis has let go before the browser
    assert [line for line in complaints if not re.search("40[049]", line)] == []


def test_photos_that_nobody_sees_any_more_are_deleted(links: Links, chromium: Any, tmp_path: Path) -> None:
    one, two = save(enlarged(1.5), tmp_path / "one.jpg"), save(enlarged(2.0), tmp_path / "two.jpg")
    page, _ = open_page(chromium, f"{links.address}/#owner={links.owner}")
    page.click("#new-avatar")
    page.set_input_files("#files", [str(one), str(two)])
    page.get_by_role("button", name="Remove one.jpg").click()  # on its way, or being looked at
    expect(page.locator("#photos-status")).to_have_text("Photos: 1 can be used.", timeout=20_000)
    assert len(links.uploads()) == 1
    page.reload()
    page.click("#new-avatar")
    page.set_input_files("#files", [str(two)])
    expect(page.locator("#photos-status")).to_have_text("Photos: 1 can be used.", timeout=20_000)
    assert len(links.uploads()) == 1
    page.click("#enrol-cancel")
    page.click("#ask-yes")
    end = time.monotonic() + 10
    while links.uploads():
        assert time.monotonic() < end
        page.wait_for_timeout(50)


def test_a_guided_capture_then_the_challenge_and_who_gives_up_leaves_nothing(links: Links, chromium: Any) -> None:
    page, complaints = open_page(chromium, f"{links.address}/#owner={links.owner}")
    page.click("#new-avatar")
    page.click("#use-webcam")
    expect(page.locator("#capture-steps li").first).to_have_class("taken", timeout=30_000)  # by itself
    expect(page.locator("#capture-say")).to_have_text("Turn your head to your left", timeout=10_000)
    expect(page.locator("#capture-checks li.good")).to_have_count(2)  # light and sharpness; not the pose
    look(page, "capture")
    for _ in ("left", "right", "up"):  # this face only looks straight
        page.click("#skip")
    expect(page.locator("#capture-steps li").nth(4)).to_have_class("taken", timeout=30_000)  # it smiles
    page.click("#shoot")
    page.keyboard.press("Escape")
    expect(page.locator("#ask-title")).to_have_text("Discard what you added?")
    page.keyboard.press("Escape")
    expect(page.locator("#ask")).not_to_be_visible()
    page.click("#capture-end")
    wait_for(page, "document.querySelector('#self').srcObject === null")
    expect(page.locator("#photos .photo")).to_have_count(3)
    expect(page.locator("#photos .verdict.good")).to_have_count(3, timeout=20_000)  # what was green stays so
    page.fill("#enrol-name", "webcam")
    page.check("#consent")
    page.click("#enrol-create")
    page.click("#proof-begin", timeout=90_000)
    expect(page.locator("#proof-say")).to_contain_text("mouth closed", timeout=20_000)  # she laughs, all the time
    look(page, "challenge")
    page.click("#proof-stop")
    page.click("#ask-yes")
    expect(page.locator("#enrol")).not_to_be_visible()
    expect(page.locator("#new-avatar")).to_be_focused()
    wait_for(page, "document.querySelector('#proof-self').srcObject === null")
    assert links.uploads() == []
    assert list(links.home.glob("avatars/*")) == []
    assert complaints == []


def test_a_webcam_or_microphone_that_is_refused_says_what_to_do(links: Links, launch: Callable[..., Any]) -> None:
    with launch() as opened:  # no device, no permission
        page, _ = open_page(opened, f"{links.address}/#owner={links.owner}")
        page.get_by_role("button", name="Use my webcam").click(timeout=60_000)
        expect(page.locator("#say-text")).to_have_text(re.compile("then try again"), timeout=10_000)
        see(page, "Idling")
        page.click("#new-avatar")
        page.click("#use-webcam")
        expect(page.locator("#capture-problem")).to_have_text(re.compile("then try again"), timeout=10_000)
        page.keyboard.press("Escape")
        page.click("#to-call")
        page.click("#microphone")
        expect(page.locator("#call-problem")).to_have_text(re.compile("microphone.*then try again"), timeout=10_000)


def test_a_link_outlives_a_reload_and_a_wrong_one_says_so(links: Links, chromium: Any) -> None:
    page, _ = open_page(chromium, f"{links.address}/#owner=wrong")
    expect(page.get_by_role("heading", name="This link does not open visavis")).to_be_visible()
    look(page, "wrong-link")
    page, _ = open_page(chromium, links.address)
    expect(page.get_by_text("lacks its end")).to_be_visible()
    page, _ = open_page(chromium, f"{links.address}/#owner={links.owner}")
    page.reload()
    expect(page.locator("#new-avatar")).to_be_enabled(timeout=20_000)


def test_by_keyboard_alone(links: Links, chromium: Any) -> None:
    page, _ = open_page(chromium, f"{links.address}/#owner={links.owner}")
    see(page, "Idling")
    reached = _tabs(page)
    assert {"to-call", "to-apps", "say-act", "recording", "new-avatar", "mirror", "turn-off"} <= set(reached)
    page.locator("#avatar-list :checked").focus()
    before = page.evaluate("document.activeElement.value")
    page.keyboard.press("ArrowRight")
    wait_for(page, f"document.querySelector('#avatar-list :checked').value !== {before!r}")
    page.locator("#to-call").focus()
    page.keyboard.press("Enter")
    assert {"mute", "invitation", "copy"} <= set(_tabs(page))


def _tabs(page: Any) -> list[str]:
    """Ids of what is reached by Tab: each shows the focus, and is large enough for a finger."""
    reached: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        name, outline, height = page.evaluate(
            "(() => { const e = document.activeElement, shown = e.type === 'radio' ? e.parentElement : e,"
            " s = getComputedStyle(shown), r = shown.getBoundingClientRect();"
            " return [e.id || e.value, s.outlineStyle,"
            " e.type === 'checkbox' ? e.parentElement.offsetHeight : r.height];"
            "})()"
        )
        if name in reached:
            break
        if name:
            reached.append(name)
            assert outline != "none", f"{name} hides the focus"
            assert height >= 44, (name, height)
    return reached


def test_a_guest_calls_and_each_sees_the_other(links: Links, chromium: Any) -> None:
    page, complaints = open_page(chromium, f"{links.address}/#owner={links.owner}")
    see(page, "Idling")
    page.click("#turn-off")
    see(page, "Off")
    page.click("#to-call")
    expect(page.locator("#call-state")).to_have_text("Nobody here yet", timeout=20_000)
    guest, more = open_page(chromium, page.input_value("#invitation"))
    expect(guest.locator("#call-title")).to_have_text("ada invites you to a call")
    guest.fill("#guest-name", "Bob")
    wait_for(guest, "document.querySelector('#own-preview').videoWidth")
    look(guest, "guest-joins")
    guest.get_by_role("button", name="Camera on").click()
    guest.get_by_role("button", name="Join the call").click()
    expect(guest.locator("#call-state")).to_have_text("Waiting for the avatar", timeout=20_000)
    expect(page.locator("#call-state")).to_have_text("Waiting for your avatar", timeout=20_000)
    page.get_by_role("button", name=re.compile("^Wake")).click()
    see(page, "Idling")
    expect(guest.locator("#call-state")).to_have_text("Connected with ada", timeout=20_000)
    expect(page.locator("#call-state")).to_have_text(re.compile("^Connected with Bob"))
    expect(page.locator(".member p")).to_have_text("Bob · picture hidden")
    guest.click("#camera-off")  # which was off: now it is on, over the same connection
    shown = "[...document.querySelectorAll('.member:not(.mine) video')].some(v => v.videoWidth && v.currentTime > 0.5)"
    wait_for(guest, shown, 30)
    wait_for(page, shown, 30)
    expect(page.locator(".member p")).to_have_text("Bob")
    guest.click("#mute")
    expect(page.locator(".member p")).to_have_text("Bob · muted")
    page.click("#mute")
    expect(guest.locator(".member:not(.mine) p")).to_contain_text("muted")
    look(guest, "guest")
    look(page, "call")
    expect(page.locator("#call-state")).to_have_text("Connected with Bob · your avatar rests · muted by you")
    guest.click("#leave")
    expect(guest.locator("#call-title")).to_have_text("You have left the call")
    assert guest.evaluate("document.querySelector('#own-preview').srcObject") is None
    expect(guest.get_by_role("button", name="Join again")).to_be_visible()
    expect(page.locator("#alone")).to_be_visible()
    expect(page.locator("#call-say")).to_have_text("Bob has left.")
    assert complaints == [] and more == []


def test_visavis_call_with_the_browsers_own_webcam(chromium: Any, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "avatar.cli.main", "call", "--camera", "browser", "--no-open", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "VISAVIS_HOME": str(tmp_path / "home")},
    )
    assert process.stdout is not None
    try:
        link = json.loads(process.stdout.readline())["page"]
        page, complaints = open_page(chromium, link)
        page.get_by_role("button", name="Use my webcam").click(timeout=60_000)
        expect(page.locator("#advice-text")).to_contain_text("learns your face", timeout=30_000)  # so it was seen
        assert complaints == []
        process.send_signal(signal.SIGINT)
        figures = json.loads(process.communicate(timeout=60)[0])
        assert process.returncode == 0 and figures["tracked"] > figures["faceless"]
        expect(page.locator("#say-text")).to_contain_text("Lost visavis")
        see(page, "Not connected")
        expect(page.locator("#recording")).to_be_disabled()
    finally:
        process.kill()


def test_two_call_by_copy_and_paste(links: Links, chromium: Any, tmp_path: Path) -> None:
    others = tmp_path / "other"
    others.mkdir()
    with page_server.running(others) as other:
        ann, complaints = open_page(chromium, f"{links.address}/#owner={links.owner}")
        bob, more = open_page(chromium, f"{other.address}/#owner={other.owner}")
        for page in (ann, bob):
            page.click("#to-call")
            page.locator("#paste summary").click()
        ann.click("#paste-begin")
        offer = wait_for(ann, "document.querySelector('#paste-out').value")
        bob.fill("#paste-in", offer[:200])  # not the whole of it
        bob.click("#paste-use")
        expect(bob.locator("#paste-problem")).to_contain_text("whole text")
        bob.fill("#paste-in", offer)
        bob.click("#paste-use")
        ann.fill("#paste-in", wait_for(bob, "document.querySelector('#paste-out').value"))
        look(bob, "paste")
        ann.click("#paste-use")
        for page in (ann, bob):
            expect(page.locator("#pasted .member p")).to_have_text(
                "By copy and paste (avatar, AI generated)", timeout=20_000
            )
        ann.get_by_role("button", name="Hang up").click()
        expect(ann.locator("#pasted .member")).to_have_count(0)
        assert complaints == [] and more == []
