"""Where finished pictures go."""

from __future__ import annotations

from abc import ABC, abstractmethod

from avatar.core.frame import Frame


class Publisher(ABC):
    """A virtual camera, a file, a window. `open`, `send` per frame, `close`: one at a time, maybe from two threads.

    `send` never blocks the loop: a publisher that cannot keep up drops frames and counts them in `dropped`. After
    `close`, also after a failure, `open` may be called again: that is how a device that came back is taken up.
    """

    name: str = "the publisher"  # in messages, e.g. "/dev/video10"
    keeps_size: str = ""  # why, and what to do, where it takes only frames of the size with which it was opened
    dropped: int = 0
    watched: bool = True  # whether anybody may see what is sent; an avatar that idles for nobody is drawn seldom

    @abstractmethod
    def open(self, width: int, height: int, fps: float) -> None:
        """Get ready for frames of this size. Raises DeviceError, naming what to install or type."""

    @abstractmethod
    def send(self, frame: Frame) -> None:
        """Show or store one frame. Raises DeviceError when the device has gone."""

    @abstractmethod
    def close(self) -> None:
        """Finish what was opened, also after a failure of `open` or `send`. Does nothing when nothing is open."""
