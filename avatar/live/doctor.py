"""What this computer has and lacks of the things that visavis needs."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from shlex import quote
from typing import Literal

from avatar.core.errors import VisavisError
from avatar.core.extras import install, missing_of
from avatar.core.model_files import model_file, shipped_sums
from avatar.core.paths import home, readable_by_others
from avatar.core.system import install_command, missing_libraries, system_family
from avatar.publish.advice import INSTALL_PYVIRTUALCAM, virtual_camera_advice
from avatar.publish.pipewire import why_no_pipewire
from avatar.sources.local_cameras import list_cameras
from avatar.sources.v4l2 import VideoDevice, video_devices
from avatar.tracking.cage_process import examine_cage

State = Literal["ok", "note", "missing"]  # "missing" is reserved for what enroll and drive cannot do without
SUPPORTED_PYTHON = ((3, 11), (3, 13))
SLOW_CAMERA_FPS = 20.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    state: State
    found: str
    mend: str | None = None  # the command or sentence that brings it, for this system


def examine() -> list[Finding]:
    """Look at everything. Installs, fetches and changes nothing; takes a second or two, most of it importing."""
    checks: tuple[Callable[[], Finding], ...] = (
        _python,
        _system_libraries,
        _tracker,
        _tracker_model,
        _shipped_files,
        _engines,
        _cameras,
        _virtual_camera,
        _pyvirtualcam,
        _pipewire,
        _calls,
        _microphones,
        _faces,
    )
    return [check() for check in checks]


def _python() -> Finding:
    low, high = SUPPORTED_PYTHON
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if low <= sys.version_info[:2] <= high:
        return Finding("Python", "ok", found)
    versions = f"{low[0]}.{low[1]} to {high[0]}.{high[1]}"
    return Finding("Python", "missing", found, f"Install visavis with Python {versions}: python3.13 -m venv .venv")


def _system_libraries() -> Finding:
    name, missing = "System libraries", missing_libraries()
    if not missing:
        return Finding(name, "ok", "all there")
    found = ", ".join(f"{library.soname} (for {library.needed_by})" for library in missing) + " not found"
    return Finding(name, "missing", found, install_command(missing, system_family()))


def _tracker() -> Finding:
    name = "Face tracker"
    walls, missing = examine_cage()
    if missing is not None:
        mend = f"{install('mediapipe')}    # or the system libraries named above"
        return Finding(name, "missing", f"MediaPipe does not import: {missing}", mend)
    found = f"MediaPipe {version('mediapipe')}, in a process of its own"
    if walls.network is not None:
        reachable = f"whose network and files stay reachable ({walls.network}); it may send usage logs"
        return Finding(name, "note", f"{found} {reachable}")
    if walls.files is not None:
        return Finding(name, "note", f"{found} without a network, to which your files stay open ({walls.files})")
    return Finding(
        name, "ok", f"{found}, to which the kernel refuses every socket, program and file but its own (tried)"
    )


def _tracker_model() -> Finding:
    from avatar.tracking.model_asset import cached_model, tracker_model

    name = "Face tracker's model"
    try:
        path = tracker_model() if os.environ.get("VISAVIS_TRACKER_MODEL") else cached_model()
    except VisavisError as error:
        return Finding(name, "missing", "VISAVIS_TRACKER_MODEL names a wrong file", str(error))
    if path is None:
        mend = f"{sys.executable} -m avatar.tracking.model_asset"
        return Finding(name, "note", "not there yet; the first use fetches it (3.8 MB). To fetch it now:", mend)
    return Finding(name, "ok", f"{path} (checked by sha256)")


def _shipped_files() -> Finding:
    name = "Networks"
    try:
        paths = [model_file(file) for file in shipped_sums()]
    except VisavisError as error:
        return Finding(name, "missing", "this installation is not whole", str(error))
    megabytes = sum(path.stat().st_size for path in paths) / 1e6
    return Finding(name, "ok", f"{len(paths)} files ({megabytes:.0f} MB), checked by sha256")


def _engines() -> Finding:
    from engines import available_backends

    backends = available_backends()
    parts = [name if reason is None else f"{name} unusable ({reason})" for name, reason in backends.items()]
    if any(reason is None for reason in backends.values()):
        return Finding("Engines", "ok", "; ".join(parts))
    return Finding("Engines", "missing", "; ".join(parts), install("onnxruntime"))


def _cameras() -> Finding:
    name = "Cameras"
    if not sys.platform.startswith("linux"):
        return Finding(name, "note", "not looked for here, as that switches them on", "visavis cameras")
    cameras = [camera for camera in list_cameras() if not camera.virtual]
    if not cameras:
        mend = "Plug one in, or let a video play the camera: visavis live NAME --camera FILE.mp4 --to preview"
        return Finding(name, "note", "none", mend)
    found = "; ".join(
        f"{camera.path} {camera.name}, {camera.mode or 'any mode'} ({camera.state})" for camera in cameras
    )
    if any(camera.state == "not allowed" for camera in cameras):
        return Finding(name, "note", found, "sudo usermod -aG video $USER    # then log out and in again")
    if all(camera.mode and 0 < camera.mode.fps < SLOW_CAMERA_FPS for camera in cameras):
        mend = "Slower than a video call. Plug the camera into another port, without a hub, or use another camera."
        return Finding(name, "note", found, mend)
    return Finding(name, "ok", found)


def _virtual_camera() -> Finding:
    name = "Virtual camera"
    if not sys.platform.startswith("linux"):
        return Finding(name, "note", "OBS Studio's, not checked on this system", virtual_camera_advice())
    devices = [device for device in video_devices() if device.loopback]
    usable = [device for device in devices if not device.locked]
    if not usable:
        found = "; ".join(_describe(device) for device in devices) or "no v4l2loopback device"
        mend = "sudo usermod -aG video $USER    # then log out and in again" if devices else virtual_camera_advice()
        return Finding(name, "note", found, mend)
    found = "; ".join(_describe(device) for device in usable)
    capabilities = Path("/sys/module/v4l2loopback/parameters/exclusive_caps")
    if capabilities.is_file() and "Y" not in capabilities.read_text():
        mend = "sudo modprobe -r v4l2loopback && " + "sudo modprobe v4l2loopback video_nr=10 exclusive_caps=1"
        return Finding(name, "note", f"{found}; without exclusive_caps=1, so Chrome will not list it", mend)
    return Finding(name, "ok", found)


def _pyvirtualcam() -> Finding:
    try:
        return Finding("pyvirtualcam", "ok", version("pyvirtualcam"))
    except PackageNotFoundError:
        return Finding("pyvirtualcam", "note", "not installed; v4l2loopback and OBS need it", INSTALL_PYVIRTUALCAM)


def _pipewire() -> Finding:
    name = "PipeWire"
    if not sys.platform.startswith("linux"):
        return Finding(name, "note", "there is none on this system; the virtual camera does not need it")
    problem = why_no_pipewire()
    if problem is None:
        return Finding(name, "ok", "running: without v4l2loopback, browsers see the avatar as a camera through it")
    return Finding(name, "note", "not running for this user; a way to a virtual camera without v4l2loopback", problem)


def _calls() -> Finding:
    name, missing = "Calls", missing_of("call")
    if missing:
        found = f"`call`, `live --to whip:` and `--camera whip` need {' and '.join(missing)}"
        return Finding(name, "note", found, install(missing[0]))
    return Finding(name, "ok", f"aiortc {version('aiortc')}, aiohttp {version('aiohttp')}")


def _microphones() -> Finding:
    """Of this computer, for `call --microphone`; the page's needs nothing."""
    name = "Microphones"
    try:
        import sounddevice  # type: ignore[import-untyped]

        names = [str(found["name"]) for found in sounddevice.query_devices() if found["max_input_channels"]]
    except (ImportError, OSError) as error:  # its own library
        mend = "sudo apt-get install libportaudio2    # only for `call --microphone`; the page's needs nothing"
        return Finding(name, "note", str(error), mend)
    return Finding(name, "ok", ", ".join(names) if names else "none here; `call` takes the page's")


def _faces() -> Finding:
    """Whether anybody else can read what is in the home folder."""
    name = "Your faces"
    try:
        open_to_others = readable_by_others()
        folder = home()
    except VisavisError as error:
        return Finding(name, "missing", "there is no place for them", str(error))
    if open_to_others:
        found = f"files in {folder} can be read by others: {', '.join(path.name for path in open_to_others)}"
        return Finding(name, "note", found, f"chmod -R go= {quote(str(folder))}")
    return Finding(name, "ok", f"{folder}, for you alone")


def _describe(device: VideoDevice) -> str:
    return f"{device.path} {device.card} ({device.state})"
