"""A curved sheet behind the lips, as a row of teeth is: from places on it to pixels and back.

It is a parabola in depth, z = depth + bend · x², so that a turned head shows the row from the side, and the way back
from pixels is a square root. Lengths are distances of the outer eye corners, in which MILLIMETRE is one millimetre.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.face.head_pose import HeadPose
from avatar.render.mipmap import Mipmap
from avatar.render.view import View

MILLIMETRE = 1 / 90  # the outer corners of an adult's eyes are about 90 mm apart

_EDGE_ON = 0.02  # of a sheet's area that is seen: below, there is nothing to draw
_NOWHERE = -1e4  # a place outside of every picture


@dataclass(frozen=True, slots=True)
class Box:
    """Pixels [left, right) × [top, bottom) of a drawing."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @classmethod
    def around(cls, pixels: Array, margin_px: float, view: View) -> Box | None:
        """What holds (n, 2) pixels, inside of the view. None where nothing is left."""
        low = np.maximum(np.floor(pixels.min(0) - margin_px), 0)
        high = np.minimum(np.ceil(pixels.max(0) + margin_px), (view.width, view.height))
        if not (low < high).all():
            return None
        return cls(int(low[0]), int(low[1]), int(high[0]), int(high[1]))


@dataclass(frozen=True, slots=True)
class Arch:
    """Where a sheet lies in the pose-free face: its middle at `depth`, bent backwards by `bend` · x²."""

    depth: float
    bend: float

    def points(self, x: Array, y: Array) -> Array:
        """(..., 3) in the pose-free face."""
        return np.stack([x, y, self.depth + self.bend * x * x], axis=-1).astype(np.float32)

    def hit(self, pose: HeadPose, places: Array) -> Array:
        """(n, 2) x and y on the sheet of what the crop shows at (n, 2) places, as far as it is seen from the front."""
        back = np.linalg.inv(pose.scale * pose.rotation[:2, :2]).T
        flat = (places - pose.translation[:2]) @ back
        sheer = pose.scale * pose.rotation[:2, 2] @ back
        x = flat[:, 0]
        for _ in range(3):
            x = flat[:, 0] - sheer[0] * (self.depth + self.bend * x * x)
        return np.asarray(np.stack([x, flat[:, 1] - sheer[1] * (self.depth + self.bend * x * x)], axis=1), np.float32)

    def places(self, view: View, pose: HeadPose, box: Box) -> tuple[Array, Array] | None:
        """(h, w) x and y on the sheet for the box's pixels; far away where it shows its back. None when edge-on."""
        to_pixels = view.matrix[:, :2] @ (pose.scale * pose.rotation[:2])
        area = float(np.linalg.det(to_pixels[:, :2])) * (-1 if view.mirrored else 1)
        if area < _EDGE_ON * (pose.scale * view.scale) ** 2:
            return None
        back = np.linalg.inv(to_pixels[:, :2])
        offset = view.matrix[:, :2] @ pose.translation[:2] + view.matrix[:, 2]
        columns = np.arange(box.left, box.right, dtype=np.float32) + 0.5 - offset[0]
        rows = (np.arange(box.top, box.bottom, dtype=np.float32) + 0.5 - offset[1])[:, None]
        sheer_x, sheer_y = (float(value) for value in back @ to_pixels[:, 2])
        # x + sheer_x · z(x) = what the pixel says
        flat = (back[0, 0] * columns - sheer_x * self.depth) + back[0, 1] * rows
        bent = sheer_x * self.bend
        under = 1 + 4 * bent * flat
        x = flat * (2 / (1 + np.sqrt(np.maximum(under, 0))))
        y = (back[1, 0] * columns - sheer_y * self.depth) + back[1, 1] * rows - (sheer_y * self.bend) * x * x
        x[under < 0] = _NOWHERE
        return x, y


class Sheet:
    """A picture with alpha on an arch."""

    def __init__(self, arch: Arch, rgba: Picture, left: float, top: float, texels: float) -> None:
        """`rgba` (H, W, 4), its corner at (left, top) of the pose-free face, `texels` to the unit."""
        self.arch, self.left, self.top, self.texels = arch, left, top, texels
        self._picture = Mipmap(rgba)

    def draw(self, view: View, pose: HeadPose, box: Box) -> Picture | None:
        """(h, w, 4) of the box's pixels, alpha not multiplied in. None where it is edge-on."""
        places = self.arch.places(view, pose, box)
        if places is None:
            return None
        fineness = self.texels / max(pose.scale * view.scale, 1e-6)  # texels to a pixel
        x = (places[0] - self.left) * self.texels
        y = (places[1] - self.top) * self.texels
        return self._picture.read(x, y, fineness, cv2.BORDER_CONSTANT)
