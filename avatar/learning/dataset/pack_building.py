"""From a folder with a manifest to a pack: every photo and every second frame of a clip, as they are.

`manifest.csv` has the columns `file` and `identity`: one row per still or clip. `dataset build`, which leaves out what
is no good to learn from, is `build` with `face_tracks`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.core.errors import InputError, TrackerDownError
from avatar.face.crop import Crop, face_crop
from avatar.face.state import FaceState
from avatar.identity.clip_turn import turn_upright_by
from avatar.learning.dataset.clip_crop import leaves_crop
from avatar.learning.dataset.pack import PICTURE_SIZE_PX, pack_written_to
from avatar.learning.dataset.source_layouts import MANIFEST, SourceFile, Sources
from avatar.learning.dataset.worker_tools import clip_tracker, photo_reader, photo_tracker
from avatar.learning.dataset.workers import worker_pool
from avatar.sources.video_file import VideoFile

CLIP_STRIDE = 2  # neighbouring frames at 25 fps teach the same thing
FRAME_NS = 40_000_000
MAX_FACES = 2  # that are looked for; the largest is taken

_Faces = tuple[Picture, Array, Array]  # pictures, landmarks, blendshapes


def build_pack(
    sources: Sources, files: Sequence[SourceFile], out: Path, tracker_model: Path, workers: int = 2
) -> list[str]:
    """Crop and track `files`, some or all of `sources`. Returns a line for each that is left out.

    Raises InputError where files of the manifest are missing, and where none of `files` shows a face.
    """
    data = sources.folder
    if missing := [path for file in sources.files if not (path := data / file.name).is_file()]:
        raise InputError(f"{data / MANIFEST} names {len(missing)} files that are missing, the first is {missing[0]}.")
    out.mkdir(parents=True, exist_ok=True)
    identities = sorted({file.identity for file in files})
    jobs = [(data / file.name, file.is_video, tracker_model) for file in files]
    left_out: list[str] = []
    with pack_written_to(out, identities) as pack, worker_pool(workers) as pool:
        for file, result in zip(files, pool.map(_prepare, jobs, chunksize=4), strict=True):
            if isinstance(result, str):
                left_out.append(f"{Path(file.name).name}: {result}")
                continue
            pack.add(file.identity, file.is_video, *result)
        if not len(pack):
            raise InputError(f"{data}: no usable face in {len(files)} files. The first: {'; '.join(left_out[:3])}.")
    return left_out


def _prepare(job: tuple[Path, bool, Path]) -> _Faces | str:
    """Crops, landmarks and blendshapes of one file, or why it gives none."""
    try:
        return _crop_and_track(*job)
    except (InputError, TrackerDownError, OSError, ValueError) as error:
        return f"unreadable ({error})"


def _crop_and_track(path: Path, is_video: bool, model: Path) -> _Faces | str:
    pictures, landmarks, blendshapes = [], [], []
    crop: Crop | None = None
    for i, (state, rgb) in enumerate(_tracked(path, is_video, model)):
        if not state.found or (is_video and i % CLIP_STRIDE):
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


def _tracked(path: Path, is_video: bool, model: Path) -> Iterator[tuple[FaceState, Picture]]:
    if not is_video:
        rgb = photo_reader().load(path)
        yield photo_tracker(model, MAX_FACES).track(rgb, 0), rgb
        return
    video = VideoFile(path)
    turn_upright_by(video, photo_tracker(model, MAX_FACES))
    tracker = clip_tracker(model)
    for i, frame in enumerate(video):
        yield tracker.track(frame.rgb, i * FRAME_NS), frame.rgb
