"""Eyes that look and shut: eyeballs drawn under the lids of a picture whose skin has moved already."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture
from avatar.face.face_model import face_model
from avatar.face.head_pose import HeadPose, head_pose
from avatar.render.eye_geometry import EyePlace, EyeSize, eye_place, lid_index, nose_edge
from avatar.render.eye_textures import EyeTextures, eye_textures
from avatar.render.iris_fit import fitted
from avatar.render.view import View

EYES = (0, 1)  # the subject's right one, the left one
GLINT_SHARE = 0.5  # of the iris' way that its catch-light goes
# Distance of the lids, in widths of the eye, at which an eye is shut: MediaPipe's never meet. In shares of the
# portrait's own, where that is less: narrow eyes are open.
SHUT, SHUT_SHARE = 0.05, 0.2
OPEN_AGAIN = 2.0  # times as far apart it is seen in full
LEAST_WORTH = 0.5  # of a lent eye's: below, it takes the place of the portrait's own
LEAST_FACING = 0.3  # cosine below which an eye is seen from the side: the nose hides it, or nothing is to be seen
MOST_ASIDE, MOST_UP = 0.36, 0.3  # of the eye's width: an iris further from the eye's middle is a mistake
AT_REST = 0.08  # of the eye's width: an iris so far from the portrait's has other lashes over it
LASH_LINE = 0.035  # likewise: height of the line of a shut eye
HIDDEN_BY_NOSE = 1.05  # u of the nose below which it may hide something


@dataclass(frozen=True, slots=True)
class _PortraitEye:
    size: EyeSize
    place: EyePlace
    iris_off: Array  # (2,) from where the tracker says that the iris is, (u, v)
    textures: EyeTextures

    @classmethod
    def of(cls, portrait: Picture, landmarks: Array, pose: HeadPose, eye: int) -> _PortraitEye | None:
        if not pose.scale > 0:
            return None
        size = EyeSize.of(landmarks, pose, eye)
        place = eye_place(landmarks, pose, eye, size)
        if place is None:
            return None
        place, off, factor = fitted(portrait, place)
        textures = eye_textures(portrait, place)
        return (
            None
            if textures is None
            else cls(replace(size, iris_radius=size.iris_radius * factor), place, off, textures)
        )

    @property
    def worth(self) -> float:
        """How much of the eye the portrait shows."""
        return self.place.width * self.place.opening * self.place.facing


def _better(own: _PortraitEye | None, lent: _PortraitEye | None) -> _PortraitEye | None:
    if own is None or lent is None:
        return own or lent
    return lent if own.worth < LEAST_WORTH * lent.worth else own


def seen_eyes(landmarks: Array) -> float:
    """How much a portrait with (478, 3) landmarks shows of the eye of which it shows less."""
    pose = head_pose(landmarks, face_model().mean_shape)
    places = (eye_place(landmarks, pose, eye, EyeSize.of(landmarks, pose, eye)) for eye in EYES)
    return min(0.0 if place is None else place.width * place.opening * place.facing for place in places)


class EyeLayers:
    """The eyes of one portrait (S, S, 3) with its (478, 3) landmarks in [0, 1].

    `drawn` (2,) says which of them, right and left, can be drawn at all: the portrait may show too little of one. What
    cannot be drawn is left as the picture has it.
    """

    def __init__(self, portrait: Picture, landmarks: Array, lender: EyeLayers | None = None) -> None:
        """`lender`: eyes of the same person in the same light, to be drawn where they are seen far better."""
        pose = head_pose(landmarks, face_model().mean_shape)
        own = [_PortraitEye.of(portrait, landmarks, pose, eye) for eye in EYES]
        lent = [None, None] if lender is None else lender._eyes
        self._eyes: list[_PortraitEye | None] = [_better(*pair) for pair in zip(own, lent, strict=True)]

    @property
    def drawn(self) -> tuple[bool, bool]:
        right, left = (eye is not None for eye in self._eyes)
        return right, left

    def draw(self, picture: Picture, view: View, driving: Array) -> Array:
        """Draw both eyes of (478, 3) driving landmarks into the picture, in place.

        Returns (2, h, w) in [0, 1]: where eyeballs are, and where their irises are.
        """
        return self.draw_at(self.places(driving), picture, view)

    def places(self, driving: Array) -> list[EyePlace | None]:
        """Where (478, 3) driving landmarks have the eyes. None where one is not to be drawn."""
        pose = head_pose(driving, face_model().mean_shape)
        found = zip(EYES, self._eyes, strict=True)
        return [None if portrait is None else _seen(driving, pose, eye, portrait.size) for eye, portrait in found]

    def draw_at(self, places: list[EyePlace | None], picture: Picture, view: View) -> Array:
        """As `draw`, eyes that are at such `places`."""
        hints = np.zeros((2, view.height, view.width), np.float32)
        for place, portrait in zip(places, self._eyes, strict=True):
            if place is not None and portrait is not None:
                _draw_eye(picture, hints, view, place, portrait)
        return hints


def _seen(driving: Array, pose: HeadPose, eye: int, size: EyeSize) -> EyePlace | None:
    place = eye_place(driving, pose, eye, size)
    return place if place is not None and place.facing > LEAST_FACING else None


def _draw_eye(picture: Picture, hints: Array, view: View, place: EyePlace, portrait: _PortraitEye) -> None:
    textures, own = portrait.textures, portrait.place
    box = _box(_square(view.matrix) @ _square(place.to_crop), place, view)
    if box is None:
        return
    left, top, right, bottom = box
    size = (right - left, bottom - top)
    pixels = view.scale * float(np.hypot(*place.to_crop[:, 1]))  # of the picture for one v
    box_to_crop = _inverse(view.matrix) @ np.array([[1, 0, left + 0.5], [0, 1, top + 0.5], [0, 0, 1]])
    box_to_eye = _inverse(place.to_crop) @ box_to_crop
    x, y = np.arange(size[0], dtype=np.float32), np.arange(size[1], dtype=np.float32)[:, None]
    u, v = (np.float32(row[0]) * x + (row[1] * y + row[2]).astype(np.float32) for row in box_to_eye[:2])
    at = lid_index(u)
    upper, lower = place.upper[at], place.lower[at]
    under, over = v - upper, lower - v
    open_share = _open(place.opening, own.opening)
    soft = min(textures.softness, max(place.opening, 0.0) / 3)
    sharpness, reach = np.float32(pixels / max(1.0, soft * pixels)), np.float32(0.8 - 0.3 * open_share)
    # shut lids are covered up to their edges: nothing white is left in the slit
    alpha = np.clip(under * sharpness + reach, 0, 1) * np.clip(over * sharpness + reach, 0, 1)
    if place.nose[..., 0].min() < HIDDEN_BY_NOSE:
        alpha *= np.clip((nose_edge(place.nose, v) - u) * sharpness, 0, 1)

    iris = np.clip(place.iris + portrait.iris_off, (0.5 - MOST_ASIDE, -MOST_UP), (0.5 + MOST_ASIDE, MOST_UP))
    box_to_white = textures.from_eye @ box_to_eye
    centre = place.to_crop[:, :2] @ iris + place.to_crop[:, 2]
    to_iris = _disc(own.disc, own.iris_centre) @ _inverse(_disc(place.disc, centre)[:2])
    colour = _warped(textures.white, box_to_white, size, cv2.BORDER_REPLICATE)
    disc = _warped(textures.iris, textures.from_crop @ to_iris @ box_to_crop, size)
    hides = disc[..., 3:]
    colour *= 1 - hides
    colour += disc[..., :3]
    if textures.glint is not None:
        back = box_to_white.copy()
        back[:2, 2] += textures.from_eye[:2, :2] @ (GLINT_SHARE * (own.iris - iris))
        colour += _warped(textures.glint, back, size) * hides

    share = np.clip(under / np.maximum(lower - upper, 0.01), -0.2, 1.2)
    own_upper = own.upper[at]
    own_v = own_upper + share * (own.lower[at] - own_upper)
    across, down = textures.from_eye[:2].astype(np.float32)
    colour *= cv2.remap(
        _lids(textures, float(np.hypot(*(iris - own.iris)))),
        across[0] * u + across[1] * own_v + (across[2] - np.float32(0.5)),
        down[0] * u + down[1] * own_v + (down[2] - np.float32(0.5)),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if open_share < 1:
        skin = np.clip(over / LASH_LINE - 1, 0, 1)[..., None]
        colour = open_share * colour + (1 - open_share) * (textures.lash + skin * (textures.skin - textures.lash))
    part = picture[top:bottom, left:right]
    drawn = np.clip(colour + np.float32(0.5), 0, 255).astype(np.uint8)
    part[:] = cv2.blendLinear(drawn, np.ascontiguousarray(part), alpha, 1 - alpha)
    alpha *= open_share
    hints[0, top:bottom, left:right] = np.maximum(hints[0, top:bottom, left:right], alpha)
    hints[1, top:bottom, left:right] = np.maximum(hints[1, top:bottom, left:right], alpha * hides[..., 0])


def _lids(textures: EyeTextures, way: float) -> Array:
    """The lids' texture for an iris that is `way` from where the portrait has it, in widths of the eye."""
    if way >= AT_REST:
        return textures.lids
    share = way / AT_REST
    return np.asarray(cv2.addWeighted(textures.lids, share, textures.lids_at_rest, 1 - share, 0), np.float32)


