"""Whatever fails, the picture goes on, no camera pixel comes out, and it mends itself."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from avatar.retarget.head_limits import MAX_GROWTH
from benchmarks.faults import FAULTS, Trial, run_fault, trial_of
from tests.clips import astronaut_avatar

SPOKEN = {  # what the user must be told
    "tracker killed": "tracker",
    "tracker hangs": "tracker",
    "engine gone, no other left": "engine",
    "publisher's device removed and back": "viewer",
}


@pytest.fixture(scope="module")
def trial() -> Iterator[Trial]:
    with trial_of(astronaut_avatar()) as trial:
        yield trial


@pytest.mark.e2e
@pytest.mark.realtime
@pytest.mark.parametrize("fault", FAULTS)
def test_the_picture_goes_on(trial: Trial, fault: str, capfd: pytest.CaptureFixture[str]) -> None:
    outcome = run_fault(fault, trial)
    assert "Traceback" not in capfd.readouterr().err
    assert outcome.camera_pixels == 0
    # no picture lies about its sitter, whom an approach may enlarge
    assert outcome.neck_change < 0.05 and outcome.width_change < np.expm1(MAX_GROWTH) + 0.01
    if fault != "publisher's device removed and back":
        assert outcome.longest_gap_s < 5
    if fault in SPOKEN:
        assert any(SPOKEN[fault] in line for line in outcome.said)
