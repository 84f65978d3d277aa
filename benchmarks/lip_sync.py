"""How early or late the sound reaches a viewer's ears, against the lips: a clap through a whole call, into Chromium.

    python benchmarks/lip_sync.py NAME [--claps 30] [--slower-ms 0 150] [--markdown] [--json]

The avatar's own portrait is the driver. For a clap, the camera's frame and the microphone's sample of one moment are
marked: that frame's finished picture gets a white corner, and a tone of 2 kHz begins there. All between is the
product's own: tracker, generator, loop, publisher, the sound's delay, WebRTC. Chromium notes when each picture is due
on the screen, and when each tone leaves its jitter buffer, to which comes the time that, it says, the way to the
loudspeaker takes. All is of the computer's monotonic clock, so that each is known to be of which clap, however late.
(An AudioContext would add a queue of its own, some 40 ms, which no page of a call has.) The figures are sound early (+)
or late (-); ITU-R BT.1359 allows from +45 to -125 ms.

Each line is measured twice: as the product sends, and with Chromium's own lip synchronisation off (picture and sound
named as two streams, which it does not pair). What it adds is the difference. --slower-ms: the picture arrives so much
later at the publisher, as on a slower computer; the sound must follow.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from avatar.call.hosted_call import HostedCall
from avatar.call.hosting import CallOptions, host_call
from avatar.core.avatar import Avatar
from avatar.core.errors import DeviceError, UsageError
from avatar.core.frame import Frame
from avatar.identity.bundle import find_avatar, load_avatar
from avatar.live.session import open_session
from avatar.sources.portrait_camera import PortraitCamera
from avatar.tracking.model_asset import tracker_model
from avatar.webrtc.congestion import BitRates
from avatar.webrtc.publisher import CallPublisher
from avatar.webrtc.sound import RATE, Sound
from benchmarks.call_pages import open_chromium, time_origin_ms

EARLIEST_MS, LATEST_MS = 45.0, -125.0  # sound against picture: ITU-R BT.1359
GAP_S = 1.6  # between claps
FLASH_S, TONE_S, TONE_HZ = 0.2, 0.06, 2000
BLOCK = RATE // 100  # 10 ms, as PortAudio hands them out
MICROPHONE_S = 0.02  # from the air to the program, as of a plain sound card
WARM_S = 8.0  # Chromium moves its buffers once a second, a little at a time
LAST = 8  # claps, the earlier ones of which have been sent
PATCH = 8  # of so many patches along a side the first one flashes

PAGE = """
window.clap = {
  flashes: [], tones: [], streams: [], white: true,
  async view(owner, paired) {
    const pc = this.pc = new RTCPeerConnection();
    const media = new MediaStream();
    const video = Object.assign(document.createElement('video'), {autoplay: true, playsInline: true, srcObject: media});
    document.body.replaceChildren(video);
    pc.ontrack = ({track, streams}) => {  // as avatar/dashboard/page/connection.js does
      this.streams.push(streams[0].id);
      media.addTrack(track);
      video.play();
      if (track.kind === 'audio') this.listen(track);
    };
    this.look(video);
    pc.addTransceiver('video', {direction: 'recvonly'});
    pc.addTransceiver('audio', {direction: 'recvonly'});
    await pc.setLocalDescription(await pc.createOffer());
    while (pc.iceGatheringState !== 'complete') await new Promise(done => setTimeout(done, 20));
    const answer = await fetch('/api/view', {method: 'POST', headers: {Authorization: 'Bearer ' + owner},
                                             body: JSON.stringify({sdp: pc.localDescription.sdp})});
    let {sdp} = await answer.json();
    if (!paired) sdp = sdp.replace(/(m=audio[^]*?a=msid:)\\S+/, '$1another');
    await pc.setRemoteDescription({type: 'answer', sdp});
  },
  look(video) {
    const context = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
    const next = (now, {expectedDisplayTime}) => {
      const side = video.videoWidth / PATCH;
      context.drawImage(video, side / 4, side / 4, side / 2, side / 2, 0, 0, 1, 1);
      const white = context.getImageData(0, 0, 1, 1).data[1] > 127;
      if (white && !this.white) this.flashes.push(expectedDisplayTime);
      this.white = white;
      video.requestVideoFrameCallback(next);
    };
    video.requestVideoFrameCallback(next);
  },
  async listen(track) {
    const reader = new MediaStreamTrackProcessor({track}).readable.getReader();
    let quietUntil = 0;
    for (;;) {
      const {value: block, done} = await reader.read();
      if (done) return;
      const samples = new Float32Array(block.numberOfFrames), start = block.timestamp / 1000;
      this.stampAge = performance.now() - start;
      block.copyTo(samples, {planeIndex: 0, format: 'f32-planar'});
      for (let i = 0; i < samples.length; i++) {
        if (Math.abs(samples[i]) < 0.1) continue;
        const at = start + i / block.sampleRate * 1000;
        if (at > quietUntil) this.tones.push(at);
        quietUntil = at + 200;
      }
      block.close();
    }
  },
  async held() {  // how long Chromium holds picture and sound back on average, from the last call on
    const held = {}, before = this.before ?? {};
    for (const line of (await this.pc.getStats()).values()) {
      const [of, delay, count] = {
        'inbound-rtp': [line.kind, line.jitterBufferDelay, line.jitterBufferEmittedCount],
        'media-playout': ['loudspeaker', line.totalPlayoutDelay, line.totalSamplesCount],
      }[line.type] ?? [];
      if (of === undefined) continue;
      const last = before[of] ?? {delay: 0, count: 0};
      held[of] = (delay - last.delay) / (count - last.count) * 1000;
      before[of] = {delay, count};
    }
    this.before = before;
    return held;
  },
};
"""
PAGE = PAGE.replace("PATCH", str(PATCH))


@dataclass(frozen=True, slots=True)
class Skew:
    """What one viewer got. Early: positive."""

    slower_ms: float
    paired: bool  # by Chromium
    claps: int
    sound_early_ms: float  # the median
    earliest_ms: float
    latest_ms: float
    picture_sent_ms: float  # capture → encoder, as visavis measures it
    sound_sent_ms: float
    seen_ms: float  # capture → display, the median
    heard_ms: float  # capture → loudspeaker
    held_picture_ms: float  # by Chromium, in its jitter buffers
    held_sound_ms: float
    loudspeaker_ms: float  # the sound's way from there on, as Chromium says

    @property
    def good(self) -> bool:
        return LATEST_MS <= self.sound_early_ms <= EARLIEST_MS


class Claps:
    """When they are: the capture time of a camera's frame, every GAP_S."""

    def __init__(self) -> None:
        self.tone_late_ms = 0.0
        self.times_ns: list[int] = []

    def seen(self, capture_ns: int) -> None:
        """The camera has captured a frame."""
        if not self.times_ns or capture_ns - self.times_ns[-1] >= GAP_S * 1e9:
            self.times_ns.append(capture_ns)

    def since(self, at_ns: int) -> float:
        """Seconds since the last clap before `at_ns`."""
        before = [clap_ns for clap_ns in self.times_ns[-LAST:] if clap_ns <= at_ns]
        return (at_ns - before[-1]) / 1e9 if before else float("inf")

    def sound(self, start_ns: int) -> np.ndarray[Any, np.dtype[np.int16]]:
        """(BLOCK,) samples, the first of `start_ns`."""
        samples = np.zeros(BLOCK, np.int16)
        for clap_ns in self.times_ns[-LAST:]:
            at_s = np.arange(BLOCK) / RATE + (start_ns - clap_ns) / 1e9 - self.tone_late_ms / 1000
            tone = np.asarray(16_000 * np.sin(2 * np.pi * TONE_HZ * at_s), np.int16)
            samples = np.where((at_s >= 0) & (at_s < TONE_S), tone, samples)
        return samples


