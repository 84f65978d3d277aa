"""What to install, on this system, to get a virtual camera."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from avatar.core.system import Family, system_family

_INSTALL_LOOPBACK: dict[Family, str] = {
    "debian": "sudo apt-get install v4l2loopback-dkms linux-headers-$(uname -r)",
    "fedora": "sudo dnf install akmod-v4l2loopback    # from RPM Fusion: https://rpmfusion.org/Configuration",
    "arch": "sudo pacman -S v4l2loopback-dkms linux-headers",
    "linux": "install the kernel module v4l2loopback: https://github.com/v4l2loopback/v4l2loopback",
}
# exclusive_caps=1: without it Chrome does not list the device as a camera
LOAD_LOOPBACK = "sudo modprobe v4l2loopback video_nr=10 exclusive_caps=1 card_label=visavis"
ONE_SIZE = "A virtual camera keeps its size. Switch it off, choose the size, and switch it on again."
INSTALL_PYVIRTUALCAM = "pip install 'visavis[camera]'"


def loopback_module_installed(modules: Path = Path("/lib/modules")) -> bool:
    """Whether the running kernel has v4l2loopback on disk (loaded or not)."""
    import os

    if not hasattr(os, "uname"):
        return False
    return any((modules / os.uname().release).rglob("v4l2loopback.ko*"))


def loopback_module_loaded(sys_modules: Path = Path("/sys/module")) -> bool:
    return (sys_modules / "v4l2loopback").exists()


def virtual_camera_commands(family: Family | None = None) -> list[str]:
    """The commands, in order, that are still to be typed on this system before a virtual camera exists."""
    family = family or system_family()
    commands: list[str] = []
    if family == "windows":
        commands.append("winget install OBSProject.OBSStudio    # its installer brings the virtual camera")
    elif family == "macos":
        commands.append("brew install --cask obs    # OBS 30 or newer")
        commands.append("open -a OBS    # once: press 'Start Virtual Camera', allow the extension, stop it, quit OBS")
    elif not loopback_module_loaded():
        if not loopback_module_installed():
            commands.append(_INSTALL_LOOPBACK[family])
        commands.append(LOAD_LOOPBACK)
    if find_spec("pyvirtualcam") is None:
        commands.append(INSTALL_PYVIRTUALCAM)
    return commands


def virtual_camera_advice(family: Family | None = None) -> str:
    """Exactly what to type on this system to get a virtual camera, one command a line; or that nothing is missing."""
    commands = virtual_camera_commands(family)
    if not commands:
        return (
            "Everything for a virtual camera is installed. If none opens, another program may hold it: close that "
            "program, or run `visavis doctor` to see the devices."
        )
    return "To get a virtual camera on this system, run:\n" + "\n".join(f"    {command}" for command in commands)
