"""Between the lips the network decides tones, the layers detail: a net that cannot know where a tongue is paints haze.

As for every region: its own high frequencies on the low ones of what lies around it.
"""

from __future__ import annotations

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.face.regions import LIPS_INNER
from avatar.render.arch import Box
from avatar.render.mouth_layers import between_lips
from avatar.render.view import View

DETAIL = 0.9  # share of the layers' detail: with all of it, tongue and teeth look cut out
FINER = 8 / 512  # standard deviation, of the picture's side: finer is detail, a tooth and its gaps but no row
SOFT = 1.5 / 512  # the same of the border at the lips


def keep_detail(picture: Picture, before: Picture, driving: Array) -> None:
    """Give the (S, S, 3) picture, in place, the detail that it had `before`, (S, S, 4), between the driven lips.

    driving: (478, 3) landmarks in [0, 1].
    """
    view = View.whole(len(picture))
    lips = view.pixels(driving[list(LIPS_INNER)])
    fine_px, soft_px = FINER * len(picture), SOFT * len(picture)
    box = Box.around(lips, round(2 * fine_px), view)
    if box is None:
        return
    share = cv2.GaussianBlur(between_lips(lips, box) * np.float32(DETAIL / 255), (0, 0), soft_px)
    part = picture[box.slices]
    # what the layers' detail has more than the picture's own
    more = np.asarray(before[box.slices][..., :3], np.float32) - part
    finer = more - cv2.GaussianBlur(more, (0, 0), fine_px)
    part[:] = np.clip(np.rint(part + np.asarray(share, np.float32)[..., None] * finer), 0, 255)
