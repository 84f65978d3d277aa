"""Does a hand, a cup or a microphone hide eyes, nose or mouth? Seen by what they looked like before.

The tracker draws a whole face whatever is in front of it: what it says of a covered part is invented.
"""

from __future__ import annotations

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture

# The face is laid out like this, (x, y) in pixels: outer eye corners and the mouth's middle
WIDTH, HEIGHT = 64, 72
_PLACES = np.array([[16, 22], [48, 22], [32, 48]], np.float32)
_EYE_CORNERS, _MOUTH = (33, 263), (13, 14, 61, 291)
_FACE = np.s_[8:62, 8:56]  # rows, columns
_PARTS = {
    "right eye": np.s_[12:29, 14:29],
    "left eye": np.s_[12:29, 35:50],
    "nose": np.s_[26:43, 23:41],
    "mouth": np.s_[41:58, 19:45],
}

# A part is hidden when it has another pattern than before, and another colour, lightness or no pattern at all.
# Of 30 clips of talking people, 0.1 % of the frames are taken for that; of painted hands and cups 99 %, of microphones
# before the mouth 89 %, of sheets over half a face 70 to 80 %.
ALIKE = 0.8  # correlation of luma, from which on a pattern is the same
COLOUR = 10.0  # mean a, b of Lab (8 bits each) after the face's own change of light
LIGHT = 0.35  # mean luma, likewise, in shares of what it was
FLAT, FLAT_EYE = 0.47, 0.35  # standard deviation of luma, in shares of what it was; a shut eye is flat, too

LEARN_S, FIRST_S = 2.0, 0.3  # time constants with which a look is learnt
BELIEVE_S = 10.0  # what has covered a face for this long is how it looks now: a mask, new glasses
NEW_S = 0.8  # the same for one who has just come: it may be somebody else
GONE_S = 1.0  # without a face, or a jump by its own size: somebody has come, also for `face_describer`
MOST_LOOKS = 3


class FaceCover:
    """Watches one face over time. Nothing but a share in [0, 1] leaves it."""

    def __init__(self) -> None:
        self._looks: list[Array] = []  # each (HEIGHT, WIDTH, 3) in Lab: what is known as the uncovered face
        self._learnt_s = self._covered_s = 0.0
        self._believe_s = BELIEVE_S
        self._last_ns: int | None = None
        self._centre: Array = np.zeros(2, np.float32)

    def share(self, rgb: Picture, landmarks: Array, capture_ns: int) -> float:
        """Which share of eyes, nose and mouth is hidden, for (478, 3) landmarks in pixels of the (H, W, 3) picture."""
        centre, size = landmarks[:, :2].mean(0), float(np.ptp(landmarks[:, 1]))
        elapsed_s = 0.0 if self._last_ns is None else (capture_ns - self._last_ns) / 1e9
        if not 0 <= elapsed_s <= GONE_S or np.linalg.norm(centre - self._centre) > size:
            elapsed_s, self._believe_s = 0.0, NEW_S
        self._last_ns, self._centre = capture_ns, centre
        now = _laid_out(rgb, landmarks)
        if not self._looks:
            self._looks.append(now)
        hidden = [_hidden(now, look) for look in self._looks]
        best = int(np.argmin(hidden))
        if hidden[best] == 0:
            self._covered_s, self._believe_s = 0.0, BELIEVE_S
            self._learnt_s += elapsed_s
            time_s = FIRST_S if self._learnt_s < 1 else LEARN_S
            self._looks[best] += np.float32(1 - np.exp(-elapsed_s / time_s)) * (now - self._looks[best])
            return 0.0
        self._covered_s += elapsed_s
        if self._covered_s > self._believe_s:
            self._looks = [now, *self._looks][:MOST_LOOKS]
            self._covered_s = self._learnt_s = 0.0
        return hidden[best] / len(_PARTS)


def _laid_out(rgb: Picture, landmarks: Array) -> Array:
    places = np.stack([*landmarks[list(_EYE_CORNERS), :2], landmarks[list(_MOUTH), :2].mean(0)]).astype(np.float32)
    flat = cv2.warpAffine(rgb, cv2.getAffineTransform(places, _PLACES), (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
    return cv2.cvtColor(flat, cv2.COLOR_RGB2LAB).astype(np.float32)


def _hidden(now: Array, look: Array) -> int:
    """How many parts are."""
    light = float(np.median(now[_FACE][..., 0] / np.maximum(look[_FACE][..., 0], 8)))
    tint = np.median((now - look)[_FACE][..., 1:].reshape(-1, 2), axis=0)
    return sum(_is_hidden(name, now[part], look[part], light, tint) for name, part in _PARTS.items())


def _is_hidden(name: str, now: Array, look: Array, light: float, tint: Array) -> bool:
    luma, before = now[..., 0] / max(light, 1e-3), look[..., 0]
    spread, spread_before = max(float(luma.std()), 0.5), max(float(before.std()), 0.5)
    alike = float(((luma - luma.mean()) * (before - before.mean())).mean()) / (spread * spread_before)
    if alike >= ALIKE:
        return False
    colour = np.linalg.norm((now[..., 1:] - look[..., 1:]).reshape(-1, 2).mean(0) - tint)
    lightness = abs(float(luma.mean() - before.mean())) / max(float(before.mean()), 20)
    flat = FLAT_EYE if "eye" in name else FLAT
    return bool(colour > COLOUR or lightness > LIGHT or spread < flat * spread_before)
