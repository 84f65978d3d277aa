"""Whether pictures carry our mark: looked for in one stretch of a few seconds after another, until it is found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path

from avatar.core.arrays import Picture
from avatar.core.errors import InputError
from avatar.core.frame import Frame, NoPicture
from avatar.sources.camera import Camera
from avatar.sources.media import SUFFIXES as VIDEO_SUFFIXES
from avatar.sources.photo import SUFFIXES, load_photo
from avatar.sources.video_file import VideoFile
from avatar.trust.carrier import TILES
from avatar.trust.detection import Reading, detect
from avatar.trust.residue import Residue

STRETCH_S = 5.0
GAP_S = 0.05  # between pictures that are looked at: nearer ones show the same
MOST_STRETCHES = 12  # of a file, evenly spread over it
CAMERA_STRETCHES = 3
NOT_A_PROOF = "No mark found: this is not a proof that the picture is real."

TimedPicture = tuple[float, Callable[[], Picture]]  # seconds, and what makes the picture


@dataclass(frozen=True, slots=True)
class Mark:
    """What was read. bundle: ten hexadecimal digits, of `bundle_id`. start_s: the stretch in which it was found.

    strength: of the reading, in standard deviations of noise.
    shown_px: the published picture's shorter side, in pixels of what was looked at.
    """

    bundle: str
    day: date
    start_s: float
    strength: float
    shown_px: int
    mirrored: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was looked at, and what was found. damage: in one sentence, where a file is not whole."""

    mark: Mark | None
    pictures: int
    seconds: float
    damage: str | None = None


def verify_file(path: Path, progress: Callable[[float], None] = lambda share: None) -> Verdict:
    """Of a photo or video. `progress` gets the share that is done. Raises InputError, naming the file."""
    if path.suffix.lower() in SUFFIXES and path.suffix.lower() != ".gif":
        residue = Residue()
        residue.add(load_photo(path))
        return Verdict(_mark(residue, 0.0), 1, 0.0)
    try:
        video = VideoFile(path)
    except InputError as error:
        if path.is_file() and path.suffix.lower() not in VIDEO_SUFFIXES:
            raise InputError(
                f"{path} is neither a photo nor a video that can be read. Give a photo (jpg, png, webp …), a video "
                "(mp4, mov, mkv, webm …) or an .avatar file."
            ) from error
        raise
    verdict = _verdict(_stretches(video), progress)
    return replace(verdict, damage=video.damage)


def verify_camera(camera: Camera) -> Verdict:
    """Of what a camera shows now. Raises InputError where it shows nothing."""
    verdict = _verdict([_filmed(camera)] * CAMERA_STRETCHES)
    if not verdict.pictures:
        raise InputError(f"{camera.name} has shown no picture. Is it switched on?")
    return verdict


def _verdict(
    sources: Sequence[Iterable[TimedPicture]], progress: Callable[[float], None] = lambda share: None
) -> Verdict:
    """Of a stretch of each. The same iterator may be given several times: then they follow one another."""
    pictures, seconds = 0, 0.0
    for number, source in enumerate(sources):
        progress(number / len(sources))
        stretch = _stretch(source)
        if not stretch.residue.count:
            break
        pictures, seconds = pictures + stretch.residue.count, seconds + stretch.seconds
        if mark := _mark(stretch.residue, stretch.start_s):
            return Verdict(mark, pictures, seconds)
    return Verdict(None, pictures, seconds)


@dataclass(slots=True)
class _Stretch:
    residue: Residue
    start_s: float = 0.0
    seconds: float = 0.0


def _stretch(timed: Iterable[TimedPicture]) -> _Stretch:
    """The first STRETCH_S seconds of it."""
    stretch = _Stretch(Residue())
    next_s: float | None = None
    for at_s, picture in timed:
        if next_s is None:
            stretch.start_s = next_s = at_s
        stretch.seconds = at_s - stretch.start_s
        if at_s >= next_s:
            stretch.residue.add(picture())
            next_s = at_s + GAP_S
        if stretch.seconds >= STRETCH_S:
            break
    return stretch


def _filmed(camera: Camera) -> Iterator[TimedPicture]:
    waited = 0
    while (frame := camera.read()) is not None and waited < 100:
        if isinstance(frame, NoPicture):
            waited += 1
            continue
        yield frame.capture_ns / 1e9, partial(_rgb, frame)


def _rgb(frame: Frame) -> Picture:
    return frame.rgb


def _stretches(video: VideoFile) -> list[Iterator[TimedPicture]]:
    """One after another, or spread over it where there would be too many."""
    last_s = video.duration_s - STRETCH_S
    if last_s <= STRETCH_S * (MOST_STRETCHES - 1):
        return [_shown(video, 0.0)] * MOST_STRETCHES
    return [_shown(video, last_s * number / (MOST_STRETCHES - 1)) for number in range(MOST_STRETCHES)]


def _shown(video: VideoFile, start_s: float) -> Iterator[TimedPicture]:
    for shown in video.shown(start_s):  # from the key frame before it
        if shown.media_s >= video.first_media_s + start_s:
            yield shown.media_s - video.first_media_s, shown.rgb


def _mark(residue: Residue, start_s: float) -> Mark | None:
    reading = detect(residue.mean())
    return None if reading is None else _told(reading, start_s)


def _told(reading: Reading, start_s: float) -> Mark:
    assert reading.message is not None
    place = reading.place
    shown_px = round(TILES * min(place.height_px, place.width_px))
    message, strength = reading.message, round(float(reading.decoded.strength), 1)
    return Mark(message.bundle, message.day, start_s, strength, shown_px, place.mirrored)
