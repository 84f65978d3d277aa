"""The upper row's sheet: a portrait's own teeth where it shows them, and drawn ones wherever lips hide them."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.render.arch import MILLIMETRE
from avatar.render.drawn_teeth import GUM_MM, GUMS_SHADE, TEXELS, WIDTH, DrawnRow, drawn_row
from avatar.render.mouth_light import MouthLight
from avatar.render.own_teeth import OwnTeeth

_MM = TEXELS * MILLIMETRE  # texels to a millimetre
_EDGE = GUM_MM * _MM  # row of the sheet where the incisors end
_CROWN_MM = 10.5  # above, gums
_FEATHER = 1.2 * _MM  # texels over which own teeth pass into drawn ones
_MOST_SHIFT = 4 * _MM


def row_picture(row: DrawnRow, light: MouthLight, dim: float = 1.0) -> Array:
    """(H, W, 4) in [0, 255] of a drawn row in the portrait's light."""
    gums, shade = GUMS_SHADE * light.gums, dim * row.shade[..., None]
    colour = (gums + row.teeth[..., None] * (light.teeth - gums)) * shade
    return np.concatenate([colour, 255 * row.gums[..., None]], axis=2)


def lent_row(own: OwnTeeth, light: MouthLight, prior_edge: float) -> tuple[Picture, float, MouthLight]:
    """(H, W, 4) of the upper row, the height in the pose-free face of its incisors' edge, and the light with the colour
    of the teeth as they are. `prior_edge`: where that edge should be, in case that the lower lip hides it."""
    own = _mirrored(own)
    columns = np.arange(WIDTH)
    drawn = drawn_row(True)
    height = len(drawn.shade)
    drawn_last = height - 1 - (drawn.teeth > 0.5)[::-1].argmax(0)
    middle = own.seen & (np.abs(columns - WIDTH / 2) < 5 * _MM)
    edge = own.top + float(np.median(own.last[middle if middle.any() else own.seen]) + 1) / TEXELS
    last = own.last.astype(np.float32)
    if own.cut[own.seen].mean() > 0.6 and prior_edge > edge:
        last += (prior_edge - edge) * TEXELS
        edge = prior_edge
    to_sheet = _EDGE - (edge - own.top) * TEXELS  # from rows of `own` to rows of the sheet
    last, first = last + to_sheet, own.first + to_sheet
    # the drawn row bent to the curve of the own one
    away = (columns - WIDTH / 2) / (WIDTH / 2)
    curve = np.polyfit(away[own.seen], (last - drawn_last)[own.seen], 2 if own.seen.sum() > 40 else 0)
    within = np.clip(away, away[own.seen].min(), away[own.seen].max())
    shift = np.clip(np.polyval(curve, within), -_MOST_SHIFT, _MOST_SHIFT)
    rows = np.arange(height, dtype=np.float32)[:, None]
    grid = np.broadcast_to(columns.astype(np.float32), (height, WIDTH)).copy()
    bent = _bent(drawn, grid, rows - shift)
    own_rows = (np.maximum(rows, first) - to_sheet).astype(np.float32)
    texels = cv2.remap(own.rgb, grid, own_rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    between = (rows >= first) & (rows <= last) & own.seen
    colours = texels[between] / np.maximum(bent.shade[between], 0.3)[:, None]
    light = replace(light, teeth=np.median(colours, axis=0).astype(np.float32))
    # above what is seen: the same, in the lip's shade, and gums
    above_mm = np.maximum(first - rows, 0) / _MM
    smooth = cv2.GaussianBlur(texels, (0, 0), 0.5 * _MM)
    texels += np.clip(above_mm, 0, 1)[..., None] * (smooth - texels)
    texels *= (1 - 0.2 * np.clip(above_mm / 6, 0, 1))[..., None]
    gum_from = np.minimum(last - _CROWN_MM * _MM * np.exp(-0.5 * away**2), first - _MM)
    gum = np.clip((gum_from - rows) / _MM + 0.5, 0, 1)[..., None]
    texels += gum * (GUMS_SHADE * light.gums * bent.shade[..., None] - texels)
    alpha = 255 * np.clip(last - rows + 0.5, 0, 1)
    lent = np.concatenate([texels, alpha[..., None]], axis=2)
    weight = cv2.erode(own.seen.astype(np.float32)[None], np.ones((1, 2 * round(_FEATHER) + 1)))
    weight = np.clip(1.6 * cv2.GaussianBlur(weight, (0, 0), _FEATHER) - 0.1, 0, 1)[..., None]
    base = row_picture(bent, light)
    mixed = base + weight * (lent - base)
    return np.clip(mixed, 0, 255).astype(np.uint8), edge, light


def _bent(row: DrawnRow, columns: Array, rows: Array) -> DrawnRow:
    """Read at other places, each (H, W) in texels."""
    parts = (row.shade, row.teeth, row.gums)
    read = (
        cv2.remap(part, columns, rows.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for part in parts
    )
    return DrawnRow(*(np.asarray(part, np.float32) for part in read))


def _mirrored(own: OwnTeeth) -> OwnTeeth:
    """What only one side of the mouth shows, on both."""
    take = own.seen[::-1] & ~own.seen
    rgb = np.where(take[:, None], own.rgb[:, ::-1], own.rgb)
    sides = ((own.first, own.first[::-1]), (own.last, own.last[::-1]), (own.cut, own.cut[::-1]))
    first, last, cut = (np.where(take, other, mine) for mine, other in sides)
    return replace(own, rgb=rgb.astype(np.float32), first=first, last=last, cut=cut, seen=own.seen | take)
