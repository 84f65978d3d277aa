"""Does the background stand still, as behind a person it does?"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from avatar.evaluation.clip import Pictures
from avatar.evaluation.silhouette import Matte

RIM_PX = 6  # around the person, in pictures of 256: nothing is asked of it
SOMEBODY = 26  # of 255: from this matte on, a pixel may be the person's


def plate_deviation(pictures: Pictures, mattes: Sequence[Matte]) -> float:
    """Standard deviation in time of (N, S, S, 3) pictures, of 255: mean over the pixels that are more than RIM_PX away
    from where any of the mattes has the person. NaN where no such pixel is left.

    mattes: the drawn pictures' and the real ones', so that a hand or a strand that one of them misses does not count.
    """
    person = np.maximum.reduce(list(mattes)) >= SOMEBODY
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * RIM_PX + 1, 2 * RIM_PX + 1))
    behind = cv2.dilate(person.astype(np.uint8), disc) == 0
    return float(pictures[:, behind].astype(np.float32).std(0).mean()) if behind.any() else float("nan")
