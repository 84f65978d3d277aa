"""The tracker in its cage: the same numbers, nothing believed, and the avatar goes on when the cage breaks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from avatar.core.errors import TrackerDownError, VisavisError
from avatar.face.state import DESCRIPTOR_SIZE, FaceState, no_face
from avatar.identity.face_identity import open_face_identity
from avatar.sandbox.confinement import Confinement
from avatar.tracking import cage_process, caged_tracker
from avatar.tracking.cage_process import examine_cage
from avatar.tracking.cage_wire import (
    FRAME_AT,
    NO_BOXES,
    REPLY,
    REQUEST,
    BadReplyError,
    read_reply,
    read_text,
    write_reply,
    write_text,
)
from avatar.tracking.caged_tracker import CagedTracker, cage_note
from avatar.tracking.child.face_landmarker import FaceTracker
from avatar.tracking.frame_memory import FrameMemory, NamedMemory, attach, open_frame_memory
from avatar.tracking.model_asset import tracker_model
from tests.clips import acted_face, moving_face
from tests.portraits import astronaut, head, resized

pytestmark = pytest.mark.realtime

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="by Linux's means")


def assert_same(one: FaceState, other: FaceState) -> None:
    assert (one.found, one.faces, one.confidence, one.covered, one.capture_ns) == (
        other.found, other.faces, other.confidence, other.covered, other.capture_ns
    )  # fmt: skip
    for name in ("landmarks", "blendshapes", "pose"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def until(true: Callable[[], object], limit_s: float = 30.0) -> None:
    end_s = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < end_s, "it did not come about"
        time.sleep(0.02)


def fake_cage(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """A program in the cage's place. `bell(byte)` rings, `memory` is the shared memory, `REQUEST_BYTES` a request's."""
    prologue = f"""
        import os, sys, time
        from avatar.tracking.frame_memory import attach
        memory = attach(None, sys.argv[4], int(sys.argv[5]))
        bell = lambda byte: os.write(1, byte)
        REQUEST_BYTES = {REQUEST.size}
    """
    program = textwrap.dedent(prologue) + textwrap.dedent(code)
    monkeypatch.setattr(cage_process, "CAGE", [sys.executable, "-c", program])


@pytest.mark.parametrize("mode", ["video", "image"])
def test_the_cage_changes_no_number(mode: str) -> None:
    pictures = [*map(moving_face, range(8)), np.zeros((240, 320, 3), np.uint8), *map(moving_face, range(8, 12))]
    with (
        FaceTracker(tracker_model(), mode) as free,  # type: ignore[arg-type]
        CagedTracker(tracker_model(), mode, patient=True) as caged,  # type: ignore[arg-type]
    ):
        for number, rgb in enumerate(pictures):
            state = caged.track(rgb, number * 40_000_000)
            assert_same(state, free.track(rgb, number * 40_000_000))
            assert state.found == bool(rgb.any())


def test_the_other_faces_of_a_picture_are_told_where_they_are() -> None:
    two = np.full((480, 960, 3), 120, np.uint8)
    for scale, x in ((1.8, 60), (2.3, 490)):
        face = resized(head(), scale)
        two[10 : 10 + face.shape[0], x : x + face.shape[1]] = face
    with CagedTracker(tracker_model(), "image", max_faces=4) as tracker:
        answer = tracker.track_all(two, 1)
        assert tracker.track_all(astronaut(), 2).others.shape == (0, 2, 2)
        assert tracker.track_all(np.zeros_like(two), 3).others.shape == (0, 2, 2)
    assert answer.face.faces == 2 and 490 < answer.face.landmarks[:, 0].mean() < 960
    ((left, top), (right, bottom)) = answer.others[0]
    assert 60 < left < right < 480 and 0 < top < bottom < 480
    for count in (0, 17):
        with pytest.raises(ValueError, match="1 to 16 faces"):
            CagedTracker(tracker_model(), max_faces=count)


def test_what_forgets_answers_as_one_that_was_just_started() -> None:
    with CagedTracker(tracker_model(), patient=True) as used, CagedTracker(tracker_model(), patient=True) as fresh:
        for number in range(5):
            used.track(moving_face(number), 10**12 + number * 40_000_000)
        used.forget()
        for number in range(3):
            time_ns = number * 40_000_000  # as at the start of another clip
            assert_same(used.track(moving_face(number + 9), time_ns), fresh.track(moving_face(number + 9), time_ns))
        assert used.restarts == 0


def test_pictures_that_stand_alone_change_nothing_for_the_others() -> None:
    """As a live run of a file asks, before it plays, which way up that is."""
    with CagedTracker(tracker_model(), patient=True) as both, CagedTracker(tracker_model(), patient=True) as video:
        with CagedTracker(tracker_model(), "image", patient=True) as image:
            for number in (9, 5, 1):
                assert_same(both.image_mode.track(moving_face(number), 0), image.track(moving_face(number), 0))
        for number in range(3):
            time_ns = number * 40_000_000
            assert_same(both.track(moving_face(number), time_ns), video.track(moving_face(number), time_ns))
        assert both.restarts == 0


def test_named_memory_as_on_other_systems() -> None:
    memory = NamedMemory(FRAME_AT)
    for size in (FRAME_AT, 1_000_000):
        memory.reserve(size)
        memory.buffer[size - 2] = 5
        code = f"""
            from avatar.tracking.frame_memory import attach
            there = attach(None, {memory.address!r}, {size})
            there.buffer[{size - 1}] = there.buffer[{size - 2}] + 1
        """
        subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60)
        assert memory.buffer[size - 1] == 6
    memory.release()


def test_pictures_of_any_size_in_any_order() -> None:
    face = astronaut()
    huge = np.zeros((3000, 4000, 3), np.uint8)
    huge[1000:1512, 1000:1512] = face
    pictures = [face[:1, :1], face, huge, face[:2, :400], face[:, ::-1], np.zeros((1, 2000, 3), np.uint8), face]
    with FaceTracker(tracker_model(), "image") as free, CagedTracker(tracker_model(), "image") as caged:
        for rgb in pictures:
            assert_same(caged.track(rgb, 3), free.track(rgb, 3))
        assert caged.restarts == 0
        with pytest.raises(ValueError, match="uint8 pictures"):
            caged.track(face.astype(np.float32), 3)


def test_nothing_of_mediapipe_is_loaded_here_and_nothing_chatters() -> None:
    code = f"""
        import sys
        from pathlib import Path
        import numpy as np
        from avatar.tracking.caged_tracker import CagedTracker
        with CagedTracker(Path({str(tracker_model())!r})) as tracker:
            tracker.track(np.zeros((48, 64, 3), np.uint8), 0)
        assert not {{"mediapipe", "cv2", "matplotlib"}} & set(sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@linux_only
def test_the_cage_holds_no_socket_and_no_variable_opens_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_ALLOW_NETWORK", "1")
    with CagedTracker(tracker_model()) as tracker:
        process = Path(f"/proc/{tracker.pid}")
        status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines())
        assert status["Seccomp"].strip() == "2" and status["NoNewPrivs"].strip() == "1"
        if os.getuid():  # not even this user can look into it
            with pytest.raises(PermissionError):
                [entry.readlink() for entry in (process / "fd").iterdir()]
        else:
            held = [str(entry.readlink()) for entry in (process / "fd").iterdir()]
            assert not [name for name in held if name.startswith("socket:")]
    assert cage_note() is None
    assert examine_cage() == (Confinement(None, None), None)


