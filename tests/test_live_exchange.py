"""What is exchanged while an avatar is live: cameras without an end between, and what a page is told meanwhile."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from avatar.core.errors import DeviceError
from avatar.core.frame import Frame, NoPicture
from avatar.dashboard.live_choices import Wish, camera_names
from avatar.dashboard.live_hints import hint
from avatar.live.camera_switch import CameraSwitch
from avatar.live.late_tracker import LateTracker
from avatar.sources.nobody import Nobody

PICTURE = np.zeros((8, 8, 3), np.uint8)


class Clip:
    """Gives `count` frames, then ends."""

    fps, dropped = 30.0, 2

    def __init__(self, name: str, count: int) -> None:
        self.name, self.left, self.closed = name, count, 0

    def read(self) -> Frame | NoPicture | None:
        self.left -= 1
        return None if self.closed or self.left < 0 else Frame(PICTURE, time.monotonic_ns(), 0)

    def close(self) -> None:
        self.closed += 1


class Reader:
    """Takes what a switch gives."""

    def __init__(self, switch: CameraSwitch) -> None:
        self.frames: list[Frame] = []
        self.over, self.came, self.failure = threading.Event(), threading.Event(), list[BaseException | None]()
        switch.start(self._take, self._end)

    def _take(self, given: object) -> bool:
        if isinstance(given, Frame):
            self.frames.append(given)
            self.came.set()
        return True

    def _end(self, failure: BaseException | None) -> None:
        self.failure.append(failure)
        self.over.set()


class Failing(Clip):
    """Raises once its frames have come."""

    def read(self) -> Frame | NoPicture | None:
        if self.left <= 0:
            raise OSError("input/output error")
        return super().read()


class Stuck(Clip):
    """Never returns from `read`, and from `close` even later."""

    def __init__(self) -> None:
        super().__init__("stuck", 1)
        self.reading, self.freed = threading.Event(), threading.Event()

    def read(self) -> Frame | NoPicture | None:
        self.reading.set()
        self.freed.wait()
        return super().read()

    def close(self) -> None:
        self.freed.wait()


def test_a_camera_that_gives_way_ends_nothing() -> None:
    nobody, clip = Nobody(), Clip("clip", 2)
    switch = CameraSwitch(nobody)
    reader = Reader(switch)
    switch.put(clip)  # while `nobody` is being read
    assert reader.over.wait(5) and len(reader.frames) == 2 and reader.failure == [None]  # its own end is the end
    assert nobody.read() is None and (switch.name, switch.dropped) == ("clip", 2)
    switch.close()
    late = Clip("late", 1)
    switch.put(late)
    assert late.closed == 1 and switch.name == "clip"


@pytest.mark.parametrize("ends", [Clip, Failing])
def test_a_camera_that_ends_or_fails_leaves_the_avatar_idling(ends: type[Clip]) -> None:
    switch, told = CameraSwitch(ends("clip", 2)), list[str]()
    switch.at_end = told.append
    reader = Reader(switch)
    while switch.name != Nobody.name:
        assert not reader.over.wait(0.01)
    assert told == ["clip has ended." if ends is Clip else "clip has failed (OSError: input/output error)."]
    switch.put(Clip("next", 3))  # and another may come
    while len(reader.frames) < 5:
        assert not reader.over.wait(0.01)
    switch.close()


def test_where_nothing_may_come_after_it_a_failure_is_raised() -> None:
    reader = Reader(CameraSwitch(Failing("clip", 1)))
    assert reader.over.wait(5) and isinstance(reader.failure[0], OSError)


def test_a_camera_that_hangs_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avatar.live.camera_switch.CLOSE_S", 0.05)
    stuck = Stuck()
    switch = CameraSwitch(stuck)
    reader = Reader(switch)
    assert stuck.reading.wait(5)
    switch.put(Clip("next", 3))
    assert reader.over.wait(5) and len(reader.frames) == 3
    stuck.freed.set()  # what it still gives is nobody's
    switch.join(5)
    assert len(reader.frames) == 3 and switch.name == "next"


def test_a_tracker_is_started_once_there_is_something_to_track() -> None:
    tries: list[int] = []

    def start() -> object:
        tries.append(1)
        raise DeviceError("no memory")

    tracker = LateTracker(start)  # type: ignore[arg-type]
    tracker.forget()
    assert tracker.pid is None and tries == []
    for _ in range(2):  # it is tried again with the next camera
        with pytest.raises(DeviceError, match="no memory"):
            tracker.started()
    assert len(tries) == 2
    tracker.close()


def test_what_is_amiss_is_said_in_one_sentence_with_what_helps() -> None:
    well = {"idle": False, "faceless": False, "short": ""}
    wish = Wish("ada", "/dev/video0", size="1280x720")

    def told(wish: Wish = wish, **amiss: bool | str) -> str:
        found = hint([well, *[well | amiss] * 6], wish, "Integrated Camera")
        return "" if found is None else f"{found['text']} {found['change']}"

    assert told() == ""
    assert "No pictures come from Integrated Camera." in told(idle=True, short="tracker")
    assert told(Wish("ada", ""), idle=True) == ""  # as it was wished for
    assert "sees no face" in told(faceless=True)
    assert told(short="computer").endswith("{'size': '512x512'}")
    assert told(Wish("ada", "x"), short="drawing").endswith("Close other programs. None")
    assert told(short="tracker").endswith("Close other programs. None")  # a smaller picture is no less work for it
    assert hint([well | {"idle": True}], wish, "it") is None  # a second is nothing


def test_cameras_are_called_as_people_call_them() -> None:
    cards = ["Integrated Camera: Integrated C", "HD_Webcam_C920", "Cam: Left", "Webcam", "Webcam", "Webcam"]
    assert camera_names(cards) == [
        "Integrated Camera", "HD Webcam C920", "Cam: Left", "Webcam", "Webcam 2", "Webcam 3",
    ]  # fmt: skip
