"""Lips and sound of a whole call, as they come out in Chromium: claps that are seen and heard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clips import astronaut_avatar

pytest.importorskip("playwright.sync_api")
lip_sync = pytest.importorskip("benchmarks.lip_sync", exc_type=ImportError)  # without aiortc there is no call
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.realtime,
    pytest.mark.skipif(not Path("/usr/bin/chromium").exists(), reason="no Chromium: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, ...]]:
    """The browser, the call, and the publisher that flashes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISAVIS_HOME", str(tmp_path_factory.mktemp("home")))
        with lip_sync.chromium() as browser, lip_sync.clapping(astronaut_avatar()) as clapping:
            yield browser, *clapping


def test_the_sound_is_sent_with_the_lips(call: tuple[Any, ...]) -> None:
    """What a viewer sees and hears depends on how busy the computer is: the benchmark tells."""
    skew = lip_sync.measure(*call, claps=5, slower_ms=150.0, warm_s=5)
    print(lip_sync.row(skew))
    assert skew.picture_sent_ms > 150  # so the picture was late
    assert -60 < skew.sound_sent_ms - skew.picture_sent_ms < 125  # and the sound with it
