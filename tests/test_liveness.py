"""A living person passes the liveness challenge; photos, replayed clips and other people do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest

from avatar.cli.liveness import lock_to_who_is_there
from avatar.cli.statement import Stated
from avatar.cli.terminal import Terminal
from avatar.core.arrays import Array, Picture
from avatar.core.errors import InputError, UsageError
from avatar.core.frame import Frame
from avatar.face.face_model import face_model
from avatar.face.gaps import mouth_width, set_mouth_gaps
from avatar.face.regions import INNER_LIP_PAIRS
from avatar.face.state import BLENDSHAPE_INDEX, FaceState, no_face
from avatar.identity.consent import Statement
from avatar.identity.face_identity import open_face_identity
from avatar.identity.liveness import ASKED, BACK, GESTURE_S, GESTURES, OTHER_FACE, REST_S, LivenessChallenge
from avatar.identity.liveness_check import ENDED, check_liveness
from avatar.identity.liveness_signs import Gesture, Signs, gestures
from avatar.retarget.likeness import OTHER, OWN
from avatar.sources.photo import load_photo
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model
from tests.clips import acted_face, astronaut_avatar
from tests.portraits import astronaut
from tests.test_likeness import ME, at, known
from tests.test_retarget import FRAME_NS, driver, seen, turned
from tests.test_selfie import command
from tests.test_strangers import MONA_LISA

FPS = 1e9 / FRAME_NS
ORDER: tuple[Gesture, ...] = ("smile", "left", "shut", "open")
Doing = Gesture | None


def state(doing: Doing, index: int, apart: float = 0.2) -> FaceState:
    """A face that does something, or rests; described so far from the portraits."""
    scores, shape, yaw = np.zeros(len(BLENDSHAPE_INDEX), np.float32), driver(), 0.0
    if doing == "smile":
        scores[[BLENDSHAPE_INDEX["mouthSmileLeft"], BLENDSHAPE_INDEX["mouthSmileRight"]]] = 0.8
        shape = np.asarray(shape + face_model().expression(scores), np.float32)
    elif doing == "shut":
        scores[[BLENDSHAPE_INDEX["eyeBlinkLeft"], BLENDSHAPE_INDEX["eyeBlinkRight"]]] = 0.65
    elif doing == "open":
        shape = set_mouth_gaps(shape, np.full(len(INNER_LIP_PAIRS), 0.5 * mouth_width(shape), np.float32))
    elif doing is not None:
        yaw = -20.0 if doing == "left" else 20.0
    return replace(seen(shape, index, turned(yaw)), blendshapes=scores, descriptor=at(apart))


class Person:
    """Does what is asked for, 0.4 s after it was, for 0.6 s."""

    def __init__(self, obeys: Callable[[Gesture], Doing] = lambda asked: asked, delay_s: float = 0.4) -> None:
        self._obeys, self._delay_s, self._asked_s = obeys, delay_s, 0.0
        self._asked: str = BACK
        self._doing: Doing = None

    def __call__(self, challenge: LivenessChallenge, index: int) -> Doing:
        now_s = index / FPS
        if challenge.hint not in (BACK, self._asked):
            wanted = next(name for name, words in GESTURES.items() if words == challenge.hint)
            self._doing, self._asked_s = self._obeys(wanted), now_s
        if challenge.hint != BACK:
            self._asked = challenge.hint
        return self._doing if self._delay_s <= now_s - self._asked_s < self._delay_s + 0.6 else None


def run(
    what: Callable[[LivenessChallenge, int], Doing], order: Sequence[Gesture] | None = ORDER, apart: float = 0.2
) -> LivenessChallenge:
    challenge = LivenessChallenge(ME[None], order)
    for index in range(1, 1500):
        challenge.see(state(what(challenge, index), index, apart))
        if challenge.over:
            return challenge
    raise AssertionError("it never ends")


@pytest.mark.parametrize("order", [ORDER, ("right", "open", "smile", "shut"), None])
def test_who_does_what_is_asked_passes_and_it_is_recorded(order: Sequence[Gesture] | None) -> None:
    challenge = run(Person(), order)
    assert challenge.passed and challenge.failure is None
    record = challenge.record()
    assert record["gestures"] == list(challenge.order) and record["distance"] == pytest.approx(0.2, abs=1e-3)


def test_the_order_is_drawn_anew_and_holds_what_no_stiff_picture_does() -> None:
    orders = {LivenessChallenge(ME[None]).order for _ in range(50)}
    assert len(orders) > 20
    for order in orders:
        assert len(set(order)) == len(order) == ASKED and len({"shut", "smile", "open"} & set(order)) >= 2


def test_who_does_nothing_or_too_late_fails() -> None:
    for person in (Person(lambda asked: None), Person(delay_s=GESTURE_S + 0.2)):
        challenge = run(person)
        assert challenge.done == 0 and "longer than 6 seconds to smile" in str(challenge.failure)


def test_something_else_than_was_asked_for_fails() -> None:
    wrong: dict[Gesture, Gesture] = {"left": "right", "shut": "open"}
    for gesture, done in (("left", 1), ("shut", 2)):
        challenge = run(Person(lambda asked, here=gesture: wrong[asked] if asked == here else asked))  # type: ignore[misc]
        assert challenge.done == done and "something else" in str(challenge.failure)


def test_what_began_before_it_was_asked_for_does_not_count() -> None:
    """Somebody who knows what comes, and does it while resting, is asked again and again."""
    challenge = run(Person(delay_s=0.0))
    assert challenge.done == 0 and challenge.failure is not None


def test_a_clip_that_plays_the_gestures_in_another_order_fails() -> None:
    """Each for 0.6 s with 1.2 s of rest between them, again and again, as fast as the challenge asks."""
    played: Sequence[Gesture] = ("open", "shut", "left", "right", "smile")
    for start in range(len(played)):

        def clip(challenge: LivenessChallenge, index: int, start: int = start) -> Doing:
            number, at_s = divmod(index / FPS, 1.8)
            return played[(start + int(number)) % len(played)] if at_s > 1.2 else None

        challenge = run(clip)
        assert not challenge.passed and challenge.done < ASKED


@pytest.mark.parametrize("apart", [OWN + 0.03, 0.9])
def test_another_persons_face_is_not_even_asked(apart: float) -> None:
    challenge = run(Person(), apart=apart)
    assert challenge.done == 0 and challenge.failure == OTHER_FACE


def test_a_face_that_changes_on_the_way_fails() -> None:
    for apart in (
        OTHER + 0.1,
        0.95,
    ):  # the second by one descriptor, the first by their mean
        challenge, person = LivenessChallenge(ME[None], ORDER), Person()
        for index in range(1, 1000):
            if not challenge.over:
                challenge.see(state(person(challenge, index), index, 0.2 if challenge.done < 2 else apart))
        assert challenge.done == 2 and challenge.failure == OTHER_FACE


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda face: no_face(face.capture_ns), "out of sight"),
        (lambda face: replace(face, faces=2), "second face"),
        (lambda face: replace(face, capture_ns=face.capture_ns + 1_100_000_000), "stood still"),
        (lambda face: replace(face, landmarks=face.landmarks + 100), "jumped"),
    ],
)
def test_a_face_is_watched_without_a_gap(change: Callable[[FaceState], FaceState], said: str) -> None:
    challenge = LivenessChallenge(ME[None], ORDER)
    challenge.see(change(state(None, 1)))
    for index in range(40, 60):
        challenge.see(state(None, index))
    assert challenge.hint != BACK  # whoever is still coming is waited for
    challenge.see(change(state(None, 60)))
    assert said in str(challenge.failure)


def test_without_a_face_or_a_description_it_ends_and_says_why() -> None:
    challenge = LivenessChallenge(ME[None])
    for index in range(1, round((REST_S + 1) * FPS)):
        challenge.see(no_face(index * FRAME_NS))
    assert challenge.failure is not None and "out of sight" in challenge.failure
    challenge = LivenessChallenge(ME[None])
    for index in range(1, round((REST_S + 1) * FPS)):
        challenge.see(replace(state(None, index), descriptor=None))
    assert challenge.failure is not None and "could not be told" in challenge.failure


def held_before_a_camera(yaw_deg: float, pitch_deg: float, near: float = 2.2, photo: Picture | None = None) -> Picture:
    """(360, 480, 3): a photo on paper, or the astronaut's, turned in the hand, `near` widths from the lens."""
    paper = np.asarray(cv2.resize(astronaut()[0:256, 96:352] if photo is None else photo, (300, 300)), np.uint8)
    (c, s), (d, t) = ((np.cos(a), np.sin(a)) for a in np.radians((yaw_deg, pitch_deg)))
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ np.array([[1, 0, 0], [0, d, -t], [0, t, d]])
    corners = np.array([[0, 0], [300, 0], [300, 300], [0, 300]], np.float32)
    space = np.column_stack([corners / 300 - 0.5, np.zeros(4)]) @ turn.T
    place = space[:, :2] * near / (near + space[:, 2:]) * 300 + (240, 180)
    matrix = cv2.getPerspectiveTransform(corners, place.astype(np.float32))
    return np.asarray(cv2.warpPerspective(paper, matrix, (480, 360), borderValue=(90, 90, 90)), np.uint8)


