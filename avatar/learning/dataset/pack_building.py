"""From a folder with a manifest to a pack: every photo and every second frame of a clip, as they are.

`manifest.csv` has the columns `file` and `identity`: one row per still or clip. `dataset build`, which leaves out what
is no good to learn from, is `build` with `face_tracks`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.core.errors import InputError, TrackerDownError
from avatar.face.crop import Crop, face_crop
from avatar.face.state import FaceState
from avatar.identity.clip_turn import turn_upright_by
from avatar.learning.dataset.face_tracks import leaves_crop
from avatar.learning.dataset.pack import PICTURE_SIZE_PX, is_held_out, pack_written_to
from avatar.learning.dataset.worker_tools import clip_tracker, photo_reader, photo_tracker
from avatar.learning.dataset.workers import worker_pool
from avatar.sources.media import SUFFIXES as CLIP_SUFFIXES
from avatar.sources.video_file import VideoFile

CLIP_STRIDE = 2  # neighbouring frames at 25 fps teach the same thing
FRAME_NS = 40_000_000
MAX_FACES = 2  # that are looked for; the largest is taken

_Faces = tuple[Picture, Array, Array]  # pictures, landmarks, blendshapes


@dataclass(frozen=True)
class _Entry:
    path: Path
    identity: str


def build_pack(
    data: Path,
    out: Path,
    tracker_model: Path,
    held_out: Sequence[str] = (),
    workers: int = 2,
    validation: bool = False,
) -> list[str]:
    """Crop and track everything in `data` but the held-out identities, or only these. Returns a line for each file
    left out.

    `held_out` holds identity names; a name ending in `*` stands for a prefix.
    """
    entries = [e for e in _read_manifest(data) if is_held_out(e.identity, held_out) == validation]
    if not entries:
        raise InputError(
            f"Of the people in {data}, --hold-out {' '.join(held_out)} leaves none to train on or to test."
        )
    out.mkdir(parents=True, exist_ok=True)
    identities = sorted({e.identity for e in entries})
    left_out: list[str] = []
    with pack_written_to(out, identities) as pack, worker_pool(workers) as pool:
        jobs = [(e.path, tracker_model) for e in entries]
        for entry, result in zip(entries, pool.map(_prepare, jobs, chunksize=4), strict=True):
            if isinstance(result, str):
                left_out.append(f"{entry.path.name}: {result}")
                continue
            pack.add(entry.identity, _is_clip(entry.path), *result)
        if not len(pack):
            raise InputError(f"{data}: no usable face in {len(entries)} files. The first: {'; '.join(left_out[:3])}.")
    return left_out


def _read_manifest(data: Path) -> list[_Entry]:
    manifest = data / "manifest.csv"
    if not manifest.is_file():
        raise InputError(f"{manifest} is missing. Write one with the columns file,identity: one row per still or clip.")
    with manifest.open(newline="") as file:
        reader = csv.DictReader(file)
        if not {"file", "identity"} <= set(reader.fieldnames or ()):
            raise InputError(f"{manifest} lacks the columns file,identity: its first line must name them.")
        entries = [_Entry(data / row["file"], row["identity"]) for row in reader]
    if not entries:
        raise InputError(f"{manifest} names no file. Write one row per still or clip.")
    if missing := [e.path for e in entries if not e.path.is_file()]:
        raise InputError(f"{manifest} names {len(missing)} files that are missing, the first is {missing[0]}.")
    return entries


def _is_clip(path: Path) -> bool:
    return path.suffix.lower() in CLIP_SUFFIXES


def _prepare(job: tuple[Path, Path]) -> _Faces | str:
    """Crops, landmarks and blendshapes of one file, or why it gives none."""
    try:
        return _crop_and_track(*job)
    except (InputError, TrackerDownError, OSError, ValueError) as error:
        return f"unreadable ({error})"


def _crop_and_track(path: Path, model: Path) -> _Faces | str:
    is_clip = _is_clip(path)
    pictures, landmarks, blendshapes = [], [], []
    crop: Crop | None = None
    for i, (state, rgb) in enumerate(_tracked(path, model)):
        if not state.found or (is_clip and i % CLIP_STRIDE):
            continue
        if crop is None:
            crop = face_crop(state.landmarks, rgb.shape[1], rgb.shape[0])
        points = crop.normalise(state.landmarks)
        if leaves_crop(points):
            continue
        pictures.append(crop.cut(rgb, PICTURE_SIZE_PX))
        landmarks.append(points)
        blendshapes.append(state.blendshapes)
    if not pictures:
        return "no face found"
    return np.stack(pictures), np.stack(landmarks), np.stack(blendshapes)


def _tracked(path: Path, model: Path) -> Iterator[tuple[FaceState, Picture]]:
    if not _is_clip(path):
        rgb = photo_reader().load(path)
        yield photo_tracker(model, MAX_FACES).track(rgb, 0), rgb
        return
    video = VideoFile(path)
    turn_upright_by(video, photo_tracker(model, MAX_FACES))
    tracker = clip_tracker(model)
    for i, frame in enumerate(video):
        yield tracker.track(frame.rgb, i * FRAME_NS), frame.rgb
