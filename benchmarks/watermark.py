"""What the invisible mark withstands, what it costs, and whether it is ever found where there is none.

    python benchmarks/watermark.py NAME NAME… --driver talk.mp4 --markdown     # avatars; a clip of 12 s and more
    python benchmarks/watermark.py --unmarked FOLDER --windows 1000            # false alarms, on clips without marks

Avatars are driven as `drive` does it; their pictures are marked, compressed by VP8 at 500 kb/s as calls do it unless a
line says otherwise, attacked, and read from five seconds. "found" counts readings whose 64 bits are the right ones.

Unmarked windows are the clips' own; then two clips, one shining through the other; then enlarged, cropped and mirrored
ones; then calls recorded with a window around them.
"""

from __future__ import annotations

import argparse
import io
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from avatar.core.arrays import Array, Picture
from avatar.core.avatar import Avatar
from avatar.face.crop import face_crop
from avatar.identity.bundle import find_avatar
from avatar.identity.mattes import open_avatar
from avatar.live.canvas import Canvas
from avatar.live.framing import parse_size
from avatar.render.engine_options import EngineOptions
from avatar.render.painter import open_painter
from avatar.retarget.retargeter import Retargeter
from avatar.sources.media import SUFFIXES
from avatar.sources.video_file import VideoFile
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model
from avatar.trust import embedding
from avatar.trust.detection import Reading, detect, readings
from avatar.trust.embedding import Marker
from avatar.trust.mark_message import FIRST_DAY, MarkMessage, bundle_id
from avatar.trust.residue import Residue
from benchmarks.reporting import machine, print_table

STRETCH_S, LOOKED_AT_FPS = 5.0, 13.0  # as `verify` looks at videos
DRIVEN_S = 10.0
DAY = date(2026, 11, 30)

Clip = list[Picture]
Attack = Callable[[Clip], Clip]
Curve = NDArray[np.float64]


