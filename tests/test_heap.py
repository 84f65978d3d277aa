"""Memory goes back to the system, and garbage is found without looking through all that a program has loaded."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref

import pytest

from avatar.core.heap import EVERY_NS, started_up

FREED_MIDDLE = f"""
import sys
import psutil
sys.platform = sys.argv[1]
from avatar.core.heap import HeapTrim
heap = HeapTrim()
def given_back_mb(at_ns):
    before = resident_mb()
    heap.after_frame(at_ns)
    return before - resident_mb()
def resident_mb():
    return psutil.Process().memory_info().rss / 1e6
def free_a_middle():
    pieces = [bytes(10_000) for _ in range(4000)]  # too small to be mapped each by itself
    return bytes(10_000)
ends = [free_a_middle()]
first = given_back_mb(0)
ends.append(free_a_middle())
print(first, given_back_mb({EVERY_NS} - 1), given_back_mb({EVERY_NS}))
"""


class Knot:
    """Garbage that only the collector finds."""

    def __init__(self) -> None:
        self.self = self


def given_back_mb(platform: str) -> list[float]:
    """After the first frame, before EVERY_NS are over, and then."""
    command = [sys.executable, "-c", FREED_MIDDLE, platform]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(figure) for figure in run.stdout.split()]


@pytest.mark.skipif(sys.platform != "linux", reason="by glibc's means")
def test_what_was_freed_in_the_middle_of_the_heap_goes_back_after_starting_up_and_now_and_then() -> None:
    first_mb, early_mb, then_mb = given_back_mb("linux")
    assert first_mb > 30 and early_mb < 1 and then_mb > 30


@pytest.mark.skipif(sys.platform != "linux", reason="by glibc's means")
def test_without_malloc_trim_nothing_happens() -> None:
    assert max(given_back_mb("darwin")) < 1


def test_what_a_program_loaded_is_not_looked_through_again() -> None:
    all_objects = len(gc.get_objects())
    with started_up():
        assert len(gc.get_objects()) < all_objects / 10
    assert len(gc.get_objects()) > all_objects / 2


def test_old_garbage_is_found_soon() -> None:
    with started_up():
        knot = Knot()
        gone = weakref.ref(knot)
        gc.collect(1)
        gc.collect(1)  # now it is among the oldest objects
        del knot
        for _ in range(200_000):
            Knot()
        assert gone() is None


def test_garbage_from_before_is_gone_at_once() -> None:
    gone = weakref.ref(Knot())
    with started_up():
        assert gone() is None
