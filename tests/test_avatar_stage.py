"""Whoever is chosen, a picture comes: an avatar that cannot be drawn gives way, and what fails later is held over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from avatar.core.avatar import Avatar
from avatar.core.errors import InputError, VisavisError
from avatar.face.state import FaceState, no_face
from avatar.live.avatar_stage import AvatarFrame, AvatarStage, Cast
from avatar.live.canvas import Canvas
from avatar.live.governor import Governor
from avatar.live.latency import LatencyRecorder
from avatar.live.loop import STAGES
from avatar.render.generator import open_generator
from avatar.retarget.retargeter import Retargeter
from engines.engine import Engine, EngineFailure
from tests.clips import astronaut_avatar

ANNA = replace(astronaut_avatar(), name="anna")
DIM = replace(ANNA, name="dim", portraits=ANNA.portraits // 4)
NAN = np.float32(np.nan)

# what no file that `load_avatar` takes can bring, and what its checks may one day miss
HOSTILE = {
    "psi of 7 numbers": replace(ANNA, name="eve", psi=np.zeros(7, np.float32)),
    "psi that is no number": replace(ANNA, name="eve", psi=np.full_like(ANNA.psi, NAN)),
    "a portrait of other channels": replace(ANNA, name="eve", portraits=np.zeros((1, 512, 512), np.uint8)),
    "a portrait without pixels": replace(ANNA, name="eve", portraits=np.zeros((1, 0, 0, 3), np.uint8)),
    "a face that is no number": replace(ANNA, name="eve", landmarks=np.full_like(ANNA.landmarks, NAN)),
}


class Play:
    """A stage under way, without camera and tracker."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.latency = LatencyRecorder(STAGES)
        self.opened: list[Engine] = []
        self.stage = AvatarStage(
            self.cast(ANNA, self.open_engine(ANNA)), Governor(), self.open_engine, self.latency, self.said.append
        )
        self._now_ns = 0

    def open_engine(self, avatar: Avatar) -> Engine:
        self.opened.append(open_generator(ANNA, "onnxruntime", precision="fp32"))
        return self.opened[-1]

    def cast(self, avatar: Avatar, engine: Engine) -> Cast:
        return Cast(avatar, Canvas(ANNA.portraits[0], 512, 512), Retargeter(ANNA), engine, self.latency)

    def paint(self, state: FaceState | None = None) -> AvatarFrame:
        self._now_ns += 40_000_000
        return self.stage.paint(state or no_face(self._now_ns))

    @property
    def shown(self) -> str:
        return self.stage.cast.avatar.name


@contextmanager
def closing(play: Play) -> Iterator[Play]:
    try:
        yield play
    finally:
        play.stage.close()


def closed(engine: Engine) -> bool:
    try:
        engine.infer({})
    except EngineFailure as failure:
        return "closed" in str(failure)
    return False


@pytest.fixture
def play() -> Iterator[Play]:
    with closing(Play()) as play:
        yield play


def brightness(frame: AvatarFrame) -> float:
    return float(frame.rgb.mean())


@pytest.mark.parametrize("what", HOSTILE)
def test_an_avatar_that_cannot_be_drawn_gives_way_to_the_one_before(play: Play, what: str) -> None:
    before = brightness(play.paint())
    play.stage.change_cast(play.cast(HOSTILE[what], play.stage.cast.engine))
    assert brightness(play.paint()) == pytest.approx(before, abs=3)
    assert (play.shown, play.stage.held) == ("anna", 0)
    assert len(play.said) == 1
    assert play.said[0].startswith("eve cannot be drawn (")
    assert play.said[0].endswith("). anna goes on.")
    assert "\n" not in play.said[0]
    play.stage.change_cast(play.cast(DIM, play.stage.cast.engine))  # and the next that is chosen is shown
    assert brightness(play.paint()) < before / 2
    assert play.shown == "dim"
    assert len(play.opened) == 1


