"""What to run, on this system, to get a virtual camera: for a terminal, and for the page's button."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from avatar.core.system import Family, system_family
from engines.installing import pip

# What root runs. Fedora keeps the module in RPM Fusion, and builds it in the background unless it is told to wait
_INSTALL_LOOPBACK: dict[Family, tuple[str, ...]] = {
    "debian": ("apt-get install --yes v4l2loopback-dkms linux-headers-$(uname -r)",),
    "fedora": ("dnf install --assumeyes akmod-v4l2loopback", "akmods --force --akmod v4l2loopback"),
    "arch": ("pacman -S --noconfirm --needed v4l2loopback-dkms linux-headers",),
}
RPM_FUSION = "https://rpmfusion.org/Configuration"
CAMERA_NAME = "visavis"  # as other programs list it
# exclusive_caps=1: without it Chrome does not list the device as a camera
_LOAD_LOOPBACK = f"modprobe v4l2loopback video_nr=10 exclusive_caps=1 card_label={CAMERA_NAME}"
_NOT_KNOWN = "install the kernel module v4l2loopback: https://github.com/v4l2loopback/v4l2loopback"
ONE_SIZE = "A virtual camera keeps its size. Switch it off, choose the size, and switch it on again."
INSTALL_PYVIRTUALCAM = pip("install 'visavis[camera]'")


def loopback_module_installed(modules: Path = Path("/lib/modules")) -> bool:
    """Whether the running kernel has v4l2loopback on disk (loaded or not)."""
    import os

    if not hasattr(os, "uname"):
        return False
    return any((modules / os.uname().release).rglob("v4l2loopback.ko*"))


def loopback_module_loaded(sys_modules: Path = Path("/sys/module")) -> bool:
    return (sys_modules / "v4l2loopback").exists()


def loopback_commands(family: Family | None = None) -> list[str] | None:
    """What root is still to run, in order, before v4l2loopback's device exists; None where nobody knows."""
    family = family or system_family()
    if loopback_module_loaded():
        return []
    if loopback_module_installed():
        return [_LOAD_LOOPBACK]
    install = _INSTALL_LOOPBACK.get(family)
    return None if install is None else [*install, _LOAD_LOOPBACK]


def virtual_camera_commands(family: Family | None = None) -> list[str]:
    """The commands, in order, that are still to be typed on this system before a virtual camera exists."""
    family = family or system_family()
    commands: list[str] = []
    if family == "windows":
        commands.append("winget install OBSProject.OBSStudio    # its installer brings the virtual camera")
    elif family != "macos":
        as_root = loopback_commands(family)
        commands += [_NOT_KNOWN, f"sudo {_LOAD_LOOPBACK}"] if as_root is None else [f"sudo {line}" for line in as_root]
        if family == "fedora" and len(commands) > 1:
            commands[0] += f"    # from RPM Fusion: {RPM_FUSION}"
    else:
        commands.append("brew install --cask obs    # OBS 30 or newer")
        commands.append("open -a OBS    # once: press 'Start Virtual Camera', allow the extension, stop it, quit OBS")
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
