"""The virtual camera where there is none: the message says what to type. With a device, see tests/e2e."""

import builtins
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from avatar.core.errors import DeviceError, UsageError
from avatar.identity.bundle import save_avatar
from avatar.publish.advice import virtual_camera_advice
from avatar.publish.virtual_camera import VirtualCamera
from tests.clips import astronaut_avatar, face_clip


def test_without_a_device_it_says_what_to_install() -> None:
    camera = VirtualCamera("/dev/video99")
    with pytest.raises(DeviceError) as caught:
        camera.open(512, 512, 30.0)
    assert "/dev/video99" in str(caught.value)
    assert virtual_camera_advice() in str(caught.value)
    camera.close()


def test_without_pyvirtualcam_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "pyvirtualcam":
            raise ImportError(name)
        return real_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DeviceError, match="needs pyvirtualcam"):
        VirtualCamera().open(512, 512, 30.0)


def test_odd_sizes_are_refused() -> None:
    with pytest.raises(UsageError, match="even"):
        VirtualCamera().open(511, 512, 30.0)


@pytest.mark.e2e
@pytest.mark.skipif(Path("/sys/module/v4l2loopback").exists(), reason="this machine has a virtual camera")
def test_the_command_says_what_to_install_and_leaves_no_traceback(tmp_path: Path) -> None:
    save_avatar(astronaut_avatar(), tmp_path / "astronaut.avatar")
    clip = face_clip(tmp_path / "in.mp4", frames=5)
    command = [sys.executable, "-m", "avatar.cli.main", "live", str(tmp_path / "astronaut.avatar")]
    command += ["--camera", str(clip), "--to", "virtual-camera"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert virtual_camera_advice().splitlines()[-1].strip() in done.stderr
    assert "Traceback" not in done.stderr
