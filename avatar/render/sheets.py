"""The portraits of an avatar made ready to be moved, in one light and before one background."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.core.avatar import Avatar
from avatar.face.face_model import face_model
from avatar.face.head_pose import head_pose
from avatar.face.regions import INNER_LIP_PAIRS
from avatar.render.drawn_person import Sheet, made_ready
from avatar.render.eye_layers import EyeLayers, seen_eyes
from avatar.render.mouth_layers import MouthLayers, own_row
from avatar.render.mouth_light import mouth_light
from avatar.render.one_body import OneBody
from avatar.render.one_light import OneLight
from avatar.render.own_mouths import OwnMouths
from avatar.render.upper_row import UpperRow

MOST_MOUTHS = 6  # portraits whose teeth are looked at
PARTED = 0.03  # lips, in distances of the outer eye corners, between which teeth may show
SMILE = 0.12  # likewise: lips that are further apart show no more of the upper row


class Sheets:
    """The first portrait's sheet is there at once; a thread makes the others, 0.4 s each.

    The portrait that shows its teeth best lends them to all, and the one that shows its eyes best to those that hide
    them: what is between lips and lids does not change when another portrait is shown.
    """

    def __init__(self, avatar: Avatar, numbers: Sequence[int]) -> None:
        """`numbers`: of the portraits, in the order in which they are made; the first is 0."""
        self._avatar = avatar
        self._mattes = portrait_mattes(avatar)
        self._light = OneLight(avatar.portraits[0], avatar.landmarks[0])
        self._row = self._best_row()
        self._eyes = self._best_eyes()
        self.mouths: OwnMouths | None = None  # of several portraits, as soon as they are there
        sheet, self.plate = self._cut(0, numbers[1:])  # the plate: (S, S, 3) what is behind
        self._made = {0: sheet}
        self._thread = threading.Thread(target=self._make, args=(numbers[1:],), name="sheets", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> Collection[int]:
        """Numbers of the portraits whose sheets are there."""
        return tuple(self._made)

    def __getitem__(self, number: int) -> Sheet:
        return self._made[number]

    def wait(self) -> None:
        """Until all are there."""
        self._thread.join()

    def _make(self, numbers: Sequence[int]) -> None:
        landmarks = self._avatar.landmarks
        if len(landmarks) > 1:  # of a single one, the sheet shows all that there is
            self.mouths = OwnMouths(map(self._lit, range(len(landmarks))), landmarks)
        if not numbers:
            return
        first = self._made[0]
        body = OneBody(first.relief, first.rgba, first.margin_px, landmarks[0])
        for number in numbers:
            sheet, _ = self._cut(number)
            self._made[number] = replace(sheet, fit=body.fit(sheet.relief, sheet.rgba, sheet.margin_px))

    def _cut(self, number: int, others: Sequence[int] = ()) -> tuple[Sheet, Picture]:
        """One portrait's sheet, and its background (S, S, 3), of which `others` may show more."""
        portrait, landmarks = self._lit(number), self._avatar.landmarks[number]
        mouth, eyes = MouthLayers(portrait, landmarks, self._row), EyeLayers(portrait, landmarks, self._eyes)
        behind = ((self._avatar.portraits[other], self._mattes[other]) for other in others)
        return made_ready(landmarks, self._mattes[number], mouth, eyes, behind)

    def _lit(self, number: int) -> Picture:
        """A portrait in the first one's light."""
        avatar = self._avatar
        return self._light.on(avatar.portraits[number], avatar.landmarks[number]) if number else avatar.portraits[0]

    def _best_row(self) -> UpperRow | None:
        """Of the portraits that part their lips most like a smile, facing the viewer."""
        shown = [_lips_apart(face) for face in self._avatar.landmarks]
        likely = sorted((n for n, gap in enumerate(shown) if gap > PARTED), key=lambda n: -shown[n])
        best: UpperRow | None = None
        for number in likely[:MOST_MOUTHS]:
            portrait, landmarks = self._lit(number), self._avatar.landmarks[number]
            row = own_row(portrait, landmarks, mouth_light(portrait, landmarks))
            if row is not None and (best is None or row.seen > best.seen):
                best = row
        return best

    def _best_eyes(self) -> EyeLayers | None:
        seen = [seen_eyes(face) for face in self._avatar.landmarks]
        best = int(np.argmax(seen))
        return EyeLayers(self._lit(best), self._avatar.landmarks[best]) if best else None


def portrait_mattes(avatar: Avatar) -> Picture:
    """(T, S, S); without mattes, all of it is taken to be the person."""
    return avatar.mattes if len(avatar.mattes) else np.full(avatar.portraits.shape[:3], 255, np.uint8)


def alike_cut(mattes: Picture) -> list[int]:
    """Numbers of the portraits whose (T, S, S) mattes find a background if the first one does, else of the others."""
    whole = [bool((matte == 255).all()) for matte in mattes]
    return [number for number, uncut in enumerate(whole) if uncut == whole[0]]


def _lips_apart(landmarks: Array) -> float:
    """How far a portrait's lips are apart in its middle, up to a smile's; less where it is turned away."""
    pose = head_pose(landmarks, face_model().mean_shape)
    shape = pose.remove(landmarks)
    upper, lower = INNER_LIP_PAIRS[2:7].T
    gap = float((shape[lower, 1] - shape[upper, 1]).mean())
    return min(gap, SMILE) * float(pose.rotation[2, 2])
