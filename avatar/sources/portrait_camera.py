"""A camera for measuring without a person: the avatar's own portrait, swaying and coming nearer before a still view."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.frame import Frame
from avatar.sources.playback import Playback

WIDTH, HEIGHT = 640, 480
SWAY_PX, SWAY_PERIOD_S = 24.0, 3.1
ZOOM, ZOOM_PERIOD_S = 0.08, 4.3
ROLL_DEGREES, ROLL_PERIOD_S = 6.0, 5.3


class PortraitCamera:
    """An endless Camera at `fps`. The tracker has a real face to follow, so its cost is that of a person's picture."""

    def __init__(self, portrait: NDArray[np.uint8], fps: float = 30.0) -> None:
        """`portrait` is an (H, W, 3) RGB picture of a face."""
        self.name = "the avatar's own portrait, moving"
        self.fps = fps
        self._portrait = portrait
        self._playback = Playback(self._frames, gap_s=1 / fps)

    @property
    def dropped(self) -> int:
        return self._playback.dropped

    def read(self) -> Frame | None:
        played = self._playback.read()
        return None if played is None else replace(played.item, capture_ns=played.due_ns, index=played.index)

    def close(self) -> None:
        """Nothing to release."""

    def _frames(self) -> Iterator[tuple[float, Frame]]:
        for index in itertools.count():
            media_s = index / self.fps
            yield media_s, Frame(self.view(media_s), 0, index, media_s)

    def view(self, media_s: float) -> NDArray[np.uint8]:
        """(HEIGHT, WIDTH, 3): what it shows at that time."""

        def wave(period_s: float) -> float:
            return math.sin(2 * math.pi * media_s / period_s)

        height, width = self._portrait.shape[:2]
        scale = HEIGHT / height * (1 + ZOOM * wave(ZOOM_PERIOD_S))
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), ROLL_DEGREES * wave(ROLL_PERIOD_S), scale)
        turn[:, 2] += (WIDTH / 2 - width / 2 + SWAY_PX * wave(SWAY_PERIOD_S), HEIGHT / 2 - height / 2)
        view = cv2.warpAffine(self._portrait, turn, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(view, np.uint8)
