"""Cameras at an address: a phone's MJPEG, a stream of MPEG-TS, a file; and what is refused."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from avatar.core.errors import DeviceError, InputError, UsageError
from avatar.core.frame import Frame, NoPicture
from avatar.sources.camera import Camera, open_camera, open_camera_or_motion
from avatar.sources.media import open_media
from avatar.sources.network_camera import PASSWORD_VARIABLE, NetworkCamera, is_address, public_name
from tests.clips import face_clip, moving_face

pytestmark = pytest.mark.realtime


class Phone(ThreadingHTTPServer):
    """As the programs that make a phone a webcam: /video is MJPEG, at 25 pictures a second."""

    daemon_threads = True

    def __init__(self, port: int = 0, size: tuple[int, int] = (320, 240), file: Path | None = None) -> None:
        super().__init__(("127.0.0.1", port), Answer)
        self.size, self.file = size, file
        self.over = threading.Event()
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def stop(self) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()


class Answer(BaseHTTPRequestHandler):
    server: Phone

    def do_GET(self) -> None:
        phone = self.server
        phone.asked.append(self.path)
        path = self.path.partition("?")[0]
        if path == "/video":
            self.mjpeg()
        elif path == "/secret" and self.headers.get("Authorization") != "Basic YW5uYTpwQDpzcw==":  # anna:p@:ss
            self.answer(401, "WWW-Authenticate", 'Basic realm="phone"')
        elif path == "/secret":
            self.mjpeg()
        elif path == "/elsewhere":
            self.answer(302, "Location", f"{phone.address}/video")
        elif path == "/list":
            self.answer(
                200, "Content-Type", "application/vnd.apple.mpegurl", f"#EXTM3U\n#EXTINF:9,\n{phone.address}/a.ts\n"
            )
        elif path == "/page":
            self.answer(200, "Content-Type", "text/html", "<html>The camera's page</html>" * 20)
        elif path == "/silent":
            phone.over.wait(20)
        elif path == "/file" and phone.file:
            self.answer(200, "Content-Type", "video/mp2t", phone.file.read_bytes())
        else:
            self.answer(404, "X-Nothing", "here")

    def answer(self, status: int, header: str, value: str, body: str | bytes = b"") -> None:
        body = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        self.send_header(header, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def mjpeg(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        index = 0
        try:
            while not self.server.over.wait(0.04):
                rgb = moving_face(index, *self.server.size)
                jpeg = cv2.imencode(".jpg", np.ascontiguousarray(rgb[..., ::-1]))[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
                index += 1
        except OSError:
            return  # the reader has gone

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def phone(**how: object) -> Iterator[Phone]:
    server = Phone(**how)  # type: ignore[arg-type]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def opened(address: str, said: list[str]) -> Iterator[Camera]:
    camera = open_camera(address, say=said.append)
    try:
        yield camera
    finally:
        camera.close()


def frames(camera: Camera, count: int) -> list[Frame]:
    found: list[Frame] = []
    deadline = time.monotonic() + 30
    while len(found) < count and time.monotonic() < deadline:
        if isinstance(frame := camera.read(), Frame):
            found.append(frame)
    assert len(found) == count
    return found


def test_a_phones_pictures_come_as_those_of_a_webcam() -> None:
    said: list[str] = []
    with phone() as server, opened(f"{server.address}/video?token=geheim", said) as camera:
        assert camera.name == f"{server.address}/video"
        some = frames(camera, 5)
        assert some[0].rgb.shape == (240, 320, 3)
        assert all(a.capture_ns < b.capture_ns for a, b in itertools.pairwise(some))
        assert min(np.abs(some[0].rgb.astype(int) - moving_face(i)).mean() for i in range(60)) < 5
    assert said == []


def test_the_newest_picture_is_the_one_that_comes() -> None:
    with phone() as server, opened(f"{server.address}/video", []) as camera:
        frames(camera, 1)
        time.sleep(1.0)
        before_ns = time.monotonic_ns()
        newest = frames(camera, 1)[0]
        assert abs(newest.capture_ns - before_ns) < 500_000_000
        assert camera.dropped > 5


def test_a_camera_that_went_away_is_waited_for_and_said_once() -> None:
    said: list[str] = []
    with phone() as server:
        address, port = server.address, server.server_port
        camera = open_camera(f"{address}/video", say=said.append)
        frames(camera, 2)
    try:
        deadline = time.monotonic() + 20
        while not isinstance(camera.read(), NoPicture) and time.monotonic() < deadline:
            pass
        assert len(said) == 1 and "Waiting for it." in said[0]
        with phone(port=port):
            frames(camera, 2)
        assert said[1] == f"{address}/video is back."
    finally:
        camera.close()


def test_a_file_on_a_server_plays_at_its_own_pace(tmp_path: Path) -> None:
    clip = face_clip(tmp_path / "clip.ts", frames=30)
    with phone(file=clip) as server, opened(f"{server.address}/file", []) as camera:
        some = frames(camera, 10)
        assert (some[-1].capture_ns - some[0].capture_ns) / 1e9 > 0.25  # of the 0.36 that they last


def test_a_password_is_asked_for_used_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    with phone() as server:
        host = server.address.removeprefix("http://")
        with pytest.raises(DeviceError, match=f"wants a user and a password.*{PASSWORD_VARIABLE}"):
            open_camera(f"{server.address}/secret")
        with pytest.raises(DeviceError) as wrong:
            open_camera(f"http://anna:wrong@{host}/secret")
        assert "anna" not in str(wrong.value) and "wrong" not in str(wrong.value)
        with opened(f"http://anna:p%40%3Ass@{host}/secret", []) as camera:
            assert camera.name == f"{server.address}/secret"
            frames(camera, 1)
        monkeypatch.setenv(PASSWORD_VARIABLE, "p@:ss")
        with opened(f"http://anna@{host}/secret", []) as camera:
            frames(camera, 1)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/elsewhere", "no page, playlist or redirection"),
        ("/list", "no page, playlist or redirection"),
        ("/page", "no page, playlist or redirection"),
        ("/missing", "does not answer"),
    ],
)
def test_what_is_no_stream_is_refused_and_nothing_else_is_asked_for(path: str, why: str) -> None:
    with phone() as server:
        with pytest.raises(DeviceError, match=why):
            open_camera(f"{server.address}{path}")
        assert set(server.asked) == {path}


def test_pictures_that_are_too_large_are_refused() -> None:
    with phone(size=(5000, 4000)) as server, pytest.raises(DeviceError, match="no picture that can be decoded"):
        open_camera(f"{server.address}/video")


def test_nobody_there_and_nobody_answering(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError, match=r"127\.0\.0\.1:9/video does not answer.*Is it on"):
        open_camera("http://127.0.0.1:9/video")
    monkeypatch.setattr("avatar.sources.network_camera.OPEN_S", 0.3)
    with phone() as server, pytest.raises(DeviceError, match="does not answer"):
        open_camera(f"{server.address}/silent")


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9/")
    with phone() as server, opened(f"{server.address}/video", []) as camera:
        frames(camera, 1)


@pytest.mark.parametrize(
    "address",
    ["ftp://phone/video", "file:///etc/passwd", "http://", "http://a:b@/x", "http://phone:port/", "http://a b/"],
)
def test_what_is_no_cameras_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError):
        open_camera_or_motion(address)


def test_an_address_begins_as_it_was_typed() -> None:
    with phone() as server, opened(server.address.replace("http", "HTTP") + "/video", []) as camera:
        assert frames(camera, 1)


def test_what_takes_files_alone_says_who_takes_an_address() -> None:
    with pytest.raises(InputError, match="--camera") as refused:
        open_media(Path("http://anna:geheim@phone/clip.mp4"))
    assert "geheim" not in str(refused.value)


def test_names_for_people() -> None:
    assert public_name("rtsp://anna:geheim@10.0.0.7:554/live/1?key=abc") == "rtsp://10.0.0.7:554/live/1"
    assert public_name("c920") == "c920"
    assert is_address("rtsp://phone/") and not is_address("whip:8080")
    assert NetworkCamera("https://phone/").name == "https://phone/"


@pytest.mark.e2e
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux refuses the network")
def test_a_command_keeps_its_network_for_an_address(tmp_path: Path) -> None:
    with phone() as server:
        address = server.address.replace("http://", "http://anna:geheim@")
        command = [
            sys.executable,
            "-m",
            "avatar.cli.main",
            "record-motion",
            "--seconds",
            "1",
            "--camera",
            f"{address}/video",
        ]
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
        done = subprocess.run(
            [*command, "--output", str(tmp_path / "a.motion")],
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert f"keeps its network, to read {server.address}/video." in done.stderr
        assert "geheim" not in done.stderr + done.stdout
