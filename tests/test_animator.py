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
from avatar.live.animator import Animator, AvatarFrame
from avatar.live.canvas import Canvas
from avatar.live.governor import Governor
from avatar.live.latency import LatencyRecorder
from avatar.live.live_report import STAGES
from avatar.live.rig import Rig
from avatar.render.engine_options import EngineOptions
from avatar.retarget.retargeter import Retargeter
from avatar.trust.label import LabelStyle
from engines.engine import Engine, EngineFailure
from tests.clips import astronaut_avatar

ANNA = replace(astronaut_avatar(), name="anna")
DIM = replace(ANNA, name="dim", portraits=ANNA.portraits // 4)
NAN = np.float32(np.nan)

# what no file that `load_avatar` takes can bring, and what its checks may one day miss
HOSTILE = {
    "an embedding of 7 numbers": replace(ANNA, name="eve", embedding=np.zeros(7, np.float32)),
    "an embedding that is no number": replace(ANNA, name="eve", embedding=np.full_like(ANNA.embedding, NAN)),
    "a portrait of other channels": replace(ANNA, name="eve", portraits=np.zeros((1, 512, 512), np.uint8)),
    "a portrait without pixels": replace(ANNA, name="eve", portraits=np.zeros((1, 0, 0, 3), np.uint8)),
    "a face that is no number": replace(ANNA, name="eve", landmarks=np.full_like(ANNA.landmarks, NAN)),
}


class Animation:
    """An animator at work, without camera and tracker."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.latency = LatencyRecorder(STAGES)
        self.opened: list[Engine] = []
        self.animator = Animator(
            self.rig(ANNA, self.open_engine(ANNA)), Governor(), self.open_engine, self.latency, self.said.append
        )
        self._now_ns = 0

    def open_engine(self, avatar: Avatar) -> Engine:
        self.opened.append(EngineOptions("onnxruntime", "fp32").open(ANNA))
        return self.opened[-1]

    def rig(self, avatar: Avatar, engine: Engine) -> Rig:
        return Rig(avatar, Canvas(ANNA.portraits[0], 512, 512), Retargeter(ANNA), engine, self.latency)

    def paint(self, state: FaceState | None = None) -> AvatarFrame:
        self._now_ns += 40_000_000
        return self.animator.paint(state or no_face(self._now_ns))

    @property
    def shown(self) -> str:
        return self.animator.rig.avatar.name


@contextmanager
def closing(animation: Animation) -> Iterator[Animation]:
    try:
        yield animation
    finally:
        animation.animator.close()


def closed(engine: Engine) -> bool:
    try:
        engine.infer({})
    except EngineFailure as failure:
        return "closed" in str(failure)
    return False


@pytest.fixture
def animation() -> Iterator[Animation]:
    with closing(Animation()) as animation:
        yield animation


def brightness(frame: AvatarFrame) -> float:
    return float(frame.rgb.mean())


@pytest.mark.parametrize("what", HOSTILE)
def test_an_avatar_that_cannot_be_drawn_gives_way_to_the_one_before(animation: Animation, what: str) -> None:
    before = brightness(animation.paint())
    animation.animator.show(animation.rig(HOSTILE[what], animation.animator.rig.engine))
    assert brightness(animation.paint()) == pytest.approx(before, abs=3)
    assert (animation.shown, animation.animator.held) == ("anna", 0)
    assert len(animation.said) == 1
    assert animation.said[0].startswith("eve cannot be drawn (")
    assert animation.said[0].endswith("). anna goes on.")
    assert "\n" not in animation.said[0]
    animation.animator.show(animation.rig(DIM, animation.animator.rig.engine))  # and the next that is chosen is shown
    assert brightness(animation.paint()) < before / 2
    assert animation.shown == "dim"
    assert len(animation.opened) == 1


def own_network(animation: Animation, avatar: Avatar) -> Rig:
    """As of a fine-tuned avatar: its engine is not that of the others."""
    return animation.rig(replace(avatar, weights=np.ones(1, np.float32)), animation.open_engine(avatar))


def test_a_network_of_its_own_is_closed_when_it_cannot_be_drawn(animation: Animation) -> None:
    animation.paint()
    failing = own_network(animation, HOSTILE["an embedding of 7 numbers"])
    animation.animator.show(failing)
    animation.paint()
    assert animation.shown == "anna"
    assert closed(failing.engine)
    assert not closed(animation.animator.rig.engine)
    animation.paint()
    assert len(animation.said) == 1


def test_the_network_before_is_closed_once_the_new_one_has_drawn(animation: Animation) -> None:
    animation.paint()
    first = animation.animator.rig.engine
    animation.animator.show(own_network(animation, DIM))
    assert not closed(first)
    animation.paint()
    assert animation.shown == "dim"
    assert closed(first)


def test_all_networks_are_closed_at_the_end_whatever_was_waiting(animation: Animation) -> None:
    animation.paint()
    for _ in range(2):
        animation.animator.show(own_network(animation, DIM))
    animation.animator.close()
    assert all(closed(engine) for engine in animation.opened)
    late = own_network(animation, DIM)
    animation.animator.show(late)
    assert closed(late.engine)


def test_a_broken_engine_is_no_fault_of_the_avatar_that_is_chosen_then(
    animation: Animation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("avatar.live.animator.RETRY_S", 0.0)
    animation.paint()
    animation.animator.rig.engine.close()  # its device has gone
    animation.paint()
    assert animation.animator.broken
    animation.animator.show(animation.rig(DIM, animation.animator.rig.engine))
    animation.paint()
    assert (animation.shown, animation.animator.broken) == ("dim", False)
    assert [line.split()[-1] for line in animation.said] == ["again.", "s."]


def test_a_label_that_is_switched_on_stands_in_a_picture_that_is_held() -> None:
    with closing(Animation()) as animation:
        animation.animator.rig.label.style = LabelStyle(left_out="for the test")
        plain = animation.paint().rgb.copy()
        animation.animator.rig.engine.close()  # its device has gone
        assert np.array_equal(animation.paint().rgb, plain)
        animation.animator.rig.label.style = LabelStyle()
        labelled = animation.paint().rgb
        differing = np.argwhere((labelled != plain).any(2))
        assert len(differing) > 500 and differing.max(0)[0] < 100  # in its corner
        assert animation.animator.broken and np.array_equal(animation.paint().rgb, labelled)


def test_whatever_fails_in_mid_run_the_picture_is_held_and_it_is_said_once(
    animation: Animation, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = animation.paint()
    failures: list[Exception] = [
        cv2.error("!_src.empty()"), np.linalg.LinAlgError("Singular matrix"), MemoryError(), ValueError("two\nlines"),
    ]  # fmt: skip

    def fails(*_: object) -> NDArray[np.uint8]:
        raise failures[animation.animator.held % len(failures)]

    with monkeypatch.context() as patch:
        patch.setattr(animation.animator.rig.canvas, "place", fails)
        for _ in range(3):
            held = animation.paint()
            assert np.array_equal(held.rgb, good.rgb)
            assert held.capture_ns == animation._now_ns
        extrapolated = animation.animator.extrapolate(animation._now_ns + 1)
    assert extrapolated is not None
    assert animation.animator.held == 4
    assert animation.said == ["anna could not be drawn (error: !_src.empty()). The picture is held."]
    assert animation.paint().index == good.index + 5
    assert animation.animator.held == 4


def test_a_face_without_numbers_costs_a_picture_and_not_the_call(animation: Animation) -> None:
    animation.paint()
    face = FaceState(
        np.full((478, 3), NAN), np.zeros(52, np.float32), np.eye(4, dtype=np.float32), 1.0, animation._now_ns + 1, 1
    )
    assert animation.paint(face).rgb.shape == (512, 512, 3)
    assert np.isfinite(animation.animator.rig.retargeter.drive(no_face(animation._now_ns + 2)).landmarks).all()


@pytest.mark.parametrize("what", HOSTILE)
def test_the_very_first_avatar_that_cannot_be_drawn_is_an_error_in_one_line(what: str) -> None:
    with closing(Animation()) as animation:
        animation.animator.rig.avatar = HOSTILE[what]
        with pytest.raises((VisavisError, EngineFailure)) as caught:
            animation.paint()
        assert "\n" not in str(caught.value)


def test_a_network_that_answers_no_numbers_says_what_to_do(animation: Animation) -> None:
    rig = animation.rig(HOSTILE["an embedding that is no number"], animation.animator.rig.engine)
    with pytest.raises(InputError, match=r"no picture of eve.*Enrol the photos again.*--precision fp32"):
        rig.renderer(512).render(animation.animator.rig.retargeter.drive(no_face(1)))
