"""Where layers are drawn: the whole picture, or a part of it that turns with the head, at a size in pixels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture


@dataclass(frozen=True, slots=True)
class View:
    """Maps places of the avatar's crop, (x, y) in [0, 1], to pixels of a drawing.

    Pixel (0, 0) reaches from (0, 0) to (1, 1): its centre is at (0.5, 0.5).
    """

    matrix: Array  # (2, 3)
    width: int
    height: int

    @classmethod
    def whole(cls, size_px: int) -> View:
        """The whole crop as (size_px, size_px)."""
        return cls(np.array([[size_px, 0, 0], [0, size_px, 0]], np.float32), size_px, size_px)

    @classmethod
    def region(cls, to_region: Array, width: int, height: int) -> View:
        """A region as of `RegionFrame.inverse`: `to_region` (2, 3) maps the picture's [-1, 1] to the region's."""
        half = np.array([[width / 2], [height / 2]], np.float32)
        linear = half * to_region[:, :2] * 2
        offset = half * (to_region[:, 2:] - to_region[:, :2].sum(1, keepdims=True) + 1)
        return cls(np.concatenate([linear, offset], axis=1).astype(np.float32), width, height)

    @property
    def scale(self) -> float:
        """Pixels for one side of the crop."""
        return float(np.sqrt(abs(self._area)))

    @property
    def mirrored(self) -> bool:
        return self._area < 0

    @property
    def _area(self) -> float:
        """Square pixels of the crop; negative where it is mirrored."""
        (a, b, _), (c, d, _) = self.matrix.tolist()  # numpy's determinant takes ten times as long
        return float(a * d - b * c)

    def pixels(self, places: Array) -> Array:
        """(..., 2+) places in the crop to (..., 2) pixels."""
        return np.asarray(places[..., :2] @ self.matrix[:, :2].T + self.matrix[:, 2], np.float32)

    def places(self, pixels: Array) -> Array:
        """(..., 2) pixels to places in the crop."""
        return np.asarray((pixels - self.matrix[:, 2]) @ np.linalg.inv(self.matrix[:, :2]).T, np.float32)

    def cut(self, picture: Picture) -> Picture:
        """(height, width[, C]) of a picture of the whole crop, (S, S[, C]); where the picture is larger, averaged."""
        size = len(picture)
        while size >= 1.5 * self.scale and size % 2 == 0:
            size //= 2
        small = picture if size == len(picture) else cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
        linear = self.matrix[:, :2] / size
        # pixel (0, 0) has its centre at (0.5, 0.5)
        offset = self.matrix[:, 2] + linear @ np.array([0.5, 0.5]) - 0.5
        matrix = np.column_stack([linear, offset])
        cut = cv2.warpAffine(
            small, matrix, (self.width, self.height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(cut, np.uint8)
