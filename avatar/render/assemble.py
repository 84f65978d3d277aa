"""What the generator sees of the portraits, and the picture from what it gives: portraits warped, shaded, painted over.

Coordinates stay here, in float32: the generator, which may run with fewer digits, neither takes nor returns any. Its
layers are small and smooth, so they are enlarged here to whatever size is wanted, and the portraits are warped at that
size, straight from their own pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture

_NO_MAP: Any = None  # the places are pairs: there is no second map, which the stubs of OpenCV do not know
REGIONS = ("face", "mouth", "eyes")
WINDOW = 0.25  # share of a region's half extent over which it fades into the face


def texture_at(portrait: Picture, flow: Array) -> Array:
    """What the generator sees of an (S, S, 3) portrait: (3, h, w) in [0, 1], for a coarse flow (2, h/2, w/2)."""
    height, width = 2 * flow.shape[1], 2 * flow.shape[2]
    places = cv2.resize(_pixels(flow, len(portrait)), (width, height), interpolation=cv2.INTER_LINEAR)
    seen = cv2.remap(portrait, places, _NO_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen.transpose(2, 0, 1) * np.float32(1 / 255), np.float32)


def flow_stretch(flow: Array) -> Array:
    """log |det J| of a flow (..., 2, h, w) as (..., 1, h, w), clipped: where the warp stretches or crushes a texture.

    The same as `avatar.model.generator.flow_stretch`, without torch.
    """
    height, width = flow.shape[-2:]
    along_x = np.diff(flow, axis=-1, append=flow[..., -1:]) * np.float32(width / 2)
    along_y = np.diff(flow, axis=-2, append=flow[..., -1:, :]) * np.float32(height / 2)
    det = along_x[..., 0, :, :] * along_y[..., 1, :, :] - along_x[..., 1, :, :] * along_y[..., 0, :, :]
    return np.asarray(np.log(np.abs(det).clip(0.05, 20.0))[..., None, :, :], np.float32)


def generator_inputs(frame: Mapping[str, Array], portraits: Mapping[str, Picture]) -> dict[str, Array]:
    """What the generator is fed beside ψ, as a batch of one: REGION_texture, REGION_stretch and REGION_drawing.

    frame: of `conditioning`. portraits: of "face", "mouth" and "eyes", at the size of the generator's training.
    """
    fed = {}
    for region in REGIONS:
        flow = frame[f"{region}_flow"]
        textures = [texture_at(portraits[region], part) for part in flow.reshape(-1, *flow.shape[-3:])]
        fed[f"{region}_texture"] = np.stack(textures).reshape(1, *frame[f"{region}_drawing"].shape)
        fed[f"{region}_stretch"] = flow_stretch(flow)[None]
        fed[f"{region}_drawing"] = frame[f"{region}_drawing"][None]
    return fed


def assemble(drawn: Mapping[str, NDArray[Any]], fed: Mapping[str, NDArray[Any]]) -> Picture:
    """(H, H, 3) picture from whole pictures, as they are in training. Live, `Assembler` does more in less.

    drawn: the generator's face (3, H, H), mouth (3, h, w) and eyes (2, 3, h, w), all in [0, 1]. fed: mouth_paste (2, 3)
    and eyes_paste (2, 2, 3) of `conditioning`.
    """
    picture = to_bytes(drawn["face"])
    for crop, to_crop in ((drawn["mouth"], fed["mouth_paste"]), *zip(drawn["eyes"], fed["eyes_paste"], strict=True)):
        paste(picture, to_bytes(crop), to_crop)
    return picture


def paste(picture: Picture, crop: Picture, to_crop: Array) -> None:
    """Blend a crop (h, w, 3) into a picture (H, H, 3), in place; `to_crop` (2, 3) maps picture to crop in [-1, 1]."""
    size, (height, width) = len(picture), crop.shape[:2]
    low, high = _box(to_crop, size)
    if (high <= low).any():
        return  # wholly outside of the picture
    box = (int(high[0] - low[0]), int(high[1] - low[1]))
    layer = _stretched(crop, to_crop, size, low, box)
    alpha = _stretched(window(height, width), to_crop, size, low, box, border=cv2.BORDER_CONSTANT)[..., None]
    part = picture[low[1] : high[1], low[0] : high[0]]
    part[:] = np.rint(part + alpha * (layer - part))


def to_bytes(picture: NDArray[Any]) -> Picture:
    """(3, H, W) in [0, 1] to (H, W, 3)."""
    return np.ascontiguousarray((picture * 255.0 + 0.5).astype(np.uint8).transpose(1, 2, 0))


class Assembler:
    """Puts pictures of one size together. Keeps its scratch memory: fresh megabytes a frame cost more than the work."""

    def __init__(self, size_px: int) -> None:
        square = (size_px, size_px)
        self._box = square
        self._places, self._fixed = np.empty((*square, 2), np.float32), np.empty((*square, 2), np.int16)
        self._fraction = np.empty(square, np.uint16)
        self._warped = np.empty((*square, 3), np.uint8)
        self._keep, self._added = np.empty((*square, 3), np.float32), np.empty((*square, 3), np.float32)

    def assemble(
        self, layers: Mapping[str, NDArray[Any]], portraits: Mapping[str, Picture], frame: Mapping[str, Array]
    ) -> Picture:
        """(S, S, 3) picture from the generator's layers and the portraits (S, S, 3) of "face", "mouth" and "eyes".

        layers: of face and mouth NAME_offset (2, h/2, w/2), to be added to the flow, NAME_keep (1, h, w) and NAME_added
        (3, h, w) in [0, 1]; of the eyes the same with a leading 2. frame: flows and places of `conditioning`.
        """
        face, mouth, eyes = (
            (frame[f"{name}_flow"] + layers[f"{name}_offset"], layers[f"{name}_keep"], layers[f"{name}_added"])
            for name in REGIONS
        )
        picture = self._face(portraits["face"], *face)
        blend_region(picture, portraits["mouth"], RegionChange(*mouth, frame["mouth_paste"]))
        for eye in zip(*eyes, frame["eyes_paste"], strict=True):
            blend_region(picture, portraits["eyes"], RegionChange(*eye))
        return picture

    def moved(self, matte: Picture) -> Picture:
        """An (S, S) layer of the last picture's face portrait, where the picture shows it."""
        moved = cv2.remap(matte, self._fixed, self._fraction, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(moved, np.uint8)

    def _face(self, portrait: Picture, warp: Array, keep: Array, added: Array) -> Picture:
        cv2.resize(_pixels(warp, len(portrait)), self._box, dst=self._places, interpolation=cv2.INTER_LINEAR)
        # faster than remap's own way with floats
        cv2.convertMaps(self._places, _NO_MAP, cv2.CV_16SC2, dstmap1=self._fixed, dstmap2=self._fraction)
        cv2.remap(
            portrait, self._fixed, self._fraction, cv2.INTER_LINEAR, dst=self._warped, borderMode=cv2.BORDER_REPLICATE
        )
        keep = cv2.merge([keep[0]] * 3)
        cv2.resize(keep, self._box, dst=self._keep, interpolation=cv2.INTER_LINEAR)
        cv2.resize(_channels_last(added, 255), self._box, dst=self._added, interpolation=cv2.INTER_LINEAR)
        cv2.multiply(self._warped, self._keep, dst=self._keep, dtype=cv2.CV_32F)
        return np.asarray(cv2.add(self._keep, self._added, dtype=cv2.CV_8U), np.uint8)


@dataclass(frozen=True, slots=True)
class RegionChange:
    """What a network changes in one region, as of `Assembler.assemble`, and where the region is."""

    warp: Array  # (2, h/2, w/2): where its portrait is to be looked at, in [-1, 1]
    keep: Array  # (1, h, w)
    added: Array  # (3, h, w)
    to_region: Array  # (2, 3) from the picture's [-1, 1] to the region's


def blend_region(picture: Picture, portrait: Picture, change: RegionChange, only: Picture | None = None) -> None:
    """Draw one region into the picture, in place, sampling its portrait at the picture's own pixels.

    only: (S, S), a change where it is not 0 alone.
    """
    warp, keep, added, to_region = change.warp, change.keep, change.added, change.to_region
    size, (height, width) = len(picture), keep.shape[1:]
    low, high = _box(to_region, size)
    if (high <= low).any():
        return  # wholly outside of the picture
    box = (int(high[0] - low[0]), int(high[1] - low[1]))
    places = _stretched(_pixels(warp, size), to_region, size, low, box)
    layer = np.concatenate([_channels_last(added, 255), keep[0][..., None]], axis=2)
    layer = _stretched(layer, to_region, size, low, box)
    alpha = _stretched(window(height, width), to_region, size, low, box, border=cv2.BORDER_CONSTANT)[..., None]
    inside = np.s_[low[1] : high[1], low[0] : high[0]]
    part = picture[inside]
    if only is not None:
        alpha *= (only[inside] > 0)[..., None]
    warped = cv2.remap(portrait, places, _NO_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    drawn = warped * layer[..., 3:] + layer[..., :3]
    part[:] = np.rint(part + alpha * (np.clip(drawn, 0, 255) - part))


def _box(to_region: Array, size: int) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Lowest and highest (exclusive) pixel (x, y) of the picture that the region [-1, 1]² touches."""
    linear = np.linalg.inv(to_region[:, :2])
    corners = linear @ (np.array([[-1, 1, 1, -1], [-1, -1, 1, 1]]) - to_region[:, 2:])
    pixels = (corners + 1) * size / 2 - 0.5
    low = np.clip(np.floor(pixels.min(1)), 0, size).astype(int)
    return low, np.clip(np.ceil(pixels.max(1)) + 1, 0, size).astype(int)


def _stretched(
    layer: Array | Picture,
    to_region: Array,
    size: int,
    low: Sequence[int] | NDArray[np.int_],
    box: tuple[int, int],
    border: int = cv2.BORDER_REPLICATE,
) -> Array:
    """A region's layer (h, w[, C]) at the pixels of the picture's box (width, height) from `low` on."""
    height, width = layer.shape[:2]
    # pixel centres: p = ((x + 1)·size − 1) / 2
    to_unit = np.array(
        [[2 / size, 0, (2 * low[0] + 1) / size - 1], [0, 2 / size, (2 * low[1] + 1) / size - 1], [0, 0, 1]]
    )
    to_pixels = np.array([[width / 2, 0, (width - 1) / 2], [0, height / 2, (height - 1) / 2], [0, 0, 1]])
    matrix = (to_pixels @ np.vstack([to_region, [0, 0, 1]]) @ to_unit)[:2]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(layer, matrix, box, flags=flags, borderMode=border), np.float32)


def _pixels(flow: Array, size: int) -> Array:
    """A flow (2, h, w) in [-1, 1] as (h, w, 2) pixels of an (S, S) picture."""
    return _channels_last((flow + 1) * (size / 2) - 0.5)


def _channels_last(layer: Array, factor: float = 1) -> Array:
    return np.ascontiguousarray(layer.transpose(1, 2, 0) * np.float32(factor), np.float32)


@lru_cache(maxsize=8)
def window(height: int, width: int) -> Array:
    """1 in the middle, falling to 0 over the outer quarter, so that a region leaves no seam."""

    def ramp(n: int) -> NDArray[np.float64]:
        edge = 1 - np.abs((np.arange(n) + 0.5) * 2 / n - 1)
        return np.asarray((edge / WINDOW - 0.12).clip(0, 1))

    flat = ramp(height)[:, None] * ramp(width)[None]
    return np.asarray(flat * flat * (3 - 2 * flat), np.float32)
