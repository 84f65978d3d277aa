"""`visavis doctor`: what is there, what is not, and the command that brings it on this system."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from avatar.core import model_files
from avatar.core.errors import VisavisError
from avatar.core.system import Family, SystemLibrary, install_command, missing_libraries, packages_of, system_family
from avatar.live import doctor
from avatar.publish import advice
from avatar.sources import local_cameras, v4l2
from avatar.sources.v4l2 import CameraMode, VideoDevice, video_devices

NO_SUCH = SystemLibrary("libnosuch.so.1", "MediaPipe", {"debian": "libnosuch1", "fedora": "nosuch", "arch": "nosuch"})


def finding(name: str) -> doctor.Finding:
    return next(found for found in doctor.examine() if found.name == name)


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ('ID=debian\nVERSION_ID="12"\n', "debian"),
        ("ID=ubuntu\nID_LIKE=debian\n", "debian"),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', "debian"),
        ("ID=fedora\n", "fedora"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "fedora"),
        ("ID=manjaro\nID_LIKE=arch\n", "arch"),
        ("ID=alpine\n", "linux"),
        ("", "linux"),
    ],
)
def test_distributions_are_told_apart(text: str, family: str, tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text(text)
    assert system_family(tmp_path / "os-release", "linux") == family


def test_other_systems(tmp_path: Path) -> None:
    assert system_family(tmp_path / "none", "win32") == "windows"
    assert system_family(tmp_path / "none", "darwin") == "macos"
    assert system_family(tmp_path / "none", "linux") == "linux"


def test_a_library_that_is_missing_is_named_with_its_package() -> None:
    assert missing_libraries([NO_SUCH]) == [NO_SUCH]
    assert install_command([NO_SUCH, NO_SUCH], "debian") == "sudo apt-get install libnosuch1"
    assert install_command([NO_SUCH], "fedora") == "sudo dnf install nosuch"
    assert install_command([NO_SUCH], "arch") == "sudo pacman -S nosuch"
    assert packages_of([NO_SUCH], "linux") == ["libnosuch.so.1"]


def test_the_doctor_reports_a_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "missing_libraries", lambda: [NO_SUCH])
    monkeypatch.setattr(doctor, "system_family", lambda: "debian")
    found = finding("System libraries")
    assert found.state == "missing"
    assert found.mend == "sudo apt-get install libnosuch1"


def test_missing_networks_are_essential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(model_files.WEIGHTS / model_files.SUMS, tmp_path)
    monkeypatch.setattr(model_files, "WEIGHTS", tmp_path)
    found = finding("Networks")
    assert found.state == "missing" and "face_model.safetensors" in (found.mend or "")


def test_every_shipped_file_stands_in_the_list_of_sums() -> None:
    """After new weights: cd avatar/weights; sha256sum $(cut -c67- SHA256SUMS) > sums && mv sums SHA256SUMS"""
    files = (path for path in model_files.WEIGHTS.rglob("*") if path.is_file())
    shipped = {path.relative_to(model_files.WEIGHTS).as_posix() for path in files if path.suffix != ".md"}
    assert set(model_files.shipped_sums()) == shipped - {model_files.SUMS}
    assert "checked by sha256" in finding("Networks").found


def test_a_network_that_was_changed_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = shutil.copytree(model_files.WEIGHTS, tmp_path / "weights")
    monkeypatch.setattr(model_files, "WEIGHTS", changed)
    variant = changed / "fast-3" / "generator.int8.onnx"
    data = bytearray(variant.read_bytes())
    data[len(data) // 2] ^= 1
    variant.write_bytes(data)
    model_files.model_file("fast-3/embedder.onnx")
    with pytest.raises(VisavisError, match=r"generator\.int8\.onnx is not what was shipped"):
        model_files.model_file("fast-3/generator.onnx")
    assert finding("Networks").state == "missing"


def test_the_tracker_model_is_only_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_CACHE", str(tmp_path))
    monkeypatch.delenv("VISAVIS_TRACKER_MODEL", raising=False)
    assert finding("Face tracker's model").state == "note"
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("VISAVIS_TRACKER_MODEL", str(tmp_path / "none.task"))
    assert finding("Face tracker's model").state == "missing"


@pytest.mark.parametrize(
    ("family", "words"),
    [
        ("debian", ["sudo apt-get install --yes v4l2loopback-dkms", "exclusive_caps=1"]),
        ("fedora", ["dnf install --assumeyes akmod-v4l2loopback", "rpmfusion.org", "exclusive_caps=1"]),
        ("arch", ["pacman -S --noconfirm --needed v4l2loopback-dkms", "exclusive_caps=1"]),
        ("linux", ["v4l2loopback", "modprobe"]),
        ("windows", ["OBS"]),
        ("macos", ["OBS", "Start Virtual Camera"]),
    ],
)
def test_advice_for_a_virtual_camera(family: Family, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advice, "loopback_module_installed", lambda: False)
    monkeypatch.setattr(advice, "loopback_module_loaded", lambda: False)
    monkeypatch.setattr(advice, "find_spec", lambda _: None)
    text = advice.virtual_camera_advice(family)
    for word in [*words, "pip install 'visavis[camera]'"]:
        assert word in text


def test_advice_names_only_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advice, "loopback_module_installed", lambda: True)
    monkeypatch.setattr(advice, "loopback_module_loaded", lambda: False)
    monkeypatch.setattr(advice, "find_spec", lambda _: object())
    (load,) = advice.virtual_camera_commands("debian")
    assert load.startswith("sudo modprobe v4l2loopback ")
    monkeypatch.setattr(advice, "loopback_module_loaded", lambda: True)
    assert "Everything for a virtual camera is installed" in advice.virtual_camera_advice("debian")


def test_cameras_are_listed_with_their_state(monkeypatch: pytest.MonkeyPatch) -> None:
    devices = [
        VideoDevice("/dev/video0", "Webcam", True, False, False, ("zoom (7)",)),
        VideoDevice("/dev/video1", "Webcam", False, False, False),  # a webcam's metadata node
        VideoDevice("/dev/video2", "Other", True, False, True),
        VideoDevice("/dev/video10", "visavis", True, True, False),
    ]
    modes = [CameraMode(640, 480, 30.0, "MJPG"), CameraMode(640, 480, 10.0, "YUYV")]
    for module in (doctor, local_cameras):
        monkeypatch.setattr(module, "video_devices", lambda: devices)
    monkeypatch.setattr(local_cameras, "camera_modes", lambda path: modes if path == "/dev/video0" else [])
    cameras, virtual = finding("Cameras"), finding("Virtual camera")
    assert cameras.found == (
        "/dev/video0 Webcam, 640x480 30 fps MJPG (held by zoom (7)); /dev/video2 Other, any mode (not allowed)"
    )
    assert cameras.state == "note" and "usermod -aG video" in (cameras.mend or "")
    assert virtual.found.startswith("/dev/video10 visavis (free)")
    del devices[2], modes[0]
    assert finding("Cameras").state == "note" and "Slower than a video call" in (finding("Cameras").mend or "")


def test_a_file_that_is_no_device_is_not_a_camera(tmp_path: Path) -> None:
    (tmp_path / "video3").write_bytes(b"")
    (tmp_path / "videos").mkdir()
    (device,) = video_devices(tmp_path)
    assert device.path == str(tmp_path / "video3") and not device.captures and not device.loopback


def test_holders_of_a_device_are_named(tmp_path: Path) -> None:
    (tmp_path / "video0").write_bytes(b"")
    code = "import sys; held = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "video0")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "open\n"
        holders = v4l2._holders(tmp_path / "video0")
    finally:
        holder.communicate()
    assert len(holders) == 1 and holders[0].endswith(f"({holder.pid})")


def test_the_command_prints_json_and_its_exit_code_says_if_all_is_well(tmp_path: Path) -> None:
    environment = {**os.environ, "VISAVIS_TRACKER_MODEL": str(tmp_path / "none.task")}
    command = [sys.executable, "-m", "avatar.cli.main", "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    report = json.loads(done.stdout)
    assert done.returncode == 1 and report["healthy"] is False
    states = {found["name"]: found["state"] for found in report["findings"]}
    assert states["Face tracker's model"] == "missing"
    assert states["Python"] == states["System libraries"] == states["Face tracker"] == states["Engines"] == "ok"
    assert all(found["mend"] for found in report["findings"] if found["state"] == "missing")
