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
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from clips import astronaut_avatar, face_clip, green_share, painted
from numpy.typing import NDArray

from avatar.identity.bundle import save_avatar
from avatar.tracking.model_asset import tracker_model

REPOSITORY = Path(__file__).parents[2]
SIZE_PX = 256
FRAMES = 3
NEEDED = ("qemu-system-x86_64", "busybox", "cpio", "depmod", "apt-get", "v4l2-ctl", "ffmpeg", "make")
MISSING = [program for program in NEEDED if not shutil.which(program) and not Path("/usr/sbin", program).exists()]

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        bool(MISSING),
        reason=f"{', '.join(MISSING)} missing: apt-get install qemu-system-x86 busybox-static kmod cpio xz-utils "
        "gcc-12 make v4l-utils ffmpeg",
    ),
]

# Runs in the guest. Twice: start, wait until the device says that it is a camera, read by another program, stop.
GUEST = r"""
export MPLCONFIGDIR={fonts} VISAVIS_TRACKER_MODEL={model}
export VISAVIS_HOME=/run/visavis-home VISAVIS_CACHE=/run/visavis-cache
cd {repository}
live=({python} -m avatar.cli.main live {avatar})

for round in 1 2; do
    echo "guest: round $round, $(cut -d' ' -f1 /proc/uptime) s after boot"
    "${{live[@]}}" --threads 2 --camera {clip} --loop --size {size}x{size} --to virtual-camera:/dev/video10 \
        >/out/live-$round.txt 2>&1 &
    running=$!
    for _ in $(seq 300); do
        v4l2-ctl -d /dev/video10 --info 2>/dev/null | grep -q 'Video Capture' && break
        kill -0 $running 2>/dev/null || break
        sleep 0.5
    done
    v4l2-ctl -d /dev/video10 --get-fmt-video >/out/format-$round.txt 2>&1
    if [ $round = 1 ]; then
        timeout 200 v4l2-ctl -d /dev/video10 --stream-mmap --stream-count={frames} --stream-to=/out/read-1.yuv
    else
        timeout 200 ffmpeg -nostdin -v error -f v4l2 -i /dev/video10 -frames:v {frames} -fps_mode passthrough \
            -f rawvideo -pix_fmt yuv420p -y /out/read-2.yuv
    fi
    echo $? >/out/reader-$round.code
    kill -TERM $running # a shell without job control starts its background programs deaf to INT
    wait $running
    echo $? >/out/live-$round.code
done

echo "guest: webcam, $(cut -d' ' -f1 /proc/uptime) s after boot"
"${{live[@]}}" --camera 0 --seconds 2 --to /out/webcam.mp4 >/out/webcam.txt 2>&1
echo $? >/out/webcam.code
"${{live[@]}}" --camera /dev/video10 --seconds 1 --to /run/none.mp4 >/out/output-only.txt 2>&1
echo $? >/out/output-only.code
echo "guest: done, $(cut -d' ' -f1 /proc/uptime) s after boot"
"""


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what the guest left behind."""
    folder = tmp_path_factory.mktemp("v4l2")
    save_avatar(astronaut_avatar(), folder / "astronaut.avatar")
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
    )
    script = Path(__file__).with_name("qemu_v4l2.sh")
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    subprocess.run([str(script), str(out), "600", command], check=False, env=environment)
    assert (out / "output-only.code").exists(), "the guest did not come to its end; its console is above"
    return out


def pictures(path: Path) -> list[NDArray[np.uint8]]:
    """RGB pictures of a raw I420 file."""
    raw = np.fromfile(path, np.uint8)
    assert len(raw) == FRAMES * SIZE_PX * SIZE_PX * 3 // 2
    planes = raw.reshape(FRAMES, SIZE_PX * 3 // 2, SIZE_PX)
    return [np.asarray(cv2.cvtColor(plane, cv2.COLOR_YUV2RGB_I420), np.uint8) for plane in planes]


@pytest.mark.parametrize("opening", [1, 2])
def test_an_independent_reader_gets_the_moving_avatar(guest: Path, opening: int) -> None:
    said = (guest / f"live-{opening}.txt").read_text()
    assert (guest / f"live-{opening}.code").read_text().strip() == "0", said
    assert (guest / f"reader-{opening}.code").read_text().strip() == "0", said
    about = (guest / f"format-{opening}.txt").read_text()
    assert f"{SIZE_PX}/{SIZE_PX}" in about
    assert "YU12" in about
    frames = pictures(guest / f"read-{opening}.yuv")
    portrait = cv2.resize(astronaut_avatar().portraits[0], (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA)
    for frame in frames:
        assert np.corrcoef(frame.ravel(), portrait.ravel())[0, 1] > 0.7  # the astronaut, not noise and not a test card
        assert green_share(frame) == 0  # and not the painted camera picture
    changes = [np.abs(a.astype(int) - b).mean() for a, b in itertools.pairwise(frames)]
    assert max(changes) > 0.3  # it moves


def test_a_real_webcam_drives_and_without_a_face_the_avatar_idles(guest: Path) -> None:
    said = (guest / "webcam.txt").read_text()
    assert (guest / "webcam.code").read_text().strip() == "0", said
    with av.open(str(guest / "webcam.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert frames
    assert np.corrcoef(frames[-1].ravel(), astronaut_avatar().portraits[0].ravel())[0, 1] > 0.7


def test_a_device_that_only_takes_pictures_is_no_camera(guest: Path) -> None:
    assert (guest / "output-only.code").read_text().strip() == "1"
    assert "gives no pictures" in (guest / "output-only.txt").read_text()
