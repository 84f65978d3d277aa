"""The upper row's sheet: a portrait's own teeth where it shows them, and drawn ones wherever lips hide them."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
_FRINGE = 0.3 * _MM  # at a tooth's edge, where the lip or the dark shines in
_LIP = 1.8 * _MM  # below the upper lip's edge, where it shines in
_MOST_SHIFT = 4 * _MM
CUT = 0.5  # worth of a column whose tooth ends behind the lower lip


def row_picture(row: DrawnRow, light: MouthLight, dim: float = 1.0) -> Array:
    """(H, W, 4) in [0, 255] of a drawn row in the portrait's light."""
    gums, shade = GUMS_SHADE * light.gums, dim * row.shade[..., None]
    colour = (gums + row.teeth[..., None] * (light.teeth - gums)) * shade
    return np.concatenate([colour, 255 * row.gums[..., None]], axis=2)


@dataclass(frozen=True, slots=True)
class UpperRow:
    """An upper row that a portrait shows, in its own colours and its own place of the pose-free face."""

    picture: Picture  # (H, W, 4) of its sheet
    depth: float  # of its arch
    edge: float  # height of the incisors' edge
    teeth: Array  # (3,) colour of the teeth as they are
    seen: float  # share of the row that the portrait shows, lower lip and all


def lent_row(own: OwnTeeth, light: MouthLight, depth: float, prior_edge: float) -> UpperRow:
    """`depth`: of the arch that it was found on. `prior_edge`: where the incisors' edge should be, in case that the
    lower lip hides it."""
    columns = np.arange(WIDTH)
    drawn = drawn_row(True)
    height = len(drawn.shade)
    drawn_last = height - 1 - (drawn.teeth > 0.5)[::-1].argmax(0)
    middle = own.seen & (np.abs(columns - WIDTH / 2) < 5 * _MM)
    edge = own.top + float(np.median(own.last[middle if middle.any() else own.seen]) + 1) / TEXELS
    last = own.last
    if own.cut[own.seen].mean() > 0.6 and prior_edge > edge:
        last = last + (prior_edge - edge) * TEXELS
        edge = prior_edge
    to_sheet = _EDGE - (edge - own.top) * TEXELS  # from rows of `own` to rows of the sheet
    last, first = last + to_sheet - _FRINGE, own.first + to_sheet
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
    # above what is seen: the tooth goes on, then gums
    above_mm = np.maximum(first + _LIP - rows, 0) / _MM
    seen_rows = np.clip((rows - first) / _MM - 0.7, 0, 1) * (rows < first + 3.5 * _MM) * own.seen
    tooth = (texels * seen_rows[..., None]).sum(0) / np.maximum(seen_rows.sum(0), 1e-6)[:, None]
    tooth = cv2.GaussianBlur(
        np.where(own.seen[:, None], tooth, light.teeth).astype(np.float32)[None], (0, 0), 0.4 * _MM
    )
    texels += np.clip(above_mm, 0, 1)[..., None] * (tooth * (1 - 0.025 * np.minimum(above_mm, 8))[..., None] - texels)
    gum_from = np.minimum(last - _CROWN_MM * _MM * np.exp(-0.5 * away**2), first - _MM)
    gum = np.clip((gum_from - rows) / _MM + 0.5, 0, 1)[..., None]
    texels += gum * (GUMS_SHADE * light.gums * bent.shade[..., None] - texels)
    alpha = 255 * np.clip(last - rows + 0.5, 0, 1)
    lent = np.concatenate([texels, alpha[..., None]], axis=2)
    weight = cv2.erode(own.seen.astype(np.float32)[None], np.ones((1, 2 * round(_FEATHER) + 1)))
    weight = np.clip(1.6 * cv2.GaussianBlur(weight, (0, 0), _FEATHER) - 0.1, 0, 1)[..., None]
    base = row_picture(bent, light)
    mixed = base + weight * (lent - base)
    seen = float((own.seen * np.where(own.cut, CUT, 1)).mean())
    return UpperRow(np.clip(mixed, 0, 255).astype(np.uint8), depth, edge, light.teeth, seen)


def _bent(row: DrawnRow, columns: Array, rows: Array) -> DrawnRow:
    """Read at other places, each (H, W) in texels."""
    parts = (row.shade, row.teeth, row.gums)
    read = (
        cv2.remap(part, columns, rows.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for part in parts
    )
    return DrawnRow(*(np.asarray(part, np.float32) for part in read))
