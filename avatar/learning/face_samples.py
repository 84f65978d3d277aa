"""Training samples of the whole picture for `fast-3`: as the layers draw it from a portrait, and as it really looks.

Most are pictures turned to another side by their own layers: the turned one is the portrait, and the layers bring back
the true one, aligned to the pixel. Of people in motion another frame is the portrait, and only the head is compared,
since no landmark tells where hair and shoulders went. Both prefer a face that is turned away, and a portrait that looks
at the viewer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from avatar.core.arrays import Array, Picture
from avatar.face.face_model import face_model
from avatar.face.gaps import uncross
from avatar.face.head_pose import HeadPose, head_pose
from avatar.learning.dataset.pack import Pack
from avatar.learning.pair_choice import PairChoice
from avatar.learning.region_samples import RegionSample
from avatar.model.layered_generator import FACE
from avatar.render.conditioning import draw_face
from avatar.render.cutout import usable_matte
from avatar.render.drawn_person import Sheet, draw_person, made_ready
from avatar.render.eye_layers import EyeLayers
from avatar.render.face_seen import seen_face, small_plate
from avatar.render.mouth_layers import MouthLayers
from avatar.render.plate import background_plate
from avatar.render.refined_matte import Matte, face_oval
from avatar.retarget.head_limits import moved
from avatar.tracking.person_matte import person_mattes

REAL_SHARE = 0.3  # of the samples: two frames of a clip
CLIP_SHARE = 0.35  # of those that are turned by their own layers: a clip's frames
FRONTAL_CHANCE = 0.6  # of turning a face so that it looks at the viewer
# standard deviations and bounds of pitch, yaw, roll in degrees, and logarithm of the size
FRONTAL_DEGREES = np.array([6.0, 7.0, 3.0])
TURN_DEGREES, MOST_DEGREES = np.array([8.0, 17.0, 5.0]), np.array([15.0, 35.0, 10.0])
SCALE_SPREAD, MOST_SCALE = 0.07, 0.2
LIKED_DEGREES = 10.0  # a turn that is so much larger is chosen twice as often
MOST_TURN = 42.0  # of a target; beyond, landmarks are guesses
HEAD, HEAD_FADE = 1.25, 0.06  # of the face's oval, and of the side: what a frame of a clip is compared in
MATTES_AT_ONCE = 256


@dataclass(frozen=True)
class Choice:
    """Rows of the pack."""

    target: int
    source: int | None  # None: the target is turned
    motion: tuple[int, int]
    rng: np.random.Generator


class FaceSamples:
    """Sample number i is always the same."""

    def __init__(self, pack: Pack, seed: int) -> None:
        self.pack, self.seed = pack, seed
        self.pairs = PairChoice(pack)
        facing = self.pairs.codes.facing[:, 2]
        degrees = np.degrees(np.arccos(np.clip(facing, -1, 1)))
        self._liked = np.where(degrees < MOST_TURN, 1 + degrees / LIKED_DEGREES, 0).astype(np.float64)
        self._frontal = np.asarray(1 / (1 + degrees / LIKED_DEGREES), np.float64)

    def draw_all(self, indices: Iterable[int]) -> Iterator[RegionSample]:
        """All at once, because the segmenter takes long to start."""
        chosen = [self._choose(np.random.default_rng([self.seed, index])) for index in indices]
        rows = {row for one in chosen for row in (one.target, one.source) if row is not None}
        mattes = self._mattes(sorted(rows))
        for one in chosen:
            yield self._sample(one, mattes)

    def _choose(self, rng: np.random.Generator) -> Choice:
        pairs = self.pairs
        motion = pairs.motion(rng)
        real = bool(pairs.clips) and rng.random() < REAL_SHARE
        if real or not len(pairs.stills) or (pairs.clips and rng.random() < CLIP_SHARE):
            clip = pairs.clips[rng.choice(len(pairs.clips), p=pairs.clip_weights)]
            target = _chosen(clip, self._liked, rng)
            return Choice(target, _chosen(clip, self._frontal, rng) if real else None, motion, rng)
        return Choice(_chosen(pairs.stills, self._liked, rng), None, motion, rng)

    def _mattes(self, rows: list[int]) -> Mapping[int, Matte]:
        mattes = {}
        for start in range(0, len(rows), MATTES_AT_ONCE):
            some = rows[start : start + MATTES_AT_ONCE]
            pictures = np.asarray(self.pack.pictures[some])
            for row, picture, matte in zip(some, pictures, person_mattes(pictures), strict=True):
                mattes[row] = usable_matte(picture, matte, self.pack.landmarks[row])
        return mattes

    def _sample(self, one: Choice, mattes: Mapping[int, Matte]) -> RegionSample:
        picture, driving = np.asarray(self.pack.pictures[one.target]), self.pack.landmarks[one.target]
        alpha = mattes[one.target]
        if one.source is None:
            source, own_plate = self._turned(one, alpha)
        else:
            own_plate = background_plate(picture, alpha)
            source = np.asarray(self.pack.pictures[one.source]), mattes[one.source], self.pack.landmarks[one.source]
        sheet, plate = _cut(*source)
        drawn = draw_person(sheet, plate, driving)
        target = _before(picture, alpha, plate.astype(np.float32) - own_plate)
        if one.source is not None:
            head = _head(driving, len(picture))
            target = np.asarray(cv2.blendLinear(target, drawn.picture, head, 1 - head), np.uint8)
        _, hints = seen_face(drawn, small_plate(plate), driving)
        drawing = np.rint(draw_face(driving) * 255).astype(np.uint8)
        row = one.target if one.source is None else one.source
        return RegionSample(
            packed(drawn.picture), packed(target), drawing.transpose(1, 2, 0), hints.transpose(1, 2, 0), row
        )

    def _turned(self, one: Choice, alpha: Matte) -> tuple[tuple[Picture, Matte, Array], Picture]:
        """The target as its own layers turn it: portrait, matte and landmarks; and its background."""
        picture, landmarks = np.asarray(self.pack.pictures[one.target]), self.pack.landmarks[one.target]
        mean = face_model().mean_shape
        pose = head_pose(landmarks, mean)
        before, after = (head_pose(face, mean).remove(face) for face in self.pack.landmarks[list(one.motion)])
        shape = uncross(pose.remove(landmarks) + one.rng.uniform(0.4, 1.0) * (after - before))
        goal = moved(pose, _change(pose, one.rng)).apply(shape)
        sheet, plate = _cut(picture, alpha, landmarks)
        drawn = draw_person(sheet, plate, goal)
        return (drawn.picture, drawn.alpha, goal), plate


def _cut(picture: Picture, alpha: Matte, landmarks: Array) -> tuple[Sheet, Picture]:
    return made_ready(landmarks, alpha, MouthLayers(picture, landmarks), EyeLayers(picture, landmarks))


def packed(picture: Picture) -> Picture:
    """(n·h, n·w, 3) as (h, w, n·n·3), n being the face's detail."""
    n = FACE.detail
    height, width = len(picture) // n, picture.shape[1] // n
    parts = picture.reshape(height, n, width, n, 3).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(parts).reshape(height, width, n * n * 3)