class ClappingCamera(PortraitCamera):
    """Tells of its frames."""

    def __init__(self, avatar: Avatar, claps: Claps) -> None:
        super().__init__(avatar.portraits[0])
        self._claps = claps

    def read(self) -> Frame | None:
        frame = super().read()
        if frame is not None:
            self._claps.seen(frame.capture_ns)
        return frame


class FlashingPublisher(CallPublisher):
    """The corner of each picture is black, after a clap white; `slower_ms` later, all in order."""

    def __init__(self, hosted: HostedCall, claps: Claps) -> None:
        super().__init__(hosted.call.video, BitRates())
        self.slower_ms = 0.0
        self.claps = claps
        self._waiting: deque[tuple[int, Frame]] = deque()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._pass_on, name="slower")
        self._thread.start()

    def send(self, frame: Frame) -> None:
        rgb = frame.rgb.copy()
        side = len(rgb) // PATCH
        rgb[:side, :side] = 255 if self.claps.since(frame.capture_ns) < FLASH_S else 0
        marked = Frame(rgb, frame.capture_ns, frame.index)
        if self.slower_ms:
            self._waiting.append((time.monotonic_ns() + round(self.slower_ms * 1e6), marked))
        else:
            super().send(marked)

    def end(self) -> None:
        self._over.set()
        self._thread.join()

    def _pass_on(self) -> None:
        while not self._over.wait(0.002):
            while self._waiting and self._waiting[0][0] <= time.monotonic_ns():
                super().send(self._waiting.popleft()[1])


