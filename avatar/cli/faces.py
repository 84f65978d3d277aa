"""Faces for `export` to calibrate and check with: the user's own, or the portrait that scikit-image ships."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array
from avatar.core.avatar import Avatar
from avatar.core.errors import InputError, UsageError
from avatar.core.extras import install
from avatar.face.crop import Crop, face_crop
from avatar.face.state import Tracker
from avatar.identity.clip_turn import turn_upright_by
from avatar.render.real_frame import RealFrame, acted
from avatar.sources.media import SUFFIXES as CLIPS
from avatar.sources.photo import SUFFIXES as PHOTOS
from avatar.sources.photo import PhotoReader
from avatar.sources.video_file import VideoFile
from avatar.tracking.caged_tracker import CagedTracker

MAX_PEOPLE = 32
CLIP_FRAMES, CLIP_EVERY = 8, 9  # of a clip: so many frames, one of so many, beside the first, which is the portrait


def avatar_frames(avatar: Avatar) -> list[RealFrame]:
    """An avatar's portraits, acting."""
    pairs = list(zip(avatar.portraits, avatar.landmarks, strict=True))[:MAX_PEOPLE]
    return [frame for portrait, landmarks in pairs for frame in acted(avatar.name, portrait, landmarks)]


def shipped_frames(tracker_model: Path) -> list[RealFrame]:
    """The portrait that comes with scikit-image, acting. Raises UsageError when that is not installed."""
    try:
        from skimage.data import astronaut
    except ImportError as error:
        raise UsageError(
            f"There is no face to calibrate and check with: give --faces FOLDER, or: {install('skimage')}"
        ) from error
    rgb: NDArray[np.uint8] = astronaut()
    with CagedTracker(tracker_model, "image", patient=True) as tracker:
        return _photo_frames(Path("astronaut"), rgb, tracker)


def frames_from(sources: Sequence[Path], tracker_model: Path) -> tuple[list[RealFrame], list[str]]:
    """Frames of the people in photos, clips and folders of them, and a line for each file that was left out.

    Each file is a person: a photo acts; of a clip, the first frame with a face is the portrait and later ones drive it.
    Raises InputError when no face is found, or a source does not exist.
    """
    frames: list[RealFrame] = []
    left_out: list[str] = []
    people = 0
    with CagedTracker(tracker_model, "image", patient=True) as tracker, PhotoReader() as reader:
        for path in _files(sources):
            if people == MAX_PEOPLE:
                left_out.append(f"{path} and what follows: {MAX_PEOPLE} people are enough")
                break
            try:
                if path.suffix.lower() in PHOTOS:
                    frames += _photo_frames(path, reader.load(path), tracker)
                else:
                    frames += _clip_frames(path, tracker)
            except InputError as error:
                left_out.append(str(error))
                continue
            people += 1
    if not frames:
        why = f": {left_out[0]}" if left_out else "."
        raise InputError(f"There is no face in {', '.join(map(str, sources))}{why} Give --faces other photos or clips.")
    return frames, left_out


def _files(sources: Iterable[Path]) -> list[Path]:
    files: list[Path] = []
    for source in sources:
        if source.is_dir():
            files += sorted(path for path in source.iterdir() if path.suffix.lower() in (*PHOTOS, *CLIPS))
        elif source.is_file():
            files.append(source)
        else:
            raise InputError(f"{source} does not exist. Give --faces photos, clips or a folder of them.")
    return files


def _photo_frames(path: Path, rgb: NDArray[np.uint8], tracker: Tracker) -> list[RealFrame]:
    state = tracker.track(rgb, 0)
    if not state.found:
        raise InputError(f"{path} shows no face.")
    crop = face_crop(state.landmarks, rgb.shape[1], rgb.shape[0])
    return acted(str(path), crop.cut(rgb), crop.normalise(state.landmarks))


def _clip_frames(path: Path, tracker: Tracker) -> list[RealFrame]:
    frames: list[RealFrame] = []
    first: tuple[Crop, NDArray[np.uint8], Array] | None = None
    video = VideoFile(path)
    turn_upright_by(video, tracker)
    for frame in islice(video, 0, CLIP_EVERY * (2 * CLIP_FRAMES + 1), CLIP_EVERY):
        state = tracker.track(frame.rgb, 0)
        if not state.found:
            continue
        if first is None:
            crop = face_crop(state.landmarks, frame.width, frame.height)
            first = crop, crop.cut(frame.rgb), crop.normalise(state.landmarks)
        else:
            crop, portrait, landmarks = first
            frames.append(RealFrame(str(path), portrait, landmarks, crop.normalise(state.landmarks)))
        if len(frames) == CLIP_FRAMES:
            break
    if not frames:
        raise InputError(f"{path} shows no face, or is too short.")
    return frames
