"""Three hours of a call, on a computer that has been up for forty days: nothing creeps, drifts or piles up.

The session and its loop are the real ones, with their threads, mailboxes, governor, pacing, retargeting, publishers and
keys; their clock is simulated. In place of MediaPipe a made-up person is before the camera; the avatar is really drawn
for every EVERY-th picture. Three hours at 30 fps are 324,000 frames, five minutes of work: so the camera gives 30 a
second for some minutes, and SLOW_FPS for the rest of the three hours, which is still no pause for the filters. What is
cheap by itself gets all 324,000 in a test of its own.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from avatar.core import mailbox
from avatar.core.errors import DeviceError
from avatar.core.frame import Frame, NoPicture
from avatar.core.mailbox import Mailbox
from avatar.face.driving import Driving
from avatar.face.face_model import face_model
from avatar.face.gaps import DRAWN_SHUT, gaps, set_lid_gaps
from avatar.face.gaze import MOST_ASIDE, MOST_UP, gaze, set_gaze
from avatar.face.head_pose import HeadPose, head_pose, turn_between, turned_by
from avatar.face.regions import INNER_LIP_PAIRS, LEFT_LID_PAIRS, RIGHT_LID_PAIRS
from avatar.face.state import BLENDSHAPE_INDEX, BLENDSHAPE_NAMES, FaceState, no_face
from avatar.live import animator, camera_switch, latency, loop, publisher_set, steady_pace
from avatar.live import session as session_module
from avatar.live.control import Control
from avatar.live.governor import FULL, Governor, Work
from avatar.live.latency import LatencyRecorder
from avatar.live.live_report import CAPTURE_TO_PUBLISHED, INTERVAL, LiveReport
from avatar.live.options import LiveOptions
from avatar.live.publishing_clock import PublishingClock
from avatar.live.session import Session, open_session
from avatar.live.steady_pace import SteadyPace
from avatar.profiling.profile import Memory
from avatar.render import painter
from avatar.render.engine_options import EngineOptions
from avatar.render.layered_renderer import LayeredRenderer
from avatar.retarget.gains import Gains
from avatar.retarget.head_limits import MAX_GROWTH, MAX_NOD_RADIANS, MAX_SHIFT, MAX_TURN_RADIANS
from avatar.tracking.model_asset import tracker_model
from tests.clips import astronaut_avatar
from tests.simulated_time import SimulatedTime

pytestmark = pytest.mark.timeout(900)  # on a busy machine


SECOND_NS = 1_000_000_000
UP_NS = 40 * 86_400 * SECOND_NS  # what the monotonic clock says when the call begins
SUSPENDED_NS = 47 * 60 * SECOND_NS
FPS, SLOW_FPS = 30.0, 2.2
SIDE_PX, EVERY = 128, 500
TRACK_S, RENDER_S, PUBLISH_S = 0.011, 0.009, 0.001
BUSY = 6  # times as long does everything take on a computer that is busy
MINUTE_FRAMES = round(60 * FPS)
SAME_S = 30  # of a minute at the beginning, and at the end, are compared picture by picture


@dataclass(frozen=True)
class Phase:
    """So many seconds of the call."""

    what: str
    seconds: int
    fps: float = SLOW_FPS


OPENING = Phase("talk", 120), Phase("same", SAME_S, FPS), Phase("talk", 90), Phase("alone", 240), Phase("talk", 120)
HOUR = (
    Phase("busy", 20, FPS), Phase("talk", 20, FPS), Phase("talk", 80, 5.0), Phase("talk", 600), Phase("away", 600),
    Phase("talk", 330), Phase("unplugged", 30), Phase("talk", 760), Phase("frozen", 30), Phase("paused", 30),
    Phase("mirrored", 30), Phase("talk", 240), Phase("suspended", 400), Phase("as ever", 30),
)  # fmt: skip
ENDING = Phase("talk", 90), Phase("alone", 240), Phase("talk", 210), Phase("same", SAME_S, FPS), Phase("talk", 30)
CALL = (*OPENING, *HOUR, *HOUR, *HOUR, *ENDING)
KEYS = {"frozen": Control.toggle_freeze, "paused": Control.toggle_pause, "mirrored": Control.toggle_mirror}


@lru_cache(maxsize=1)
def person() -> tuple[FaceState, ...]:
    """A minute before the camera, over and over: calm at first, then talking, nodding, blinking, looking about.

    At 50 s the face is lost for a moment; at 55 s the tracker takes something else for it.
    """
    random = np.random.default_rng(7)
    neutral = np.asarray(face_model().mean_shape * np.array([1.15, 1.0, 1.0]), np.float32)
    states = []
    for index in range(MINUTE_FRAMES):
        second = index / FPS
        acting = min(1.0, max(0.0, second - 4) / 2, max(0.0, 60 - second) / 2)
        blink = max(0.0, 1 - abs(second % 3.7 - 1.85) / 0.12)
        scores = np.zeros(len(BLENDSHAPE_NAMES), np.float32)
        scores[BLENDSHAPE_INDEX["jawOpen"]] = acting * max(0.0, 0.35 * np.sin(17 * second) * np.sin(2.3 * second))
        for side in ("Left", "Right"):
            scores[BLENDSHAPE_INDEX[f"mouthSmile{side}"]] = acting * 0.3 * max(0.0, np.sin(second / 3))
            scores[BLENDSHAPE_INDEX[f"eyeBlink{side}"]] = 0.9 * blink
        shape = neutral + face_model().expression(scores)
        glance = acting * np.array([0.15, 0.06]) * np.sin([second / 2, second / 5])
        shape = set_gaze(shape, neutral, gaze(neutral) + glance.astype(np.float32))
        for pairs in (RIGHT_LID_PAIRS, LEFT_LID_PAIRS):
            shape = set_lid_gaps(shape, pairs, (1 - 0.8 * blink) * gaps(neutral, pairs))
        turn = acting * np.array([0.15, 0.35, 0.08]) * np.sin([second / 1.1, second / 2.3, second / 3.1])
        place = np.array([160 + acting * 15 * np.sin(second / 4), 120, 0], np.float32)
        scale = 60 * (1 + 0.08 * acting * np.sin(second / 6))
        landmarks = HeadPose(turned_by(turn.astype(np.float32)), scale, place).apply(shape)
        landmarks += random.normal(0, 0.06, landmarks.shape).astype(np.float32)
        if 55 <= second < 55.1:
            landmarks = landmarks * np.array([0.7, 1.2, 1.0], np.float32)
        lost = 50 <= second < 50.8
        states.append(no_face(0) if lost else FaceState(landmarks, scores, np.eye(4, dtype=np.float32), 1.0, 0))
    return tuple(states)


class Mark(NamedTuple):
    """How things stood when a phase began."""

    what: str
    frames: float
    lowered: float  # 1: the governor had lowered the work
    blocks: float  # that Python holds
    traced_bytes: float
    latency_ms: float  # median of the newest, from capture to publishing


@dataclass
class Call:
    """The camera, and what is before it; what was shown; and how things stood meanwhile."""

    clock: SimulatedTime
    session: Session = field(init=False)
    name: str = "/dev/video0"
    fps: float = SLOW_FPS
    dropped: int = 0
    given: int = 0
    drawn: int = 0
    marked: int = 0

    def __post_init__(self) -> None:
        self.phase = CALL[0]
        self.zero_ns = self.clock.now_ns  # of the call, as if no time had been slept
        self.same = np.full((2, round(SAME_S * FPS), 478, 3), np.nan, np.float32)
        self.marks = np.full((len(CALL) + 1, 5), np.nan)  # what is made now is no growth later
        self.references = np.full((len(CALL) + 1, 1445), np.nan, np.float32)  # by mark: the driver's calm face
        # second, live, nod, turn, tilt, log scale, shift x, y, gaze 2 x 2, lids 2, mouth
        self.shown = np.full((60_000, 15), np.nan)
        avatar = astronaut_avatar()
        self.own = head_pose(avatar.landmarks[0], face_model().mean_shape)
        own_shape = self.own.remove(avatar.landmarks[0])
        self.own_lids = np.array([gaps(own_shape, pairs).mean() for pairs in (RIGHT_LID_PAIRS, LEFT_LID_PAIRS)])
        self._pictures = self._play()

    @property
    def pace(self) -> float:
        return BUSY if self.phase.what == "busy" else 1

    # As of `Camera`

    def read(self) -> Frame | NoPicture | None:
        return next(self._pictures, None)

    def close(self) -> None:
        pass

    def _play(self) -> Iterator[Frame | NoPicture]:
        rgb, start_ns = np.zeros((240, 320, 3), np.uint8), self.clock.now_ns
        for phase in CALL:
            self._enter(phase)
            if phase.what == "suspended":
                self.clock.now_ns += SUSPENDED_NS
                start_ns += SUSPENDED_NS
                self.zero_ns += SUSPENDED_NS
            for index in range(round(phase.seconds * phase.fps)):
                due_ns = start_ns + round(index * SECOND_NS / phase.fps)
                self.clock.sleep((due_ns - self.clock.now_ns) / 1e9)
                if phase.what == "unplugged":
                    yield NoPicture(due_ns)
                else:
                    self.given += 1
                    yield Frame(rgb, due_ns, self.given)
            start_ns += phase.seconds * SECOND_NS
            self.clock.sleep((start_ns - self.clock.now_ns) / 1e9)
        self._enter(Phase("end", 0))

    def _enter(self, phase: Phase) -> None:
        animator = self.session.animator
        control = Control(self.session, [], print)
        for entered in (self.phase, phase):
            if entered.what in KEYS:
                KEYS[entered.what](control)
        self.phase = phase
        gc.collect()
        if self.marked == len(CALL) - len(ENDING):
            tracemalloc.start()  # which makes all slower: at the end alone
        if (reference := animator.rig.retargeter._calibration.reference) is not None:
            self.references[self.marked] = np.concatenate([part.ravel() for part in reference.face.parts()])
        self.marks[self.marked] = (
            self.drawn,
            animator.governor.level != FULL,
            sys.getallocatedblocks(),
            tracemalloc.get_traced_memory()[0],
            np.median(self.session.latency.newest(CAPTURE_TO_PUBLISHED, 60)) if self.drawn else np.nan,
        )
        self.marked += 1

    def marked_as(self, *names: str) -> list[Mark]:
        """How things stood whenever a phase of one of these names began."""
        pairs = zip(CALL, self.marks[: len(CALL)].tolist(), strict=True)
        return [Mark(phase.what, *row) for phase, row in pairs if phase.what in names]

    # As of the tracker

    def track(self, rgb: NDArray[np.uint8], capture_ns: int) -> FaceState:
        self.clock.sleep(TRACK_S * self.pace)
        if self.phase.what in ("alone", "away"):
            return no_face(capture_ns)
        frame = round((capture_ns - self.zero_ns) * FPS / SECOND_NS)
        return replace(person()[frame % MINUTE_FRAMES], capture_ns=capture_ns)

    def __enter__(self) -> Call:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    # What is shown

    def look(self, driving: Driving) -> None:
        second = (driving.capture_ns - self.zero_ns) / SECOND_NS
        if self.phase.what == "same":
            which = int(self.marked > len(CALL) // 2)
            self.same[which, round(second % 60 * FPS) % len(self.same[0])] = driving.landmarks
        pose = head_pose(driving.landmarks, face_model().mean_shape)
        shape = pose.remove(driving.landmarks)
        lids = [gaps(shape, pairs).mean() for pairs in (RIGHT_LID_PAIRS, LEFT_LID_PAIRS)]
        self.shown[self.drawn] = (
            second,
            driving.live,
            *turn_between(pose.rotation, self.own.rotation),
            np.log(pose.scale / self.own.scale),
            *(pose.translation - self.own.translation)[:2],
            *gaze(shape).ravel(),
            *(lids / self.own_lids),
            gaps(shape, INNER_LIP_PAIRS).min(),
        )
        self.drawn += 1


class Loose(Memory):
    """A device that goes away once an hour."""

    name = "/dev/video10"

    def __init__(self) -> None:
        super().__init__()
        self.sent = self.opened = self.last_ns = 0

    def open(self, width: int, height: int, fps: float) -> None:
        self.opened += 1

    def send(self, frame: Frame) -> None:
        assert type(frame.capture_ns) is int and frame.capture_ns >= self.last_ns
        self.last_ns = frame.capture_ns
        self.sent += 1
        if self.sent % 9000 == 0:
            raise DeviceError("/dev/video10 has gone")
        super().send(frame)


@pytest.fixture(scope="module")
def held() -> Iterator[tuple[Call, LiveReport, Loose]]:
    """The call, after it is over."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        clock = SimulatedTime(UP_NS)
        clock.take_over(monkeypatch, animator, camera_switch, latency, loop, mailbox, publisher_set, steady_pace)
        call = Call(clock)

        class Seldom(LayeredRenderer):
            """Draws the first picture and then every EVERY-th; the same one again meanwhile."""

            def render(self, driving: Driving) -> NDArray[np.uint8]:
                call.look(driving)
                share = call.session.animator.governor.level.render_share
                clock.sleep(RENDER_S * call.pace * share**2)
                if not hasattr(self, "newest"):
                    self.newest = super().render(driving)
                elif call.drawn % EVERY == 0:
                    self.newest[:] = super().render(driving)
                return self.newest

        monkeypatch.setattr(painter, "LayeredRenderer", Seldom)
        monkeypatch.setattr(session_module, "CagedTracker", lambda *how, **more: call)
        device = Loose()
        options = LiveOptions(size=(SIDE_PX, SIDE_PX), engine=EngineOptions("onnxruntime"))
        try:
            with open_session(
                astronaut_avatar(), tracker_model(), call, [Memory(), device], options, lambda line: None
            ) as call.session:
                call.session.animator.governor.spare = lambda: 0.4  # whatever else this computer does
                newest = call.session.latency.newest

                def each_second(_: LiveReport) -> None:
                    np.median(newest(CAPTURE_TO_PUBLISHED, 30))

                report = call.session.loop.run(each_second=each_second)
        finally:
            tracemalloc.stop()
        yield call, report, device


