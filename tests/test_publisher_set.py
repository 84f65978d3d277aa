"""One publisher's trouble is not the others', and it is taken up again when its device is back."""

from __future__ import annotations

import time

import numpy as np
import pytest

from avatar.core.errors import DeviceError, UsageError
from avatar.core.frame import Frame
from avatar.live import publisher_set
from avatar.live.publisher_set import PublisherSet
from avatar.publish.publisher import Publisher

pytestmark = pytest.mark.realtime

FRAME = Frame(np.zeros((64, 64, 3), np.uint8), 1, 0)


class Device(Publisher):
    def __init__(self, name: str) -> None:
        self.name = name
        self.there = True
        self.is_open = False
        self.sent = self.opened = self.closed = 0

    def open(self, width: int, height: int, fps: float) -> None:
        if not self.there:
            raise DeviceError(f"{self.name} is not there")
        self.is_open = True
        self.opened += 1

    def send(self, frame: Frame) -> None:
        if not self.there:
            raise DeviceError(f"{self.name} has gone.\nType this to mend it.")
        assert self.is_open
        self.sent += 1

    def close(self) -> None:
        self.is_open = False
        self.closed += 1


def feed(publishers: PublisherSet, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        publishers.send(FRAME)
        time.sleep(0.01)


def test_a_device_that_goes_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher_set, "RETRY_S", 0.1)
    said: list[str] = []
    one, other = Device("/dev/video10"), Device("the recorder")
    publishers = PublisherSet([one, other], said.append)
    publishers.open(64, 64, 30)
    feed(publishers, 0.05)
    one.there = False
    feed(publishers, 0.5)
    sent = one.sent
    assert other.sent > 5 + sent
    one.there = True
    feed(publishers, 0.6)
    assert one.sent > sent
    assert one.opened == 2
    assert said[0].startswith("/dev/video10 has gone. Trying again every")
    assert said[1:] == ["/dev/video10 is back."]
    assert publishers.close() == []
    assert not one.is_open
    assert not other.is_open


def test_a_failure_of_any_kind_is_one_publishers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher_set, "RETRY_S", 0.1)
    said: list[str] = []
    one, other = Device("the recorder"), Device("/dev/video10")
    publishers = PublisherSet([one, other], said.append)
    publishers.open(64, 64, 30)
    one.is_open = False  # its own check now fails
    feed(publishers, 0.5)
    assert other.sent > 5
    assert said[0].startswith("the recorder failed (AssertionError: ")
    assert said[1:] == ["the recorder is back."]
    assert one.sent > 0
    publishers.close()


def test_one_that_cannot_be_opened_at_the_start_is_an_error() -> None:
    one, other = Device("the recorder"), Device("/dev/video10")
    other.there = False
    publishers = PublisherSet([one, other], print)
    with pytest.raises(DeviceError, match="/dev/video10 is not there"):
        publishers.open(64, 64, 30)
    publishers.close()
    assert not one.is_open


def test_a_device_that_is_away_at_the_end_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher_set, "RETRY_S", 0.05)
    one = Device("/dev/video10")
    publishers = PublisherSet([one], lambda line: None)
    publishers.open(64, 64, 30)
    one.there = False
    feed(publishers, 0.2)
    publishers.close()
    one.there = True
    time.sleep(0.2)
    assert not one.is_open


def test_publishers_come_and_go_while_the_others_go_on() -> None:
    class Fixed(Device):
        keeps_size = "It has one size."

    stays, comes = Device("the page"), Fixed("a recording")
    publishers = PublisherSet([stays], print)
    publishers.open(64, 64, 30)
    assert publishers.keeps_size == ""
    publishers.add(comes, (32, 32))
    assert publishers.keeps_size == "It has one size."
    publishers.send(FRAME)  # still of the size before
    publishers.send(Frame(np.zeros((32, 32, 3), np.uint8), 2, 1))
    assert (stays.sent, comes.sent) == (2, 1)
    publishers.remove(comes)
    assert (comes.is_open, comes.closed) == (False, 1)
    publishers.send(FRAME)
    assert (stays.sent, comes.sent) == (3, 1)

    comes.there = False
    with pytest.raises(DeviceError, match="is not there"):
        publishers.add(comes, (32, 32))
    publishers.send(FRAME)
    assert (stays.sent, comes.closed) == (4, 2)  # what was half opened is closed
    assert publishers.close() == []
    with pytest.raises(UsageError, match="not live any more"):
        publishers.add(comes, (32, 32))


def test_nobody_looks_where_no_publisher_is_looked_at() -> None:
    first, second = Device("a"), Device("b")
    assert PublisherSet([], print).watched  # whoever runs a loop without any wants to know how it goes
    publishers = PublisherSet([first, second], print)
    publishers.open(64, 64, 30)
    seen = [publishers.watched]
    first.watched = second.watched = False
    seen.append(publishers.watched)
    publishers.add(third := Device("c"), (64, 64))
    seen.append(publishers.watched)
    publishers.remove(third)
    assert [*seen, publishers.watched] == [True, False, True, False]


def test_what_was_removed_while_it_was_away_is_never_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher_set, "RETRY_S", 0.05)
    gone = Device("/dev/video10")
    publishers = PublisherSet([gone], lambda line: None)
    publishers.open(64, 64, 30)
    gone.there = False
    feed(publishers, 0.02)
    publishers.remove(gone)
    gone.there = True
    feed(publishers, 0.3)
    assert gone.opened == 1
    assert publishers.close() == []
