"""Evaluation of driving: what of a driver arrives, by numbers that are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avatar.cli.evaluate_driving import DrivingEvaluation, find_portraits
from avatar.core.arrays import Array
from avatar.core.errors import UsageError
from avatar.evaluation.driving import Driven, Driver, contacts, signal_rows, timeline
from avatar.evaluation.driving_report import as_json, as_markdown, sections
from avatar.evaluation.driving_signals import SIGNALS, FaceSigns, face_signs, following
from avatar.evaluation.first_seconds import AFTER_S, left_of_a_smile, mouth_lag_ms
from avatar.face.driving import Driving
from avatar.face.face_model import face_model
from avatar.face.gaps import gaps, mouth_width, set_lid_gaps, set_mouth_gaps
from avatar.face.regions import RIGHT_LID_PAIRS
from avatar.face.state import BLENDSHAPE_INDEX, FaceState, no_face
from tests.clips import astronaut_avatar

FPS = 25
STEP_NS = 1_000_000_000 // FPS


def seen(shape: Array, index: int = 0, **scores: float) -> FaceState:
    """A face of the mean size in a picture of 640 pixels."""
    blendshapes = np.zeros(52, np.float32)
    for name, score in scores.items():
        blendshapes[BLENDSHAPE_INDEX[name]] = score
    landmarks = np.asarray(shape * 100 + [320, 240, 0], np.float32)
    return FaceState(landmarks, blendshapes, np.eye(4, dtype=np.float32), 1.0, index * STEP_NS, frame_px=640)


def signs(shape: Array | None = None, **scores: float) -> FaceSigns:
    found = face_signs(seen(face_model().mean_shape if shape is None else shape, 0, **scores))
    assert found is not None
    return found


def a_pair(wanted: tuple[FaceSigns, ...], drawn: tuple[FaceSigns, ...]) -> Driven:
    return Driven("a", "d", False, wanted, drawn, signs(), np.zeros((len(wanted), 2), bool))


def smiler(smile_at: int, frames: int = 100) -> Driver:
    """Smiles for a second."""
    mean = face_model().mean_shape
    scores = [0.8 if smile_at <= i < smile_at + FPS else 0.0 for i in range(frames)]
    return Driver(
        "smiler", tuple(seen(mean, i, mouthSmileLeft=score, mouthSmileRight=score) for i, score in enumerate(scores))
    )


def test_slope_and_r_are_what_they_are() -> None:
    driver = np.sin(np.arange(50.0))
    found = following(driver, 0.3 * driver + 2, 0.1)
    assert found is not None and found.slope == pytest.approx(0.3) and found.r == pytest.approx(1)
    assert following(driver, driver, 0.9) is None, "a driver at rest tells nothing"
    still = following(driver, np.ones(50), 0.1)
    assert still is not None and still.slope == 0 and still.r == 0


def test_signals_tell_left_from_right_and_up_from_down() -> None:
    left = signs(eyeLookOutLeft=0.8, eyeLookInRight=0.6, eyeLookDownLeft=0.5, eyeLookDownRight=0.5)
    assert left.signals[SIGNALS.index("gaze across")] == pytest.approx(0.7)
    assert left.signals[SIGNALS.index("gaze up")] == pytest.approx(-0.5)
    assert signs(eyeBlinkLeft=0.9).signals[SIGNALS.index("blink, left")] == pytest.approx(0.9)
    assert face_signs(no_face(0)) is None


def test_gaze_behind_shut_lids_does_not_count() -> None:
    def look(i: int, shut: float) -> FaceSigns:
        return signs(eyeLookOutLeft=0.5 + 0.5 * (-1) ** i, eyeBlinkLeft=shut, eyeBlinkRight=shut)

    awake = tuple(look(i, 0.0) for i in range(30))
    blind = tuple(look(i, 0.9) for i in range(30))
    driven = a_pair(awake, awake)
    assert "gaze across" in driven.following()
    assert "gaze across" not in replace(driven, wanted=blind).following()


def test_a_smile_comes_first_and_then_the_whole_clip() -> None:
    driver = smiler(smile_at=40)
    assert driver.smiling() == range(40, 65)
    states, start = timeline(driver, smile_first=True)
    assert states[0].blendshape("mouthSmileLeft") > 0.5
    assert start >= 5 * FPS + FPS, "5 s of talk between the smile and what is measured"
    assert len(states) == start + 100
    steps = np.diff([state.capture_ns for state in states])
    assert (steps == STEP_NS).all()
    assert timeline(driver, smile_first=False)[1] == 0


def test_somebody_who_always_smiles_or_never_does_has_no_smiling_start() -> None:
    mean = face_model().mean_shape
    for score in (0.0, 0.9):
        still = Driver("still", tuple(seen(mean, i, mouthSmileLeft=score, mouthSmileRight=score) for i in range(80)))
        assert still.smiling() is None


def test_the_frames_that_tell_most_are_among_those_that_are_measured() -> None:
    driver = smiler(smile_at=40)
    blink = seen(face_model().mean_shape, 71, eyeBlinkLeft=0.9, eyeBlinkRight=0.9)
    driver = Driver("blinks", (*driver.states[:71], blink, *driver.states[72:]))
    numbers = driver.numbers(24)
    assert 71 in numbers and len(numbers) == 24 and numbers == sorted(set(numbers))


def test_lips_that_touch_and_eyes_that_narrow_are_counted() -> None:
    mean = face_model().mean_shape
    width = mouth_width(mean)
    shut = signs(set_mouth_gaps(mean, np.full(9, 0.0)))
    wide = signs(set_mouth_gaps(mean, np.full(9, 0.3 * width)))
    found = contacts([a_pair((shut, shut, wide), (shut, wide, wide))])
    assert found.lips_shut == 0.5 and found.lips_parted == 1.0 and found.blinks_shut is None
    own = gaps(mean, RIGHT_LID_PAIRS)
    usual, narrow, closed = (signs(set_lid_gaps(mean, RIGHT_LID_PAIRS, own * share)) for share in (1.0, 0.6, 0.1))
    wanted = (usual, usual, usual, narrow, narrow)
    pair = a_pair(wanted, (usual, usual, usual, narrow, closed))
    found = contacts([replace(pair, narrow=np.array([[False, False]] * 3 + [[True, False]] * 2))])
    assert found.narrow_open == 0.5
    assert found.opening_at_rest == pytest.approx(1.0)


def test_eyes_on_their_way_to_a_blink_are_not_narrow() -> None:
    mean = face_model().mean_shape
    own = gaps(mean, RIGHT_LID_PAIRS)
    shares = [1.0] * 30 + [0.6, 0.1, 0.6] + [1.0] * 30 + [0.6] * 10 + [1.0] * 30
    narrowed = Driver(
        "d", tuple(seen(set_lid_gaps(mean, RIGHT_LID_PAIRS, own * share), i) for i, share in enumerate(shares))
    ).narrowed()
    assert not narrowed[:63].any() and narrowed[63:73, 0].all() and not narrowed[73:].any()
    assert not narrowed[:, 1].any()


def test_the_worst_fifth_is_told() -> None:
    def one(slope: float) -> Driven:
        wanted = tuple(signs(jawOpen=0.5 + 0.5 * np.sin(i)) for i in range(30))
        drawn = tuple(signs(jawOpen=slope * (0.5 + 0.5 * np.sin(i))) for i in range(30))
        return a_pair(wanted, drawn)

    rows = signal_rows([one(slope) for slope in (0.9, 1.0, 1.0, 1.0, 0.2, 0.3)])
    assert [row.name for row in rows] == ["jaw"]
    assert rows[0].slope == pytest.approx(0.95) and rows[0].worst_slope == pytest.approx(0.3)


def test_the_report_has_both_starts() -> None:
    wanted = tuple(signs(jawOpen=0.5 + 0.5 * np.sin(i)) for i in range(30))
    both = [replace(a_pair(wanted, wanted), smiled_first=first) for first in (False, True)]
    assert [one.title for one in sections(both)] == ["Driving", "Driving, 5 s after a smiling first second"]
    text = as_markdown(both)
    assert "| jaw | 1 | 1.00 | 1.00 | 1.00 | 1.00 |" in text
    assert as_json(both)["pairs"][1]["signals"]["jaw"]["slope"] == pytest.approx(1.0)


def test_a_mouth_that_is_shown_late_lags_by_as_much() -> None:
    mean = face_model().mean_shape

    def talking(late_s: float) -> list[FaceState]:
        opened = [
            0.1 + 0.05 * np.sin(9 * (i / FPS - late_s)) + 0.03 * np.sin(23 * (i / FPS - late_s)) for i in range(150)
        ]
        return [seen(set_mouth_gaps(mean, np.full(9, gap, np.float32)), i) for i, gap in enumerate(opened)]

    driver = talking(0)
    for late_s in (0.0, 0.06):
        drivings = [Driving(state.landmarks, state.capture_ns) for state in talking(late_s)]
        assert mouth_lag_ms(driver, drivings) == pytest.approx(1e3 * late_s, abs=3)
    still = [seen(mean, i) for i in range(150)]
    assert mouth_lag_ms(still, [Driving(state.landmarks, state.capture_ns) for state in still]) is None


def test_what_is_left_of_a_smile_fades() -> None:
    smile = [BLENDSHAPE_INDEX[f"mouthSmile{side}"] for side in ("Left", "Right")]
    mean = face_model().mean_shape
    smiling = mean + face_model().expression_basis[smile].sum(0)
    states = []
    for i in range(100):
        talks = set_mouth_gaps(mean, np.full(9, 0.03 + 0.02 * np.sin(i), np.float32))
        states.append(seen(smiling, i, mouthSmileLeft=0.5, mouthSmileRight=0.5) if i < FPS else seen(talks, i))
    left = left_of_a_smile(astronaut_avatar(), states, range(FPS), STEP_NS)
    assert len(left) == len(AFTER_S) and left[0] > left[2] and left[1] < 1
    first = replace(a_pair((signs(),) * 12, (signs(),) * 12), smiled_first=True, left_mm=left, lag_ms=8.0)
    notes = dict(sections([first])[0].notes())
    assert notes["lag of the mouth"] == "8 ms"
    assert notes["lips off 5 s after the smile, and in the worst fifth"] == f"{left[1]:.1f}, {left[1]:.1f} mm"


def test_what_cannot_be_evaluated_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--drivers"):
        DrivingEvaluation([tmp_path], [], 10, None, False).run()
    with pytest.raises(UsageError, match="no photo"):
        find_portraits([tmp_path])
    with pytest.raises(UsageError, match="no such file"):
        find_portraits([tmp_path / "none.jpg"])