def test_every_frame_is_shown_or_counted_to_the_end(held: tuple[Call, LiveReport, Loose]) -> None:
    call, report, device = held
    spoken_s = sum(phase.seconds for phase in CALL)
    assert spoken_s == 3 * 3600
    assert report.seconds == pytest.approx(spoken_s + 3 * SUSPENDED_NS / 1e9, abs=2)
    assert report.captured == call.given
    lost = sum(report.drops.values()) - report.drops["engine"]
    assert report.published + lost == report.captured + report.idled
    assert report.latency[CAPTURE_TO_PUBLISHED].count == report.published
    assert report.latency[INTERVAL].max_ms == pytest.approx(SUSPENDED_NS / 1e6, rel=0.01)
    assert device.opened == 1 + device.sent // 9000 and device.sent > 25_000


def test_what_is_shown_stays_within_bounds(held: tuple[Call, LiveReport, Loose]) -> None:
    call, *_ = held
    shown = call.shown[: call.drawn]
    assert np.isfinite(shown).all()
    assert (np.diff(shown[:, 0]) > 0).all()
    nod, turn, tilt, scale, *shift = np.abs(shown[:, 2:8]).T
    assert nod.max() < MAX_NOD_RADIANS + 0.05
    assert max(turn.max(), tilt.max()) < MAX_TURN_RADIANS + 0.05
    assert turn.max() > 0.2  # it did move
    assert scale.max() < MAX_GROWTH + 0.05
    assert max(shift[0].max(), shift[1].max()) < MAX_SHIFT + 0.16  # of the joint, about which the eyes turn
    irises, lids, lips = np.abs(shown[:, 8:12]), shown[:, 12:14], shown[:, 14]
    assert irises[:, ::2].max() < MOST_ASIDE + 0.05 and irises[:, 1::2].max() < MOST_UP + 0.06
    assert lids.min() > DRAWN_SHUT - 0.05 and lids.max() < 1.6
    assert lids.min() < 0.3  # it did blink
    assert lips.min() > -0.01


