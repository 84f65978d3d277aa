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


def test_a_camera_that_gives_way_ends_nothing() -> None:
    nobody, clip = Nobody(), Clip("clip", 2)
    switch = CameraSwitch(nobody)
    read: list[object] = []
    reader = threading.Thread(target=lambda: read.extend(iter(switch.read, None)))
    reader.start()
    switch.put(clip)  # while `nobody` is being read
    reader.join(5)
    frames = [one for one in read if isinstance(one, Frame)]
    assert len(frames) == 2 and not reader.is_alive()  # and its own end is the end
    assert nobody.read() is None and (switch.name, switch.dropped) == ("clip", 2)
    ended: list[str] = []
    switch.at_end = ended.append
    assert isinstance(switch.read(), NoPicture) and ended == ["clip"] and switch.name == Nobody.name  # nobody drives
    switch.put(clip)
    switch.close()
    late = Clip("late", 1)
    switch.put(late)
    assert late.closed == 1 and switch.name == "clip"


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
