"""A real kernel and real drivers, in QEMU: listed, held by another program, black, unplugged and back, slow, stuck.

`echo vivid.0 > unbind` is what pulling the cable is to a driver: its device is gone, open or not.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
NEEDED = ("qemu-system-x86_64", "busybox", "cpio", "depmod", "apt-get", "v4l2-ctl", "ffmpeg", "make")
MISSING = [program for program in NEEDED if not shutil.which(program) and not Path("/usr/sbin", program).exists()]

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.realtime,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        bool(MISSING),
        reason=f"{', '.join(MISSING)} missing: apt-get install qemu-system-x86 busybox-static kmod cpio xz-utils "
        "gcc-12 make v4l-utils ffmpeg",
    ),
]

# Runs in the guest, with the camera's cable in its hand. What it sees goes to /out/report.json.
SCRIPT = r"""
import json, signal, subprocess, sys, time
from dataclasses import asdict
from pathlib import Path
from avatar.core.errors import DeviceError
from avatar.core.frame import Frame, NoPicture
from avatar.sources.camera import open_camera
from avatar.sources.local_cameras import list_cameras
from avatar.sources.v4l2 import camera_modes

report, said, start = {}, [], time.monotonic()

def note(name, value):
    report[name] = value
    print(f"guest: {time.monotonic() - start:5.1f} s  {name}: {value}", flush=True)
    Path("/out/report.json").write_text(json.dumps(report))

def until(kind, limit_s=60):
    longest, end = 0.0, time.monotonic() + limit_s
    while time.monotonic() < end:
        asked = time.monotonic()
        item = camera.read()
        longest = max(longest, time.monotonic() - asked)
        stamps.append(item.capture_ns)
        if isinstance(item, kind):
            return longest
    raise SystemExit(f"no {kind.__name__}")

def driver(what):
    Path(f"/sys/bus/platform/drivers/vivid/{what}").write_text("vivid.0")

stamps = []
note("modes", len(camera_modes("/dev/video0")))
note("list", [asdict(camera) for camera in list_cameras()])

holder = subprocess.Popen(["v4l2-ctl", "-d", "/dev/video0", "--stream-mmap", "--stream-count=100000"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
time.sleep(2)
try:
    open_camera("0")
except DeviceError as error:
    note("busy", str(error))
note("listed while busy", [camera.state for camera in list_cameras()])
holder.kill()
holder.wait()

camera = open_camera("VIVID", say=said.append)
until(Frame)
frame = camera.read()
note("opened", [camera.name, list(frame.rgb.shape), float(frame.rgb.mean())])

driver("unbind")
note("blocked_s", until(NoPicture))
for _ in range(5):
    assert isinstance(camera.read(), NoPicture)
note("gone", [said[-1], Path("/dev/video0").exists()])
driver("bind")
until(Frame)
note("back", said[-1])

# held open by somebody else, the old number stays taken: the camera comes back under another one
with open("/dev/video0", "rb", buffering=0):
    driver("unbind")
    until(NoPicture)
    driver("bind")
    until(Frame)
    note("renumbered", [said[-1], camera.name])

device = camera.name.split()[0]
subprocess.run(["v4l2-ctl", "-d", device, "-c", "osd_text_mode=2,test_pattern=5"], check=True)
end = time.monotonic() + 40
while "black" not in said[-1] and time.monotonic() < end:
    until(Frame)
note("black", said[-1])
note("fps", camera.fps)
note("growing", all(a < b for a, b in zip(stamps, stamps[1:])))
camera.close()

# another program's virtual camera, at five frames a second: stopped, it leaves its readers blocked in the driver
film = "ffmpeg -nostdin -v error -re -f lavfi -i testsrc=size=640x480:rate=5 -pix_fmt yuv420p -f v4l2 /dev/video10"
player = subprocess.Popen(film.split())
while not any(camera.virtual for camera in list_cameras()):
    time.sleep(0.2)
camera = open_camera("avatar", say=said.append)
for _ in range(12):
    until(Frame)
note("slow", [camera.name, camera.fps])
player.send_signal(signal.SIGSTOP)
note("stuck_s", until(NoPicture))
player.send_signal(signal.SIGCONT)
until(Frame)
player.kill()
camera.close()
note("said", said)
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("camera")
    (folder / "faults.py").write_text(SCRIPT)
    out = folder / "out"
    out.mkdir()
    command = f"cd /tmp && PYTHONPATH={shlex.quote(str(REPOSITORY))} {shlex.quote(sys.executable)} "
    command += f"{shlex.quote(str(folder / 'faults.py'))} 2>&1"
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    script = Path(__file__).with_name("qemu_v4l2.sh")
    done = subprocess.run([str(script), str(out), "400", command], check=False, env=environment)
    assert done.returncode == 0, "the guest did not come to its end; its console is above"
    found: dict[str, Any] = json.loads((out / "report.json").read_text())
    return found


def test_the_camera_is_listed_with_its_best_mode(report: dict[str, Any]) -> None:
    webcam = next(camera for camera in report["list"] if camera["path"] == "/dev/video0")
    assert (webcam["number"], webcam["name"], webcam["virtual"]) == (0, "vivid", False)
    assert report["modes"] > 10
    assert (webcam["mode"]["width"], webcam["mode"]["height"]) == (640, 480)
    assert webcam["mode"]["fps"] == 25  # the most that vivid has at this size


def test_another_program_that_holds_it_is_named(report: dict[str, Any]) -> None:
    assert "/dev/video0 (vivid) is busy: v4l2-ctl (" in report["busy"]
    assert report["listed while busy"][0].startswith("held by v4l2-ctl (")


def test_it_is_opened_by_its_name(report: dict[str, Any]) -> None:
    name, shape, mean = report["opened"]
    assert name == "/dev/video0 (vivid)" and shape == [480, 640, 3] and mean > 20


def test_unplugged_it_is_waited_for_and_it_resumes(report: dict[str, Any]) -> None:
    assert report["blocked_s"] < 9  # OpenCV alone would wait ten seconds
    assert report["gone"] == ["/dev/video0 (vivid) was unplugged. Plug it in again. Waiting for it.", False]
    assert report["back"] == "/dev/video0 (vivid) is back."
    assert report["growing"] is True


def test_it_resumes_under_another_number(report: dict[str, Any]) -> None:
    line, name = report["renumbered"]
    assert name != "/dev/video0 (vivid)" and name.endswith("(vivid)") and line == f"{name} is back."


def test_five_frames_a_second_are_measured(report: dict[str, Any]) -> None:
    name, fps = report["slow"]
    assert name == "/dev/video10 (Avatar)"
    assert fps == pytest.approx(5, abs=1.5)


def test_a_driver_that_blocks_does_not_block_the_reader(report: dict[str, Any]) -> None:
    assert report["stuck_s"] < 9
    assert "/dev/video10 (Avatar) gives no pictures. Waiting for it." in report["said"]
    assert report["said"][-1] == "/dev/video10 (Avatar) is back."


def test_a_covered_lens_is_said(report: dict[str, Any]) -> None:
    assert "shows nothing but black" in report["black"]
    assert report["said"].count(report["black"]) == 1
    assert 0 < report["fps"] < 31
