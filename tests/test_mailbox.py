"""A mailbox holds one item: the newest."""

import threading
import time

import pytest

from avatar.core.mailbox import Mailbox

pytestmark = pytest.mark.realtime


def test_the_newest_item_wins_and_the_old_one_is_counted() -> None:
    box: Mailbox[int] = Mailbox("test")
    for item in (1, 2, 3):
        assert box.put(item)
    assert box.take() == 3
    assert box.dropped == 2


def test_a_reader_waits_for_the_next_item() -> None:
    box: Mailbox[int] = Mailbox("test")
    threading.Timer(0.05, lambda: box.put(7)).start()
    assert box.take() == 7
    assert box.dropped == 0


def test_closing_hands_out_the_last_item_and_then_nothing() -> None:
    box: Mailbox[int] = Mailbox("test")
    box.put(1)
    box.close()
    assert box.take() == 1
    assert box.take() is None
    assert box.take() is None


def test_closing_wakes_a_waiting_reader() -> None:
    box: Mailbox[int] = Mailbox("test")
    taken: list[int | None] = []
    reader = threading.Thread(target=lambda: taken.append(box.take()))
    reader.start()
    time.sleep(0.02)
    start = time.monotonic()
    box.close()
    reader.join(1)
    assert taken == [None]
    assert time.monotonic() - start < 0.3  # woken, not timed out


def test_discarding_throws_the_last_item_away() -> None:
    box: Mailbox[int] = Mailbox("test")
    box.put(1)
    box.close(discard=True)
    assert box.take() is None


def test_a_closed_mailbox_tells_the_writer() -> None:
    box: Mailbox[int] = Mailbox("test")
    box.close()
    assert not box.put(1)
    assert box.dropped == 0


def test_a_slow_reader_gets_ever_newer_items() -> None:
    box: Mailbox[int] = Mailbox("test")
    count = 200

    def write() -> None:
        for item in range(count):
            box.put(item)
            time.sleep(0.001)
        box.close()

    writer = threading.Thread(target=write)
    writer.start()
    seen = []
    while (item := box.take()) is not None:
        seen.append(item)
        time.sleep(0.01)
    writer.join()
    assert seen == sorted(set(seen))
    assert seen[-1] == count - 1
    assert len(seen) + box.dropped == count


def test_a_reader_in_a_hurry_goes_away_empty_handed() -> None:
    box: Mailbox[int] = Mailbox("test")
    start = time.monotonic()
    assert box.take(0.05) is None
    assert time.monotonic() - start >= 0.05
    assert not box.closed
    box.put(3)
    assert box.take(0.05) == 3


def test_an_item_of_less_worth_gives_way_and_is_counted() -> None:
    mailbox: Mailbox[int] = Mailbox("test")
    assert mailbox.offer(1) and mailbox.put(2) and mailbox.offer(3)
    assert (mailbox.take(), mailbox.dropped) == (2, 2)
    assert mailbox.offer(4) and mailbox.take() == 4
    mailbox.close()
    assert not mailbox.offer(5)