def test_a_killed_cage_is_replaced_while_the_avatar_idles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caged_tracker, "FRAME_LIMIT_S", 20.0)  # a first picture takes long on a busy machine
    said: list[str] = []
    with CagedTracker(tracker_model(), say=said.append) as tracker:
        first = tracker.pid
        assert first is not None and tracker.track(astronaut(), 1).found
        os.kill(first, signal.SIGKILL)
        start_s = time.monotonic()
        state = tracker.track(astronaut(), 2)
        assert not state.found and state.capture_ns == 2 and time.monotonic() - start_s < 1.5
        idle = 0
        for stamp in range(3, 3000):
            start_s = time.monotonic()
            state = tracker.track(astronaut(), stamp)
            if state.found:
                break
            idle += 1
            assert time.monotonic() - start_s < 0.2
            time.sleep(0.01)
        assert state.found and idle > 0
        until(lambda: len(said) == 2)
        assert tracker.restarts == 1 and tracker.pid not in (None, first)
    assert "SIGKILL" in said[0] and said[1] == "The face tracker is back."


@linux_only
def test_a_hung_cage_is_replaced_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caged_tracker, "FRAME_LIMIT_S", 0.5)
    said: list[str] = []
    with CagedTracker(tracker_model(), say=said.append) as tracker:
        stopped = tracker.pid
        assert stopped is not None
        os.kill(stopped, signal.SIGSTOP)
        assert not tracker.track(astronaut(), 1).found
        monkeypatch.setattr(caged_tracker, "FRAME_LIMIT_S", 20.0)  # for the new one, on a busy machine
        until(lambda: tracker.track(astronaut(), 2).found)
        assert "no answer" in said[0] and not Path(f"/proc/{stopped}").exists()


