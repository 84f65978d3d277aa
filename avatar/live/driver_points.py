"""What the tracker sees of whoever drives, for the owner to see over their own camera's picture: points alone."""

from __future__ import annotations

import time
from dataclasses import dataclass

from avatar.face import regions as at
from avatar.face.state import FaceState

POINTS = (
    *at.FACE_OVAL[::2], *at.RIGHT_BROW, *at.LEFT_BROW, *at.RIGHT_EYE[::2], *at.LEFT_EYE[::2], *at.RIGHT_IRIS,
    *at.LEFT_IRIS, *at.LIPS_OUTER[::2], *at.LIPS_INNER[::2],
)  # fmt: skip
STALE_S = 0.5  # the camera is off, or has another picture by now
DIGITS = 3

Points = list[list[float]]


@dataclass(frozen=True, slots=True)
class Tracked:
    """What was found in a camera's picture, and how large that was."""

    state: FaceState
    size: tuple[int, int]  # width and height in pixels


def driver_points(tracked: Tracked | None) -> Points:
    """[x, y] of each of POINTS in [0, 1] of the camera's picture; none without a face, and of a picture long past."""
    if tracked is None or not tracked.state.found:
        return []
    if time.monotonic_ns() - tracked.state.capture_ns > STALE_S * 1e9:
        return []
    points = tracked.state.landmarks[list(POINTS), :2] / tracked.size
    return [[round(float(x), DIGITS), round(float(y), DIGITS)] for x, y in points]
