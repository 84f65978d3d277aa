"""What a viewer sees while things fail, and how long it takes until all is well again.

    python benchmarks/faults.py NAME [--markdown] [--json]

One live session with real parts runs through every fault: the avatar's own portrait is the driver, in a picture with a
green frame that no avatar has. Each published frame is searched for that green: no camera pixel may come out. Each is
judged by what it shows, too: how much the neck's length (in sizes of the head) and the head's width leave the
portrait's, and how far the face's landmarks move from one picture to the next, in shares of the picture.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Picture

sys.path.insert(0, str(Path(__file__).parents[1]))

from avatar.core.avatar import Avatar
from avatar.core.errors import DeviceError
from avatar.core.frame import Frame, NoPicture
from avatar.face.body import neck_joint
from avatar.face.driving import Driving
from avatar.face.face_model import face_model
from avatar.face.head_pose import head_pose
from avatar.face.state import FaceState
from avatar.identity.bundle import find_avatar, load_avatar
from avatar.live.animator import AvatarFrame
from avatar.live.session import Session, open_session
from avatar.publish.publisher import Publisher
from avatar.render.relief import Relief
from avatar.sources.portrait_camera import PortraitCamera
from avatar.tracking.model_asset import tracker_model
from engines import EngineDescription, EngineFailure, Tensors

GREEN = np.array([0, 255, 0], np.uint8)
CALM_S = 1.5  # before each fault
FAULT_S = 2.0
MOST_S = 15.0  # by when all must be well again
STUCK_S = 3.0
NECK_BASE = np.array([0.0, 1.4], np.float32)  # below the neck's joint, in sizes of the head


def painted(picture: Picture) -> Picture:
    """With a green frame of a tenth of the height."""
    marked = picture.copy()
    edge = len(picture) // 10
    marked[:edge] = marked[-edge:] = GREEN
    marked[:, :edge] = marked[:, -edge:] = GREEN
    return marked


def green_share(picture: Picture) -> float:
    """Share of the pixels that are clearly green."""
    red, green, blue = (picture[..., i].astype(np.int16) for i in range(3))
    return float(np.mean((green - np.maximum(red, blue)) > 60))


class FaultyCamera:
    """The portrait as a driver, in a painted picture; what is wrong with it is set from outside."""

    def __init__(self, portrait: Picture) -> None:
        self._camera = PortraitCamera(portrait)
        self.name, self.fps = "a painted portrait", self._camera.fps
        self.change: Callable[[Picture], Picture] = lambda picture: picture
        self.away = self.stuck = False
        self.every = 1  # of so many frames one comes

    @property
    def dropped(self) -> int:
        return 0

    def read(self) -> Frame | NoPicture | None:
        while True:
            frame = self._camera.read()
            if frame is None:
                return None
            if self.stuck:
                time.sleep(STUCK_S)
            if self.away:
                return NoPicture(frame.capture_ns)
            if frame.index % self.every == 0:
                break
        return replace(frame, rgb=painted(self.change(frame.rgb)))

    def close(self) -> None:
        self._camera.close()


class Viewer(Publisher):
    """Looks at every published frame, and goes away when it is told to."""

    name = "the viewer's device"

    def __init__(self) -> None:
        self.times_ns: list[int] = []
        self.newest_ns = 0
        self.green = 0.0
        self.gone = False

    def open(self, width: int, height: int, fps: float) -> None:
        if self.gone:
            raise DeviceError(f"{self.name} is not there")

    def send(self, frame: Frame) -> None:
        if self.gone:
            raise DeviceError(f"{self.name} has gone.")
        if frame.capture_ns > self.newest_ns:  # and not the same picture shown again
            self.newest_ns = frame.capture_ns
            self.times_ns.append(time.monotonic_ns())
        self.green = max(self.green, green_share(frame.rgb))

    def close(self) -> None: ...


class BrokenEngine:
    """An engine whose device has gone."""

    def __init__(self, whole: Session) -> None:
        engine = whole.animator.rig.engine
        self.inputs, self.outputs = engine.inputs, engine.outputs
        self._about = engine.describe()
        self._whole = engine

    def infer(self, inputs: Mapping[str, NDArray[np.generic]]) -> Tensors:
        raise EngineFailure("generator.onnx failed: its device has gone")

    def describe(self) -> EngineDescription:
        return self._about

    def close(self) -> None:
        self._whole.close()  # by the thread that drew with it


class Sitter:
    """What the pictures show of one: numbers from the landmarks and the relief that each was drawn with."""

    def __init__(self, portrait: NDArray[np.float32]) -> None:
        self._pose = head_pose(portrait, face_model().mean_shape)
        self._ears = neck_joint(self._pose)[:2]
        self._relief = Relief(portrait)
        places = self._relief.vertices[:, :2]
        base = self._ears + self._pose.scale * NECK_BASE
        self._vertex = int(np.linalg.norm(places - base, axis=1).argmin())
        self._base = places[self._vertex]
        self._last: Driving | None = None
        self.forget()

    def forget(self) -> None:
        self.neck_change = self.width_change = self.jump = 0.0

    def see(self, driving: Driving) -> None:
        """Take in the next picture."""
        pose = head_pose(driving.landmarks, face_model().mean_shape)
        base = self._relief.place(driving.landmarks)[self._vertex, :2]
        neck = np.linalg.norm(base - neck_joint(pose)[:2]) / pose.scale
        at_rest = np.linalg.norm(self._base - self._ears) / self._pose.scale
        self.neck_change = max(self.neck_change, abs(float(neck / at_rest) - 1))
        self.width_change = max(self.width_change, abs(pose.scale / self._pose.scale - 1))
        if self._last is not None:
            step = np.linalg.norm((driving.landmarks - self._last.landmarks)[:, :2], axis=1).mean()
            self.jump = max(self.jump, float(step))
        self._last = driving


@dataclass
class Trial:
    """All that a fault may touch, and what is seen of it."""

    session: Session
    camera: FaultyCamera
    viewer: Viewer
    said: list[str]
    sitter: Sitter
    driven_ns: list[int] = field(default_factory=list)  # when a picture was painted from a tracked face


@dataclass(frozen=True, slots=True)
class Outcome:
    fault: str
    longest_gap_s: float  # between two published frames, from the fault's beginning until all was well
    recovery_s: float  # from the fault's end to the first frame that a tracked face drives and that is published
    camera_pixels: float  # greatest share of the camera's green in any published frame
    neck_change: float  # greatest, in shares of its length in the portrait
    width_change: float  # of the head, likewise
    jump: float  # greatest move of the face between two pictures: mean over the landmarks, in shares of the picture
    said: tuple[str, ...]


Fault = Callable[[Trial], AbstractContextManager[None]]


def _camera(**settings: object) -> Fault:
    @contextmanager
    def fault(trial: Trial) -> Iterator[None]:
        before = {name: getattr(trial.camera, name) for name in settings}
        for name, value in settings.items():
            setattr(trial.camera, name, value)
        yield
        for name, value in before.items():
            setattr(trial.camera, name, value)

    return fault


def _seen(change: Callable[[Picture], Picture]) -> Fault:
    return _camera(change=change)


def two_faces(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    half = cv2.resize(picture[:, width // 4 : -width // 4], (width // 2, height))
    return np.asarray(np.concatenate([half, half[:, ::-1]], 1), np.uint8)


def face_leaving(picture: Picture) -> Picture:
    """Half of it is out of the picture."""
    shift = np.array([[1, 0, picture.shape[1] * 0.42], [0, 1, 0]], np.float32)
    return np.asarray(cv2.warpAffine(picture, shift, picture.shape[1::-1], borderMode=cv2.BORDER_REPLICATE), np.uint8)


def hand_over_face(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    covered = picture.copy()
    cv2.ellipse(covered, (width // 2, height * 6 // 10), (width // 6, height // 5), 20, 0, 360, (196, 150, 126), -1)
    return covered


def cup_before_mouth(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    covered = picture.copy()
    cv2.rectangle(covered, (int(0.38 * width), int(0.6 * height)), (int(0.62 * width), height), (225, 225, 230), -1)
    return covered


def placed(scale: float, x: float, y: float) -> Callable[[Picture], Picture]:
    """The driver at another size, moved by shares of the picture."""

    def change(picture: Picture) -> Picture:
        height, width = picture.shape[:2]
        move = np.array(
            [[scale, 0, width * ((1 - scale) / 2 + x)], [0, scale, height * ((1 - scale) / 2 + y)]], np.float32
        )
        return np.asarray(cv2.warpAffine(picture, move, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)

    return change


def another_person(picture: Picture) -> Picture:
    """As far as proportions go: a long, narrow face."""
    height, width = picture.shape[:2]
    narrow = cv2.resize(picture, (int(0.8 * width), height), interpolation=cv2.INTER_AREA)
    edge = (width - narrow.shape[1]) // 2
    return np.asarray(
        cv2.copyMakeBorder(narrow, 0, 0, edge, width - narrow.shape[1] - edge, cv2.BORDER_REPLICATE), np.uint8
    )


def smaller(picture: Picture) -> Picture:
    """A WebRTC sender that scales its picture down."""
    return np.asarray(cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)


def sudden_light(picture: Picture) -> Picture:
    return np.asarray(np.clip(picture.astype(np.float32) * 2.6 + 40, 0, 255), np.uint8)


def other_size(picture: Picture) -> Picture:
    return np.asarray(cv2.resize(picture, (1280, 720)), np.uint8)


def _signal_tracker(trial: Trial, number: signal.Signals) -> None:
    pid = trial.session.tracker.pid
    assert pid is not None
    os.kill(pid, number)


@contextmanager
def tracker_killed(trial: Trial) -> Iterator[None]:
    _signal_tracker(trial, signal.SIGKILL)
    yield


@contextmanager
def tracker_hangs(trial: Trial) -> Iterator[None]:
    _signal_tracker(trial, signal.SIGSTOP)
    yield


@contextmanager
def engine_gone(trial: Trial) -> Iterator[None]:
    trial.session.animator.rig.take_engine(BrokenEngine(trial.session))
    yield


@contextmanager
def device_removed(trial: Trial) -> Iterator[None]:
    trial.viewer.gone = True
    yield
    trial.viewer.gone = False


@contextmanager
def cpu_taken(trial: Trial) -> Iterator[None]:
    count = 2 * (os.cpu_count() or 1)
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        time.sleep(2 * FAULT_S)
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


FAULTS: dict[str, Fault] = {
    "camera unplugged and back": _camera(away=True),
    "camera's driver stuck": _camera(stuck=True),
    "camera gives 5 fps": _camera(every=6),
    "camera changes its size": _seen(other_size),
    "camera covered": _seen(np.zeros_like),
    "no face": _seen(lambda picture: np.full_like(picture, 90)),
    "two faces": _seen(two_faces),
    "face leaving": _seen(face_leaving),
    "hand over face": _seen(hand_over_face),
    "cup before the mouth": _seen(cup_before_mouth),
    "leaning back": _seen(placed(0.6, 0.0, 0.1)),
    "moving aside": _seen(placed(1.0, 0.2, 0.0)),
    "far and up": _seen(placed(0.5, -0.1, -0.15)),
    "another person": _seen(another_person),
    "camera scales its picture down": _seen(smaller),
    "sudden light": _seen(sudden_light),
    "tracker killed": tracker_killed,
    "tracker hangs": tracker_hangs,
    "engine gone, no other left": engine_gone,
    "publisher's device removed and back": device_removed,
    "CPU taken by other work": cpu_taken,
}


@contextmanager
def trial_of(avatar: Avatar) -> Iterator[Trial]:
    """A live session under way."""
    camera, viewer = FaultyCamera(avatar.portraits[0]), Viewer()
    said: list[str] = []
    failures: list[BaseException] = []
    with open_session(avatar, tracker_model(), camera, [viewer], say=said.append) as session:
        trial = Trial(session, camera, viewer, said, Sitter(avatar.landmarks[0]))
        paint = session.animator.paint

        def watched(state: FaceState) -> AvatarFrame:
            painted_frame = paint(state)
            if state.found and not session.animator.broken:
                trial.driven_ns.append(time.monotonic_ns())
            return painted_frame

        session.animator.paint = watched  # type: ignore[method-assign]
        drive = session.retargeter.drive

        def seen(state: FaceState) -> Driving:
            driving = drive(state)
            trial.sitter.see(driving)
            return driving

        session.retargeter.drive = seen  # type: ignore[method-assign]

        def run() -> None:
            try:
                session.loop.run()
            except BaseException as failure:
                failures.append(failure)

        thread = threading.Thread(target=run, name="session")
        thread.start()
        try:
            yield trial
        finally:
            session.loop.stop()
            thread.join(20)
            if thread.is_alive():
                failures.append(TimeoutError("the session did not end within 20 s"))
    if failures:
        raise failures[0]


def run_fault(name: str, trial: Trial) -> Outcome:
    """Let one thing fail for a while, and wait until all is well. Raises TimeoutError when it never is."""
    time.sleep(CALM_S)
    said_before = len(trial.said)
    trial.viewer.green = 0.0
    trial.sitter.forget()
    begin_ns = time.monotonic_ns()
    with FAULTS[name](trial):
        time.sleep(FAULT_S)
    end_ns = time.monotonic_ns()
    while time.monotonic_ns() - end_ns < MOST_S * 1e9:
        driven = next((at for at in reversed(trial.driven_ns[-40:]) if at > end_ns), None)
        if driven is not None:
            driven = min(at for at in trial.driven_ns[-600:] if at > end_ns)
            well = next((at for at in trial.viewer.times_ns[-600:] if at > driven), None)
            if well is not None:
                break
        time.sleep(0.01)
    else:
        raise TimeoutError(f"{name}: not well again after {MOST_S:.0f} s; said: {trial.said[said_before:]}")
    times_ns = [at for at in trial.viewer.times_ns if begin_ns - 10**9 < at <= well]
    return Outcome(
        name,
        round(float(np.diff(times_ns).max()) / 1e9, 2),
        round((well - end_ns) / 1e9, 2),
        trial.viewer.green,
        round(trial.sitter.neck_change, 3),
        round(trial.sitter.width_change, 3),
        round(trial.sitter.jump, 3),
        tuple(trial.said[said_before:]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("avatar", help="a name given to `visavis enroll`, or a .avatar file")
    parser.add_argument("--only", nargs="*", choices=FAULTS, default=list(FAULTS))
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    outcomes: list[Outcome] = []
    with trial_of(load_avatar(find_avatar(options.avatar))) as trial:
        for name in options.only:
            outcomes.append(run_fault(name, trial))
            if not options.json and not options.markdown:
                print(_row(outcomes[-1]), *(f"      {line}" for line in outcomes[-1].said), sep="\n", flush=True)
    if options.json:
        print(json.dumps([asdict(outcome) for outcome in outcomes], indent=2))
    if options.markdown:
        print("| fault | longest gap | recovery | camera pixels | neck | head | jump | said |")
        print("|---|---|---|---|---|---|---|---|")
        for outcome in outcomes:
            print(
                f"| {outcome.fault} | {outcome.longest_gap_s} s | {outcome.recovery_s} s | {outcome.camera_pixels:.0%} "
                f"| {outcome.neck_change:.1%} | {outcome.width_change:.1%} | {outcome.jump:.1%} "
                f"| {' '.join(outcome.said) or '–'} |"
            )


def _row(outcome: Outcome) -> str:
    return (
        f"{outcome.fault:40} longest gap {outcome.longest_gap_s:5.2f} s, recovery {outcome.recovery_s:5.2f} s, "
        f"camera pixels {outcome.camera_pixels:.0%}, neck {outcome.neck_change:.1%}, head {outcome.width_change:.1%}, "
        f"jump {outcome.jump:.1%}"
    )


if __name__ == "__main__":
    main()