def own_network(play: Play, avatar: Avatar) -> Cast:
    """As of a fine-tuned avatar: its engine is not that of the others."""
    return play.cast(replace(avatar, weights=np.ones(1, np.float32)), play.open_engine(avatar))


def test_a_network_of_its_own_is_closed_when_it_cannot_be_drawn(play: Play) -> None:
    play.paint()
    failing = own_network(play, HOSTILE["psi of 7 numbers"])
    play.stage.change_cast(failing)
    play.paint()
    assert play.shown == "anna"
    assert closed(failing.engine)
    assert not closed(play.stage.cast.engine)
    play.paint()
    assert len(play.said) == 1


def test_the_network_before_is_closed_once_the_new_one_has_drawn(play: Play) -> None:
    play.paint()
    first = play.stage.cast.engine
    play.stage.change_cast(own_network(play, DIM))
    assert not closed(first)
    play.paint()
    assert play.shown == "dim"
    assert closed(first)


def test_all_networks_are_closed_at_the_end_whatever_was_waiting(play: Play) -> None:
    play.paint()
    for _ in range(2):
        play.stage.change_cast(own_network(play, DIM))
    play.stage.close()
    assert all(closed(engine) for engine in play.opened)
    late = own_network(play, DIM)
    play.stage.change_cast(late)
    assert closed(late.engine)


def test_a_broken_engine_is_no_fault_of_the_avatar_that_is_chosen_then(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("avatar.live.avatar_stage.RETRY_S", 0.0)
    play.paint()
    play.stage.cast.engine.close()  # its device has gone
    play.paint()
    assert play.stage.broken
    play.stage.change_cast(play.cast(DIM, play.stage.cast.engine))
    play.paint()
    assert (play.shown, play.stage.broken) == ("dim", False)
    assert [line.split()[-1] for line in play.said] == ["again.", "s."]


def test_whatever_fails_in_mid_run_the_picture_is_held_and_it_is_said_once(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = play.paint()
    failures: list[Exception] = [
        cv2.error("!_src.empty()"), np.linalg.LinAlgError("Singular matrix"), MemoryError(), ValueError("two\nlines"),
    ]  # fmt: skip

    def fails(*_: object) -> NDArray[np.uint8]:
        raise failures[play.stage.held % len(failures)]

    with monkeypatch.context() as patch:
        patch.setattr(play.stage.cast.canvas, "place", fails)
        for _ in range(3):
            held = play.paint()
            assert np.array_equal(held.rgb, good.rgb)
            assert held.capture_ns == play._now_ns
        extrapolated = play.stage.extrapolate(play._now_ns + 1)
    assert extrapolated is not None
    assert play.stage.held == 4
    assert play.said == ["anna could not be drawn (error: !_src.empty()). The picture is held."]
    assert play.paint().index == good.index + 5
    assert play.stage.held == 4


def test_a_face_without_numbers_costs_a_picture_and_not_the_call(play: Play) -> None:
    play.paint()
    face = FaceState(
        np.full((478, 3), NAN), np.zeros(52, np.float32), np.eye(4, dtype=np.float32), 1.0, play._now_ns + 1, 1
    )
    assert play.paint(face).rgb.shape == (512, 512, 3)
    assert np.isfinite(play.stage.cast.retargeter.drive(no_face(play._now_ns + 2)).landmarks).all()


@pytest.mark.parametrize("what", HOSTILE)
def test_the_very_first_avatar_that_cannot_be_drawn_is_an_error_in_one_line(what: str) -> None:
    with closing(Play()) as play:
        play.stage.cast.avatar = HOSTILE[what]
        with pytest.raises((VisavisError, EngineFailure)) as caught:
            play.paint()
        assert "\n" not in str(caught.value)


def test_a_network_that_answers_no_numbers_says_what_to_do(play: Play) -> None:
    cast = play.cast(HOSTILE["psi that is no number"], play.stage.cast.engine)
    with pytest.raises(InputError, match=r"no picture of eve.*Enrol the photos again.*--precision fp32"):
        cast.renderer(512).render(play.stage.cast.retargeter.drive(no_face(1)))
