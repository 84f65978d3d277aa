"""What the networks are fed for real faces, and the pictures that their outputs make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture
from avatar.core.resizing import resized
from avatar.render.assemble import REGIONS, Assembler, assemble, generator_inputs, to_bytes
from avatar.render.conditioning import draw_face
from avatar.render.landmark_image import landmark_image
from avatar.render.real_frame import RealFrame
from engines.engine import Tensors

Shapes = Mapping[str, tuple[int, ...]]
Run = Callable[[Tensors], Mapping[str, NDArray[np.generic]]]

TEXTURE_PX = 256  # of the portraits that `fast` was trained with
IDENTICAL_DB = 99.0  # stands for two equal pictures


def photo_of(frame: RealFrame, shapes: Shapes) -> Tensors:
    """The portrait as an embedder with these inputs takes it."""
    side = shapes["picture"][-1]
    full = shapes["drawing"][-1] == side  # `fast` draws at half the picture's side, in channels of its own
    drawing = landmark_image(frame.landmarks, side) if full else draw_face(frame.landmarks)
    return {"picture": _texture(frame.portrait, side)[None], "drawing": drawing[None]}


class Scene:
    """Frames with each person's ψ, as a generator with given inputs is fed. Every batch is full: the last repeats."""

    def __init__(self, frames: Sequence[RealFrame], psi: Mapping[str, Array]) -> None:
        """psi: person -> (1, P)."""
        self.frames, self.psi = list(frames), dict(psi)

    def fed(self, shapes: Shapes) -> list[Tensors]:
        """One dictionary of inputs per batch."""
        rows = [self._row(frame, shapes) for frame in self.frames]
        size = shapes["psi"][0]
        parts = [[rows[min(i, len(rows) - 1)] for i in range(at, at + size)] for at in range(0, len(rows), size)]
        return [{name: np.concatenate([row[name] for row in part]) for name in shapes} for part in parts]

    def pictures(self, outputs: Sequence[Mapping[str, NDArray[np.generic]]]) -> list[Picture]:
        """The frames' pictures from a generator's outputs, in the order of `fed`."""
        rows = [{name: value[i] for name, value in part.items()} for part in outputs for i in range(_rows(part))]
        return [_picture(frame, row) for frame, row in zip(self.frames, rows, strict=False)]

    def drawn(self, run: Run, shapes: Shapes) -> list[Picture]:
        return self.pictures([run(fed) for fed in self.fed(shapes)])

    def _row(self, frame: RealFrame, shapes: Shapes) -> Tensors:
        psi = self.psi[frame.person]
        if "face_texture" in shapes:
            small = resized(frame.portrait, TEXTURE_PX)
            return {"psi": psi, **generator_inputs(frame.conditioning, dict.fromkeys(REGIONS, small))}
        if "source" in shapes:
            texture = _texture(frame.portrait, shapes["source"][-1])[None]
            flows = {name: frame.conditioning[name][None] for name in shapes if name in frame.conditioning}
            return {"psi": psi, "source": texture, "mouth_source": texture, "eyes_source": texture, **flows}
        return {"psi": psi, "drawing": landmark_image(frame.driving, shapes["drawing"][-1])[None]}


def psnr_db(pictures: Sequence[Picture], reference: Sequence[Picture]) -> tuple[float, float]:
    """(over all pictures, of the worst) peak signal to noise ratio."""
    errors = [
        float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
        for a, b in zip(pictures, reference, strict=True)
    ]
    return _decibels(float(np.mean(errors))), _decibels(max(errors))


def _decibels(error: float) -> float:
    return min(IDENTICAL_DB, float(10 * np.log10(255**2 / error))) if error > 0 else IDENTICAL_DB


def _picture(frame: RealFrame, row: Mapping[str, NDArray[np.generic]]) -> Picture:
    # NaN and infinity would be drawn in any colour: black instead
    finite = {name: np.nan_to_num(value, nan=0.0, posinf=0.0, neginf=0.0) for name, value in row.items()}
    if "face_offset" in finite:
        portraits = dict.fromkeys(REGIONS, frame.portrait)
        return Assembler(len(frame.portrait)).assemble(finite, portraits, frame.conditioning)
    if "face" in finite:
        return assemble(finite, frame.conditioning)
    return to_bytes(finite["picture"])


def _rows(outputs: Mapping[str, NDArray[np.generic]]) -> int:
    return len(next(iter(outputs.values())))


def _texture(portrait: Picture, side: int) -> Array:
    small = resized(portrait, side)
    return np.ascontiguousarray(small.transpose(2, 0, 1), np.float32) / np.float32(255)