def _open(opening: float, own: float) -> float:
    """How much is seen of an eye: 0 where it is shut."""
    shut = min(SHUT, SHUT_SHARE * own)
    share = min(max((opening - shut) / ((OPEN_AGAIN - 1) * shut), 0.0), 1.0)
    return share * share * (3 - 2 * share)


def _box(to_pixels: NDArray[np.float64], place: EyePlace, view: View) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of the pixels that the eye can touch."""
    high, low = float(place.upper.min()), float(place.lower.max())
    corners = to_pixels[:2, :2] @ np.array([[-0.05, 1.05, -0.05, 1.05], [high, high, low, low]]) + to_pixels[:2, 2:]
    if not np.isfinite(corners).all():
        return None
    least, most = corners.min(1) - 1, corners.max(1) + 1
    limit = np.array([view.width, view.height])
    left, top = (int(value) for value in np.clip(np.floor(least), 0, limit))
    right, bottom = (int(value) for value in np.clip(np.ceil(most), 0, limit))
    return (left, top, right, bottom) if right > left and bottom > top else None


def _warped(texture: Array, to_texture: Array, size: tuple[int, int], border: int = cv2.BORDER_CONSTANT) -> Array:
    matrix = to_texture[:2].copy()
    matrix[:, 2] -= 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(texture, matrix, size, flags=flags, borderMode=border), np.float32)


def _disc(linear: Array, centre: Array) -> NDArray[np.float64]:
    """(3, 3) from the unit disc."""
    disc = np.eye(3)
    disc[:2, :2], disc[:2, 2] = linear, centre
    return disc


def _inverse(affine: NDArray[Any]) -> NDArray[np.float64]:
    """(3, 3) of a (2, 3) map."""
    return _square(np.asarray(cv2.invertAffineTransform(affine)))


def _square(affine: NDArray[Any]) -> NDArray[np.float64]:
    """(3, 3) of a (2, 3) map."""
    square = np.eye(3)
    square[:2] = affine
    return square
