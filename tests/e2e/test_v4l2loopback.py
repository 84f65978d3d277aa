"""A real kernel, a real v4l2loopback, independent readers: `visavis live` is a camera that opens again after closing.

The kernel runs in QEMU by software emulation (see qemu_v4l2.sh): the generator needs seconds for a frame there.
"""

from __future__ import annotations

import itertools
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from avatar.identity.bundle import save_avatar
from avatar.tracking.model_asset import tracker_model
from tests.clips import astronaut_avatar, face_clip, green_share, painted
from tests.e2e.publish_pictures import GROUND

REPOSITORY = Path(__file__).parents[2]
SIZE_PX = 256
FRAMES = 2
AVATAR_FRAMES = 160  # here a picture takes seconds, and is shown again twice a second until the next one comes
LAB = os.environ.get("VISAVIS_LAB", str(Path.home() / ".cache" / "visavis-lab"))  # as in qemu_v4l2.sh
NEEDED = ("qemu-system-x86_64", "busybox", "cpio", "depmod", "apt-get", "v4l2-ctl", "ffmpeg", "make")
MISSING = [program for program in NEEDED if not shutil.which(program) and not Path("/usr/sbin", program).exists()]

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        bool(MISSING),
        reason=f"{', '.join(MISSING)} missing: apt-get install qemu-system-x86 busybox-static kmod cpio xz-utils "
        "gcc-12 make v4l-utils ffmpeg",
    ),
]

PUBLISHED = ("256x256", "256x256", "640x360")  # by one program: open, close and open three times, the last larger