def test_a_patient_tracker_loses_no_picture() -> None:
    with CagedTracker(tracker_model(), "image", say=lambda line: None, patient=True) as tracker:
        for _ in range(2):
            assert tracker.pid is not None
            os.kill(tracker.pid, signal.SIGKILL)
            assert tracker.track(astronaut(), 1).found
        assert tracker.restarts == 2


def test_a_patient_tracker_gives_up_on_a_picture_that_kills(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_cage(monkeypatch, "bell(b's'); os.read(0, REQUEST_BYTES); os.abort()")
    with (
        CagedTracker(tracker_model(), say=lambda line: None, patient=True) as tracker,
        pytest.raises(VisavisError, match="SIGABRT, twice at the same picture"),
    ):
        tracker.track(astronaut(), 1)


def test_one_that_must_not_forget_tries_a_picture_once_and_goes_on() -> None:
    with CagedTracker(tracker_model(), say=lambda line: None, patient=True, tries=1) as tracker:
        assert tracker.pid is not None
        os.kill(tracker.pid, signal.SIGKILL)
        with pytest.raises(TrackerDownError, match=r"SIGKILL\. Leave that picture out"):
            tracker.track(astronaut(), 1)
        assert tracker.track(astronaut(), 2).found and tracker.restarts == 1


@linux_only
def test_ctrl_c_is_not_the_cages_to_answer() -> None:
    with CagedTracker(tracker_model(), patient=True) as tracker:
        assert tracker.pid is not None and os.getpgid(tracker.pid) != os.getpgid(0)
        os.kill(tracker.pid, signal.SIGINT)
        assert tracker.track(astronaut(), 1).found and tracker.restarts == 0


@linux_only
@pytest.mark.parametrize("asleep", [False, True], ids=["waiting", "stopped in the middle"])
def test_the_cage_does_not_outlive_its_owner(asleep: bool) -> None:
    code = f"""
        import time
        from pathlib import Path
        from avatar.tracking.caged_tracker import CagedTracker
        tracker = CagedTracker(Path({str(tracker_model())!r}))
        print(tracker.pid, flush=True)
        time.sleep(60)
    """
    owner = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    if asleep:
        os.kill(pid, signal.SIGSTOP)
    owner.kill()
    owner.communicate()
    stat = Path(f"/proc/{pid}/stat")
    until(lambda: not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z", 10.0)


def test_a_damaged_model_is_an_error_with_the_next_command(tmp_path: Path) -> None:
    damaged = tmp_path / "model.task"
    damaged.write_bytes(b"no model")
    with pytest.raises(VisavisError, match=r"(?s)cannot start.*visavis doctor"):
        CagedTracker(damaged)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mediapipe").mkdir()
    broken = tmp_path / "mediapipe" / "__init__.py"
    broken.write_text("raise ImportError('libEGL.so.1: cannot open shared object file')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(VisavisError, match=r"libEGL.*Run `visavis doctor`, which names the missing system library"):
        CagedTracker(tracker_model())
    assert "libEGL" in str(examine_cage()[1])


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("print('GPU on fire', file=sys.stderr); os._exit(7)", "exit code 7 .GPU on fire"),
        ("os.abort()", "SIGABRT"),
        ("bell(b'x')", "nonsense"),
        ("time.sleep(60)", "no answer for 1 s"),
    ],
)
def test_a_cage_that_does_not_start_says_why(code: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_cage(monkeypatch, code)
    if "sleep" in code:
        monkeypatch.setattr(cage_process, "START_LIMIT_S", 1.0)
    with pytest.raises(VisavisError, match=words):
        CagedTracker(tracker_model())


def test_closing_does_not_wait_for_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    tracker = CagedTracker(tracker_model(), say=said.append)
    fake_cage(monkeypatch, "time.sleep(60)")
    pid = tracker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    tracker.track(astronaut(), 1)
    time.sleep(0.5)  # by now the next one hangs at its start
    start_s = time.monotonic()
    tracker.close()
    tracker.close()
    assert time.monotonic() - start_s < 5.0 and tracker.pid is None
    assert not tracker.track(astronaut(), 2).found and len(said) == 1


@linux_only
def test_nothing_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def held() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    fake_cage(monkeypatch, "bell(b's')\nwhile os.read(0, REQUEST_BYTES): os._exit(1)")
    before = held()
    with CagedTracker(tracker_model(), say=lambda line: None) as tracker:
        while tracker.restarts < 3:
            tracker.track(astronaut(), 1)
            time.sleep(0.02)
    assert held() == before


# -- a cage that was broken into ---------------------------------------------------------------------------------------


@pytest.fixture
def memory() -> Iterator[FrameMemory]:
    opened = open_frame_memory(FRAME_AT)
    yield opened
    opened.release()


def state() -> FaceState:
    landmarks = np.random.default_rng(1).uniform(9, 99, (478, 3)).astype(np.float32)
    descriptor = np.full(DESCRIPTOR_SIZE, 0.1, np.float32)
    scores, pose = np.full(52, 0.5, np.float32), np.eye(4, dtype=np.float32)
    return FaceState(landmarks, scores, pose, 1.0, 7, 2, descriptor=descriptor)


OTHERS = np.array([[(200, 20), (260, 100)]], np.float32)


def test_a_reply_that_is_right_is_read_as_it_was_written(memory: FrameMemory) -> None:
    for said, others in ((state(), OTHERS), (no_face(7), NO_BOXES)):
        write_reply(memory, 5, said, others)
        answer = read_reply(memory, 5, 7, 2, 640)
        assert_same(answer.face, said)
        assert (answer.face.descriptor is None) == (said.descriptor is None)
        np.testing.assert_array_equal(answer.others, others)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("serial", 4),
        ("faces", 0),
        ("faces", 3),
        ("faces", 2**32 - 1),
        ("found", 0),  # but two faces
        ("found", 2),
        ("confidence", np.nan),
        ("confidence", -0.1),
        ("covered", np.nan),
        ("covered", 1.1),
        ("descriptor", np.nan),
        ("descriptor", -1.1),
        ("landmarks", np.nan),
        ("landmarks", np.inf),
        ("landmarks", 1e9),
        ("blendshapes", 2.0),
        ("blendshapes", np.nan),
        ("pose", -np.inf),
        ("pose", 1e30),
        ("others", np.nan),
        ("others", np.inf),
        ("others", -1e9),
    ],
)
def test_an_impossible_reply_is_refused(memory: FrameMemory, field: str, value: float) -> None:
    write_reply(memory, 5, state(), OTHERS)
    reply = np.frombuffer(bytearray(memory.buffer[: REPLY.itemsize]), REPLY)
    target = reply[field] if reply[field].ndim == 1 else reply[field].reshape(-1)
    target[OTHERS.size - 1 if field == "others" else -1] = value
    memory.buffer[: REPLY.itemsize] = reply.tobytes()
    with pytest.raises(BadReplyError):
        read_reply(memory, 5, 7, 2, 640)


