"""OpenCV without its pool of threads.

A pool's threads go on waiting for work actively once they have had some. While the network, the tracker and the program
that shows the picture want the same cores, that costs a live picture 2.5 to 5 core-milliseconds, and gains it no time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """OpenCV works in the thread that calls it; what the program had chosen holds again afterwards."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
