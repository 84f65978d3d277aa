"""The part of a frame that was filmed: networks trained on padded crops learn to draw the padding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GREY, GREY_SPREAD = 110, 7  # VoxCeleb2 fills up what lies beyond the picture with it
BLACK = 20  # letterboxes, after lossy coding
UNIFORM = 10  # between the 5th and the 95th percentile of a line
EDGE_STEP, EDGE_SHARE = 10, 0.5  # where padding ends, half of the line's pixels change: where a backdrop ends, few do
BLURRED_LINES = 3  # that coding smears across the edge, and that are taken off too


def content_box(rgb: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of an (H, W, 3) picture without grey or black bars; the whole of it where none are."""
    top, bottom = _bar(rgb), rgb.shape[0] - _bar(rgb[::-1])
    turned = rgb[top:bottom].swapaxes(0, 1)  # bars at the sides end where those above and below begin
    return _bar(turned), top, rgb.shape[1] - _bar(turned[::-1]), bottom


def _bar(lines: NDArray[np.uint8]) -> int:
    """How many lines from the first one on are padding: at most a third."""
    most = len(lines) // 3
    count = 0
    while count < most and _is_padding(lines[count]):
        count += 1
    if count in (0, most):
        return 0
    band = np.median(lines[count - 1], axis=0)
    inside = lines[min(count + BLURRED_LINES, len(lines) - 1)]
    changed = (np.abs(inside - band).max(axis=1) > EDGE_STEP).mean()
    return count + BLURRED_LINES if changed >= EDGE_SHARE else 0


def _is_padding(line: NDArray[np.uint8]) -> bool:
    low, middle, high = np.percentile(line, [5, 50, 95], axis=0)
    if (high - low).max() > UNIFORM:
        return False
    return bool(middle.max() <= BLACK or np.abs(middle - GREY).max() <= GREY_SPREAD)
