"""NAME.motion: how a face moved, as numbers. No picture, no sound, no name.

One safetensors file, whose metadata says format and version. Landmarks are stored as 16-bit steps about each frame's
middle: for a face 300 px wide a step is 0.005 px, a fifteenth of what float16 would leave.
"""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from avatar.core.errors import InputError, UsageError, VisavisError
from avatar.core.file_name import Expected, check_writable, under_a_free_name
from avatar.core.private_file import UnfitError, read_bounded, write_private
from avatar.core.strict_json import parse_json
from avatar.face.face_fit import fit_faces
from avatar.face.state import BLENDSHAPE_NAMES, LANDMARK_COUNT, FaceState, no_face
from avatar.sources.playback import Playback
from engines.installing import pip

MOTION_SUFFIX = ".motion"
FORMAT = "visavis-motion"
FORMAT_VERSION = 1
MAX_FRAMES = 120_000  # above an hour at 30 fps: some 370 MB
MAX_SIDE_PX = 16_384
AGAIN = "Copy it again, or record again"
MIN_FPS, MAX_FPS = 1 / 60, 240.0

_STEPS = 32_767  # int16
_MAX_HEADER_BYTES = 16 << 10
_MAX_REACH_PX = 8.0 * MAX_SIDE_PX  # a face may reach out of the picture, but not that far
_LEAST_SCALE_PX = 4.0  # of a face, by the outer eye corners: the tracker finds none that is smaller
_POSE_LIMIT = 1e4  # centimetres
_BLOCK = 512  # frames: what is worked on stays in the processor's cache

# name -> dtype and shape; "N" is the number of frames
_ARRAYS: dict[str, tuple[str, tuple[int | str, ...]]] = {
    "times_ns": ("int64", ("N",)),  # since the first frame
    "faces": ("uint8", ("N",)),  # seen in the frame
    "found": ("uint8", ("N",)),  # 0 or 1: where 0, the rest of the row is zero
    "confidence": ("float32", ("N",)),
    "landmark_middle": ("float32", ("N", 3)),  # px
    "landmark_step": ("float32", ("N",)),  # px
    "landmarks": ("int16", ("N", LANDMARK_COUNT, 3)),  # steps from the middle
    "blendshapes": ("float16", ("N", len(BLENDSHAPE_NAMES))),
    "pose": ("float32", ("N", 4, 4)),
}
_BYTES_PER_FRAME = sum(
    np.dtype(dtype).itemsize * math.prod(size for size in shape if isinstance(size, int))
    for dtype, shape in _ARRAYS.values()
)
MAX_BYTES = MAX_FRAMES * _BYTES_PER_FRAME + _MAX_HEADER_BYTES + 8


@dataclass(frozen=True)
class Motion:
    """Recorded FaceStates. `arrays` as in the file; N is at least 1. Whose face it is: see `record_motion`."""

    width: int  # of the driver's picture, in which the landmarks are pixels
    height: int
    fps: float
    arrays: dict[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.arrays["times_ns"])

    def __getitem__(self, index: int) -> FaceState:
        """The state of one frame; its `capture_ns` is the time since the first frame."""
        rows = {name: array[index] for name, array in self.arrays.items()}
        capture_ns, faces = int(rows["times_ns"]), int(rows["faces"])
        if not rows["found"]:
            return no_face(capture_ns, faces)
        landmarks = rows["landmarks"] * rows["landmark_step"] + rows["landmark_middle"]
        return FaceState(
            landmarks.astype(np.float32),
            rows["blendshapes"].astype(np.float32),
            rows["pose"],
            float(rows["confidence"]),
            capture_ns,
            faces,
            max(self.width, self.height),
        )

    def states(self) -> Iterator[FaceState]:
        """All frames in order, as fast as they are asked for."""
        return (self[index] for index in range(len(self)))

    @property
    def duration_s(self) -> float:
        """From the first to the last frame."""
        return float(self.arrays["times_ns"][-1]) / 1e9

    @property
    def faceless(self) -> int:
        """Frames without a face."""
        return len(self) - int(np.count_nonzero(self.arrays["found"]))


