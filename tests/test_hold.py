"""A pose that is kept for a moment without a face, and no longer."""

from __future__ import annotations

from avatar.retarget.hold import HOLD_S, Hold


def test_nothing_is_held_before_a_face_was_believed() -> None:
    assert not Hold().update(believed=False, may_hold=True, step_s=0.04)


def test_a_pose_is_held_until_the_time_is_over() -> None:
    hold = Hold()
    assert hold.update(believed=True, may_hold=True, step_s=0.04)
    assert hold.update(believed=False, may_hold=True, step_s=0.9 * HOLD_S)
    assert not hold.update(believed=False, may_hold=True, step_s=0.2 * HOLD_S)
    assert not hold.update(believed=False, may_hold=True, step_s=0.0)  # an end is an end
    assert hold.update(believed=True, may_hold=True, step_s=0.04) and hold.missing_s == 0


def test_holding_ends_at_once_where_it_is_not_wanted() -> None:
    hold = Hold()
    hold.update(believed=True, may_hold=True, step_s=0.04)
    assert not hold.update(believed=False, may_hold=False, step_s=0.04)
