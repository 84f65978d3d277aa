"""From what is typed after --to, to a publisher."""

from __future__ import annotations

from pathlib import Path

from avatar.errors import UsageError
from avatar.publish.preview import Preview
from avatar.publish.publisher import Publisher
from avatar.publish.recorder import Recorder
from avatar.publish.video_writer import CONTAINERS
from avatar.publish.virtual_camera import VirtualCamera


def open_publisher(spec: str) -> Publisher:
    """The publisher for "virtual-camera", "virtual-camera:/dev/video10", "preview" or "FILE.mp4", ready to `open`.

    Raises UsageError for anything else, and for a file that cannot be written.

    >>> open_publisher("virtual-camera:/dev/video10").device
    '/dev/video10'
    """
    kind, _, device = spec.partition(":")
    if kind == "virtual-camera":
        return VirtualCamera(device or None)
    if spec == "preview":
        return Preview()
    if Path(spec).suffix.lower() in CONTAINERS:
        return Recorder(Path(spec))
    raise UsageError(f"--to {spec} is not known. Use virtual-camera, virtual-camera:/dev/video10, preview or FILE.mp4.")
