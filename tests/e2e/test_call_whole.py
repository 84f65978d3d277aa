"""The whole of `visavis call`: Chromium's webcam drives, the avatar comes back to Chromium, all through the command."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from avatar.core.arrays import Picture
from avatar.core.avatar import Avatar
from avatar.evaluation.neck import Marked, mark, measure
from avatar.identity.bundle import save_avatar
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model
from avatar.trust.mark_message import bundle_id
from avatar.trust.verification import verify_file
from tests.clips import astronaut_avatar, moving_face
from tests.e2e.test_call_browser import chromium_arguments, open_page, wait_for

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.realtime,
    pytest.mark.skipif(not Path("/usr/bin/chromium").exists(), reason="no Chromium: apt-get install chromium"),
]


def write_y4m(path: Path, frames: int = 90) -> None:
    """A video that Chromium plays as its webcam, over and over."""
    with av.open(str(path), "w", format="yuv4mpegpipe") as container:
        stream = container.add_stream("rawvideo", rate=30, width=640, height=480, pix_fmt="yuv420p")
        for index in range(frames):
            picture = moving_face(index, 640, 480)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


# what a viewer's page would keep: five seconds of WebM, in base64
RECORD = """async () => {
  const recorder = new MediaRecorder(call.video.srcObject, {mimeType: 'video/webm;codecs=vp8'});
  const pieces = [];
  recorder.ondataavailable = ({data}) => pieces.push(data);
  const over = new Promise(resolve => recorder.onstop = resolve);
  recorder.start();
  setTimeout(() => recorder.stop(), 5000);
  await over;
  const bytes = new Uint8Array(await new Blob(pieces).arrayBuffer());
  return btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(''));
}"""

# as congestion control does it in mid-call
SMALLER = """async () => {
  const sender = call.driving.getSenders().find(({track}) => track?.kind === 'video');
  const parameters = sender.getParameters();
  for (const encoding of parameters.encodings) encoding.scaleResolutionDownBy = 2;
  await sender.setParameters(parameters);
}"""


@cache
def marked() -> Marked:
    """The astronaut with marks, by which her neck is measured."""
    found = mark(astronaut_avatar().portraits[0], astronaut_avatar().landmarks[0])
    assert found is not None
    return found


def decoded(shot: bytes) -> Picture:
    picture = Image.open(io.BytesIO(shot)).convert("RGB")
    return np.asarray(picture.resize((512, 512)))


def neck_lengths(pictures: list[Picture]) -> list[float]:
    """In distances of the eyes."""
    with CagedTracker(tracker_model(), "image", patient=True) as tracker:
        found = [tracker.track(picture, index).landmarks for index, picture in enumerate(pictures)]
    lengths = [
        measure(picture, marked().colour, landmarks / np.float32(len(picture)))
        for picture, landmarks in zip(pictures, found, strict=True)
    ]
    assert all(lengths)
    return [length.neck for length in lengths if length]


def avatar_of_the_call() -> Avatar:
    return replace(astronaut_avatar(), portraits=marked().picture[None])


@pytest.fixture
def command(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """`visavis call` that waits for a browser's camera, and its links."""
    avatar = tmp_path / "ada.avatar"
    save_avatar(avatar_of_the_call(), avatar)
    line = [sys.executable, "-m", "avatar.cli.main", "call", str(avatar), "--camera", "browser", "--no-open", "--json"]
    environment = {**os.environ, "VISAVIS_HOME": str(tmp_path / "home")}
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None and process.stderr is not None
    links = process.stdout.readline()
    assert links, process.stderr.read()
    yield process, json.loads(links)
    if process.poll() is None:
        process.kill()
    process.communicate()


def test_a_webcam_in_chromium_drives_the_avatar_that_chromium_shows(command: Any, tmp_path: Path) -> None:
    process, links = command
    owner = links["page"].partition("#owner=")[2]
    webcam = tmp_path / "webcam.y4m"
    write_y4m(webcam)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=[*chromium_arguments(), f"--use-file-for-fake-video-capture={webcam}"],
        )
        page = open_page(browser, links["page"])
        page.evaluate("owner => call.drive(owner, {width: 640, height: 480})", owner)
        page.evaluate("owner => call.view(owner)", owner)
        wait_for(page, "call.frames > 60", timeout_s=60)
        state = page.evaluate(
            "async owner => (await fetch('/api/state', {headers: {Authorization: 'Bearer ' + owner}})).json()", owner
        )
        shots = []
        for _ in range(3):
            shots.append(page.locator("video").screenshot())
            page.wait_for_timeout(300)
        recording = tmp_path / "recorded.webm"
        recording.write_bytes(base64.b64decode(page.evaluate(RECORD)))
        page.evaluate(SMALLER)
        page.wait_for_timeout(3000)  # the encoder's next key frame, and what the driver's framing would do about it
        smaller = [page.locator("video").screenshot() for _ in range(3)]
        browser.close()
    if folder := os.environ.get("VISAVIS_TEST_PICTURES"):
        for index, shot in enumerate(shots):
            (Path(folder) / f"call_{index}.png").write_bytes(shot)
    seen = verify_file(recording).mark
    assert seen is not None and seen.bundle == bundle_id(avatar_of_the_call())
    print("strength of the mark in what Chromium has recorded", seen.strength)
    pictures, after = ([decoded(shot) for shot in part] for part in (shots, smaller))
    assert pictures[0].std() > 30  # a face, and no black box
    assert cv2.absdiff(pictures[0], pictures[1]).mean() + cv2.absdiff(pictures[1], pictures[2]).mean() > 0.5  # it moves
    before_mean, after_mean = (np.mean(neck_lengths(part)) for part in (pictures, after))
    print("neck", before_mean, after_mean)
    assert abs(after_mean / before_mean - 1) < 0.05
    figures = {name: state[name] for name in ("latency_ms", "lip_offset_ms", "microphone", "figures")}
    print(json.dumps(figures))
    assert state["microphone"] is True
    assert state["drives"] == "browser" and state["figures"]["fps"] > 3
    process.send_signal(signal.SIGINT)
    end_s = time.monotonic() + 20
    while process.poll() is None:
        assert time.monotonic() < end_s, "Ctrl-C did not end it"
        time.sleep(0.1)
    assert process.returncode == 0, process.stderr.read()
    report = json.loads(process.stdout.read())
    assert report["published"] > 60
    print("capture → encoder", report["capture_to_encoder_ms"], "sound after picture", report["sound_after_picture_ms"])