@dataclass(frozen=True)
class Codec:
    """As PyAV names it."""

    name: str
    options: dict[str, str]
    container: str = "matroska"

    def encoded(self, clip: Clip, fps: float) -> tuple[Clip, float]:
        """The clip after it, and its kilobits a second."""
        file, size = io.BytesIO(), 0
        with av.open(file, "w", format=self.container) as container:
            stream = container.add_stream(self.name, rate=round(fps), options=self.options)
            assert isinstance(stream, VideoStream)
            stream.height, stream.width = (side // 2 * 2 for side in clip[0].shape[:2])
            stream.pix_fmt = "yuv420p"
            for picture in [*clip, None]:
                cut = None if picture is None else picture[: stream.height, : stream.width]
                frame = None if cut is None else av.VideoFrame.from_ndarray(np.ascontiguousarray(cut), format="rgb24")
                for packet in stream.encode(frame):
                    size += packet.size
                    container.mux(packet)
        file.seek(0)
        with av.open(file, "r") as encoded:
            decoded = [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in encoded.decode(video=0)]
        return decoded, size * 8 / len(clip) * fps / 1e3


def vp8(kilobits: int) -> Codec:
    """In real time, as WebRTC uses it."""
    rate = f"{kilobits}k"
    fixed = {"b": rate, "maxrate": rate, "bufsize": rate, "qmin": "2", "qmax": "56"}
    return Codec("libvpx", {**_REAL_TIME, **fixed}, "webm")


def vp8_quality(quantiser: int) -> Codec:
    return Codec("libvpx", {**_REAL_TIME, "b": "20M", "qmin": str(quantiser), "qmax": str(quantiser)}, "webm")


# a negative cpu-used is a fixed speed, as aiortc has it; a positive one depends on how busy the computer is
_REAL_TIME = {
    "deadline": "realtime", "cpu-used": "-6", "lag-in-frames": "0", "static-thresh": "1", "error-resilient": "1",
    "g": "3000",
}  # fmt: skip


def h264(kilobits: int) -> Codec:
    rate = f"{kilobits}k"
    return Codec("libx264", {**_QUICK, "b": rate, "maxrate": rate, "bufsize": rate})


def h264_quality(factor: int) -> Codec:
    return Codec("libx264", {**_QUICK, "crf": str(factor)})


_QUICK = {"preset": "veryfast", "tune": "zerolatency", "g": "300"}
AV1 = Codec("libsvtav1", {"preset": "10", "b": "400k", "g": "300", "svtav1-params": "rc=1"})


# Attacks on pictures


def scaled(wide: float, high: float | None = None) -> Attack:
    def attack(clip: Clip) -> Clip:
        how = cv2.INTER_AREA if wide < 1 else cv2.INTER_CUBIC
        return [_u8(cv2.resize(picture, None, fx=wide, fy=high or wide, interpolation=how)) for picture in clip]

    return attack


def cropped(share: float) -> Attack:
    def attack(clip: Clip) -> Clip:
        height, width = clip[0].shape[:2]
        top, left = round(0.37 * share * height), round(0.81 * share * width)
        below, right = top + round((1 - share) * height), left + round((1 - share) * width)
        return [np.ascontiguousarray(picture[top:below, left:right]) for picture in clip]

    return attack


def rimmed(share: float) -> Attack:
    def attack(clip: Clip) -> Clip:
        y, x = (round(share * side) for side in clip[0].shape[:2])
        return [_u8(cv2.copyMakeBorder(p, y, y, x, x, cv2.BORDER_CONSTANT, value=(20, 20, 20))) for p in clip]

    return attack


def graded(curve: Callable[[Curve], Curve]) -> Attack:
    table = np.clip(curve(np.arange(256.0)), 0, 255).astype(np.uint8)
    return lambda clip: [_u8(cv2.LUT(picture, table)) for picture in clip]


def mirrored(clip: Clip) -> Clip:
    return [np.ascontiguousarray(picture[:, ::-1]) for picture in clip]


def jpeg(clip: Clip) -> Clip:
    quality = [cv2.IMWRITE_JPEG_QUALITY, 50]
    return [_u8(cv2.imdecode(cv2.imencode(".jpg", picture, quality)[1], cv2.IMREAD_COLOR)) for picture in clip]


def more_frames(clip: Clip) -> Clip:
    """Played at 24 and filmed at 30 a second."""
    return [clip[int(i * 24 / 30)] for i in range(len(clip) * 30 // 24)]


def in_a_call(scale: float, flip: bool = False, size: tuple[int, int] = (1280, 720)) -> Attack:
    """A recorded screen: the picture in a window, text, buttons, and somebody else who moves."""

    def attack(clip: Clip) -> Clip:
        width, height = size
        screen = np.full((height, width, 3), 245, np.uint8)
        cv2.rectangle(screen, (0, 0), (width, height // 16), (40, 44, 52), -1)
        cv2.rectangle(screen, (0, height // 16), (width // 5, height), (225, 225, 230), -1)
        letters = random.Random(1)
        for line in range(height // 30 - 2):
            text = "".join(letters.choices("abcdefghijklmnoprstu ", k=18))
            cv2.putText(screen, text, (10, height // 16 + 26 + 28 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (60,) * 3, 1)
        for button in range(6):
            cv2.circle(
                screen, (width // 3 + button * width // 14, height - height // 24), height // 40, (200, 80, 80), -1
            )
        shown = []
        for number, picture in enumerate(mirrored(clip) if flip else clip):
            factor = scale * 512 / min(picture.shape[:2]) * height / 720
            how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
            window = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=how)
            top, left = round(0.1 * height) + 3, width // 5 + 17
            window = window[: height - top, : width - left]
            frame = screen.copy()
            frame[top : top + window.shape[0], left : left + window.shape[1]] = window
            other = cv2.resize(clip[(number * 7 + 31) % len(clip)][::-1, ::-1], (height // 4, height // 4))
            frame[height // 5 : height // 5 + len(other), width - len(other) - 5 : width - 5] = 255 - other
            shown.append(frame)
        return h264(1500).encoded(shown, 25)[0]

    return attack


def chained(*attacks: Attack) -> Attack:
    def attack(clip: Clip) -> Clip:
        for each in attacks:
            clip = each(clip)
        return clip

    return attack


def through(codec: Codec, fps: float) -> Attack:
    return lambda clip: codec.encoded(clip, fps)[0]


def attacks(fps: float) -> dict[str, Attack]:
    """On marked pictures: by name."""
    own = {
        "nothing": lambda clip: clip,
        "JPEG, quality 50": jpeg,
        "H.264, 1 Mb/s": through(h264(1000), fps),
        "AV1, 400 kb/s": through(AV1, fps),
        "scale 0.5, then H.264, 300 kb/s": chained(scaled(0.5), through(h264(300), fps)),
        "24 → 30 frames a second, H.264, 1 Mb/s": chained(through(vp8(500), 24), more_frames, through(h264(1000), 30)),
    }
    after_vp8 = {
        "VP8, 500 kb/s": lambda clip: clip,
        **{f"scale {s}": scaled(s) for s in (0.5, 0.63, 0.8, 1.37, 2.0)},
        "width × 1.2, height × 0.9": scaled(1.2, 0.9),
        "width × 0.75": scaled(0.75, 1.0),
        "10 % cropped away": cropped(0.1),
        "a rim of 8 %": rimmed(0.08),
        "30 brighter": graded(lambda grey: grey + 30),
        "gamma 0.6": graded(lambda grey: 255 * (grey / 255) ** 0.6),
        "gamma 1.7": graded(lambda grey: 255 * (grey / 255) ** 1.7),
        "JPEG, quality 50, after VP8": jpeg,
        "mirrored": mirrored,
        "a recorded call, window × 0.62": in_a_call(0.62),
        "a recorded call, window × 0.9, mirrored": in_a_call(0.9, flip=True),
        "crop, × 0.73, gamma 1.3, JPEG 50": chained(
            cropped(0.1), scaled(0.73), graded(lambda grey: 255 * (grey / 255) ** 1.3), jpeg
        ),
    }
    beyond = {
        "VP8, 250 kb/s": through(vp8(250), fps),
        "VP8, 150 kb/s": through(vp8(150), fps),
        "scale 0.4": chained(through(vp8(500), fps), scaled(0.4)),
        "one picture": lambda clip: clip[len(clip) // 2 :][:1],
        "one picture after VP8": lambda clip: through(vp8(500), fps)(clip)[len(clip) // 2 :][:1],
    }
    return {**own, **{name: chained(through(vp8(500), fps), each) for name, each in after_vp8.items()}, **beyond}


# Marked pictures


@dataclass(frozen=True)
class Driven:
    """An avatar's pictures, as they are published but for the mark."""

    avatar: Avatar
    clip: Clip
    fps: float

    @property
    def message(self) -> MarkMessage:
        return MarkMessage(bundle_id(self.avatar), DAY)


def driven(name: str, driver: Path, size: tuple[int, int], start_s: float) -> Driven:
    avatar = open_avatar(find_avatar(name))
    engine = EngineOptions().open(avatar)
    canvas = Canvas(avatar.portraits[0], *size, None, avatar.mattes[0])
    painter = open_painter(avatar, engine, canvas.square_px, patient=True)
    retargeter, video, clip = Retargeter(avatar), VideoFile(driver), []
    with CagedTracker(tracker_model(), "video", patient=True) as tracker:
        for frame in video:
            if frame.media_s < start_s:
                continue
            state = tracker.track(frame.rgb, round(frame.media_s * 1e9))
            if retargeter.frame_crop is None and state.found:
                retargeter.frame_crop = face_crop(state.landmarks, frame.width, frame.height)
            square = painter.render(retargeter.drive(state))
            clip.append(canvas.place(square.copy(), painter.matte() if canvas.shows_matte else None, painter.plate()))
            if len(clip) >= DRIVEN_S * video.fps:
                break
    engine.close()
    return Driven(avatar, clip, video.fps)


def marked(made: Driven) -> tuple[Clip, float]:
    """The pictures, and the milliseconds of one core for each."""
    height, width = made.clip[0].shape[:2]
    marker, costs_ms, clip = Marker(made.message, width, height), [], []
    for picture in made.clip:
        start = time.thread_time()
        clip.append(marker.mark(picture))
        costs_ms.append(1e3 * (time.thread_time() - start))
    return clip, statistics.median(costs_ms)


def mean_residue(clip: Clip) -> Array:
    residue = Residue()
    for picture in clip:
        residue.add(picture)
    return residue.mean()


def found(clip: Clip, fps: float) -> tuple[Reading | None, float]:
    """What is read in it, and the seconds of one core that this took."""
    start = time.thread_time()
    reading = detect(mean_residue(clip[:: max(1, round(fps / LOOKED_AT_FPS))]))
    return reading, time.thread_time() - start


@dataclass
class Line:
    """Of the table: over all avatars."""

    right: int = 0
    wrong: int = 0
    tried: int = 0
    strengths: list[float] = field(default_factory=list)
    costs_s: list[float] = field(default_factory=list)

    def add(self, clip: Clip, fps: float, message: MarkMessage) -> None:
        reading, cost_s = found(clip, fps)
        self.tried += 1
        self.costs_s.append(cost_s)
        if reading is not None:
            self.right += reading.message == message
            self.wrong += reading.message != message
            self.strengths.append(reading.decoded.strength)

    def cells(self, name: str) -> list[str]:
        weakest = f"{min(self.strengths):.1f}" if self.strengths else ""
        wrong = f", {self.wrong} wrong" if self.wrong else ""
        return [name, f"{self.right} of {self.tried}{wrong}", weakest, f"{max(self.costs_s):.1f}"]


def robustness(people: Sequence[Driven]) -> Iterator[tuple[list[str], str | None]]:
    clips = [marked(made)[0] for made in people]
    for name in attacks(people[0].fps):
        line = Line()
        for made, clip in zip(people, clips, strict=True):
            line.add(attacks(made.fps)[name](clip[: round(STRETCH_S * made.fps)]), made.fps, made.message)
        yield line.cells(name), None if line.right == line.tried else "yellow"
    sent = [vp8(500).encoded(clip, made.fps)[0] for made, clip in zip(people, clips, strict=True)]
    for seconds, name in ((STRETCH_S, "any 5 s"), (1.0, "any 1 s"), (0.5, "any 0.5 s")):
        line = Line()
        for made, clip in zip(people, sent, strict=True):
            count = round(seconds * made.fps)
            for start in np.linspace(0, len(clip) - count, 6).astype(int):
                line.add(clip[start : start + count], made.fps, made.message)
        yield line.cells(f"{name} of VP8, 500 kb/s, 6 offsets"), None if line.right == line.tried else "yellow"


def costs(people: Sequence[Driven]) -> Iterator[tuple[list[str], None]]:
    ways = [vp8_quality(20), vp8_quality(44), h264_quality(26)]
    for made in people:
        clip, cost_ms = marked(made)
        error = np.mean(
            [np.mean((after.astype(float) - before) ** 2) for after, before in zip(clip, made.clip, strict=True)]
        )
        more = [way.encoded(clip, made.fps)[1] / way.encoded(made.clip, made.fps)[1] - 1 for way in ways]
        height, width = clip[0].shape[:2]
        yield (
            (
                [made.avatar.name, f"{width}×{height}", f"{cost_ms:.2f}", f"{10 * np.log10(255**2 / error):.1f}"]
                + [f"{share:+.0%}" for share in more]
            ),
            None,
        )


# Unmarked ones


def unmarked_windows(folder: Path) -> Iterator[Clip]:
    """Five seconds of each clip: as it is, then changed in four ways."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES)
    random.Random(0).shuffle(paths)
    before: Clip = []

    def mixed(clip: Clip) -> Clip:
        height, width = clip[0].shape[:2]
        pairs = zip(clip, before or clip[::-1], strict=False)
        return [_u8(cv2.addWeighted(one, 0.5, cv2.resize(other, (width, height)), 0.5, 0)) for one, other in pairs]

    views: list[Attack] = [
        lambda clip: clip,
        mixed,
        chained(cropped(0.1), scaled(1.5), mirrored),
        in_a_call(0.62, size=(640, 360)),
        chained(scaled(0.63), mirrored),
    ]
    for view in views:
        for path in paths:
            for clip in _stretches(path):
                yield view(clip)
                before = clip


def _stretches(path: Path) -> Iterator[Clip]:
    """Of as many pictures as `verify` looks at."""
    video = VideoFile(path)
    step, clip = max(1, round(video.fps / LOOKED_AT_FPS)), []
    wanted = round(STRETCH_S * video.fps / step)
    for shown in video.shown():
        if shown.number % step == 0:
            clip.append(shown.rgb())
        if len(clip) == wanted:
            yield clip
            clip = []


def false_alarms(folder: Path, most: int, minutes: float) -> dict[str, float]:
    end_s = time.monotonic() + 60 * minutes
    windows = tries = agreeing = alarms = 0
    strengths: list[float] = []
    for clip in unmarked_windows(folder):
        read = list(readings(mean_residue(clip)))
        windows, tries = windows + 1, tries + len(read)
        agreeing += sum(reading.decoded.agrees for reading in read)
        alarms += any(reading.message is not None for reading in read)
        strengths.append(max(reading.decoded.strength for reading in read))
        if windows == most or time.monotonic() > end_s:
            break
        if windows % 50 == 0:
            print(
                f"{windows} windows, {tries} readings, {agreeing} agree, {alarms} alarms", file=sys.stderr, flush=True
            )
    level = np.percentile(strengths, [50, 99, 100])
    days = (date.today() - FIRST_DAY).days + 2
    return {
        "windows": windows,
        "readings a window": tries / windows,
        "readings whose CRC agrees": agreeing,
        "false alarms": alarms,
        "strength, median": float(level[0]),
        "strength, 99 %": float(level[1]),
        "strength, highest": float(level[2]),
        "chance of a false alarm in a window, from CRC, product and day": tries / windows * 2**-32 * days / 2**16,
    }


def _u8(picture: object) -> Picture:
    return np.asarray(picture, np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="avatars")
    parser.add_argument("--driver", type=Path, help="a clip of somebody who talks and moves")
    parser.add_argument("--size", default="512x512", help="of the published picture")
    parser.add_argument("--gain", type=float, default=embedding.GAIN, help="another strength of the mark")
    parser.add_argument("--unmarked", type=Path, help="a folder of clips without marks: count false alarms")
    parser.add_argument("--windows", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=240.0, help="for --unmarked: at most")
    parser.add_argument("--markdown", action="store_true")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    embedding.GAIN = given.gain
    print(f"{machine()}, {date.today()}\n")
    if given.names:
        size = parse_size(given.size)
        people = [driven(name, given.driver, size, 2.0 * i) for i, name in enumerate(given.names)]
        columns = ("avatar", "picture", "ms", "PSNR, dB", "VP8 q 20", "VP8 q 44", "H.264 crf 26")
        print_table(columns, costs(people), markdown=given.markdown)
        print()
        print_table(("attack", "found", "weakest", "s to read"), robustness(people), markdown=given.markdown)
    if given.unmarked:
        counted = false_alarms(given.unmarked, given.windows, given.minutes)
        rows = [([what, f"{figure:.3g}"], None) for what, figure in counted.items()]
        print_table(("unmarked", ""), rows, markdown=given.markdown)


if __name__ == "__main__":
    main()
