"""From Driving to the avatar's picture by layers: plate, relief of head and body, mouth, eyes."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.core.avatar import Avatar
from avatar.core.resizing import resized
from avatar.face.driving import Driving
from avatar.face.regions import LEFT_BROW, LEFT_EYE, LEFT_IRIS, RIGHT_BROW, RIGHT_EYE, RIGHT_IRIS
from avatar.render.conditioning import EYE_SIZE, MOUTH_SIZE, RegionFrame, draw_eye, draw_face, draw_mouth, region_frames
from avatar.render.drawn_person import DrawnPerson, Sheet, draw_person, fade
from avatar.render.eye_layers import EyeLayers
from avatar.render.face_seen import mend, seen_face, small_plate
from avatar.render.mouth_detail import keep_detail
from avatar.render.mouth_layers import MouthLayers
from avatar.render.network_answer import check_numbers
from avatar.render.one_body import BodyPlace
from avatar.render.rasteriser import Drawn
from avatar.render.region_change import RegionChange, blend_region, pixel_grid
from avatar.render.sheet_choice import SheetChoice
from avatar.render.sheets import Sheets, alike_cut, portrait_mattes
from avatar.render.view import View
from engines.engine import Engine, Tensors

CHANGES = ("offset", "keep", "added")  # what the network gives of each region
FADE_NS = 120_000_000  # how long another portrait takes to come through
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
        self._avatar, self._engine = avatar, engine
        self._embedding = avatar.embedding[None].astype(np.float32)
        self._choice = SheetChoice(avatar.landmarks, alike_cut(portrait_mattes(avatar)))
        self.sheets = sheets or Sheets(avatar, self._choice.sheets)
        if patient:
            self.sheets.wait()
        self._plate = resized(self.sheets.plate, size_px)
        self._small_plate = small_plate(self._plate)
        self._shown = 0
        self._former: int | None = None  # the portrait whose sheet fades out
        self._fade_start_ns = 0
        self._body = BodyPlace()
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
        self._body.slide(sheet.fit, driving.capture_ns)
        person = draw_person(sheet, self._plate, driving.landmarks, self._body.of(sheet.fit))
        if self._former is not None:
            behind = self.sheets[self._former]
            former = draw_person(behind, self._plate, driving.landmarks, self._body.of(behind.fit))
            fade(person, former, max(share, 0.2))  # the first frame shows something of the new one already
        self._alpha, self._seen = person.alpha, person.seen
        self._refine(person, sheet, driving.landmarks)
        return person.picture

    def go_on(self, before: LayeredRenderer) -> None:
        """With the portrait and the body's place that `before` shows, which draws the same avatar at another size."""
        self._choice, self._body, self._shown = before._choice, before._body, before._shown

    def matte(self) -> Picture | None:
        """As of `Painter`."""
        return self._alpha

    def plate(self) -> Picture:
        """As of `Painter`."""
        return self._plate

    def flow(self) -> Array | None:
        """As of `Painter`."""
        if self._seen is None:
            return None
        seen = np.stack([self._seen.across, self._seen.down], axis=-1)
        return np.where(self._seen.covered[..., None], 2 * seen - 1, np.float32(np.nan))

    def _refine(self, person: DrawnPerson, sheet: Sheet, driving: Array) -> None:
        """Let the network change face, mouth and eyes in the picture, in place, and nothing of what is behind.

        All see the picture as the layers drew it, in one call. The face is mended first: mouth and eyes fade into what
        is around them, and so into the mended skin.
        """
        picture = person.picture
        mouth, right, left = region_frames(driving)
        seen = _seen_mouth(picture, sheet.mouth, driving, mouth)
        fed = {f"mouth_{part}": value[None] for part, value in seen.items()}
        if "eye_picture" in self._engine.inputs:
            pairs = zip((right, left), EYES, strict=True)
            eyes = [_seen_eye(person, sheet.eyes, driving, frame, points) for frame, points in pairs]
            fed |= {f"eye_{part}": np.stack([eye[part] for eye in eyes])[None] for part in eyes[0]}
        if "face_picture" in self._engine.inputs:
            face = _seen_whole(person, self._small_plate, driving)
            fed |= {f"face_{part}": value[None] for part, value in face.items()}
        changes = self._engine.infer({"embedding": self._embedding, **fed})
        check_numbers(changes, self._avatar.name)
        if "face_keep" in changes:
            mend(picture, face["hints"][1], *(changes[f"face_{name}"][0] for name in CHANGES))
        before = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA), np.uint8)
        for change in _changes(changes, "mouth", [mouth]) + _changes(changes, "eye", [right, left]):
            blend_region(picture, before, change, only=person.alpha)
        keep_detail(picture, before, driving)
        own = self.sheets.mouths.shown(driving) if self.sheets.mouths is not None else None
        if own is not None:
            own.draw(picture, View.whole(len(picture)))


def _seen_whole(person: DrawnPerson, plate: Picture, driving: Array) -> dict[str, Array]:
    """What the network sees of the whole picture, as of `avatar.model.refinement.Drawn`."""
    picture, hints = seen_face(person, plate, driving)
    return {"picture": _channels_first(picture), "drawing": draw_face(driving), "hints": _shares(hints)}


def _seen_mouth(picture: Picture, layers: MouthLayers, driving: Array, frame: RegionFrame) -> dict[str, Array]:
    """What the network sees of the mouth, as of `avatar.model.refinement.Drawn`."""
    view = View.region(frame.inverse(), MOUTH_SIZE[1], MOUTH_SIZE[0])
    seen = view.cut(picture)
    hints = layers.draw(seen, view, driving)
    return {"picture": _channels_first(seen), "drawing": draw_mouth(driving, frame), "hints": _shares(hints)}


def _seen_eye(
    person: DrawnPerson, layers: EyeLayers, driving: Array, frame: RegionFrame, points: tuple[tuple[int, ...], ...]
) -> dict[str, Array]:
    """The same of one eye, whose ring, iris and brow are `points`."""
    view = View.region(frame.inverse(), EYE_SIZE[1], EYE_SIZE[0])
    seen = view.cut(person.picture)
    hints = layers.draw_at(person.eyes, seen, view)
    return {"picture": _channels_first(seen), "drawing": draw_eye(driving, frame, *points), "hints": hints}


def _changes(given: Tensors, region: str, frames: Sequence[RegionFrame]) -> list[RegionChange]:
    """What the network changes in each of the region's frames; nothing where it does not know the region."""
    if f"{region}_keep" not in given:
        return []
    changes = []
    for i, frame in enumerate(frames):
        offset, keep, added = (given[f"{region}_{name}"][0] for name in CHANGES)
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
