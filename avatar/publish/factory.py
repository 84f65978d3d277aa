"""From what is typed after --to, to a publisher."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from avatar.errors import UsageError
from avatar.publish.preview import Preview
from avatar.publish.publisher import Publisher
from avatar.publish.recorder import Recorder
from avatar.publish.video_writer import CONTAINERS
from avatar.publish.virtual_camera import VirtualCamera


def open_publishers(specs: Sequence[str], camera: str) -> list[Publisher]:
    """One publisher for each --to. Raises UsageError also where a file would be written twice, or over `camera`."""
    publishers = [open_publisher(spec) for spec in specs]
    taken = {Path(camera).resolve(): "is the video that plays the camera"}
    for publisher in publishers:
        if isinstance(publisher, Recorder):
            path = publisher.path.resolve()
            if path in taken:
                raise UsageError(f"--to {publisher.path} {taken[path]}. Name another file.")
            taken[path] = "is given twice"
    return publishers


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
