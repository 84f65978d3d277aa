"""Who may drive: the driver at once, a newcomer after a look, a face that jumps not at all."""

from __future__ import annotations

from avatar.face.crop import Crop
from avatar.retarget.driver_face import DriverFace, driver_face
from avatar.retarget.face_gate import GONE_S, LOOK_S, FaceGate
from avatar.retarget.plausibility import Verdict
from tests.test_retarget import driver, seen

STEP_S = 0.04
HIS_OWN, ANOTHERS = 0.012, 0.03  # strangeness: below what is implausible by itself, above what a newcomer may have


def face(x: float = 160) -> DriverFace:
    state = seen(driver(), at=(x, 120))
    return driver_face(state.landmarks, state.blendshapes, Crop(0, 0, 320))


def after_an_absence(seconds: float, strangeness: float | None) -> list[Verdict]:
    gate = FaceGate()
    assert gate.judge(face(), HIS_OWN, STEP_S) == "usual"
    for _ in range(round(seconds / STEP_S)):
        gate.absent(STEP_S)
    return [gate.judge(face(), strangeness, STEP_S) for _ in range(round(LOOK_S / STEP_S) + 2)]


def test_a_short_absence_changes_nothing() -> None:
    assert set(after_an_absence(GONE_S / 2, HIS_OWN)) == {"usual"}


def test_whoever_comes_back_is_looked_at_first() -> None:
    verdicts = after_an_absence(2 * GONE_S, HIS_OWN)
    assert verdicts[0] == "implausible" and verdicts[-1] == "usual"


def test_somebody_else_is_told_by_the_look() -> None:
    assert "stranger" in after_an_absence(2 * GONE_S, ANOTHERS)
    assert "usual" not in after_an_absence(2 * GONE_S, ANOTHERS)[: round(LOOK_S / STEP_S)]


def test_nobody_waits_while_the_driver_is_not_known() -> None:
    assert set(after_an_absence(2 * GONE_S, None)) == {"usual"}


def test_a_face_that_jumps_is_not_believed_before_a_reset() -> None:
    gate = FaceGate()
    gate.judge(face(), HIS_OWN, STEP_S)
    assert gate.judge(face(280), HIS_OWN, STEP_S) == "implausible"
    gate.reset()
    assert gate.judge(face(280), HIS_OWN, STEP_S) == "usual"