def _chosen(rows: NDArray[np.int64], weights: NDArray[np.float64], rng: np.random.Generator) -> int:
    share = weights[rows]
    return int(rng.choice(rows, p=share / share.sum()) if share.sum() else rng.choice(rows))


def _change(pose: HeadPose, rng: np.random.Generator) -> Array:
    """As of `moved`: often into a face that looks at the viewer, as portraits do, else by any turn."""
    if rng.random() < FRONTAL_CHANCE:
        goal = Rotation.from_euler("xyz", np.clip(rng.normal(size=3), -2, 2) * FRONTAL_DEGREES, degrees=True)
        turn = (goal * Rotation.from_matrix(pose.rotation).inv()).as_euler("xyz", degrees=True)
    else:
        turn = rng.normal(size=3) * TURN_DEGREES
    vector = Rotation.from_euler("xyz", np.clip(turn, -MOST_DEGREES, MOST_DEGREES), degrees=True).as_rotvec()
    grown = np.clip(rng.normal(0, SCALE_SPREAD), -MOST_SCALE, MOST_SCALE)
    return np.array([*vector, grown, 0, 0, 0], np.float32)


def _before(picture: Picture, alpha: Matte, other: Array) -> Picture:
    """A true picture (S, S, 3) whose background has changed by `other` (S, S, 3): what the network is not to touch is
    as it was drawn."""
    behind = np.float32(1 / 255) * (255 - alpha[..., None]).astype(np.float32)
    return np.asarray(np.rint(np.clip(picture + behind * other, 0, 255)), np.uint8)


def _head(landmarks: Array, size: int) -> Array:
    """(S, S): 1 in the face and the hair around it, 0 on the shoulders."""
    oval = (face_oval(landmarks, size, HEAD) > 0).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(oval, (0, 0), HEAD_FADE * size / 2), np.float32)
