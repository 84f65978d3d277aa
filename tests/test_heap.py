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
heap.after_frame(0)
def resident():
    return psutil.Process().memory_info().rss / 1e6
pieces = [bytes(10_000) for _ in range(4000)]  # too small to be mapped each by itself
last = bytes(10_000)
del pieces
kept = resident()
heap.after_frame({EVERY_NS} - 1)
early = resident()
heap.after_frame({EVERY_NS})
print(kept - early, early - resident())
"""


class Knot:
    """Garbage that only the collector finds."""

    def __init__(self) -> None:
        self.self = self


def given_back_mb(platform: str) -> tuple[float, float]:
    """Before EVERY_NS are over, and then."""
    command = [sys.executable, "-c", FREED_MIDDLE, platform]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    early_mb, then_mb = map(float, run.stdout.split())
    return early_mb, then_mb


@pytest.mark.skipif(sys.platform != "linux", reason="by glibc's means")
def test_what_was_freed_in_the_middle_of_the_heap_goes_back_now_and_then() -> None:
    early_mb, then_mb = given_back_mb("linux")
    assert early_mb < 1 and then_mb > 30


@pytest.mark.skipif(sys.platform != "linux", reason="by glibc's means")
def test_without_malloc_trim_nothing_happens() -> None:
    early_mb, then_mb = given_back_mb("darwin")
    assert early_mb < 1 and then_mb < 1


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
