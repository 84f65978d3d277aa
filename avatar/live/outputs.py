"""From what is typed after --to, to a publisher."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from avatar.core.errors import DeviceError, UsageError
from avatar.core.extras import install
from avatar.publish.advice import virtual_camera_advice
from avatar.publish.pipewire import PipeWireCamera, why_no_pipewire
from avatar.publish.preview import Preview
from avatar.publish.publisher import Publisher
from avatar.publish.recorder import Recorder
from avatar.publish.video_writer import CONTAINERS
from avatar.publish.virtual_camera import VirtualCamera
from avatar.sources.v4l2 import video_devices
from engines import Say, on_stderr


def open_publishers(specs: Sequence[str], camera: str, say: Say = on_stderr) -> list[Publisher]:
    """One publisher for each --to. `say` is told in one line which of several ways was taken.

    Raises UsageError also where a file would be written twice, or over `camera`; DeviceError where a virtual camera
    is asked for and there is no way to have one.
    """
    publishers = [open_publisher(spec, say) for spec in specs]
    taken = {Path(camera).resolve(): "is the video that plays the camera"}
    for publisher in publishers:
        if isinstance(publisher, Recorder):
            path = publisher.path.resolve()
            if path in taken:
                raise UsageError(f"--to {publisher.path} {taken[path]}. Name another file.")
            taken[path] = "is given twice"
    return publishers


def open_publisher(spec: str, say: Say = on_stderr) -> Publisher:
    """The publisher for virtual-camera, virtual-camera:/dev/video10, pipewire, preview, FILE.mp4 or whip:URL.

    Raises UsageError for anything else, and for a file that cannot be written; DeviceError where there is no way to
    have a virtual camera.

    >>> open_publisher("virtual-camera:/dev/video10").device
    '/dev/video10'
    """
    kind, _, device = spec.partition(":")
    if kind == "virtual-camera":
        return VirtualCamera(device) if device else _any_virtual_camera(say)
    if spec == "pipewire":
        return PipeWireCamera()
    if spec == "preview":
        return Preview()
    if kind == "whip":
        return _whip(device, say)
    if Path(spec).suffix.lower() in CONTAINERS:
        return Recorder(Path(spec))
    raise UsageError(
        f"--to {spec} is not known. Use virtual-camera, virtual-camera:/dev/video10, pipewire, preview, FILE.mp4 or "
        "whip:https://…"
    )


def _whip(url: str, say: Say) -> Publisher:
    try:
        from avatar.webrtc.whip import WhipPublisher
        from avatar.webrtc.whip_target import WhipTarget
    except ImportError as error:
        raise UsageError(f"--to whip: needs {error.name}, which is missing: {install('aiortc')}") from error
    return WhipPublisher(WhipTarget.parse(url), say=say)


def _any_virtual_camera(say: Say) -> Publisher:
    """v4l2loopback's where there is one, since every program reads it; else PipeWire's: no kernel module."""
    if not sys.platform.startswith("linux"):
        return VirtualCamera()
    loopbacks = [device for device in video_devices() if device.loopback]
    # one that is a camera already has a program that writes to it
    usable = sorted((device for device in loopbacks if not device.locked), key=lambda device: device.captures)
    lack = "this user may not open v4l2loopback's device" if loopbacks else "there is no v4l2loopback device"
    if usable and find_spec("pyvirtualcam") is None:
        lack = "pyvirtualcam is missing, which writes to v4l2loopback"
    elif usable:
        say(f"Virtual camera: {usable[0].path} ({usable[0].card}), by v4l2loopback.")
        return VirtualCamera(usable[0].path)
    problem = why_no_pipewire()
    if problem is None:
        camera = PipeWireCamera()
        say(f'Virtual camera: "{camera.description}" in PipeWire, since {lack}.')
        return camera
    raise DeviceError(f"No virtual camera: {lack}, and:\n{problem}\n{virtual_camera_advice()}")