class MotionRecorder:
    """Collects FaceStates, in order of time."""

    def __init__(self) -> None:
        self._rows: list[tuple[Any, ...]] = []

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def full(self) -> bool:
        return len(self._rows) >= MAX_FRAMES

    def add(self, state: FaceState) -> None:
        """Keep one state. One that is not later than the last is left out. Raises InputError when full."""
        if self._rows and state.capture_ns <= self._rows[-1][0]:
            return
        if self.full:
            raise InputError(f"A recording holds {MAX_FRAMES} frames at most. Record a shorter one: --seconds 60")
        self._rows.append(_row(state))

    def motion(self, width: int, height: int, fps: float | None = None) -> Motion:
        """What was collected. `fps` is measured where it is not given. Raises InputError where no face was seen."""
        if not any(row[2] for row in self._rows):
            raise InputError(
                f"No face was seen in any of the {len(self._rows)} frames, so there is no motion to keep. "
                "Look into the camera, with light on your face."
            )
        columns = zip(*self._rows, strict=True)
        arrays: dict[str, NDArray[Any]] = {
            name: np.array(column, dtype)
            for (name, (dtype, _)), column in zip(_ARRAYS.items(), columns, strict=True)
        }  # fmt: skip
        arrays["times_ns"] = arrays["times_ns"] - arrays["times_ns"][0]
        if fps is None:
            gaps_ns = np.diff(arrays["times_ns"])
            fps = 1e9 / float(np.median(gaps_ns)) if len(gaps_ns) else 30.0
        return Motion(width, height, min(max(fps, MIN_FPS), MAX_FPS), arrays)


def _row(state: FaceState) -> tuple[Any, ...]:
    """In the order of _ARRAYS."""
    if not state.found:
        flat = np.zeros((LANDMARK_COUNT, 3), np.int16), np.zeros(len(BLENDSHAPE_NAMES)), np.zeros((4, 4))
        return (state.capture_ns, min(state.faces, 255), 0, 0.0, np.zeros(3), 0.0, *flat)
    middle = ((state.landmarks.min(0) + state.landmarks.max(0)) / 2).astype(np.float32)
    offsets = state.landmarks - middle
    step = np.float32(max(float(np.abs(offsets).max()), 1e-3) / _STEPS)
    steps = np.clip(np.rint(offsets / step), -_STEPS, _STEPS).astype(np.int16)
    shapes = np.clip(state.blendshapes, 0, 1).astype(np.float16)
    pose = np.array(state.pose, np.float32)
    return (state.capture_ns, min(state.faces, 255), 1, state.confidence, middle, step, steps, shapes, pose)


def check_motion_output(path: Path, force: bool) -> None:
    """Raises UsageError, before any work is done, for an output that could not be written."""
    if path.suffix.lower() != MOTION_SUFFIX:
        raise UsageError(f"{path}: name the output {path.stem or 'talk'}{MOTION_SUFFIX}.")
    check_writable(path)
    if path.exists() and not force:
        raise UsageError(f"{path} exists. Add --force to replace it, or name another file.")


def write_motion(motion: Motion, path: Path, expected: Expected = "any") -> Path:
    """Write the file, readable by its owner alone; it appears when it is whole. Raises VisavisError.

    Returns where it is: NAME-2 where something other than `expected` (see `write_private`) has the name meanwhile.
    """
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "width": str(motion.width),
        "height": str(motion.height),
        "fps": repr(float(motion.fps)),
    }
    try:
        _check(metadata, motion.arrays)
        data = save(motion.arrays, metadata)
        return under_a_free_name(path, expected, lambda name, found: write_private(data, name, found))
    except UnfitError as error:
        raise VisavisError(f"{path} cannot be written: {error}. Record again.") from None
    except OSError as error:
        raise VisavisError(f"{path} cannot be written: {error.strerror}. Free some space, or name another.") from error


def read_motion(path: Path) -> Motion:
    """Read a file after checking all of it: sizes, types, shapes, finite values in their ranges.

    Raises InputError, naming the file, for anything other than whole recorded motion.
    """
    try:
        data = read_bounded(path, MAX_BYTES, "recording", "visavis record-motion --output NAME.motion")
        metadata = _metadata(data)
        width, height, fps = _figures(metadata)
        try:
            arrays: dict[str, NDArray[Any]] = dict(load(data))
        except (SafetensorError, ValueError, KeyError, TypeError, OverflowError) as error:
            raise UnfitError(f"it is damaged or cut off ({error})") from None
        _check(metadata, arrays)
    except UnfitError as error:
        raise InputError(f"{path} cannot be used as recorded motion: {error}. {error.mend or AGAIN}.") from None
    return Motion(width, height, fps, arrays)


def _metadata(data: bytes) -> dict[str, str]:
    """Of the header, which is looked at before anything is unpacked. Format: https://github.com/huggingface/safetensors"""
    foreign = UnfitError("it is no .motion file", "`visavis record-motion --output NAME.motion` makes one")
    (length,) = struct.unpack("<Q", data[:8]) if len(data) >= 8 else (0,)
    if not 2 <= length <= min(_MAX_HEADER_BYTES, len(data) - 8):
        raise foreign
    try:
        header = parse_json(data[8 : 8 + length])
    except ValueError:
        raise foreign from None
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise foreign
    version = metadata.get("format_version")
    if version != str(FORMAT_VERSION):
        raise UnfitError(
            f"its format is {str(version)[:20]!r}, this visavis reads {FORMAT_VERSION}",
            f"Upgrade (`{pip('install --upgrade visavis')}`), or record again",
        )
    return metadata