def _hear(sound: Sound, claps: Claps, over: threading.Event) -> None:
    """The microphone: blocks of 10 ms, each MICROPHONE_S after its end."""
    start_ns = time.monotonic_ns()
    while not over.is_set():
        due_ns = start_ns + BLOCK * 1_000_000_000 // RATE + round(MICROPHONE_S * 1e9)
        over.wait(max(0.0, (due_ns - time.monotonic_ns()) / 1e9))
        sound.put(claps.sound(start_ns), start_ns)
        start_ns += BLOCK * 1_000_000_000 // RATE


@contextmanager
def clapping(avatar: Avatar) -> Iterator[tuple[HostedCall, FlashingPublisher]]:
    """A call under way, whose driver claps."""
    claps, over = Claps(), threading.Event()
    failures: list[BaseException] = []
    with host_call(CallOptions("clap")) as hosted:
        publisher = FlashingPublisher(hosted, claps)
        try:
            with open_session(avatar, tracker_model(), ClappingCamera(avatar, claps), [publisher]) as session:

                def run() -> None:
                    try:
                        session.loop.run()
                    except BaseException as failure:
                        failures.append(failure)

                microphone = threading.Thread(target=_hear, args=(hosted.call.sound, claps, over), name="microphone")
                loop = threading.Thread(target=run, name="session")
                microphone.start()
                loop.start()
                try:
                    yield hosted, publisher
                finally:
                    over.set()
                    session.loop.stop()
                    microphone.join()
                    loop.join(20)
        finally:
            publisher.end()
    if failures:
        raise failures[0]


def measure(
    browser: Any,
    hosted: HostedCall,
    publisher: FlashingPublisher,
    claps: int,
    slower_ms: float = 0.0,
    paired: bool = True,
    warm_s: float = WARM_S,
) -> Skew:
    """Claps seen and heard by a new viewer. Raises TimeoutError where too few are."""
    publisher.slower_ms = slower_ms
    page = browser.new_page()
    page.goto(hosted.page_link.partition("#")[0])
    page.evaluate(PAGE)
    page.evaluate("([owner, paired]) => clap.view(owner, paired)", [hosted.tokens.owner, paired])
    page.wait_for_timeout(warm_s * 1000)
    page.evaluate("clap.flashes.length = clap.tones.length = 0, clap.held()")
    if not -1 < (age_ms := page.evaluate("clap.stampAge")) < 1000:
        raise DeviceError(f"This Chromium stamps sound by another clock than the page's: {age_ms:.0f} ms apart.")
    start_ns, origin_ms = time.monotonic_ns(), time_origin_ms(page)
    end_s = time.monotonic() + 5 * claps * GAP_S + 20
    both: list[tuple[float, float]] = []  # how long after each clap it was seen, and left the jitter buffer
    while len(both) < claps:
        if time.monotonic() > end_s:
            raise TimeoutError(f"only {len(both)} of {claps} claps were both seen and heard")
        page.wait_for_timeout(500)
        flashes, tones = page.evaluate("[clap.flashes, clap.tones]")
        claps_ms = [clap_ns / 1e6 - origin_ms for clap_ns in publisher.claps.times_ns if clap_ns > start_ns]
        found = [(_after(clap_ms, flashes), _after(clap_ms, tones)) for clap_ms in claps_ms]
        both = [(seen, heard) for seen, heard in found if seen is not None and heard is not None]
    held, streams = page.evaluate("clap.held()"), page.evaluate("clap.streams")
    page.evaluate("clap.pc.close()")  # or pictures would be sent to it until it is missed
    page.close()
    if paired != (len(set(streams)) == 1):
        raise AssertionError(f"picture and sound came as {streams}")
    video, sound = hosted.call.video, hosted.call.sound
    early_ms = sorted(seen - heard - held["loudspeaker"] for seen, heard in both)
    return Skew(
        slower_ms,
        paired,
        len(early_ms),
        round(statistics.median(early_ms), 1),
        round(early_ms[-1], 1),
        round(early_ms[0], 1),
        round(video.latency_ns / 1e6, 1),
        round(sound.delay_ns / 1e6, 1),
        round(statistics.median(seen for seen, _ in both), 1),
        round(statistics.median(heard for _, heard in both) + held["loudspeaker"], 1),
        round(held["video"], 1),
        round(held["audio"], 1),
        round(held["loudspeaker"], 1),
    )