def test_a_photo_shows_no_gesture_however_it_is_moved_and_tilted() -> None:
    moves = [(45 * np.sin(i / 5), 15 * np.sin(i / 3), 1.5 + 0.7 * np.cos(i / 7)) for i in range(60)]
    shown: set[Gesture] = set()
    with CagedTracker(tracker_model(), patient=True) as tracker:
        faces = [tracker.track(held_before_a_camera(*move), (i + 1) * FRAME_NS) for i, move in enumerate(moves)]
    rest = Signs.of(faces[0])
    for face in faces:
        shown |= gestures(Signs.of(face), rest) if face.found else set()
    assert sum(face.found for face in faces) > 50
    assert not shown


def camera(pictures: Iterator[Picture]) -> Iterator[Frame]:
    return (Frame(picture, (index + 1) * FRAME_NS) for index, picture in enumerate(pictures))


def described(photo: Picture) -> Array:
    """(1, 128)"""
    with open_face_identity() as identity, CagedTracker(tracker_model(), "image", patient=True) as tracker:
        return identity.descriptor(photo, tracker.track(photo, 0).landmarks)[None]


def test_a_still_photo_before_the_camera_is_known_and_fails() -> None:
    photo = np.ascontiguousarray(load_photo(MONA_LISA)[80:480, 60:460])
    own = described(photo)
    asked: set[str] = set()
    moves = ((3 * np.sin(i / 9), 2 * np.sin(i / 7)) for i in range(round(2.4 * FPS)))
    stills = camera(held_before_a_camera(*move, photo=photo) for move in moves)
    record, why = check_liveness(stills, tracker_model(), own, lambda one: asked.add(one.hint))
    assert record is None and why == ENDED
    assert len(asked) == 2 and BACK in asked  # it is the face, so that it is asked, and nothing is done


