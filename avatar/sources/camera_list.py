"""The webcams of this computer, for people to choose from."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from avatar.sources.camera_modes import CameraMode, best_mode, camera_modes
from avatar.sources.video_devices import video_devices

PROBED = 6  # numbers that are tried on macOS and Windows, which do not list their cameras to OpenCV


@dataclass(frozen=True, slots=True)
class ListedCamera:
    """One camera; `number`, `path` or `name` is what --camera takes."""

    number: int
    path: str | None  # None on other systems than Linux
    name: str
    mode: CameraMode | None  # the one that would be taken; None where the driver does not tell
    virtual: bool  # v4l2loopback: another program's picture, perhaps our own
    state: str  # "free", "held by zoom (7)" or "not allowed"


def list_cameras() -> list[ListedCamera]:
    """All devices that give pictures. On Linux none is opened for pictures; elsewhere each is, for a moment."""
    if not sys.platform.startswith("linux"):
        return _probe()
    return [
        ListedCamera(
            number=device.number,
            path=device.path,
            name=device.card,
            mode=best_mode(camera_modes(device.path)),
            virtual=device.loopback,
            state=device.state,
        )
        for device in video_devices()
        if device.captures
    ]


def _probe() -> list[ListedCamera]:
    """Written to OpenCV's documentation and never run: there was no such computer."""
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # no camera of a number is no news
    found: list[ListedCamera] = []
    for number in range(PROBED):
        device = cv2.VideoCapture(number, cv2.CAP_ANY)
        if device.isOpened():
            width, height, fps = (device.get(p) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT,
                                                          cv2.CAP_PROP_FPS))  # fmt: skip
            mode = CameraMode(int(width), int(height), float(fps), "") if width and height else None
            found.append(ListedCamera(number, None, f"camera {number}", mode, virtual=False, state="free"))
        device.release()
    return found