def _figures(metadata: dict[str, str]) -> tuple[int, int, float]:
    """Width, height, frames per second."""
    try:
        width, height, fps = int(metadata["width"]), int(metadata["height"]), float(metadata["fps"])
    except (KeyError, TypeError, ValueError):
        raise UnfitError("its size or rate is missing") from None
    if not (0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX):
        raise UnfitError(f"its size is not one of 1 to {MAX_SIDE_PX} pixels a side")
    if not MIN_FPS <= fps <= MAX_FPS:  # false for NaN too
        raise UnfitError(f"its rate is not one of {MIN_FPS:.2g} to {MAX_FPS:g} frames a second")
    return width, height, fps


def _check(metadata: dict[str, str], arrays: dict[str, NDArray[Any]]) -> None:
    _figures(metadata)
    if set(arrays) != set(_ARRAYS):
        raise UnfitError(f"its arrays are not {', '.join(_ARRAYS)}")
    count = len(arrays["times_ns"]) if arrays["times_ns"].ndim else 0
    if not 1 <= count <= MAX_FRAMES:
        raise UnfitError(f"it holds {count} frames instead of 1 to {MAX_FRAMES}")
    for name, (dtype, shape) in _ARRAYS.items():
        array, expected = arrays[name], tuple(count if size == "N" else size for size in shape)
        if str(array.dtype) != dtype or array.shape != expected:
            raise UnfitError(f"{name} is {array.dtype} {list(array.shape)} instead of {dtype} {list(shape)}")
    times_ns, found = arrays["times_ns"], arrays["found"]
    if times_ns[0] != 0 or not bool(np.all(times_ns[1:] > times_ns[:-1])) or times_ns[-1] > MAX_FRAMES * 10**9:
        raise UnfitError("its times do not grow from zero")
    if not bool(np.all(found <= 1)):
        raise UnfitError("it does not say of each frame whether a face was found")
    _within("confidence", arrays["confidence"], 0.0, 1.0)
    _within("blendshapes", arrays["blendshapes"], 0.0, 1.0)
    _within("pose", arrays["pose"], -_POSE_LIMIT, _POSE_LIMIT)
    _within("landmark_middle", arrays["landmark_middle"], -_MAX_REACH_PX, _MAX_REACH_PX)
    _within("landmark_step", arrays["landmark_step"], 0.0, _MAX_REACH_PX / _STEPS)
    _check_faces(arrays)


def _check_faces(arrays: dict[str, NDArray[Any]]) -> None:
    seen = np.flatnonzero(arrays["found"])
    for start in range(0, len(seen), _BLOCK):
        frames = seen[start : start + _BLOCK]
        step = arrays["landmark_step"][frames, None, None]
        fit = fit_faces(arrays["landmarks"][frames] * step)
        bad = frames[~fit.human | (fit.scale < _LEAST_SCALE_PX)]
        if len(bad):
            raise UnfitError(f"what it holds in frame {bad[0]} is no face")


def _within(name: str, array: NDArray[Any], least: float, most: float) -> None:
    if not bool(np.all((array >= least) & (array <= most))):  # false for NaN too
        raise UnfitError(f"its {name} holds values that are not numbers from {least:g} to {most:g}")


class MotionPlayer:
    """Recorded motion as if a face were before a camera now: FaceStates in real time, the newest one that is due.

    Without `real_time` every state comes, as soon as it is asked for.
    """

    def __init__(self, motion: Motion, loop: bool = False, real_time: bool = True, name: str = "motion") -> None:
        self.motion, self.name, self.fps = motion, name, motion.fps
        self._playback = Playback(self._timed, gap_s=1 / motion.fps, endless=loop) if real_time else None
        self._states = self._every_state(loop)

    @property
    def dropped(self) -> int:
        """How many states were due but never handed out."""
        return self._playback.dropped if self._playback else 0

    def read(self) -> FaceState | None:
        """The next state, stamped with the time at which it was due; None after the last one."""
        if self._playback is None:
            return next(self._states, None)
        played = self._playback.read()
        return None if played is None else replace(self.motion[played.item], capture_ns=played.due_ns)

    def close(self) -> None:
        """Nothing is held open."""

    def _timed(self) -> Iterator[tuple[float, int]]:
        return ((int(ns) / 1e9, index) for index, ns in enumerate(self.motion.arrays["times_ns"]))

    def _every_state(self, loop: bool) -> Iterator[FaceState]:
        last_ns = 0
        while True:
            for state in self.motion.states():
                last_ns = max(last_ns + 1, time.monotonic_ns())
                yield replace(state, capture_ns=last_ns)
            if not loop:
                return
