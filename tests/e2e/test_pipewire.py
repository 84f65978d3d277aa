"""A real PipeWire session: the avatar is a camera of it, for GStreamer and, through the portal, for Chromium."""

from __future__ import annotations

import base64
import http.server
import io
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from avatar.identity.bundle import save_avatar
from avatar.sources.video_file import VideoFile
from avatar.trust.mark_message import bundle_id
from avatar.trust.verification import verify_file
from tests.clips import astronaut_avatar, face_clip
from tests.e2e.display import a_display, grab
from tests.e2e.pipewire_session import NEEDED, PORTAL, PipeWireSession, pipewire_session, wait_for
from tests.e2e.publish_pictures import BAR, GROUND

HERE = Path(__file__).parent
WIDTH, HEIGHT = 640, 360
MISSING = [program for program in NEEDED if not shutil.which(program)]
MISSING_FOR_BROWSER = [program for program in ("chromium", "Xvfb", "dbus-send") if not shutil.which(program)]

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.realtime,
    pytest.mark.skipif(
        bool(MISSING),
        reason=f"{', '.join(MISSING)} missing: apt-get install pipewire wireplumber dbus gstreamer1.0-pipewire "
        "gstreamer1.0-tools",
    ),
]


@pytest.fixture
def session() -> Iterator[PipeWireSession]:
    with pipewire_session() as running:
        yield running


@contextmanager
def publishing(session: PipeWireSession, *arguments: str) -> Iterator[Path]:
    """publish_pictures.py at work; the file with what it says."""
    said = Path(session.environment["XDG_RUNTIME_DIR"], "said.txt")
    environment = {**session.environment, "PYTHONPATH": str(HERE.parents[1])}
    with said.open("w") as out:
        program = subprocess.Popen(
            [sys.executable, str(HERE / "publish_pictures.py"), *arguments], stdout=out, stderr=out, env=environment
        )
    try:
        wait_for(lambda: "open" in said.read_text() or program.poll() is not None)
        yield said
        program.send_signal(signal.SIGTERM)
        assert program.wait(30) == 0, said.read_text()
    finally:
        program.kill()


def json_values(text: str) -> Iterator[Any]:
    """The values of a text in which they stand one after another."""
    decoder, at = json.JSONDecoder(), 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        value, at = decoder.raw_decode(text, at)
        yield value


def cameras(session: PipeWireSession) -> list[dict[str, Any]]:
    """The properties of every camera that `pw-dump` lists."""
    dump = subprocess.run(["pw-dump"], capture_output=True, text=True, env=session.environment, check=True).stdout
    # what changes while it lists follows in a list of its own
    things = {thing["id"]: thing for thing in itertools.chain.from_iterable(json_values(dump)) if thing.get("type")}
    nodes = [thing for thing in things.values() if thing["type"] == "PipeWire:Interface:Node"]
    properties = [(node.get("info") or {}).get("props") or {} for node in nodes]
    return [each for each in properties if each.get("media.class") == "Video/Source"]


