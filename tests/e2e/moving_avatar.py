"""Pictures into a call, as the live loop would publish them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import cv2
import numpy as np

from avatar.core.frame import Frame
from avatar.webrtc.aiortc_patches.codecs import set_video_rates
from avatar.webrtc.congestion import BitRates

CELLS, CELL_PX = 16, 16  # a row of black and white squares: the time in ms, modulo 2^16, when it was published


def picture(index: int, side_px: int = 512) -> Frame:
    """A moving ramp with the time in its first rows."""
    rgb = np.empty((side_px, side_px, 3), np.uint8)
    rgb[:] = ((np.arange(side_px) // 2 + index * 3) % 200 + 28).astype(np.uint8)[None, :, None]
    now_ms = int(time.time() * 1000) & 0xFFFF
    bits = [255 if now_ms >> (CELLS - 1 - i) & 1 else 0 for i in range(CELLS)]
    rgb[:CELL_PX, : CELLS * CELL_PX] = np.repeat(bits, CELL_PX).astype(np.uint8)[None, :, None]
    return Frame(rgb, time.monotonic_ns(), index)


def lively(index: int) -> Frame:
    """The same in a picture that takes more bits than a talking head."""
    noise = np.random.default_rng(index % 30).integers(80, 170, (32, 32, 3), dtype=np.uint8)
    rgb, timed = np.asarray(cv2.resize(noise, (512, 512)), np.uint8), picture(index)
    rgb[:CELL_PX] = timed.rgb[:CELL_PX]
    return Frame(rgb, timed.capture_ns, index)


class MovingAvatar:
    """Publishes 30 pictures a second until `stop`."""

    def __init__(self, publish: Callable[[Frame], None], make: Callable[[int], Frame] = picture) -> None:
        set_video_rates(BitRates(), 30)
        self._publish, self._make = publish, make
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        index = 0
        while not self._over.wait(1 / 30):
            self._publish(self._make(index))
            index += 1

    def stop(self) -> None:
        self._over.set()
        self._thread.join()
