"""Training data made ready once: pictures cropped and tracked, so that a training step only reads arrays.

A data folder holds `manifest.csv` with the columns `file` and `identity` (one row per still or clip). The pack holds
`pictures.npy` (N, 256, 256, 3) uint8, read through a memory map, and `faces.npz` with one row per picture.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array
from avatar.core.errors import InputError
from avatar.face.crop import Crop, face_crop
from avatar.sandbox.no_network import refuse_network
from avatar.sources.photo import load_photo
from avatar.tracking.child.face_landmarker import FaceTracker

PICTURE_SIZE_PX = 256
CLIP_STRIDE = 2  # neighbouring frames at 25 fps teach the same thing
CLIP_SUFFIXES = {".mp4", ".mov", ".mkv", ".webm", ".avi"}


@dataclass(frozen=True)
class Pack:
    """Tracked training pictures. Rows of one clip are adjacent and in order; a still has `clip` −1."""

    pictures: NDArray[np.uint8]  # (N, 256, 256, 3), memory-mapped
    landmarks: Array  # (N, 478, 3) in [0, 1] of the crop
    blendshapes: Array  # (N, 52)
    identity: NDArray[np.int32]  # (N,) index into identities
    clip: NDArray[np.int32]  # (N,) −1 for a still
    identities: list[str]

    def __len__(self) -> int:
        return len(self.identity)


_Faces = tuple[NDArray[np.uint8], Array, Array]


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
    number = {name: i for i, name in enumerate(identities)}
    rows: dict[str, list[Array]] = {"landmarks": [], "blendshapes": []}
    identity: list[int] = []
    clip: list[int] = []
    left_out: list[str] = []
    raw = out / "pictures.part"
    with raw.open("wb") as store, ProcessPoolExecutor(workers, initializer=_start_worker) as pool:
        jobs = [(e.path, tracker_model) for e in entries]
        clip_number = 0
        for entry, result in zip(entries, pool.map(_prepare, jobs, chunksize=4), strict=True):
            if isinstance(result, str):
                left_out.append(f"{entry.path.name}: {result}")
                continue
            pictures, landmarks, blendshapes = result
            store.write(pictures.tobytes())
            rows["landmarks"].append(landmarks)
            rows["blendshapes"].append(blendshapes)
            identity += [number[entry.identity]] * len(pictures)
            is_clip = entry.path.suffix.lower() in CLIP_SUFFIXES
            clip += [clip_number if is_clip else -1] * len(pictures)
            clip_number += is_clip
    if not identity:
        raw.unlink()
        raise InputError(f"{data}: no usable face in {len(entries)} files. The first: {'; '.join(left_out[:3])}.")
    np.savez(
        out / "faces.npz",
        landmarks=np.concatenate(rows["landmarks"]),
        blendshapes=np.concatenate(rows["blendshapes"]),
        identity=np.array(identity, np.int32),
        clip=np.array(clip, np.int32),
    )
    (out / "identities.json").write_text(json.dumps(identities))
    raw.replace(out / "pictures.raw")
    return left_out


def open_pack(folder: Path) -> Pack:
    """Open what `build_pack` wrote."""
    try:
        faces = np.load(folder / "faces.npz", allow_pickle=False)
        identities = json.loads((folder / "identities.json").read_text())
        count = len(faces["identity"])
        shape = (count, PICTURE_SIZE_PX, PICTURE_SIZE_PX, 3)
        pictures = np.memmap(folder / "pictures.raw", np.uint8, "r", shape=shape)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder} holds no complete training pack ({error}). Delete it and train again.") from error
    return Pack(pictures, faces["landmarks"], faces["blendshapes"], faces["identity"], faces["clip"], identities)


def is_held_out(identity: str, held_out: Sequence[str]) -> bool:
    return any(identity.startswith(p[:-1]) if p.endswith("*") else identity == p for p in held_out)


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


def _start_worker() -> None:
    refuse_network(whatever_is_set=True)


def _prepare(job: tuple[Path, Path]) -> _Faces | str:
    """Crops, landmarks and blendshapes of one file, or why it gives none."""
    try:
        return _crop_and_track(*job)
    except (InputError, OSError, ValueError) as error:
        return f"unreadable ({error})"


def _crop_and_track(path: Path, tracker_model: Path) -> _Faces | str:
    is_clip = path.suffix.lower() in CLIP_SUFFIXES
    pictures, landmarks, blendshapes = [], [], []
    crop: Crop | None = None
    with FaceTracker(tracker_model, "video" if is_clip else "image") as tracker:
        for i, rgb in enumerate(_pictures(path, tracker_model)):
            state = tracker.track(rgb, i * 40_000_000)
            if not state.found or (is_clip and i % CLIP_STRIDE):
                continue
            if crop is None:
                crop = face_crop(state.landmarks, rgb.shape[1], rgb.shape[0])
            points = crop.normalise(state.landmarks)
            if points[:, :2].min() < -0.05 or points[:, :2].max() > 1.05:
                continue  # the head has left the clip's crop
            pictures.append(crop.cut(rgb, PICTURE_SIZE_PX))
            landmarks.append(points)
            blendshapes.append(state.blendshapes)
    if not pictures:
        return "no face found"
    return np.stack(pictures), np.stack(landmarks), np.stack(blendshapes)


def _pictures(path: Path, tracker_model: Path) -> Iterator[NDArray[np.uint8]]:
    if path.suffix.lower() in CLIP_SUFFIXES:
        # PyAV, which a machine that only trains on a pack need not have
        from avatar.identity.clip_turn import turn_upright_by
        from avatar.sources.video_file import VideoFile

        video = VideoFile(path)
        with FaceTracker(tracker_model, "image") as tracker:
            turn_upright_by(video, tracker)
        for frame in video:
            yield frame.rgb
    else:
        yield load_photo(path)
