"""Lips and sound of a whole call, as they come out in Chromium: claps that are seen and heard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clips import astronaut_avatar

pytest.importorskip("playwright.sync_api")
lip_sync = pytest.importorskip("benchmarks.lip_sync", exc_type=ImportError)  # without aiortc there is no call
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not Path("/usr/bin/chromium").exists(), reason="no Chromium: apt-get install chromium"),
]
BUSY_MS = 200.0  # capture → encoder takes 40 ms on two idle cores


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, ...]]:
    """The browser, the call, and the publisher that flashes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISAVIS_HOME", str(tmp_path_factory.mktemp("home")))
        with lip_sync.chromium() as browser, lip_sync.clapping(astronaut_avatar()) as clapping:
            yield browser, *clapping


@pytest.mark.parametrize("slower_ms", [0.0, 150.0])
def test_the_sound_follows_the_lips_however_long_the_picture_takes(call: tuple[Any, ...], slower_ms: float) -> None:
    skew = lip_sync.measure(*call, claps=10, slower_ms=slower_ms, warm_s=5)
    print(lip_sync.row(skew))
    assert skew.picture_sent_ms > slower_ms  # so the picture was late
    if skew.picture_sent_ms - slower_ms > BUSY_MS:
        pytest.skip(f"this computer is too busy for pictures in real time: {lip_sync.row(skew)}")
    assert -45 < skew.sound_sent_ms - skew.picture_sent_ms < 125  # and the sound with it
    assert skew.good


def test_the_measurement_sees_a_sound_that_is_late(call: tuple[Any, ...]) -> None:
    publisher = call[2]
    publisher.claps.tone_late_ms = 200.0
    try:
        skew = lip_sync.measure(*call, claps=5, warm_s=4)
    finally:
        publisher.claps.tone_late_ms = 0.0
    print(lip_sync.row(skew))
    assert not skew.good
