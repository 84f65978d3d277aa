"""What benchmarks/call_network.py makes of the times at which pictures were shown."""

from __future__ import annotations

import pytest

from benchmarks.call_network import freezes, recovery


def shown(*spans: tuple[float, float], fps: float = 30.0) -> list[float]:
    return [first + index / fps for first, last in spans for index in range(round((last - first) * fps))]


def test_a_freeze_is_a_picture_that_stands_much_longer_than_usual() -> None:
    times_s = shown((0, 5), (5.1, 8), (9, 15))
    assert [round(last - first, 2) for first, last in freezes(times_s, 2, 12, 15)] == [1.03]  # 0.13 s is none
    assert freezes(times_s, 10, 12, 15) == []
    assert [last for _, last in freezes(times_s, 14, 20, 20)] == [20]  # it still goes on


@pytest.mark.parametrize(
    ("after", "expected"),
    [([(10, 20)], 0.0), ([(11.5, 20)], 1.5), ([(10, 10.5), (12, 20)], 2.0), ([], None)],
)
def test_it_has_recovered_when_a_second_has_as_many_pictures_as_before(
    after: list[tuple[float, float]], expected: float | None
) -> None:
    found = recovery(shown((0, 10), *after), 10, 20, 30)
    assert found == (None if expected is None else pytest.approx(expected, abs=0.05))


def test_half_the_rate_is_no_recovery() -> None:
    assert recovery(shown((0, 10)) + shown((10, 20), fps=15), 10, 20, 30) is None