def read(session: PipeWireSession, path: Path, frames: int = 4) -> list[NDArray[np.uint8]]:
    """RGB pictures that GStreamer gets."""
    form = f"video/x-raw,format=I420,width={WIDTH},height={HEIGHT}"
    pipeline = f"pipewiresrc target-object=visavis num-buffers={frames} ! {form} ! filesink location={path}"
    subprocess.run(["gst-launch-1.0", "-q", *pipeline.split()], env=session.environment, check=True, timeout=60)
    planes = np.fromfile(path, np.uint8).reshape(-1, HEIGHT * 3 // 2, WIDTH)
    return [np.asarray(cv2.cvtColor(plane, cv2.COLOR_YUV2RGB_I420), np.uint8) for plane in planes]


def record(session: PipeWireSession, path: Path, frames: int) -> Path:
    """What GStreamer makes of the camera, in VP8 at 500 kb/s."""
    encoded = "vp8enc deadline=1 target-bitrate=500000 ! webmmux"
    source = f"pipewiresrc target-object=visavis do-timestamp=true num-buffers={frames}"
    form = f"video/x-raw,format=I420,width={WIDTH},height={HEIGHT}"
    pipeline = f"{source} ! {form} ! queue ! {encoded} ! filesink location={path}"
    subprocess.run(["gst-launch-1.0", "-q", *pipeline.split()], env=session.environment, check=True, timeout=60)
    return path


def check_pictures(pictures: list[NDArray[np.uint8]]) -> None:
    """The bar on its ground, walking."""
    for picture in pictures:
        assert picture.shape == (HEIGHT, WIDTH, 3)
        assert np.median(picture, axis=(0, 1)) == pytest.approx(GROUND, abs=6)
        red = np.abs(picture.astype(int) - BAR).max(2) < 40
        assert 0.1 < red.mean() < 0.15
    assert all(np.abs(a.astype(int) - b).mean() > 0.3 for a, b in itertools.pairwise(pictures))


def test_the_camera_is_listed_and_read_by_one_program_after_another(session: PipeWireSession, tmp_path: Path) -> None:
    with publishing(session, "virtual-camera", f"{WIDTH}x{HEIGHT}") as said:
        assert 'Virtual camera: "visavis" in PipeWire, since ' in said.read_text()
        wait_for(lambda: cameras(session))
        (camera,) = cameras(session)
        assert camera["node.description"] == "visavis"
        assert camera["media.role"] == "Camera"
        for number in range(2):
            pictures = read(session, tmp_path / f"{number}.yuv")
            assert len(pictures) == 4
            check_pictures(pictures)


def test_a_reader_that_stands_still_finds_the_newest_picture(session: PipeWireSession, tmp_path: Path) -> None:
    out, size = tmp_path / "out.yuv", WIDTH * HEIGHT * 3 // 2
    form = "video/x-raw,format=I420"
    pipeline = f"pipewiresrc target-object=visavis ! {form} ! filesink buffer-mode=unbuffered location={out}"
    with publishing(session, "pipewire", f"{WIDTH}x{HEIGHT}"):
        reader = session.start("gst-launch-1.0", "-q", *pipeline.split())
        wait_for(lambda: out.exists() and out.stat().st_size > 5 * size)
        reader.send_signal(signal.SIGSTOP)
        before = out.stat().st_size // size
        time.sleep(3)  # 45 pictures
        reader.send_signal(signal.SIGCONT)
        wait_for(lambda: out.stat().st_size > (before + 5) * size)
        time.sleep(0.5)
        assert out.stat().st_size // size - before < 30  # 3 s of pictures have not piled up
        reader.kill()


def test_the_camera_comes_back_with_pipewire(session: PipeWireSession, tmp_path: Path) -> None:
    with publishing(session, "pipewire", f"{WIDTH}x{HEIGHT}") as said:
        session.stop_pipewire()
        wait_for(lambda: "DeviceError PipeWire has gone" in said.read_text())
        wait_for(lambda: "DeviceError PipeWire does not run for this user" in said.read_text())
        session.start_pipewire()
        wait_for(lambda: said.read_text().count("open ") == 2)
        wait_for(lambda: cameras(session))
        check_pictures(read(session, tmp_path / "out.yuv"))


def test_the_avatar_itself(session: PipeWireSession, tmp_path: Path) -> None:
    """Also shows that the command, which gives up its network, still reaches PipeWire's socket; and that what GStreamer
    records of it carries the mark.
    """
    save_avatar(astronaut_avatar(), tmp_path / "astronaut.avatar")
    clip = face_clip(tmp_path / "in.mp4", frames=50)
    command = [sys.executable, "-m", "avatar.cli.main", "live", str(tmp_path / "astronaut.avatar")]
    command += ["--camera", str(clip), "--loop", "--to", "virtual-camera", "--size", f"{WIDTH}x{HEIGHT}"]
    del session.environment["VISAVIS_ALLOW_NETWORK"]
    program = session.start(*command, "--engine", "onnxruntime")
    wait_for(lambda: cameras(session), 90)
    recording = record(session, tmp_path / "out.webm", frames=60)
    program.send_signal(signal.SIGTERM)
    assert program.wait(60) == 0
    pictures = [frame.rgb for frame in VideoFile(recording)]
    assert max(np.abs(a.astype(int) - b).mean() for a, b in itertools.pairwise(pictures)) > 0.1  # it moves
    portrait = cv2.resize(astronaut_avatar().portraits[0], (HEIGHT, HEIGHT), interpolation=cv2.INTER_AREA)
    middle = pictures[-1][:, (WIDTH - HEIGHT) // 2 : (WIDTH + HEIGHT) // 2]
    assert np.corrcoef(cv2.resize(middle, (36, 36)).ravel(), cv2.resize(portrait, (36, 36)).ravel())[0, 1] > 0.3
    mark = verify_file(recording).mark
    assert mark is not None and mark.bundle == bundle_id(astronaut_avatar())
    print("strength of the mark", mark.strength)


@pytest.mark.skipif(
    bool(MISSING_FOR_BROWSER) or not PORTAL.exists(),
    reason="apt-get install chromium xvfb xdg-desktop-portal xdg-desktop-portal-gtk dbus-bin",
)
def test_chromium_lists_the_camera_by_name_and_shows_it(session: PipeWireSession) -> None:
    with a_display() as display, publishing(session, "virtual-camera", f"{WIDTH}x{HEIGHT}"):
        session.environment["DISPLAY"] = display
        session.start_portal()
        wait_for(lambda: cameras(session))
        seen = in_chromium(session, "visavis")
    assert seen["names"] == ["visavis"]
    assert (seen["width"], seen["height"]) == (WIDTH, HEIGHT)
    check_pictures(seen["pictures"])


def in_chromium(session: PipeWireSession, name: str) -> dict[str, Any]:
    """What a page that opens the camera of this name sees; its pictures as (H, W, 3)."""
    seen: dict[str, Any] = {}
    came = threading.Event()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.update(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()
            came.set()

        def log_message(self, *_: object) -> None: ...

    def handler(*of_connection: Any) -> Handler:
        return Handler(*of_connection, directory=str(HERE))

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        session.start(
            "chromium",
            "--no-sandbox",
            "--no-first-run",
            f"--user-data-dir={session.environment['XDG_RUNTIME_DIR']}/chromium",
            "--use-fake-ui-for-media-stream",  # says yes to the page, not to PipeWire
            "--enable-features=WebRtcPipeWireCamera",
            "--disable-gpu",
            "--disable-background-networking",
            f"http://127.0.0.1:{server.server_port}/camera_page.html?name={name}",
        )
        arrived = came.wait(150)  # the page is patient, twice, for 45 s
        if shots := os.environ.get("VISAVIS_SCREENSHOTS"):
            grab(session.environment["DISPLAY"], Path(shots, "chromium-pipewire.png"))
        server.shutdown()
    assert arrived, "the page saw nothing within 150 s"
    print("The page was told:", *seen["errors"], sep="\n")
    assert "error" not in seen, seen["error"]
    pictures = seen.get("pictures", [])
    seen["pictures"] = [np.asarray(Image.open(io.BytesIO(base64.b64decode(p))).convert("RGB")) for p in pictures]
    return seen
