"""Every program in examples/, and that of docs/API.md, as a person starts it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avatar.identity.bundle import save_avatar
from avatar.live.record_motion import record_motion
from avatar.sources.camera import open_camera
from avatar.sources.motion import write_motion
from avatar.sources.photo import load_photo
from avatar.sources.video_file import VideoFile
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model
from avatar.webrtc.whip_target import TOKEN_VARIABLE
from tests.clips import astronaut_avatar, face_clip, green_share, painted
from tests.portraits import enlarged, save
from tests.test_whip import TOKEN, WhipServer

ROOT = Path(__file__).parents[1]
FRAMES = 15

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An avatar, and its driver's clip."""
    folder = tmp_path_factory.mktemp("examples")
    save_avatar(astronaut_avatar(), folder / "ada.avatar", None)
    face_clip(folder / "talk.mp4", FRAMES, painted)
    return folder


def run(example: Path | str, *arguments: object, cwd: Path | None = None) -> str:
    """What it prints."""
    command = [sys.executable, str(ROOT / "examples" / example), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def pictures(video: Path) -> list[np.ndarray]:
    return [frame.rgb for frame in VideoFile(video)]


def test_photo_to_picture(folder: Path) -> None:
    photo = save(enlarged(2.0), folder / "photo.png")
    driver = save(painted(enlarged(1.0)), folder / "driver.png")
    run("photo_to_picture.py", photo, driver, folder / "picture.png")
    picture = load_photo(folder / "picture.png")
    assert picture.shape == (512, 512, 3)
    assert green_share(picture) < 0.001


def test_that_of_the_api_page(folder: Path) -> None:
    page = (ROOT / "docs" / "API.md").read_text("utf-8").partition("## A program")[2]
    program = folder / "documented.py"
    program.write_text(page.partition("```python\n")[2].partition("```")[0], "utf-8")
    Image.fromarray(enlarged(2.0)).save(folder / "anna.jpg", quality=95)
    run(program, cwd=folder)
    assert len(pictures(folder / "anna-talks.mp4")) == FRAMES


def test_video_to_video(folder: Path) -> None:
    run("video_to_video.py", folder / "ada.avatar", folder / "talk.mp4", folder / "driven.mp4")
    driven = pictures(folder / "driven.mp4")
    assert len(driven) == FRAMES
    assert max(map(green_share, driven)) < 0.001
    assert np.abs(driven[0].astype(int) - driven[-1]).max() > 20  # it moved


def test_webcam_to_virtual_camera(folder: Path) -> None:
    """A video plays the webcam, and a recording stands for the virtual camera."""
    said = run("webcam_to_virtual_camera.py", folder / "ada.avatar", folder / "talk.mp4", folder / "seen.mp4")
    assert "pictures to" in said
    seen = pictures(folder / "seen.mp4")
    assert {picture.shape for picture in seen} == {(480, 640, 3)}
    assert max(map(green_share, seen)) < 0.001


def test_face_states_to_webrtc(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    with CagedTracker(tracker_model(), "video", patient=True) as tracker:
        camera = open_camera(str(face_clip(folder / "long.mp4", 50)), real_time=False)
        write_motion(record_motion(camera, tracker, by_media_time=True).motion, folder / "talk.motion")
    server = WhipServer()
    try:
        said = run("face_states_to_webrtc.py", folder / "ada.avatar", folder / "talk.motion", server.url)
    finally:
        server.close()
    assert said.startswith("50 pictures")
    assert server.sizes == {(512, 512)}
    assert server.frames["video"] > 0
    assert len(server.posts) == len(server.deleted) == 1


def test_many_avatars(folder: Path) -> None:
    ada = folder / "ada.avatar"
    run("many_avatars.py", folder / "talk.mp4", folder / "choir.mp4", ada, ada, ada)
    choir = pictures(folder / "choir.mp4")
    assert len(choir) == FRAMES
    assert choir[0].shape == (256, 768, 3)
    assert np.abs(choir[-1][:, :256].astype(int) - choir[-1][:, 256:512]).mean() < 3  # both follow, but for H.264