def test_the_same_face_is_shown_alike_at_the_end(held: tuple[Call, LiveReport, Loose]) -> None:
    call, *_ = held
    first, last = call.same
    assert np.isfinite(call.same).mean() > 0.99
    off = (last - first)[..., :2]
    place = np.nanmean(off, 1, keepdims=True)  # the frame follows who sits down differently, by a pixel or two
    assert np.nanmean(np.linalg.norm(off - place, axis=-1)) < 0.001
    assert np.nanmax(np.linalg.norm(place, axis=-1)) < 0.005


def test_the_drivers_calm_face_is_the_same_after_hours(held: tuple[Call, LiveReport, Loose]) -> None:
    call, *_ = held
    learnt = [call.references[number] for number, phase in enumerate(CALL) if phase.what == "as ever"]
    assert len(learnt) == 3 and np.abs(learnt[2] - learnt[0]).max() < 0.01
    assert call.session.retargeter.gains == Gains()


def test_it_idles_in_the_last_hour_as_in_the_first(held: tuple[Call, LiveReport, Loose]) -> None:
    call, *_ = held
    shown, start_s, rounds = call.shown[: call.drawn], 0, []
    for phase in CALL:
        if phase.what == "alone":  # as long as the idle motion's round
            rounds.append(shown[(shown[:, 0] > start_s + 3) & (shown[:, 0] < start_s + phase.seconds)])
        start_s += phase.seconds
    first, last = rounds
    assert len(first) == len(last) > 500
    assert not first[:, 1].any() and not last[:, 1].any()
    mean = np.abs(last[:, 2:].mean(0) - first[:, 2:].mean(0))
    spread = last[:, 2:].std(0) - first[:, 2:].std(0)
    assert mean[:6].max() < 0.001 and mean[6:].max() < 0.04  # radians and shares; of an eye's width or its openness
    assert np.abs(spread[:6]).max() < 0.001 and np.abs(spread[6:]).max() < 0.06  # few pictures of a blink