# Runs in the guest, which is slow: the avatar moves in two rounds, plain pictures show what needs no avatar.
GUEST = r"""
export MPLCONFIGDIR={fonts} VISAVIS_TRACKER_MODEL={model} PYTHONPATH={repository}
export VISAVIS_HOME=/run/visavis-home VISAVIS_CACHE=/run/visavis-cache PYTHONFAULTHANDLER=1
cd {repository}
live=({python} -m avatar.cli.main live {avatar} --engine onnxruntime --threads 2 --size {size}x{size})
pictures=({python} {pictures})

step() {{ echo "guest: $1, $(cut -d' ' -f1 /proc/uptime) s after boot"; }}
camera_is_there() {{ # or the program that makes it has ended
    for _ in $(seq 300); do
        v4l2-ctl -d /dev/video10 --info 2>/dev/null | grep -q 'Video Capture' && return
        kill -0 $running 2>/dev/null || return
        sleep 0.5
    done
}}
read_with_v4l2ctl() {{
    v4l2-ctl -d /dev/video10 --get-fmt-video >/out/$1.format 2>&1
    timeout 200 v4l2-ctl -d /dev/video10 --stream-mmap --stream-count=$2 --stream-to=/out/$1.yuv >/dev/null 2>&1
    echo $? >/out/$1.reader
}}
read_with_ffmpeg() {{
    v4l2-ctl -d /dev/video10 --get-fmt-video >/out/$1.format 2>&1
    timeout 200 ffmpeg -nostdin -v error -f v4l2 -i /dev/video10 -frames:v {frames} -fps_mode passthrough \
        -f rawvideo -pix_fmt yuv420p -y /out/$1.yuv
    echo $? >/out/$1.reader
}}
said() {{ # wait until the publisher of plain pictures has said this so many times
    for _ in $(seq 300); do
        [ "$(grep -c "$1" /out/pictures.txt)" -ge "$2" ] && return
        sleep 0.2
    done
}}
end() {{ kill -TERM $running; wait $running; echo $? >/out/$1.code; }} # without job control, programs are deaf to INT

step "open, close and open three times"
"${{pictures[@]}}" virtual-camera:/dev/video10 {sizes} >/out/pictures.txt 2>&1 &
running=$!
for round in 1 2 3; do
    said "open" $round && camera_is_there
    read_with_ffmpeg pictures-$round
    [ $round = 1 ] && read_with_v4l2ctl pictures-again {frames} # the reader has gone, and another one comes
    [ $round = 3 ] || kill -USR1 $running
done
rmmod v4l2loopback 2>/out/in-use.txt
step "SIGKILL"
kill -KILL $running
"${{pictures[@]}}" virtual-camera:/dev/video10 320x320 pause 320x320 >>/out/pictures.txt 2>&1 &
running=$!
said "open" 4 && camera_is_there
read_with_ffmpeg pictures-4

step "the device goes and comes back"
kill -USR1 $running
said "pause" 1
rmmod v4l2loopback
kill -USR1 $running
said "DeviceError" 1
insmod {module} video_nr=10 exclusive_caps=1 card_label=Avatar
said "open" 5 && camera_is_there
read_with_ffmpeg pictures-5
end pictures

step "a video drives the avatar"
"${{live[@]}}" --camera {clip} --loop --to virtual-camera --to /out/video.mp4 >/out/video.txt 2>&1 &
running=$!
camera_is_there
read_with_v4l2ctl video {avatar_frames}
end video

step "a webcam drives the avatar"
"${{live[@]}}" --camera 0 --seconds 2 --to /out/webcam.mp4 >/out/webcam.txt 2>&1
echo $? >/out/webcam.code
"${{live[@]}}" --camera /dev/video10 --seconds 1 --to /run/none.mp4 >/out/output-only.txt 2>&1
echo $? >/out/output-only.code
step done
"""


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what the guest left behind."""
    folder = tmp_path_factory.mktemp("v4l2")
    # all of the portrait is the person: what finds people and fills in what is behind them computes nonsense, or
    # crashes, on QEMU's emulated processor, and on no real one
    avatar = replace(astronaut_avatar(), mattes=np.full((1, 512, 512), 255, np.uint8))
    save_avatar(avatar, folder / "astronaut.avatar")
    clip = face_clip(folder / "driver.mp4", frames=90, fps=1, change=painted)
    # MediaPipe imports matplotlib, whose first import lists all fonts: half a minute in the guest
    fonts = folder / "matplotlib"
    listing = {**os.environ, "MPLCONFIGDIR": str(fonts)}
    subprocess.run([sys.executable, "-c", "import matplotlib.font_manager"], check=True, env=listing)
    out = folder / "out"
    out.mkdir()
    command = GUEST.format(
        fonts=shlex.quote(str(fonts)),
        model=shlex.quote(str(tracker_model())),
        repository=shlex.quote(str(REPOSITORY)),
        python=shlex.quote(sys.executable),
        avatar=shlex.quote(str(folder / "astronaut.avatar")),
        clip=shlex.quote(str(clip)),
        size=SIZE_PX,
        frames=FRAMES,
        avatar_frames=AVATAR_FRAMES,
        pictures=shlex.quote(str(Path(__file__).with_name("publish_pictures.py"))),
        sizes=" ".join(PUBLISHED),
        module=shlex.quote(f"{LAB}/v4l2/root/lib/modules/") + '"$(uname -r)"/extra/v4l2loopback.ko',
    )
    script = Path(__file__).with_name("qemu_v4l2.sh")
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    subprocess.run([str(script), str(out), "1000", command], check=False, env=environment)
    assert (out / "output-only.code").exists(), "the guest did not come to its end; its console is above"
    return out


def read(guest: Path, name: str, width: int, height: int, count: int = FRAMES) -> list[NDArray[np.uint8]]:
    """RGB pictures that an independent reader got, and that they have the size that was announced."""
    assert (guest / f"{name}.reader").read_text().strip() == "0"
    about = (guest / f"{name}.format").read_text()
    assert f"{width}/{height}" in about and "YU12" in about
    raw = np.fromfile(guest / f"{name}.yuv", np.uint8)
    assert len(raw) == count * width * height * 3 // 2
    planes = raw.reshape(count, height * 3 // 2, width)
    return [np.asarray(cv2.cvtColor(plane, cv2.COLOR_YUV2RGB_I420), np.uint8) for plane in planes]


def changes(frames: list[NDArray[np.uint8]]) -> list[float]:
    return [float(np.abs(a.astype(int) - b).mean()) for a, b in itertools.pairwise(frames)]


OPENINGS = [
    *(pytest.param(f"pictures-{n}", size, id=f"opening {n}") for n, size in enumerate(PUBLISHED, 1)),
    pytest.param("pictures-again", PUBLISHED[0], id="another reader"),
    pytest.param("pictures-4", "320x320", id="after SIGKILL"),
    pytest.param("pictures-5", "320x320", id="after the device came back"),
]


@pytest.mark.parametrize(("name", "size"), OPENINGS)
def test_the_camera_opens_again_and_again(guest: Path, name: str, size: str) -> None:
    width, height = map(int, size.split("x"))
    frames = read(guest, name, width, height)
    assert min(changes(frames)) > 0.3  # every picture is a new one
    for frame in frames:
        assert np.median(frame, axis=(0, 1)) == pytest.approx(GROUND, abs=6)


def test_a_device_that_has_gone_is_said(guest: Path) -> None:
    assert "in use" in (guest / "in-use.txt").read_text()  # the kernel keeps it while it is open
    assert "DeviceError /dev/video10 cannot be opened" in (guest / "pictures.txt").read_text()
    assert (guest / "pictures.code").read_text().strip() == "0"


def looks_like_the_astronaut(picture: NDArray[np.uint8]) -> bool:
    """Not noise, not a test card."""
    portrait = cv2.resize(astronaut_avatar().portraits[0], (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA)
    return bool(np.corrcoef(picture.ravel(), portrait.ravel())[0, 1] > 0.7)


def recorded(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0)]


def test_an_independent_reader_gets_the_moving_avatar(guest: Path) -> None:
    said = (guest / "video.txt").read_text()
    assert (guest / "video.code").read_text().strip() == "0", said
    assert "Virtual camera: /dev/video10 (Avatar), by v4l2loopback." in said
    frames = read(guest, "video", SIZE_PX, SIZE_PX, AVATAR_FRAMES)
    for frame in frames:
        assert looks_like_the_astronaut(frame)
        assert green_share(frame) == 0  # nothing of the painted camera picture
    moved = max(float(np.abs(frame.astype(int) - frames[0]).mean()) for frame in frames)
    if "The face tracker gave no answer" in said:  # too slow a kernel: the avatar idles, in pictures much alike
        assert moved > 0.05
        assert len({frame.tobytes() for frame in frames}) >= 3
    else:
        assert moved > 0.3
    assert looks_like_the_astronaut(recorded(guest / "video.mp4")[-1])  # several publishers at once


def test_a_real_webcam_drives_and_without_a_face_the_avatar_idles(guest: Path) -> None:
    said = (guest / "webcam.txt").read_text()
    assert (guest / "webcam.code").read_text().strip() == "0", said
    assert looks_like_the_astronaut(recorded(guest / "webcam.mp4")[-1])


def test_a_device_that_only_takes_pictures_is_no_camera(guest: Path) -> None:
    assert (guest / "output-only.code").read_text().strip() == "1"
    assert "gives no pictures" in (guest / "output-only.txt").read_text()