def on_a_line(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    return landmarks[:, :1] * np.ones(3, np.float32)


@pytest.mark.parametrize(
    ("field", "degenerate"),
    [
        ("landmarks", np.zeros_like),
        ("landmarks", lambda landmarks: landmarks * 0 + 9),
        ("landmarks", lambda landmarks: landmarks * 1e-3),  # of a tenth of a pixel
        ("landmarks", on_a_line),
        ("landmarks", lambda landmarks: landmarks * (1, 1, 0)),
        ("blendshapes", np.zeros_like),
        ("pose", np.zeros_like),
        ("pose", lambda pose: pose * 2),
        ("pose", lambda pose: pose @ np.diag([1, 1, -1, 1])),
        ("pose", lambda pose: np.vstack([pose[:3], (0.5, 0, 0, 1)])),
    ],
)
def test_what_is_no_face_is_refused(
    memory: FrameMemory, field: str, degenerate: Callable[[NDArray[np.float32]], NDArray[np.float32]]
) -> None:
    right = state()
    wrong: dict[str, Any] = {field: degenerate(getattr(right, field)).astype(np.float32)}
    write_reply(memory, 5, replace(right, **wrong), OTHERS)
    with pytest.raises(BadReplyError, match="no face"):
        read_reply(memory, 5, 7, 2, 640)


@pytest.mark.parametrize(
    "box",
    [
        np.zeros((2, 2)),
        [(9, 9), (9.3, 9.3)],  # of a third of a pixel, in a picture of 640
        [(9, 9), (90, 9)],
        [(90, 90), (9, 9)],  # the wrong way round
    ],
)
def test_a_box_that_holds_no_face_is_refused(memory: FrameMemory, box: NDArray[np.float32]) -> None:
    write_reply(memory, 5, state(), np.array([box], np.float32))
    with pytest.raises(BadReplyError, match="holds no face"):
        read_reply(memory, 5, 7, 2, 640)


def test_a_face_with_nothing_in_it_is_refused(memory: FrameMemory) -> None:
    reply = np.zeros((), REPLY)
    reply["serial"], reply["faces"], reply["found"] = 5, 1, 1
    memory.buffer[: REPLY.itemsize] = reply.tobytes()
    with pytest.raises(BadReplyError):
        read_reply(memory, 5, 7, 2, 640)


def test_faces_of_every_size_and_turn_are_believed(memory: FrameMemory) -> None:
    found = 0
    with FaceTracker(tracker_model(), "image") as tracker:
        for degrees in (-40, 0, 40):
            for scale in (0.5, 1.0, 3.0):
                turn = cv2.getRotationMatrix2D((220, 120), degrees, scale)
                turn[:, 2] += 256 - np.array([220, 120])
                turned = cv2.warpAffine(astronaut(), turn, (512, 512))
                seen = tracker.track(np.asarray(turned, np.uint8), 7)
                write_reply(memory, 5, seen, tracker.others)
                found += read_reply(memory, 5, 7, 2, 512).face.found
    assert found >= 6


@pytest.mark.parametrize(
    "reply",
    [
        "bell(b't')",  # the memory holds the answer to nothing
        "memory.buffer[:8000] = os.urandom(8000); bell(b't')",
        'bell(b\'cbuiltins\\nexec\\n(Vopen("stolen", "w")\\ntR.\')',
        "memory.buffer[:4] = b'\\xff' * 4; memory.buffer[4:40] = b'\\x1b[2J' * 9; bell(b'f')",
        "os.close(1)",
    ],
)
def test_a_hostile_cage_gets_no_further(reply: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    fake_cage(monkeypatch, f"bell(b's')\nwhile os.read(0, REQUEST_BYTES):\n    {reply}\ntime.sleep(60)")
    said: list[str] = []
    with CagedTracker(tracker_model(), say=said.append) as tracker:
        assert not tracker.track(astronaut(), 7).found
        until(lambda: tracker.restarts == 1 and len(said) == 2)
    assert said[0].isprintable() and list(tmp_path.iterdir()) == []


@linux_only
def test_a_pipe_that_is_filled_from_its_other_end_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = """
        back = os.open("/proc/self/fd/0", os.O_WRONLY | os.O_NONBLOCK)
        try:
            while True:
                os.write(back, bytes(4096))
        except BlockingIOError:
            bell(b's')
        time.sleep(60)
    """
    fake_cage(monkeypatch, hostile)
    said: list[str] = []
    with CagedTracker(tracker_model(), say=said.append) as tracker:
        assert not tracker.track(astronaut(), 7).found
        until(lambda: said)
    assert "takes no more pictures" in said[0]


@linux_only
def test_the_memory_cannot_be_shrunk_under_its_owner(memory: FrameMemory) -> None:
    there = attach(None, memory.address, FRAME_AT)
    with pytest.raises(PermissionError):
        os.ftruncate(int(memory.address.removeprefix("fd:")), 0)
    memory.reserve(1_000_000)
    memory.buffer[999_999] = 5
    assert attach(there, memory.address, 1_000_000).buffer[999_999] == 5


def test_what_the_cage_says_fits_on_a_line(memory: FrameMemory) -> None:
    write_text(memory, "a\nb\x1b[2J\t\u202ec" + "d" * 10_000)
    text = read_text(memory)
    assert text.startswith("a b[2J c") and text.isprintable() and len(text) < 2_001


def test_on_other_systems_it_is_said_that_the_network_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "only Linux can refuse it" in str(cage_note()) and "may send usage logs" in str(cage_note())


def test_it_says_now_and_then_whose_face_it_is_as_the_identity_network_does() -> None:
    frames = [moving_face(0)] * 30
    with (
        CagedTracker(tracker_model(), patient=True, describes=True) as tracker,
        CagedTracker(tracker_model(), patient=True) as silent,
        open_face_identity("onnxruntime", 1) as identity,
    ):
        states = [tracker.track(rgb, number * 40_000_000) for number, rgb in enumerate(frames)]
        told = [(number, state) for number, state in enumerate(states) if state.descriptor is not None]
        assert [number for number, _ in told] == [1, 11, 21]  # three of whoever has come, then only every few seconds
        for number, state in told:
            assert state.descriptor is not None
            right = identity.descriptor(frames[number], state.landmarks)
            assert np.abs(state.descriptor - right).max() < 1e-5
        assert silent.track(frames[0], 0).descriptor is None
        assert silent.track(frames[1], 40_000_000).descriptor is None


@pytest.mark.parametrize("turned", [False, True], ids=["ahead", "aside"])
def test_a_face_that_looks_aside_is_not_described(turned: bool) -> None:
    rgb = acted_face(yaw_deg=42.0 if turned else 0.0)
    with CagedTracker(tracker_model(), patient=True, describes=True) as tracker:
        described = [tracker.track(rgb, number * 40_000_000).descriptor is not None for number in range(5)]
    assert any(described) != turned
