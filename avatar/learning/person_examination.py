"""How nets do on photos of a person that they have not seen, drawn by the renderer as they are live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avatar.core.arrays import Array, Picture
from avatar.core.avatar import Avatar
from avatar.face.driving import Driving
from avatar.face.face_descriptor import distance
from avatar.identity.face_identity import open_face_identity
from avatar.learning.drawn_regions import KINDS
from avatar.learning.losses import ContentNet
from avatar.learning.person_crops import Face
from avatar.model.layered_generator import LayeredGenerator
from avatar.render.layered_renderer import LayeredRenderer
from avatar.render.view import View
from engines.engine import EngineDescription, Tensors

BETWEEN_NS = 1_000_000_000  # two pictures, so that nothing fades


@dataclass(frozen=True)
class Examination:
    """How nets do on held-out pictures. Lower is better for the first two."""

    content: float  # relative distance of EfficientNet-Lite0's features: mean of all regions
    identity: float  # mean L2 distance of dlib's descriptors to the real picture's
    sharpness: float  # variance of the Laplacian over the face, relative to the real picture's


class PersonExamination:
    """Of photos `held_out`, drawn from all others of the avatar by `nets` as they are at the time."""

    def __init__(
        self, avatar: Avatar, faces: Sequence[Face], held_out: tuple[int, ...], nets: LayeredGenerator
    ) -> None:
        """`faces`: of `lit_faces`."""
        self._faces = [faces[number] for number in held_out]
        kept = [number for number in range(len(faces)) if number not in held_out]
        mattes = avatar.mattes[kept] if len(avatar.mattes) else avatar.mattes
        others = replace(
            avatar,
            portraits=avatar.portraits[kept],
            landmarks=avatar.landmarks[kept],
            blendshapes=avatar.blendshapes[kept],
            mattes=mattes,
        )
        self._others, self._network = others, _Network(nets)
        self._sheets = LayeredRenderer(others, self._network, patient=True).sheets
        self._content = ContentNet()

    @torch.no_grad()
    def result(self) -> Examination:
        content, apart, sharp = [], [], []
        # each time a new one: which portrait it shows depends on those before
        renderer, now_ns = LayeredRenderer(self._others, self._network, patient=True, sheets=self._sheets), 0
        with open_face_identity() as identity:
            for real, landmarks in self._faces:
                for _ in range(2):  # the second time, no other portrait fades out
                    now_ns += BETWEEN_NS
                    drawn = renderer.render(Driving(landmarks, now_ns))
                content += [self._distance(drawn, real, view) for view in _views(landmarks)]
                pixels = landmarks * len(real)
                apart.append(distance(identity.descriptor(drawn, pixels), identity.descriptor(real, pixels)))
                sharp.append(_sharpness(drawn, pixels) / max(_sharpness(real, pixels), 1e-6))
        return Examination(float(np.mean(content)), float(np.mean(apart)), float(np.mean(sharp)))

    def _distance(self, drawn: Picture, real: Picture, view: View) -> float:
        return float(self._content(_tensor(view.cut(drawn)), _tensor(view.cut(real))))


class _Network:
    """Nets in torch, as an engine."""

    def __init__(self, nets: LayeredGenerator) -> None:
        self.nets = nets
        self.inputs: dict[str, tuple[int, ...]] = dict.fromkeys(nets.inputs, (-1,))
        self.outputs: dict[str, tuple[int, ...]] = dict.fromkeys(nets.outputs, (-1,))

    def infer(self, inputs: Mapping[str, NDArray[np.generic]]) -> Tensors:
        results = self.nets(*(torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in self.nets.inputs))
        return dict(zip(self.nets.outputs, (result.numpy() for result in results), strict=True))

    def describe(self) -> EngineDescription:
        return EngineDescription("torch", torch.__version__, "cpu", "fp32", "a person's own")

    def close(self) -> None:
        pass


def _views(landmarks: Array) -> list[View]:
    """Of a face's regions."""
    any_side = np.random.default_rng(0)
    return [kind(landmarks, any_side).view() for kind in KINDS.values()]


def _tensor(picture: Picture) -> Tensor:
    return torch.from_numpy(picture.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255))


def _sharpness(picture: Picture, landmarks: Array) -> float:
    low = np.clip(landmarks[:, :2].min(0), 0, len(picture) - 2).astype(int)
    high = np.clip(landmarks[:, :2].max(0), low + 2, len(picture)).astype(int)
    grey = cv2.cvtColor(picture[low[1] : high[1], low[0] : high[0]], cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())
