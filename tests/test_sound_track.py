"""The driver's sound beside the avatar's pictures, which are never lost by it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import av
import numpy as np
import pytest

from avatar.live.sound_track import add_sound
from avatar.publish.video_writer import VideoWriter
from tests.clips import face_clip, moving_face, read_times


def pictures(path: Path) -> None:
    writer = VideoWriter(path, 320, 240, 25.0)
    for index in range(25):
        writer.write(moving_face(index), index / 25)
    writer.finish()


def pcm_clip(path: Path, frames: int = 25) -> Path:
    """With uncompressed stereo, as cameras and old recorders write it."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mjpeg", rate=25)
        video.width, video.height, video.pix_fmt = 320, 240, "yuvj420p"
        speaker = container.add_stream("pcm_s16le", rate=44_100)
        speaker.layout = "stereo"
        for index in range(frames):
            container.mux(video.encode(av.VideoFrame.from_ndarray(moving_face(index), format="rgb24")))
        wave = np.sin(2 * np.pi * 440 * np.arange(44_100 * frames // 25) / 44_100)
        samples = np.stack([wave, wave], 1).reshape(1, -1)
        sound = av.AudioFrame.from_ndarray((9000 * samples).astype(np.int16), format="s16", layout="stereo")
        sound.sample_rate, sound.pts = 44_100, 0
        container.mux(speaker.encode(sound))
        container.mux([*video.encode(None), *speaker.encode(None)])
    return path


@pytest.mark.parametrize(("container", "codec"), [("mp4", "aac"), ("mkv", "pcm_s16le")])
def test_sound_that_the_container_refuses_is_encoded_anew(tmp_path: Path, container: str, codec: str) -> None:
    """FFmpeg's mp4 muxer refuses stereo PCM only when the file is closed."""
    output = tmp_path / f"out.{container}"
    pictures(output)
    said = add_sound(output, pcm_clip(tmp_path / "in.avi"))
    assert read_times(output) == pytest.approx([i / 25 for i in range(25)])
    with av.open(str(output)) as written:
        sound = written.streams.audio[0]
        assert sound.codec_context.name == codec
        heard = np.concatenate([frame.to_ndarray().ravel() for frame in written.decode(sound)])
    assert heard.size == pytest.approx(2 * 44_100, rel=0.05)
    anew = "The sound was encoded anew, as AAC: .mp4 does not take it as it was (pcm_s16le)."
    assert said == (anew if container == "mp4" else "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.avi", output.name]


def test_what_happens_to_the_sound_costs_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full when the sound is added."""
    source, output = face_clip(tmp_path / "in.mp4", frames=12, sound=True), tmp_path / "out.mp4"
    beside = tmp_path / f".out.{os.getpid()}.part.mp4"
    with_name = Path.with_name
    full = Path("/dev/full")
    monkeypatch.setattr(Path, "with_name", lambda p, name: full if name == beside.name else with_name(p, name))
    monkeypatch.setattr(Path, "unlink", lambda p, missing_ok=False: None)
    pictures(output)
    assert re.match(r"The sound \(aac\) was left out: copying it failed \(No space", add_sound(output, source))
    assert len(read_times(output)) == 25


def test_the_index_comes_first_with_and_without_sound(tmp_path: Path) -> None:
    for source in (None, face_clip(tmp_path / "in.mp4", frames=25, sound=True)):
        pictures(tmp_path / "out.mp4")
        assert add_sound(tmp_path / "out.mp4", source) == ""
        written = (tmp_path / "out.mp4").read_bytes()
        assert written.index(b"moov") < written.index(b"mdat")
