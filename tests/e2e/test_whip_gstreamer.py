"""GStreamer's webrtcbin publishes by WHIP and so drives the avatar, through the real commands."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avatar.identity.bundle import save_avatar
from avatar.sources.video_file import VideoFile
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model
from tests.clips import astronaut_avatar, face_clip, green_share, painted
from tests.e2e.test_call_gstreamer import PLAYER, PYTHON, gstreamer_is_there

SOURCE = Path(__file__).with_name("gst_whip_source.py")
TOKEN = "kept-from-run-to-run"
NOSE_TIP = 1

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.realtime,
    pytest.mark.skipif(
        not gstreamer_is_there("vp8enc", "x264enc", "opusenc", "rtph264pay", "qtdemux"),
        reason="no GStreamer: apt-get install gstreamer1.0-plugins-good gstreamer1.0-plugins-bad "
        "gstreamer1.0-plugins-ugly gstreamer1.0-nice gstreamer1.0-libav python3-gi gir1.2-gst-plugins-bad-1.0",
    ),
]


class Lines:
    """What a program prints, line by line."""

    def __init__(self, process: subprocess.Popen[str], stream: str) -> None:
        self.all: list[str] = []
        self._process, self._came = process, queue.Queue[str]()
        self._pipe = getattr(process, stream)
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        for line in self._pipe:
            self.all.append(line)
            self._came.put(line)

    def until(self, part: str, timeout_s: float = 90) -> str:
        """The next line that has `part`."""
        end_s = time.monotonic() + timeout_s
        while True:
            try:
                line = self._came.get(timeout=0.2)
            except queue.Empty:
                assert time.monotonic() < end_s and self._process.poll() is None, (part, self.all)
            else:
                if part in line:
                    return line

    def rest(self) -> str:
        self._reading.join(30)
        return "".join(self.all)


@contextmanager
def running(line: list[str], **environment: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def visavis(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "avatar.cli.main", *arguments, "--camera", "whip", "--engine", "onnxruntime"]


def source(url: str, token: str, clip: Path, codec: str, seconds: float, *more: str) -> list[str]:
    return [PYTHON, str(SOURCE), url, token, str(clip), codec, str(seconds), *more]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute of a moving face behind a green frame: longer than any test, since its end ends the session."""
    path = face_clip(tmp_path_factory.mktemp("clip") / "source.mp4", frames=300, fps=5, change=painted)
    assert green_share(next(iter(VideoFile(path))).rgb) > 0.3  # the pattern is there to be found
    return path


@pytest.fixture(scope="module")
def avatar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("avatar") / "ada.avatar"
    save_avatar(astronaut_avatar(), path)
    return path


def test_it_drives_a_recording_and_when_it_is_killed_the_next_one_does(
    avatar: Path, clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    line = visavis("live", str(avatar), "--to", str(out), "--json", "--verbose")
    with running(line, VISAVIS_WHIP_SOURCE_TOKEN=TOKEN) as live:
        said, report = Lines(live, "stderr"), Lines(live, "stdout")
        url = said.until("Server:").split()[-1]
        assert said.until("Bearer Token:").split()[-1] == TOKEN
        assert url.startswith("http://127.0.0.1:") and url.endswith("/whip")
        said.until("runs on")
        with running(source(url, TOKEN, clip, "VP8", 60)) as first:
            said.until("has come")
            time.sleep(6)
            with running(source(url, TOKEN, clip, "H264", 60)) as second:
                assert Lines(second, "stdout").until("").strip() == "409"  # one at a time
            first.send_signal(signal.SIGKILL)
        with running(source(url, TOKEN, clip, "H264", 5)) as following:
            said.until("has gone")
            said.until("has come")
            assert following.wait(90) == 0
            said.until("has gone")
        time.sleep(1)
        live.send_signal(signal.SIGINT)
        assert live.wait(60) == 0, said.rest()
        figures = json.loads(report.rest())
    pictures = [frame.rgb for frame in VideoFile(out)]
    with CagedTracker(tracker_model(), "image", patient=True) as tracker:
        noses = [tracker.track(picture, 0).landmarks[NOSE_TIP, :2] for picture in pictures[:: len(pictures) // 40]]
    sway_px = float(np.ptp([nose[0] for nose in noses]))
    counts = {name: figures[name] for name in ("captured", "tracked", "faceless", "published", "idled", "fps", "drops")}
    print(json.dumps({**counts, "pictures": len(pictures), "sway_px": round(sway_px, 1)}))
    assert max(green_share(picture) for picture in pictures) == 0  # no pixel of the source
    assert figures["tracked"] > 20 and figures["faceless"] < figures["tracked"] / 4
    assert figures["idled"] > 20  # before, between and after the two
    assert len(pictures) == figures["published"] - figures["drops"]["publishers"]
    assert sway_px > 8


def state_of(page: str, owner: str) -> dict[str, Any]:
    request = urllib.request.Request(f"{page}api/state", headers={"Authorization": f"Bearer {owner}"})
    with urllib.request.urlopen(request, timeout=30) as reply:
        return dict(json.loads(reply.read()))


def test_in_a_call_its_picture_and_sound_reach_a_player(avatar: Path, clip: Path, tmp_path: Path) -> None:
    line = visavis("call", str(avatar), "--no-open", "--json", "--verbose")
    with running(line, VISAVIS_HOME=str(tmp_path)) as call:
        said, links = Lines(call, "stderr"), json.loads(Lines(call, "stdout").until("{"))
        page, _, owner = links["page"].partition("#owner=")
        said.until("Bearer Token:")
        said.until("runs on")
        with running(source(f"{page}whip", links["whip_token"], clip, "VP8", 60, "sound")) as sending:
            said.until("has come")
            state = state_of(page, owner)
            end_s = time.monotonic() + 60
            while not state["microphone"]:  # the source's sound
                assert time.monotonic() < end_s and sending.poll() is None
                time.sleep(0.2)
                state = state_of(page, owner)
            assert "whip" in [peer["kind"] for peer in state["peers"]]
            player = [PYTHON, str(PLAYER), f"{page}whep", links["whep_token"], "60", "VP8"]
            done = subprocess.run(player, capture_output=True, text=True, timeout=90)
            assert done.returncode == 0, done.stderr
        seen = json.loads(done.stdout)
        print(seen)
        assert seen["video"] > 30 and seen["audio"] > 60 and (seen["width"], seen["height"]) == (512, 512)
        call.send_signal(signal.SIGINT)
        assert call.wait(60) == 0, said.rest()
