"""Video files as they come: variable rate, turned, cut off, empty, no video at all."""

import itertools
import re
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import GREEN, face_clip, moving_face, read_times, write_clip

from avatar.errors import InputError
from avatar.frame import Frame
from avatar.sources.camera import open_camera
from avatar.sources.video_file import VideoFile


def test_every_frame_comes_with_its_time(tmp_path: Path) -> None:
    video = VideoFile(face_clip(tmp_path / "clip.mp4", frames=30, fps=25))
    frames = list(video)
    assert (video.fps, video.width, video.height, video.expected_count) == (25.0, 320, 240, 30)
    assert [frame.index for frame in frames] == list(range(30))
    assert [frame.media_s for frame in frames] == pytest.approx([i / 25 for i in range(30)])
    assert frames[7].rgb.shape == (240, 320, 3)
    assert np.abs(frames[7].rgb.astype(int) - moving_face(7)).mean() < 4
    assert all(a.capture_ns < b.capture_ns for a, b in itertools.pairwise(frames))
    assert video.damage is None


def test_it_can_be_read_again(tmp_path: Path) -> None:
    video = VideoFile(face_clip(tmp_path / "clip.mp4", frames=5))
    assert len(list(video)) == len(list(video)) == 5


def test_a_variable_rate_keeps_its_times(tmp_path: Path) -> None:
    times_ms = [0, 40, 50, 140, 141, 500, 533, 900, 1400, 1433]
    path = face_clip(tmp_path / "vfr.mp4", frames=10, pts=times_ms, time_base=Fraction(1, 1000))
    assert read_times(path) == pytest.approx([t / 1000 for t in times_ms])


@pytest.mark.parametrize(("stored", "corner"), [(90, "bottom left"), (-90, "top right"), (180, "bottom right")])
def test_rotation_metadata_is_applied(tmp_path: Path, stored: int, corner: str) -> None:
    picture = moving_face(0)
    picture[:60, :60] = GREEN  # top left, as stored
    path = write_clip(tmp_path / "phone.mp4", [picture] * 3, rotation=stored)
    video = VideoFile(path)
    upright = next(iter(video)).rgb
    assert (video.width, video.height) == ((320, 240) if stored == 180 else (240, 320))
    assert upright.shape == (video.height, video.width, 3)
    rows = slice(10, 50) if "top" in corner else slice(-50, -10)
    columns = slice(10, 50) if "left" in corner else slice(-50, -10)
    assert upright[rows, columns].mean((0, 1)) == pytest.approx([0, 255, 0], abs=30)


def test_the_size_may_change_in_mid_stream(tmp_path: Path) -> None:
    path = tmp_path / "changing.h264"
    for width, height in ((320, 240), (480, 360)):
        part = write_clip(tmp_path / f"{width}.h264", [moving_face(i, width, height) for i in range(6)])
        with path.open("ab") as file:
            file.write(part.read_bytes())
    frames = list(VideoFile(path))
    assert [frame.rgb.shape for frame in frames] == [(240, 320, 3)] * 6 + [(360, 480, 3)] * 6
    assert np.abs(frames[-1].rgb.astype(int) - moving_face(5, 480, 360)).mean() < 6


def test_as_fast_as_it_goes_no_frame_is_lost_however_slow_the_reader(tmp_path: Path) -> None:
    camera = open_camera(str(face_clip(tmp_path / "clip.mp4", frames=10, fps=100)), real_time=False)
    frames = []
    while isinstance(frame := camera.read(), Frame):
        frames.append(frame)
        time.sleep(0.03)  # three frames' time
    assert frame is None and camera.dropped == 0
    assert [frame.index for frame in frames] == list(range(10))
    assert [frame.media_s for frame in frames] == pytest.approx([i / 100 for i in range(10)])
    assert all(a.capture_ns < b.capture_ns for a, b in itertools.pairwise(frames))


def test_as_fast_as_it_goes_is_faster_than_real_time_and_starts_over(tmp_path: Path) -> None:
    camera = open_camera(str(face_clip(tmp_path / "clip.mp4", frames=20, fps=1)), loop=True, real_time=False)
    start_s = time.monotonic()
    frames = [camera.read() for _ in range(50)]
    assert time.monotonic() - start_s < 25  # they last 50
    assert [frame.index for frame in frames if isinstance(frame, Frame)] == list(range(50))
    assert [round(frame.media_s) for frame in frames if isinstance(frame, Frame)] == [i % 20 for i in range(50)]


def test_a_file_cut_off_in_the_middle_gives_what_is_there_and_says_so(tmp_path: Path) -> None:
    whole = face_clip(tmp_path / "whole.mp4", frames=60, options={"movflags": "faststart"})
    data = whole.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: len(data) // 2])
    video = VideoFile(cut)
    frames = list(video)
    assert 10 < len(frames) < 60
    assert video.damage is not None
    assert "cut.mp4" in video.damage
    assert str(len(frames)) in video.damage


def test_a_recording_that_never_ended_says_so(tmp_path: Path) -> None:
    whole = face_clip(tmp_path / "whole.mp4", frames=30)  # its index comes last
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[:-3000])
    with pytest.raises(InputError, match=r"cut\.mp4 is cut off: its index.*Copy it again"):
        VideoFile(cut)


def test_a_matroska_file_that_was_cut_off_gives_what_is_there(tmp_path: Path) -> None:
    whole = face_clip(tmp_path / "whole.mkv", frames=60)
    data = whole.read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(data[: len(data) // 2])
    video = VideoFile(cut)
    assert 5 < len(list(video)) < 60
    assert video.damage is not None
    assert re.search(r"cut\.mkv is cut off: it ends after \d\.\d of 2\.4 seconds", video.damage)


@pytest.mark.parametrize("last_ms", [100, 400])
def test_a_whole_matroska_file_is_not_called_cut_off(tmp_path: Path, last_ms: int) -> None:
    path = face_clip(tmp_path / "a.mkv", frames=4, pts=[0, 40, 50, last_ms], time_base=Fraction(1, 1000), sound=True)
    video = VideoFile(path)
    assert len(list(video)) == 4
    assert video.damage is None


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    empty, text, missing = tmp_path / "empty.mp4", tmp_path / "letter.mp4", tmp_path / "missing.mp4"
    empty.touch()
    text.write_text("Dear reader,\n" * 200)
    for path, reason in ((empty, "is empty"), (text, "cannot be read as a video"), (missing, "no such file")):
        with pytest.raises(InputError, match=reason) as caught:
            VideoFile(path)
        assert str(path) in str(caught.value)
    with pytest.raises(InputError, match=r"is a folder\. Name a video in it"):
        VideoFile(tmp_path)
    picture = tmp_path / "letter.jpg"
    picture.write_text("Dear reader,\n")
    with pytest.raises(InputError, match=r"no picture of it can be decoded.*Give a file that"):
        VideoFile(picture)


def test_sound_without_pictures_is_named(tmp_path: Path) -> None:
    import av
    from clips import TONE_HZ, _tone

    path = tmp_path / "song.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        tone = container.add_stream("aac", rate=TONE_HZ)
        for frame in _tone(0.5):
            container.mux(tone.encode(frame))
        container.mux(tone.encode(None))
    with pytest.raises(InputError, match="no video stream"):
        VideoFile(path)
