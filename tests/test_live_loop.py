"""The live loop with real parts: a file that plays as a camera, the tracker, the networks, a recorder."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from avatar.core.errors import DeviceError, InputError, UsageError
from avatar.core.frame import Frame
from avatar.identity.bundle import save_avatar
from avatar.live.control import Control
from avatar.live.governor import Governor, Level
from avatar.live.live_report import CAPTURE_TO_PUBLISHED, LiveReport
from avatar.live.options import LiveOptions
from avatar.live.session import open_session
from avatar.profiling.profile import Memory
from avatar.publish.publisher import Publisher
from avatar.publish.recorder import Recorder
from avatar.publish.virtual_camera import VirtualCamera
from avatar.render.layered_renderer import LayeredRenderer
from avatar.sources.camera import Camera, PlayedFile, open_camera
from avatar.sources.nobody import Nobody
from avatar.sources.video_file import VideoFile
from avatar.tracking.model_asset import tracker_model
from avatar.trust.label import LabelStyle
from engines.engine import EngineFailure
from tests.clips import astronaut_avatar, face_clip, green_share, moving_face, painted, read_times

pytestmark = pytest.mark.realtime


class Album(Memory):
    """A publisher that keeps every frame, may take its time, and may fail once."""

    def __init__(self, delay_s: float = 0.0, fail_at: int = -1) -> None:
        super().__init__()
        self.frames: list[Frame] = []
        self.closed = 0
        self._delay_s, self._fail_at = delay_s, fail_at

    def send(self, frame: Frame) -> None:
        if len(self.frames) == self._fail_at:
            self._fail_at = -1
            raise DeviceError("/dev/video10 has gone")
        self.frames.append(frame)
        time.sleep(self._delay_s)

    def close(self) -> None:
        self.closed += 1


def run(
    camera: Camera, *publishers: Publisher, seconds: float | None = None, size: tuple[int, int] = (512, 512)
) -> LiveReport:
    with open_session(astronaut_avatar(), tracker_model(), camera, publishers, LiveOptions(size=size)) as session:
        return session.loop.run(seconds)


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("visavis-")}


def test_a_file_plays_as_a_camera_and_the_avatar_is_recorded(tmp_path: Path) -> None:
    clip, output = face_clip(tmp_path / "in.mp4", frames=40, fps=20), tmp_path / "out.mp4"
    report = run(PlayedFile(clip), Recorder(output))
    lost = sum(report.drops.values())
    assert report.published - report.idled + lost >= 40  # each frame is either shown or counted as dropped
    assert report.published >= 3  # a busy machine drops frames, and says so above
    assert report.faceless == 0
    assert report.latency[CAPTURE_TO_PUBLISHED].count == report.published
    times = read_times(output)
    assert len(times) == report.published - report.drops["publishers"]
    assert times[-1] - times[0] == pytest.approx(39 / 20, abs=0.11)  # real time: the last frame is not lost
    with av.open(str(output)) as recording:
        assert recording.metadata["comment"] == "AI generated, by visavis."
    if find_spec("c2pa") is not None:
        from avatar.trust.provenance import read_provenance

        assert (found := read_provenance(output)) is not None and found.state == "whole" and found.made_by_ai
    assert threads() == set()


def test_an_avatar_that_idles_for_nobody_is_drawn_once_a_second() -> None:
    album = Album()
    album.watched = False
    run(Nobody(), album, seconds=2.5)
    drawn_ns = sorted({frame.capture_ns for frame in album.frames})  # the last one is sent again meanwhile
    assert 1 <= len(drawn_ns) <= 4
    assert (np.diff(drawn_ns) > 0.9e9).all()


def test_no_pixel_of_the_camera_comes_out(tmp_path: Path) -> None:
    clip = face_clip(tmp_path / "in.mp4", frames=25, fps=12, change=painted)
    assert min(green_share(frame.rgb) for frame in VideoFile(clip)) > 0.3  # the pattern is there to be found
    album = Album()
    report = run(PlayedFile(clip), album, size=(640, 360))
    assert report.tracked > report.faceless
    assert max(green_share(frame.rgb) for frame in album.frames) == 0
    assert {frame.rgb.shape for frame in album.frames} == {(360, 640, 3)}


def test_capture_times_travel_to_the_publisher_in_order(tmp_path: Path) -> None:
    album = Album()
    before_ns = time.monotonic_ns()
    run(PlayedFile(face_clip(tmp_path / "in.mp4", frames=20, fps=20)), album)
    stamps = [frame.capture_ns for frame in album.frames]
    assert stamps == sorted(set(stamps))
    assert before_ns < stamps[0] < stamps[-1] < time.monotonic_ns()
    spacing = np.diff(stamps) / 1e9 * 20
    assert spacing == pytest.approx(np.round(spacing), abs=1e-3)  # whole frames apart: stamped when due


def test_a_slow_publisher_costs_frames_and_not_delay(tmp_path: Path) -> None:
    album = Album(delay_s=0.25)
    report = run(PlayedFile(face_clip(tmp_path / "in.mp4", frames=60, fps=20)), album)
    assert 8 <= report.published <= 16
    assert sum(report.drops.values()) == 60 - report.published
    # one picture waits while another is being sent: never more
    assert report.latency[CAPTURE_TO_PUBLISHED].max_ms < 1500


def test_an_avatar_that_is_slower_than_the_camera_still_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = face_clip(tmp_path / "in.mp4", frames=60, fps=20)
    with open_session(astronaut_avatar(), tracker_model(), PlayedFile(clip), [Album()]) as session:
        animator, drawn = session.loop.animator, Counter[str]()
        monkeypatch.setattr(Governor, "level", Level(0.5, track_every=2))

        def slow(name: str, draw: Callable[[Any], Any]) -> Callable[[Any], Any]:
            def slowly(moment: Any) -> Any:
                time.sleep(0.2)
                drawn[name] += 1
                return draw(moment)

            return slowly

        for name in ("paint", "extrapolate"):
            setattr(animator, name, slow(name, getattr(animator, name)))
        session.loop.run()
    assert drawn["paint"] > 5 * drawn["extrapolate"]


def test_a_limit_in_seconds_ends_a_source_that_never_does(tmp_path: Path) -> None:
    clip = face_clip(tmp_path / "in.mp4", frames=10, fps=20)
    album = Album()
    start = time.monotonic()
    report = run(PlayedFile(clip, loop=True), album, seconds=1.5)
    assert time.monotonic() - start < 6
    assert report.seconds == pytest.approx(1.5, abs=0.5)  # three times round
    stamps = np.diff([frame.capture_ns for frame in album.frames])
    assert (stamps > 0).all()


def test_nobody_before_the_camera_leaves_the_avatar_idling(tmp_path: Path) -> None:
    clip = face_clip(tmp_path / "in.mp4", frames=15, fps=15, change=lambda p: np.full_like(p, 60))
    album = Album()
    report = run(PlayedFile(clip), album)
    assert report.faceless == report.tracked > 3
    assert album.frames[-1].rgb.std() > 20


def test_a_publisher_that_fails_is_opened_again_and_the_others_go_on(tmp_path: Path) -> None:
    output, album = tmp_path / "out.mp4", Album(fail_at=3)
    report = run(PlayedFile(face_clip(tmp_path / "in.mp4", frames=100, fps=20)), Recorder(output), album)
    assert len(read_times(output)) >= report.published - report.drops["publishers"] - 1
    assert len(album.frames) > 3  # back after RETRY_S
    assert album.closed == 2
    assert threads() == set()


def test_a_publisher_that_cannot_be_opened_ends_the_run_before_it_starts(tmp_path: Path) -> None:
    missing = VirtualCamera("/dev/video77")
    with pytest.raises(DeviceError, match="/dev/video77"):
        run(PlayedFile(face_clip(tmp_path / "in.mp4", frames=40, fps=20)), missing)
    assert threads() == set()


class FailingCamera:
    """A webcam that is unplugged after some frames."""

    name, fps, dropped = "/dev/video7", 20.0, 0

    def __init__(self) -> None:
        self.given = 0
        self.closed = False

    def read(self) -> Frame | None:
        if self.given == 5:
            raise DeviceError("/dev/video7 was unplugged")
        time.sleep(0.1)
        self.given += 1
        return Frame(moving_face(self.given), time.monotonic_ns(), self.given)

    def close(self) -> None:
        self.closed = True


def test_a_camera_that_vanishes_ends_the_loop_with_its_message(tmp_path: Path) -> None:
    camera, output = FailingCamera(), tmp_path / "out.mp4"
    with pytest.raises(DeviceError, match="was unplugged"):
        run(camera, Recorder(output))
    assert camera.closed
    assert len(read_times(output)) >= 1  # what was recorded is kept
    assert threads() == set()


def test_an_engine_that_never_works_ends_the_loop(tmp_path: Path) -> None:
    album = Album()
    camera = PlayedFile(face_clip(tmp_path / "in.mp4", frames=30, fps=20))
    with open_session(astronaut_avatar(), tracker_model(), camera, [album]) as session:
        rig = session.animator.rig
        renderer = rig.renderer(rig.canvas.square_px)
        assert isinstance(renderer, LayeredRenderer)
        renderer._embedding = np.zeros((1, 3), np.float32)
        with pytest.raises(EngineFailure):
            session.loop.run()
    assert album.closed == 1
    assert threads() == set()


def test_another_avatar_takes_over_with_the_same_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    album = Album()
    camera = PlayedFile(face_clip(tmp_path / "in.mp4", frames=20, fps=20), loop=True)
    dimmed = replace(astronaut_avatar(), name="dim", portraits=astronaut_avatar().portraits // 3)
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path / "home"))
    recorder, refused = Recorder(tmp_path / "out.mp4"), list[str]()
    publishers, options = [album, recorder], LiveOptions(size=(640, 360))

    def take_over() -> None:
        try:
            session.show(dimmed)
        except UsageError as error:
            refused.append(str(error))
        session.remove(recorder)
        session.show(dimmed)

    with open_session(astronaut_avatar(), tracker_model(), camera, publishers, options) as session:
        session.retargeter.mirror = True
        session.label_as(LabelStyle("bottom-left", left_out="a rehearsal"))
        session.label_as(LabelStyle("bottom-left"))
        threading.Timer(1.5, take_over).start()
        session.loop.run(seconds=5)
        assert session.avatar.name == "dim"
        assert len(refused) == 1 and "signed as one avatar's" in refused[0]  # while it was recorded
        assert session.retargeter.mirror
        assert session.animator.rig.label.style.corner == "bottom-left"
    assert album.frames[0].rgb.mean() > 2 * album.frames[-1].rgb.mean()
    with av.open(str(tmp_path / "out.mp4")) as recording:  # says it, though the label came back
        assert recording.metadata["comment"].endswith("Without a visible label: a rehearsal")


def test_keys_change_what_is_shown(tmp_path: Path) -> None:
    said: list[str] = []
    camera = PlayedFile(face_clip(tmp_path / "in.mp4", frames=20, fps=20), loop=True)
    with open_session(astronaut_avatar(), tracker_model(), camera, [Memory()], say=said.append) as session:
        control = Control(session, ["astronaut"], said.append)
        control.toggle_mirror()
        control.toggle_pause()
        control.next_region()
        control.lower_gain()
        retargeter = session.retargeter
        assert (retargeter.mirror, retargeter.idle_only, retargeter.gains.eyes) == (True, True, 0.9)
        assert "paused" in control.state
        assert "mirrored" in control.state
        assert "eyes 0.9" in control.state
        control.set_gain("mouth", 99)
        assert retargeter.gains.mouth == 2.0
        control.next_avatar()
        assert "There is no other avatar" in said[-1]
        threading.Timer(1.0, control.quit).start()
        report = session.loop.run()
        assert report.published > 3


def test_cameras_that_are_not_there_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"/dev/video77.*no such camera"):
        open_camera("77")
    with pytest.raises(DeviceError, match=r"/dev/video77"):
        open_camera("/dev/video77")
    with pytest.raises(InputError, match="no such file"):
        open_camera(str(tmp_path / "missing.mp4"))
    (tmp_path / "letter.mp4").write_text("Dear reader")
    with pytest.raises(InputError, match=r"letter\.mp4"):
        open_camera(str(tmp_path / "letter.mp4"))


def test_a_late_reader_of_a_played_file_gets_the_frame_that_is_due(tmp_path: Path) -> None:
    camera = PlayedFile(face_clip(tmp_path / "in.mp4", frames=30, fps=20))
    first = camera.read()
    time.sleep(0.52)
    asked_ns = time.monotonic_ns()
    late = camera.read()
    assert first is not None
    assert late is not None
    assert asked_ns - 50_000_000 <= late.capture_ns <= time.monotonic_ns()  # due when asked for, not when first unread
    assert (late.capture_ns - first.capture_ns) / 1e9 == pytest.approx(late.media_s - first.media_s)
    assert camera.dropped == round(late.media_s * 20) - 1


@pytest.mark.e2e
def test_the_command_ends_well_when_it_is_told_to_stop(tmp_path: Path) -> None:
    save_avatar(astronaut_avatar(), tmp_path / "astronaut.avatar")
    clip, output = face_clip(tmp_path / "in.mp4", frames=20, fps=20), tmp_path / "out.mp4"
    command = [sys.executable, "-m", "avatar.cli.main", "live", str(tmp_path / "astronaut.avatar"), "--loop"]
    command += ["--camera", str(clip), "--to", str(output), "--verbose"]
    for number in (signal.SIGTERM, signal.SIGINT):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            deadline = time.monotonic() + 40
            while not list(tmp_path.glob("out.*.part.mp4")) and time.monotonic() < deadline:
                time.sleep(0.1)
            time.sleep(2)
            process.send_signal(number)
            printed, said = process.communicate(timeout=30)
        finally:
            process.kill()
        assert process.returncode == 0, said
        assert CAPTURE_TO_PUBLISHED in printed
        assert "Traceback" not in said
        assert len(read_times(output)) > 5
        output.unlink()
