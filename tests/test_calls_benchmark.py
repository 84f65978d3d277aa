"""The benchmark of calls joins what each end says of a picture, and does not take one picture for another."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np

from avatar.profiling.time_code import read_code
from benchmarks.call_driver import compare_mouths, portrait_pictures, read_webcam, write_webcam
from benchmarks.call_pages import Shown, Taken
from benchmarks.calls import Trip


def test_the_way_of_each_picture_is_summed_up_once() -> None:
    trip = Trip()
    trip.add([Taken(7, 1000.0), Taken(8, 1033.0)], [], [])
    trip.add([Taken(9, 1066.0)], [[7, 1020.0, 1060.0]], [Shown(7, 1100.0, 1070.0, 512), Shown(7, 1133.0, 1070.0, 512)])
    trip.add([], [], [Shown(99, 1140.0, None, 512)])
    trip.add([], [], [])
    (sample,) = trip.samples
    assert (sample.glass_ms, sample.arrived_ms, sample.own_ms) == (100.0, 20.0, 40.0)
    assert (sample.sent_ms, sample.shown_ms, trip.lost) == (10.0, 30.0, 1)


def test_a_clip_that_repeats_is_told_by_the_time() -> None:
    trip = Trip()
    trip.add([Taken(7, 1000.0), Taken(7, 11_000.0)], [], [Shown(7, 1090.0, None, 512)])
    trip.add([Taken(7, 21_000.0)], [], [Shown(7, 11_110.0, None, 512)])
    trip.add([], [], [])
    assert [sample.glass_ms for sample in trip.samples] == [90.0, 110.0]


def test_every_picture_of_the_webcam_carries_its_number(tmp_path: Path) -> None:
    path = tmp_path / "webcam.y4m"
    pictures = list(islice(portrait_pictures(np.full((256, 256, 3), 90, np.uint8)), 5))
    assert write_webcam(pictures, path) == 5
    assert [read_code(picture) for picture in read_webcam(path)] == list(range(5))


def test_a_mouth_that_follows_is_told_from_one_that_does_not() -> None:
    driver = np.abs(np.sin(np.arange(300) / 7)) * 0.2
    rng = np.random.default_rng(0)
    late = {n: float(driver[n - 2] + rng.normal(0, 0.01)) for n in range(0, 300, 3)}
    found = compare_mouths(driver, late)
    assert found.pairs == 100 and found.best_lag == 2
    assert found.correlation is not None and found.correlation > 0.6
    assert abs(compare_mouths(driver, {n: float(rng.normal()) for n in late}).correlation or 0.0) < 0.3
    assert compare_mouths(np.zeros(300), late).correlation is None