def test_the_load_is_lowered_in_each_busy_time_and_raised_again(held: tuple[Call, LiveReport, Loose]) -> None:
    call, report, _ = held
    after_busy = [call.marks[number + 1, 1] for number, phase in enumerate(CALL) if phase.what == "busy"]
    assert len(after_busy) == 3 and min(after_busy) > 0
    assert [mark.lowered for mark in call.marked_as("as ever")] == [0, 0, 0]
    assert report.work == "full" != report.lowest_level
    assert sum(report.level_seconds.values()) == pytest.approx(3 * 3600, rel=0.05)
    latencies = [mark.latency_ms for mark in call.marked_as("as ever")]
    assert latencies == pytest.approx([latencies[0]] * 3, abs=0.5)


def test_nothing_is_kept(held: tuple[Call, LiveReport, Loose]) -> None:
    call, *_ = held
    first, _, third = call.marked_as("as ever")
    assert third.blocks - first.blocks < 0.01 * (third.frames - first.frames)
    before, after = call.marked_as("alone")[-1], call.marked_as("same")[-1]
    assert after.traced_bytes - before.traced_bytes < 16 * (after.frames - before.frames)


def test_what_counts_and_paces_counts_and_paces_the_last_of_324000_frames_as_the_first() -> None:
    """By the frames' own times, without threads."""
    frames, round_trip = 324_000, 300
    delays_ns = np.random.default_rng(1).normal(25e6, 4e6, round_trip).astype(np.int64).tolist()
    governor, steady, recorder = Governor(lambda: 0.4), SteadyPace(3_333_333), LatencyRecorder(("held",))
    clock, post = PublishingClock(UP_NS, settle_s=1.0), Mailbox[int]("camera → tracker")
    held_ns, settled = [], 0
    for index in range(frames):
        capture_ns = UP_NS + round(index * SECOND_NS / FPS)
        if index % 1000 == 999:
            post.put(capture_ns - 1)  # nobody takes it
        post.put(capture_ns)
        assert post.take() == capture_ns
        ready_ns = capture_ns + delays_ns[index % round_trip]
        hold_ns = steady.hold_ns(capture_ns, ready_ns)
        if index % (frames - 10 * round_trip) < 10 * round_trip:
            held_ns.append(hold_ns)
        recorder.record("held", hold_ns / 1e6)
        clock.published(capture_ns)
        settled += clock.settled_now()
        governor.frame(ready_ns, Work(avatar_ns=15_000_000 * (index + 1)))
    assert post.dropped == frames // 1000
    assert (governor.level, governor.lowest_level, settled) == (FULL, FULL, 1)
    assert clock.seconds() == pytest.approx(frames / FPS - 1, abs=0.04)
    assert clock.fps() == pytest.approx(FPS, rel=1e-6)
    line = recorder.table()["held"]
    assert line.count == frames
    assert len(recorder.newest("held", frames)) == latency.KEPT
    first_ns, last_ns = np.reshape(held_ns, (2, -1))
    assert last_ns.mean() == pytest.approx(first_ns.mean(), rel=0.05)
    assert line.p50_ms == pytest.approx(np.median(last_ns) / 1e6, rel=0.1, abs=0.1)
