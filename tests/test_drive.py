"""File to file: as many frames out as in, at the same times, with the sound, and none of the driver in the picture."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
import pytest

from avatar.core.errors import InputError, UsageError, VisavisError
from avatar.core.model_files import model_file
from avatar.identity.bundle import save_avatar
from avatar.live.drive import STAGES, Drive, DriveOptions, DriveReport, drive_file
from avatar.live.record_motion import record_motion
from avatar.render.layered_network import NETWORK
from avatar.retarget.retargeter import Mode
from avatar.sources.camera import open_camera
from avatar.sources.motion import write_motion
from avatar.sources.video_file import VideoFile
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model
from engines import open_engine
from tests.clips import astronaut_avatar, face_clip, green_share, moving_face, packets, painted, read_times, write_clip


def drive(
    source: Path,
    output: Path,
    options: DriveOptions | None = None,
    progress: Callable[[int, int], None] = lambda done, expected: None,
) -> DriveReport:
    engine = open_engine(model_file(NETWORK))
    try:
        job = Drive.open(source, output, options)
        return drive_file(astronaut_avatar(), engine, tracker_model(), job, progress)
    finally:
        engine.close()


def test_every_frame_in_is_a_frame_out_at_the_same_time(tmp_path: Path) -> None:
    source, output = face_clip(tmp_path / "in.mp4", frames=24, fps=25), tmp_path / "out.mp4"
    seen: list[tuple[int, int]] = []
    report = drive(source, output, progress=lambda done, expected: seen.append((done, expected)))
    assert (report.frames_in, report.frames_out, report.faceless) == (24, 24, 0)
    assert report.media_s == pytest.approx(23 / 25)
    assert read_times(output) == read_times(source)
    video = VideoFile(output)
    assert (video.width, video.height, video.fps) == (512, 512, 25.0)
    assert seen[-1] == (24, 24)
    assert list(report.latency) == list(STAGES)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


def test_the_avatar_moves(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    drive(face_clip(tmp_path / "in.mp4", frames=24), output)
    pictures = [frame.rgb.astype(int) for frame in VideoFile(output)]
    assert np.abs(pictures[0] - pictures[-1]).mean() > 2


def test_a_variable_rate_stays_variable(tmp_path: Path) -> None:
    times_ms = [0, 40, 50, 140, 141, 500, 533, 900, 1400, 1433]
    source = face_clip(tmp_path / "vfr.mp4", frames=10, pts=times_ms, time_base=Fraction(1, 1000))
    drive(source, tmp_path / "out.mp4")
    assert read_times(tmp_path / "out.mp4") == read_times(source) == pytest.approx([t / 1000 for t in times_ms])


@pytest.mark.parametrize("container", ["mp4", "mkv", "mov"])
def test_the_sound_is_kept_packet_by_packet(tmp_path: Path, container: str) -> None:
    source, output = face_clip(tmp_path / "in.mp4", frames=25, sound=True), tmp_path / f"out.{container}"
    report = drive(source, output)
    assert packets(output, "audio") == packets(source, "audio")
    assert len(packets(output, "audio")) > 40
    # MKV has no place for signed metadata, which is said where they would be written
    assert report.notes == () or (container == "mkv" and len(report.notes) == 1 and "C2PA" in report.notes[0])


def test_joined_videos_of_two_sizes_drive_as_one(tmp_path: Path) -> None:
    first = face_clip(tmp_path / "first.ts", frames=12, sound=True)
    second = write_clip(tmp_path / "second.ts", [moving_face(i, 640, 480) for i in range(12)], sound=True)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    report = drive(joined, tmp_path / "out.mp4")
    assert (report.frames_out, report.faceless, report.notes) == (24, 0, ())
    assert report.media_s == pytest.approx(23 / 25, abs=0.01)
    assert np.diff(read_times(tmp_path / "out.mp4")) == pytest.approx([0.04] * 23, abs=0.002)
    durations = [(packet.duration, packet.time_base) for packet in sound_packets(tmp_path / "out.mp4")]
    heard = sum(float(duration * base) for duration, base in durations if duration)
    assert heard == pytest.approx(2 * 12 / 25, abs=0.1)


def sound_packets(path: Path) -> list[av.Packet[av.AudioStream]]:
    with av.open(str(path)) as container:
        return [packet for packet in container.demux(audio=0) if packet.dts is not None]


def test_an_upside_down_video_is_turned_and_that_is_said(tmp_path: Path) -> None:
    upright = face_clip(tmp_path / "upright.mp4", frames=12)
    source = face_clip(tmp_path / "in.mp4", frames=12, change=lambda picture: np.rot90(picture, 2).copy())
    report = drive(source, tmp_path / "out.mp4")
    assert report.notes == (f"{source} is upside down: turned by 180°.",)
    drive(upright, tmp_path / "wanted.mp4")
    pairs = zip(VideoFile(tmp_path / "out.mp4"), VideoFile(tmp_path / "wanted.mp4"), strict=True)
    assert np.mean([np.abs(a.rgb.astype(int) - b.rgb).mean() for a, b in pairs]) < 4


def test_no_pixel_of_the_driver_comes_out(tmp_path: Path) -> None:
    source = face_clip(tmp_path / "in.mp4", frames=20, change=painted)
    assert min(green_share(frame.rgb) for frame in VideoFile(source)) > 0.3  # the pattern is there to be found
    report = drive(source, tmp_path / "out.mp4")
    assert report.faceless < 20
    assert max(green_share(frame.rgb) for frame in VideoFile(tmp_path / "out.mp4")) == 0


def test_frames_without_a_face_are_counted_and_the_avatar_stays(tmp_path: Path) -> None:
    empty = np.full((240, 320, 3), 90, np.uint8)
    pictures = [moving_face(i) if i < 8 else empty for i in range(20)]
    report = drive(write_clip(tmp_path / "in.mp4", pictures), tmp_path / "out.mp4")
    assert (report.frames_out, report.faceless) == (20, 12)
    last = list(VideoFile(tmp_path / "out.mp4"))[-1].rgb
    assert last.std() > 20  # a picture, not a grey plane


def test_a_video_without_any_face_is_said(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "wall.mp4", [np.full((240, 320, 3), 90, np.uint8)] * 4)
    report = drive(source, tmp_path / "out.mp4")
    assert (report.frames_out, report.faceless) == (4, 4)
    assert report.notes == (f"{source} shows no face in any of its 4 frames: the avatar only idles.",)


def test_the_driver_beside_the_avatar_when_asked_for(tmp_path: Path) -> None:
    drive(
        face_clip(tmp_path / "in.mp4", frames=4),
        tmp_path / "out.mp4",
        DriveOptions(compose=lambda driver, square: np.hstack([driver.rgb, square[:240]])),
    )
    video = VideoFile(tmp_path / "out.mp4")
    assert (video.width, video.height) == (320 + 512, 240)
    assert np.abs(next(iter(video)).rgb[:, :320].astype(int) - moving_face(0)).mean() < 6


def test_both_modes_drive(tmp_path: Path) -> None:
    source = face_clip(tmp_path / "in.mp4", frames=4)
    modes: list[Mode] = ["relative", "absolute"]
    for mode in modes:
        assert drive(source, tmp_path / f"{mode}.mp4", DriveOptions(mode)).frames_out == 4


def test_a_cut_off_video_is_driven_as_far_as_it_goes(tmp_path: Path) -> None:
    data = face_clip(tmp_path / "whole.mp4", frames=40, options={"movflags": "faststart"}).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: len(data) // 2])
    report = drive(cut, tmp_path / "out.mp4")
    assert 5 < report.frames_out < 40
    assert "cut.mp4" in report.notes[0]
    assert len(read_times(tmp_path / "out.mp4")) == report.frames_out


def test_bad_input_leaves_no_output(tmp_path: Path) -> None:
    text = tmp_path / "letter.mp4"
    text.write_text("Dear reader,\n" * 200)
    with pytest.raises(InputError, match=r"letter\.mp4"):
        drive(text, tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == [text]


def test_a_failure_on_the_way_leaves_no_output(tmp_path: Path) -> None:
    def fail(done: int, expected: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    source = face_clip(tmp_path / "in.mp4", frames=8)
    with pytest.raises(KeyboardInterrupt):
        drive(source, tmp_path / "out.mp4", progress=fail)
    assert list(tmp_path.iterdir()) == [source]


def test_what_was_drawn_before_a_failure_is_kept(tmp_path: Path) -> None:
    def fail(done: int, expected: int) -> None:
        if done == 60:
            raise VisavisError("The network broke.")

    with pytest.raises(VisavisError, match=r"The network broke\. What was drawn before that is kept: \d\.\d s\."):
        drive(face_clip(tmp_path / "in.mp4", frames=80), tmp_path / "out.mp4", progress=fail)
    assert len(read_times(tmp_path / "out.mp4")) > 10


def test_an_output_is_replaced_only_by_force(tmp_path: Path) -> None:
    source, output = face_clip(tmp_path / "in.mp4", frames=3), tmp_path / "out.mp4"
    output.write_text("precious")
    with pytest.raises(UsageError, match="--force"):
        drive(source, output)
    assert output.read_text() == "precious"
    assert drive(source, output, DriveOptions(force=True)).frames_out == 3
    with pytest.raises(UsageError, match="the input itself"):
        drive(source, source, DriveOptions(force=True))


@pytest.mark.e2e
@pytest.mark.e2e
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_on_the_way_it_leaves_nothing_half_written(tmp_path: Path, number: signal.Signals) -> None:
    save_avatar(astronaut_avatar(), tmp_path / "astronaut.avatar")
    clip = face_clip(tmp_path / "in.mp4", frames=400)
    command = [sys.executable, "-m", "avatar.cli.main", "drive", str(tmp_path / "astronaut.avatar")]
    command += ["--input", str(clip), "--output", str(tmp_path / "out.mp4")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 40
    while not list(tmp_path.glob("out.*.part.mp4")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["astronaut.avatar", "in.mp4"]


def test_the_command(tmp_path: Path) -> None:
    save_avatar(astronaut_avatar(), tmp_path / "astronaut.avatar")
    source = face_clip(tmp_path / "in.mp4", frames=6)
    command = [sys.executable, "-m", "avatar.cli.main", "drive", str(tmp_path / "astronaut.avatar")]
    command += ["--input", str(source), "--output", str(tmp_path / "out.mp4")]
    unlabelled = ["--no-label", "a rehearsal"]
    done = subprocess.run([*command, *unlabelled, "--json"], capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert report["frames_out"] == 6
    assert "(a rehearsal)" in report["notes"][-1]
    with av.open(str(tmp_path / "out.mp4")) as written:
        assert written.metadata["comment"] == "AI generated, by visavis. Without a visible label: a rehearsal"
    if find_spec("c2pa") is not None:
        from avatar.trust.provenance import consent_digest, read_provenance

        found = read_provenance(tmp_path / "out.mp4")
        assert found is not None and found.consent_sha256 == consent_digest(astronaut_avatar())
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert "--force" in again.stderr
    assert "Traceback" not in again.stderr


def test_recorded_motion_drives_as_the_video_it_came_from(tmp_path: Path) -> None:
    clip = face_clip(tmp_path / "in.mp4", frames=24, fps=12)
    with CagedTracker(tracker_model(), "video", patient=True) as tracker:
        recorded = record_motion(open_camera(str(clip), real_time=False), tracker, by_media_time=True)
    write_motion(recorded.motion, tmp_path / "talk.motion")
    report = drive(tmp_path / "talk.motion", tmp_path / "from_motion.mp4")
    assert (report.frames_out, report.faceless) == (24, 0)
    drive(clip, tmp_path / "from_video.mp4")
    assert read_times(tmp_path / "from_motion.mp4") == pytest.approx(read_times(tmp_path / "from_video.mp4"), abs=2e-3)
    pairs = zip(VideoFile(tmp_path / "from_motion.mp4"), VideoFile(tmp_path / "from_video.mp4"), strict=True)
    assert np.mean([np.abs(a.rgb.astype(int) - b.rgb).mean() for a, b in pairs]) < 4
