"""Which red, green, blue and white a picture's numbers mean: by their chromaticities, and as light in XYZ.

Sources: ITU-T H.273, table 2; Adobe RGB (1998).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Chromaticities = tuple[tuple[float, float], ...]  # x, y of red, green, blue and white

D65 = (0.3127, 0.3290)
REC_709: Chromaticities = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), D65)
ADOBE_RGB: Chromaticities = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), D65)
DISPLAY_P3: Chromaticities = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65)
REC_2020: Chromaticities = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65)


def in_xyz(primaries: Chromaticities) -> NDArray[np.float64]:
    """(3, 4): XYZ of red, green, blue and white in columns, each with a Y of 1."""
    xy = np.asarray(primaries, np.float64)
    return np.asarray((np.column_stack([xy, 1 - xy.sum(1)]) / xy[:, 1:]).T)


def to_xyz(primaries: Chromaticities) -> NDArray[np.float64]:
    """(3, 3): of linear RGB whose (1, 1, 1) is the white."""
    xyz = in_xyz(primaries)
    return np.asarray(xyz[:, :3] * np.linalg.solve(xyz[:, :3], xyz[:, 3]))
