"""From Driving to the avatar's picture by layers: plate, relief of head and body, mouth, eyes (renderer `fast-3`)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.core.avatar import Avatar
from avatar.core.resizing import resized
from avatar.face.driving import Driving
from avatar.face.regions import LEFT_BROW, LEFT_EYE, LEFT_IRIS, RIGHT_BROW, RIGHT_EYE, RIGHT_IRIS
from avatar.render.assemble import RegionChange, blend_region
from avatar.render.conditioning import EYE_SIZE, MOUTH_SIZE, RegionFrame, draw_eye, draw_mouth, region_frames
from avatar.render.eye_layers import EyeLayers
from avatar.render.mouth_layers import MouthLayers
from avatar.render.rasteriser import Drawn
from avatar.render.renderer import FADE_NS, check_numbers
from avatar.render.sheet_choice import SheetChoice
from avatar.render.sheets import Sheet, Sheets, alike_cut, portrait_mattes
from avatar.render.view import View
from avatar.render.warp import pixel_grid
from engines.engine import Engine, Tensors

EYES = (RIGHT_EYE, RIGHT_IRIS, RIGHT_BROW), (LEFT_EYE, LEFT_IRIS, LEFT_BROW)


class LayeredRenderer:
    """Draws one avatar. All that it is given of the driver is Driving, so no camera pixel can come out.

    Of several portraits, each frame takes the one that has seen most of what it shows, which fades in.
    """

    def __init__(
        self, avatar: Avatar, engine: Engine, size_px: int = 512, patient: bool = False, sheets: Sheets | None = None
    ) -> None:
        """Without mattes, the avatar's whole portrait is taken to be the person. `patient`: see `open_painter`.

        `sheets`: of a renderer of the same avatar, which do not depend on the size.
        """
        self._avatar, self._engine, self._view = avatar, engine, View.whole(size_px)
        self._embedding = avatar.embedding[None].astype(np.float32)
        self._choice = SheetChoice(avatar.landmarks, alike_cut(portrait_mattes(avatar)))
        self.sheets = sheets or Sheets(avatar, self._choice.sheets)
        if patient:
            self.sheets.wait()
        self._plate = resized(self.sheets.plate, size_px)
        self._shown = 0
        self._former: int | None = None  # the portrait whose sheet fades out
        self._fade_start_ns = 0
        self._alpha: Picture | None = None
        self._seen: Drawn | None = None  # what of the portrait the last picture shows

    def render(self, driving: Driving) -> Picture:
        """As of `Painter`."""
        share = (driving.capture_ns - self._fade_start_ns) / FADE_NS
        if self._former is None or not 0 <= share < 1:
            self._former, share = None, 1.0
            number = self._choice.choose(driving.landmarks, self.sheets.ready)
            if number != self._shown:
                self._former, self._shown, self._fade_start_ns, share = self._shown, number, driving.capture_ns, 0.0
        sheet = self.sheets[self._shown]
        picture, alpha, self._seen = self._drawn(sheet, driving.landmarks)
        if self._former is not None:
            former, former_alpha, _ = self._drawn(self.sheets[self._former], driving.landmarks)
            share = max(share, 0.2)  # the first frame shows something of the new one already
            cv2.addWeighted(picture, share, former, 1 - share, 0, dst=picture)
            cv2.addWeighted(alpha, share, former_alpha, 1 - share, 0, dst=alpha)
        self._alpha = alpha
        self._refine(picture, alpha, sheet, driving.landmarks)
        return picture

    def matte(self) -> Picture | None:
        """As of `Painter`."""
        return self._alpha

    def flow(self) -> Array | None:
        """As of `Painter`."""
        if self._seen is None:
            return None
        seen = np.stack([self._seen.across, self._seen.down], axis=-1)
        return np.where(self._seen.covered[..., None], 2 * seen - 1, np.float32(np.nan))

    def _drawn(self, sheet: Sheet, driving: Array) -> tuple[Picture, Picture, Drawn]:
        """The picture by one portrait's layers, where the person is in it, and what of the portrait it shows."""
        drawn = sheet.relief.draw(sheet.relief.place(driving), self._view)
        rgba = drawn.sample(sheet.rgba, sheet.margin_px)
        alpha = np.asarray(cv2.multiply(cv2.extractChannel(rgba, 3), drawn.cover, scale=1 / 255), np.uint8)
        person = cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB)
        share = np.multiply(alpha, np.float32(1 / 255))
        picture = np.asarray(cv2.blendLinear(person, self._plate, share, 1 - share), np.uint8)
        sheet.eyes.draw(picture, self._view, driving)
        sheet.mouth.draw(picture, self._view, driving)
        return picture, alpha, drawn

    def _refine(self, picture: Picture, alpha: Picture, sheet: Sheet, driving: Array) -> None:
        """Let the network change mouth and eyes in the picture, in place, and nothing of what is behind the person."""
        mouth, right, left = region_frames(driving)
        seen = _seen_mouth(picture, sheet.mouth, driving, mouth)
        fed = {f"mouth_{part}": value[None] for part, value in seen.items()}
        if "eye_picture" in self._engine.inputs:
            pairs = zip((right, left), EYES, strict=True)
            eyes = [_seen_eye(picture, sheet.eyes, driving, frame, points) for frame, points in pairs]
            fed |= {f"eye_{part}": np.stack([eye[part] for eye in eyes])[None] for part in eyes[0]}
        changes = self._engine.infer({"embedding": self._embedding, **fed})
        check_numbers(changes, self._avatar.name)
        before = picture.copy()
        for change in _changes(changes, "mouth", [mouth]) + _changes(changes, "eye", [right, left]):
            blend_region(picture, before, change, only=alpha)


