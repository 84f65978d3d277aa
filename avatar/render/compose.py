"""Puts whole pictures of face, mouth and eyes together, as they are in training. Live, `assemble` does more in less."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture
from avatar.render.assemble import window


def compose(drawn: Mapping[str, NDArray[Any]], fed: Mapping[str, NDArray[Any]]) -> Picture:
    """(H, H, 3) picture from the generator's face (3, H, H), mouth (3, h, w) and eyes (2, 3, h, w), all in [0, 1].

    `fed` holds mouth_paste (2, 3) and eyes_paste (2, 2, 3) of `conditioning`: picture to crop, both in [-1, 1].
    """
    picture = to_bytes(drawn["face"])
    for crop, to_crop in ((drawn["mouth"], fed["mouth_paste"]), *zip(drawn["eyes"], fed["eyes_paste"], strict=True)):
        paste(picture, to_bytes(crop), to_crop)
    return picture


def paste(picture: Picture, crop: Picture, to_crop: Array) -> None:
    """Blend a crop (h, w, 3) into a picture (H, H, 3), in place; `to_crop` (2, 3) maps picture to crop in [-1, 1]."""
    size, (height, width) = picture.shape[0], crop.shape[:2]
    # pixel centres: p = ((x + 1)·size − 1) / 2
    to_unit = np.array([[2 / size, 0, 1 / size - 1], [0, 2 / size, 1 / size - 1], [0, 0, 1]])
    to_pixels = np.array([[width / 2, 0, (width - 1) / 2], [0, height / 2, (height - 1) / 2], [0, 0, 1]])
    forward = to_pixels @ np.vstack([to_crop, [0, 0, 1]]) @ to_unit  # picture pixels → crop pixels
    corners = np.linalg.inv(forward) @ np.array([[0, width, width, 0], [0, 0, height, height], [1, 1, 1, 1]])
    low = np.clip(np.floor(corners[:2].min(1)), 0, size).astype(int)
    high = np.clip(np.ceil(corners[:2].max(1)) + 1, 0, size).astype(int)
    if (high <= low).any():
        return  # wholly outside of the picture
    shifted = forward[:2] @ np.array([[1, 0, low[0]], [0, 1, low[1]], [0, 0, 1]])
    box = (int(high[0] - low[0]), int(high[1] - low[1]))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    layer = cv2.warpAffine(crop, shifted, box, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpAffine(window(height, width), shifted, box, flags=flags)[..., None]
    part = picture[low[1] : high[1], low[0] : high[0]]
    part[:] = np.rint(part + alpha * (layer.astype(np.float32) - part))


def to_bytes(picture: NDArray[Any]) -> Picture:
    """(3, H, W) in [0, 1] to (H, W, 3)."""
    return np.ascontiguousarray((picture * 255.0 + 0.5).astype(np.uint8).transpose(1, 2, 0))