def test_a_laughing_photo_is_not_even_asked() -> None:
    with CagedTracker(tracker_model(), "image", patient=True) as tracker:
        assert not Signs.of(tracker.track(held_before_a_camera(0, 0), 0)).calm


def acting(challenges: list[LivenessChallenge]) -> Iterator[Picture]:
    """The astronaut without her laugh, who does what the last challenge asks for, two pictures late, the first time
    the other way round.
    """
    pending = [BACK, BACK]
    for _ in range(250):
        pending.append(challenges[-1].hint if challenges else BACK)
        asked = next((name for name, words in GESTURES.items() if words == pending[-3]), None)
        yaw = {"left": 28.0, "right": -28.0}.get(asked or "", 0.0) * (-1 if len(challenges) == 1 else 1)
        yield acted_face(yaw_deg=yaw, mouth=0.5 if asked == "open" else 0.0, smile=-0.9)


def test_before_a_camera_who_does_it_gets_an_avatar_that_is_locked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Real pictures through the real tracker, of the gestures that the astronaut can be drawn with."""
    monkeypatch.setattr("avatar.identity.liveness.random_order", lambda: ("left", "open", "right"))
    challenges: list[LivenessChallenge] = []
    own = replace(astronaut_avatar(), descriptors=described(acted_face(smile=-0.9)), consent={"given": True})

    def frames() -> Iterator[Frame]:
        for index, picture in enumerate(acting(challenges)):
            yield Frame(picture, (index + 1) * 2 * FRAME_NS)

    class Watched(LivenessChallenge):
        def __init__(self, portraits: Array) -> None:
            super().__init__(portraits)
            challenges.append(self)

    monkeypatch.setattr("avatar.identity.liveness_check.LivenessChallenge", Watched)
    locked = lock_to_who_is_there(own, frames(), tracker_model(), Terminal(stderr=True))
    assert locked.locked and not own.locked and locked.consent["given"]
    assert locked.consent["liveness"]["gestures"] == ["left", "open", "right"]
    assert locked.consent["liveness"]["distance"] < OWN
    said = " ".join(capsys.readouterr().err.split())
    assert said.index("That was not it: something else") < said.index("Good. Now: look") < said.index("Good, it is you")
    assert said.count("moves for its own person alone") == 1


def test_where_it_fails_there_is_no_avatar_and_it_is_said_what_to_do() -> None:
    with pytest.raises(InputError, match=r"No avatar was made\. Try again, or add --no-liveness"):
        lock_to_who_is_there(known(), iter(()), tracker_model(), Terminal(stderr=True))


@pytest.mark.parametrize(
    ("shows", "given", "webcam", "challenged"),
    [
        ("oneself", None, True, True),
        ("oneself", None, False, False),  # a file is no living person
        ("oneself", False, True, False),
        ("agreed", None, True, False),
        ("agreed", True, True, True),
        (None, None, True, False),
    ],
)
def test_who_enrols_oneself_before_a_camera_is_challenged(
    shows: str | None, given: bool | None, webcam: bool, challenged: bool
) -> None:
    statement = Statement.of(shows, person="Ada" if shows == "agreed" else "") if shows else None
    assert Stated(liveness=given).asks_for_gestures(statement, webcam) == challenged


@pytest.mark.parametrize("shows", ["character", None])
def test_only_living_people_can_be_challenged(shows: str | None) -> None:
    with pytest.raises(UsageError, match="living person"):
        Stated(liveness=True).asks_for_gestures(Statement.of(shows) if shows else None, webcam=True)


def test_a_photo_cannot_be_challenged() -> None:
    error = command("photo.jpg", "--name", "anna", "--shows", "oneself", "--liveness").exception
    assert isinstance(error, UsageError) and "belong to --camera" in str(error)