def _seen_mouth(picture: Picture, layers: MouthLayers, driving: Array, frame: RegionFrame) -> dict[str, Array]:
    """What the network sees of the mouth, as of `avatar.model.refinement.Drawn`."""
    view = View.region(frame.inverse(), MOUTH_SIZE[1], MOUTH_SIZE[0])
    seen = view.cut(picture)
    hints = layers.draw(seen, view, driving)
    return {"picture": _channels_first(seen), "drawing": draw_mouth(driving, frame), "hints": _shares(hints)}


def _seen_eye(
    picture: Picture, layers: EyeLayers, driving: Array, frame: RegionFrame, points: tuple[tuple[int, ...], ...]
) -> dict[str, Array]:
    """The same of one eye, whose ring, iris and brow are `points`."""
    view = View.region(frame.inverse(), EYE_SIZE[1], EYE_SIZE[0])
    seen = view.cut(picture)
    hints = layers.draw(seen, view, driving)
    return {"picture": _channels_first(seen), "drawing": draw_eye(driving, frame, *points), "hints": hints}


def _changes(given: Tensors, region: str, frames: Sequence[RegionFrame]) -> list[RegionChange]:
    """What the network changes in each of the region's frames; nothing where it does not know the region."""
    if f"{region}_keep" not in given:
        return []
    changes = []
    for i, frame in enumerate(frames):
        offset, keep, added = (given[f"{region}_{name}"][0] for name in ("offset", "keep", "added"))
        if len(frames) > 1:
            offset, keep, added = offset[i], keep[i], added[i]
        moved = pixel_grid(*offset.shape[1:]) + offset.transpose(1, 2, 0)
        places = np.ascontiguousarray(frame.to_picture(moved).transpose(2, 0, 1))
        changes.append(RegionChange(places, keep, added, frame.inverse()))
    return changes


def _channels_first(picture: Picture) -> Array:
    """(h, w, 3) bytes to (3, h, w) in [0, 1]."""
    return _shares(picture.transpose(2, 0, 1))


def _shares(layers: Picture) -> Array:
    """Bytes to [0, 1]."""
    return np.multiply(layers, np.float32(1 / 255), dtype=np.float32)