def _after(clap_ms: float, times_ms: list[float]) -> float | None:
    """How long after a clap the first of these is; None where none is before the next clap."""
    return next((at_ms - clap_ms for at_ms in times_ms if 0 <= at_ms - clap_ms < GAP_S * 1000), None)


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser without a window. Raises VisavisError."""
    flags = ("--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required", "--disable-quic")
    with open_chromium(*flags) as browser:
        yield browser


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("avatar", help="a name given to `visavis enroll`, or a .avatar file")
    parser.add_argument("--claps", type=int, default=30, help="of each line")
    parser.add_argument("--slower-ms", type=float, nargs="*", default=[0.0, 150.0])
    parser.add_argument("--tone-late-ms", type=float, default=0.0, help="a check: what is measured must fall by that")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.claps < 1:
        raise UsageError("--claps is at least 1.")
    found: list[Skew] = []
    with chromium() as browser, clapping(load_avatar(find_avatar(options.avatar))) as (hosted, publisher):
        publisher.claps.tone_late_ms = options.tone_late_ms
        for slower_ms in options.slower_ms:
            for paired in (True, False):
                found.append(measure(browser, hosted, publisher, options.claps, slower_ms, paired))
                if not options.json and not options.markdown:
                    print(row(found[-1]), flush=True)
    if options.json:
        print(json.dumps([asdict(skew) for skew in found], indent=2))
    if options.markdown:
        print(
            "| picture slowed by | lip sync of Chromium | claps | sound early, median | range | sent: picture, sound ",
            end="",
        )
        print("| seen, heard | held by Chromium: picture, sound, loudspeaker |\n|---|---|---|---|---|---|---|---|")
        for skew in found:
            print(
                f"| {skew.slower_ms:.0f} ms | {'on' if skew.paired else 'off'} | {skew.claps} "
                f"| {skew.sound_early_ms:+.0f} ms | {skew.latest_ms:+.0f} to {skew.earliest_ms:+.0f} ms "
                f"| {skew.picture_sent_ms:.0f}, {skew.sound_sent_ms:.0f} ms "
                f"| {skew.seen_ms:.0f}, {skew.heard_ms:.0f} ms "
                f"| {skew.held_picture_ms:.0f}, {skew.held_sound_ms:.0f}, {skew.loudspeaker_ms:.0f} ms |"
            )


def row(skew: Skew) -> str:
    return (
        f"picture slower by {skew.slower_ms:3.0f} ms, Chromium's lip sync {'on ' if skew.paired else 'off'}: "
        f"sound early {skew.sound_early_ms:+6.1f} ms ({skew.latest_ms:+.0f} to {skew.earliest_ms:+.0f}, "
        f"{skew.claps} claps); "
        f"sent after {skew.picture_sent_ms:.0f} and {skew.sound_sent_ms:.0f} ms, "
        f"seen after {skew.seen_ms:.0f} and heard after {skew.heard_ms:.0f} ms, "
        f"held by Chromium {skew.held_picture_ms:.0f} and {skew.held_sound_ms:.0f} + {skew.loudspeaker_ms:.0f} ms"
    )


if __name__ == "__main__":
    main()
