"""What the networks are fed for real faces, and the pictures that their outputs make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture
from avatar.core.avatar import Avatar
from avatar.core.model_files import MODEL_ID
from avatar.core.resizing import resized
from avatar.face.driving import Driving
from avatar.face.state import BLENDSHAPE_NAMES
from avatar.render.conditioning import draw_face
from avatar.render.landmark_image import landmark_image
from avatar.render.layered_renderer import LayeredRenderer
from avatar.render.network_answer import to_bytes
from avatar.render.no_network import NoNetwork
from avatar.render.real_frame import RealFrame
from avatar.render.region_change import pixel_grid
from engines.engine import Tensors

Shapes = Mapping[str, tuple[int, ...]]
Run = Callable[[Tensors], Mapping[str, NDArray[np.generic]]]

IDENTICAL_DB = 99.0  # stands for two equal pictures


def photo_of(frame: RealFrame, shapes: Shapes) -> Tensors:
    """The portrait as an embedder with these inputs takes it."""
    side = shapes["picture"][-1]
    full = shapes["drawing"][-1] == side  # `fast` draws at half the picture's side, in channels of its own
    drawing = landmark_image(frame.landmarks, side) if full else draw_face(frame.landmarks)
    small = resized(frame.portrait, side)
    picture = np.ascontiguousarray(small.transpose(2, 0, 1), np.float32) / np.float32(255)
    return {"picture": picture[None], "drawing": drawing[None]}


class Scene:
    """Frames with what a generator knows of each person. Every batch is full: the last frame repeats."""

    def __init__(self, frames: Sequence[RealFrame], people: Mapping[str, Array]) -> None:
        """people: person -> (1, n): the embedding for `fast`, ψ for `full`."""
        self.frames, self.people = list(frames), dict(people)
        self._rows: list[Tensors] = []

    def fed(self, shapes: Shapes) -> list[Tensors]:
        """One dictionary of inputs per batch."""
        self._rows = (
            self._layered(shapes) if "embedding" in shapes else [self._full(one, shapes) for one in self.frames]
        )
        size, rows = next(iter(shapes.values()))[0], self._rows
        parts = [[rows[min(i, len(rows) - 1)] for i in range(at, at + size)] for at in range(0, len(rows), size)]
        return [{name: np.concatenate([row[name] for row in part]) for name in shapes} for part in parts]

    def pictures(self, outputs: Sequence[Mapping[str, NDArray[np.generic]]]) -> list[Picture]:
        """What a generator's outputs, in the order of `fed`, make of each frame: the picture of `full`; of `fast` the
        regions that it changes, of which a whole picture would show little."""
        rows = [{name: value[i] for name, value in part.items()} for part in outputs for i in range(_rows(part))]
        return [picture for fed, row in zip(self._rows, rows, strict=False) for picture in _pictures(fed, row)]

    def drawn(self, run: Run, shapes: Shapes) -> list[Picture]:
        fed = self.fed(shapes)
        return self.pictures([run(one) for one in fed])

    def _layered(self, shapes: Shapes) -> list[Tensors]:
        """As the renderer feeds the network, frame by frame."""
        listener, renderers, rows = NoNetwork(shapes), dict[int, LayeredRenderer](), []
        for frame in self.frames:
            if id(frame.portrait) not in renderers:
                person = _avatar(frame, self.people[frame.person][0])
                renderers[id(frame.portrait)] = LayeredRenderer(person, listener, patient=True)
            renderers[id(frame.portrait)].render(Driving(frame.driving, 0))
            rows.append(listener.fed)
        return rows

    def _full(self, frame: RealFrame, shapes: Shapes) -> Tensors:
        drawing = landmark_image(frame.driving, shapes["drawing"][-1])
        return {"psi": self.people[frame.person], "drawing": drawing[None]}


def psnr_db(pictures: Sequence[Picture], reference: Sequence[Picture]) -> tuple[float, float]:
    """(over all pictures, of the worst) peak signal to noise ratio."""
    errors = [
        float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
        for a, b in zip(pictures, reference, strict=True)
    ]
    return _decibels(float(np.mean(errors))), _decibels(max(errors))


def _avatar(frame: RealFrame, embedding: Array) -> Avatar:
    scores = np.zeros((1, len(BLENDSHAPE_NAMES)), np.float32)
    return Avatar(frame.person, MODEL_ID, frame.portrait[None], frame.landmarks[None], scores, embedding)


def _decibels(error: float) -> float:
    return min(IDENTICAL_DB, float(10 * np.log10(255**2 / error))) if error > 0 else IDENTICAL_DB


def _pictures(fed: Tensors, row: Mapping[str, NDArray[np.generic]]) -> list[Picture]:
    # NaN and infinity would be drawn in any colour: black instead
    finite = {name: np.nan_to_num(value, nan=0.0, posinf=0.0, neginf=0.0) for name, value in row.items()}
    if "picture" in finite:
        return [to_bytes(finite["picture"])]
    pictures = []
    for region in dict.fromkeys(name.partition("_")[0] for name in finite):
        seen = fed[f"{region}_picture"][0]
        layers = [seen, *(finite[f"{region}_{layer}"] for layer in ("offset", "keep", "added"))]
        several = zip(*layers, strict=True) if seen.ndim == 4 else [layers]  # eyes
        pictures += [_changed(*(np.asarray(layer, np.float32) for layer in one)) for one in several]
    return pictures


def _changed(picture: Array, offset: Array, keep: Array, added: Array) -> Picture:
    """As `avatar.model.refinement.Changes.applied`: a region (3, h, w) with offset (2, h/2, w/2), keep (1, h, w) and
    added (3, h, w)."""
    height, width = picture.shape[1:]
    moved = cv2.resize(np.ascontiguousarray(offset.transpose(1, 2, 0)), (width, height), interpolation=cv2.INTER_LINEAR)
    places = ((moved + pixel_grid(height, width) + 1) * np.array([width, height]) / 2 - 0.5).astype(np.float32)
    seen = np.ascontiguousarray(picture.transpose(1, 2, 0))
    there = cv2.remap(seen, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return to_bytes(np.clip(keep * there.transpose(2, 0, 1) + added, 0, 1))


def _rows(outputs: Mapping[str, NDArray[np.generic]]) -> int:
    return len(next(iter(outputs.values())))
