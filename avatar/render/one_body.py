"""Where the bodies of an avatar's portraits are against each other, so that shoulders do not jump with the sheets.

A head that turned, rolled or leaned when a portrait was taken had moved against its shoulders. While another sheet
comes through, both show the body in one place, which then slides to where the new sheet has it.
"""

from __future__ import annotations

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.face.body import AS_IT_IS, BodyFit
from avatar.render.relief import CHIN, Relief
from avatar.render.view import View

SIZE_PX = 256  # of the pictures that are compared
MOST = 0.09  # of the portrait's side, that a body is moved
BELOW = 0.05  # bodies are compared from there below the chin, in distances of the outer eye corners
BEYOND = 0.1  # of the portrait's side: so far beyond its edge, where the body is continued
LEAST = 0.01  # share of the picture that bodies, and what is behind them, must take where they are compared
SCALES = 1.0, 0.97, 1.03, 0.94, 1.06, 0.9, 1.1  # of a body: a face's expression deceives about how near it was
FAR_COSTS, SCALE_COSTS = 3.0, 30.0  # of 255: by which a body must be more alike, for MOST, and for a scale of e
SLIDE_NS = 300_000_000  # time constant
NOBODY = np.array([255, 0, 255], np.float32)  # behind them there: no cloth has that colour


class OneBody:
    """The body of one portrait, for the sheets of others."""

    def __init__(self, relief: Relief, sheet: Picture, margin_px: int, landmarks: Array) -> None:
        """`sheet`: (H, H, 4), reaching `margin_px` beyond the portrait. `landmarks`: (478, 3) of the portrait."""
        self._landmarks, self._scale = landmarks, relief.pose.scale
        side_px = SIZE_PX / (1 + 2 * BEYOND)
        matrix = np.array([[1, 0, BEYOND], [0, 1, BEYOND]], np.float32) * np.float32(side_px)
        self._view = View(matrix, SIZE_PX, SIZE_PX)
        self._reach = round(MOST * side_px)
        chin = self._view.pixels(landmarks[CHIN])[1] + BELOW * self._scale * side_px
        self._below = max(round(float(chin)), 0)
        body = self._body(relief, sheet, margin_px)
        self._wanted = body[self._below + self._reach : -self._reach, self._reach : -self._reach]
        behind = (self._wanted == NOBODY).all(2)
        self._told = min(int(behind.sum()), int((~behind).sum())) > LEAST * SIZE_PX**2
        across = np.arange(-self._reach, self._reach + 1, dtype=np.float32) / self._reach
        self._far = FAR_COSTS * (across**2 + across[:, None] ** 2)

    def fit(self, relief: Relief, sheet: Picture, margin_px: int) -> BodyFit:
        """Brings another portrait's body to this one's place. Nothing where too little of bodies is seen to tell."""
        best, least = AS_IT_IS, float("inf")
        for scale in SCALES if self._told else ():
            fit = BodyFit(float(np.log(scale)))
            other = self._body(relief, sheet, margin_px, fit)[self._below :]
            unlike = np.sqrt(np.maximum(cv2.matchTemplate(other, self._wanted, cv2.TM_SQDIFF), 0) / self._wanted.size)
            cost, _, (x, y), _ = cv2.minMaxLoc(unlike + self._far + SCALE_COSTS * abs(fit.log_scale))
            if cost < least:
                away = np.array([self._reach - x, self._reach - y]) / (self._view.scale * self._scale)
                best, least = BodyFit(fit.log_scale, (float(away[0]), float(away[1]))), cost
        return best

    def _body(self, relief: Relief, sheet: Picture, margin_px: int, fit: BodyFit = AS_IT_IS) -> Array:
        """(SIZE_PX, SIZE_PX, 3) of a sheet whose head is as in this portrait."""
        drawn = relief.draw(relief.place(self._landmarks, fit), self._view)
        rgba = drawn.sample(sheet, margin_px).astype(np.float32)
        share = rgba[..., 3:] * (drawn.cover[..., None] / np.float32(255 * 255))
        return np.asarray(NOBODY + share * (rgba[..., :3] - NOBODY), np.float32)


class BodyPlace:
    """Where the body is shown, against the first portrait's: what all sheets are brought to in one frame."""

    def __init__(self) -> None:
        self._place = AS_IT_IS
        self._time_ns = 0

    def slide(self, fit: BodyFit, time_ns: int) -> None:
        """Towards the place that the shown sheet has it in, whose `OneBody.fit` is given."""
        share = 1 - float(np.exp(-max(time_ns - self._time_ns, 0) / SLIDE_NS))
        self._time_ns = time_ns
        self._place = self._place.plus(self._place.plus(fit), -share)

    def of(self, fit: BodyFit) -> BodyFit:
        """What brings the sheet of that fit there."""
        return self._place.plus(fit)
