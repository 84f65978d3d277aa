"""The way of a frame, live: camera → tracker → avatar → publishers, each hop a mailbox of size one.

    capture thread       tracker thread         avatar thread                       caller's thread
    Camera.read ─Frame─▶ tracker ─FaceState─▶ Animator ─AvatarFrame─▶ PublisherSet.send

No camera pixel can reach a publisher: the avatar thread is handed FaceState (numbers) and nothing else, and only it
makes AvatarFrames, which is all that publishers get.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from avatar.core.frame import Frame, NoPicture
from avatar.core.heap import HeapTrim, started_up
from avatar.core.mailbox import Mailbox
from avatar.core.opencv_threads import one_opencv_thread
from avatar.face.state import FaceState, Tracker, no_face
from avatar.live.animator import Animator, AvatarFrame
from avatar.live.camera_switch import CameraSwitch, Given
from avatar.live.driver_points import Tracked
from avatar.live.governor import Work
from avatar.live.latency import LatencyRecorder, StageLatency
from avatar.live.live_report import CAPTURE_TO_PUBLISHED, CAPTURE_TO_TRACKED, INTERVAL, LiveReport
from avatar.live.publisher_set import PublisherSet
from avatar.live.publishing_clock import PublishingClock
from avatar.live.steady_pace import SteadyPace
from avatar.publish.publisher import Publisher

JOIN_S = 5.0  # for all threads together: longer than a webcam's read or a tracker's last frame takes
START_S = 1.0  # for the first tracked frame, after which the avatar idles
STALLED_S = 0.3  # without a tracked frame: the avatar idles by itself
REPEAT_S = 0.5  # without a picture: the last one is sent again, so that no reader thinks that the camera has gone
UNWATCHED_S = 1.0  # between two pictures of an avatar that idles while nobody looks
MOST_FPS = 30.0  # of the idling avatar, whatever the camera would give


@dataclass(frozen=True, slots=True)
class Skipped:
    """A camera frame that is not tracked, because the computer is busy."""

    capture_ns: int


class LiveLoop:
    """Joins the parts and runs them until the source ends, `seconds` are over, a part fails for good, or Ctrl-C."""

    def __init__(
        self,
        camera: CameraSwitch,
        tracker: Tracker,
        animator: Animator,
        publishers: Sequence[Publisher],
        latency: LatencyRecorder,
        say: Callable[[str], None],
    ) -> None:
        """The caller keeps and closes all parts, except that `run` opens and closes the publishers.

        `latency` may be shared with a TimedEngine, which then fills the line "generator" (a part of "render").
        """
        self._camera, self._tracker, self.animator = camera, tracker, animator
        self._governor = animator.governor
        self.publishers = PublisherSet(publishers, say)
        self._frames: Mailbox[Frame | FaceState] = Mailbox("camera → tracker")
        self._states: Mailbox[FaceState | Skipped | NoPicture] = Mailbox("tracker → avatar")
        self._pictures: Mailbox[AvatarFrame] = Mailbox("avatar → publishers")
        self._latency = latency
        self._captured = self._tracked = self._faceless = self._published = self._idled = 0
        self.tracked: Tracked | None = None  # the newest, for whoever looks; any thread
        self._tracker_ns = self._avatar_ns = 0  # for which these threads have worked
        self._before: dict[str, int] = {}  # totals when the figures started
        self._failures: list[BaseException] = []

    def stop(self) -> None:
        """End the run, from any thread: what was recorded is finished."""
        self._frames.close(discard=True)

    def run(
        self,
        seconds: float | None = None,
        settle_s: float = 0.0,
        each_second: Callable[[LiveReport], None] | None = None,
    ) -> LiveReport:
        """Run to the end and report. Figures of the first `settle_s` seconds are left out of the report.

        `each_second` gets a report without latencies, which take long to sum up; `LatencyRecorder.newest` is quick.

        Raises what one of the threads raised, after every thread has ended and every publisher was closed.
        """
        with started_up(), one_opencv_thread():
            return self._run(seconds, settle_s, each_second)

    def _run(
        self, seconds: float | None, settle_s: float, each_second: Callable[[LiveReport], None] | None
    ) -> LiveReport:
        threads: list[threading.Thread] = []
        interrupted = False
        self._clock = PublishingClock(time.monotonic_ns(), settle_s)
        try:
            self.publishers.open(*self.animator.size, self._camera.fps)
            end_ns = None if seconds is None else time.monotonic_ns() + round((seconds + settle_s) * 1e9)
            self._capture(end_ns)
            threads = [
                self._thread("tracker", self._track),
                self._thread("avatar", lambda: self._animate(end_ns)),
            ]
            self._publish(each_second)
        except KeyboardInterrupt:
            interrupted = True
        except BaseException as failure:
            self._failures.append(failure)
        finally:
            for mailbox in (self._frames, self._states, self._pictures):
                mailbox.close(discard=True)
            # first: whatever comes next, recordings are finished, and only this thread feeds publishers
            closing = self.publishers.close()
            interrupted |= any(isinstance(failure, KeyboardInterrupt) for failure in closing)
            self._failures += [failure for failure in closing if not isinstance(failure, KeyboardInterrupt)]
            deadline_s = time.monotonic() + JOIN_S
            self._camera.join(JOIN_S)
            for thread in threads:
                thread.join(max(0.0, deadline_s - time.monotonic()))
        if self._failures:
            raise self._failures[0]
        return self._report(interrupted, self._latency.table())

    # The four stages, in the order of a frame's way

    def _capture(self, end_ns: int | None) -> None:
        """Begin to; the camera's own threads do it."""
        waiting = False

        def take(frame: Given) -> bool:
            nonlocal waiting
            if self._frames.closed or (end_ns is not None and time.monotonic_ns() >= end_ns):
                return False
            if isinstance(frame, NoPicture):
                if not waiting:  # the avatar's thread idles at once, and goes on by its own clock
                    self._states.offer(frame)
                waiting = True
                return True
            waiting = False
            self._captured += 1
            return self._frames.put(frame)

        def over(failure: BaseException | None) -> None:
            if failure is None:
                self._frames.close()
            else:
                self._fail(failure)

        self._camera.start(take, over)

    def _track(self) -> None:
        number = 0
        while (frame := self._frames.take()) is not None:
            number += 1
            found: FaceState | Skipped
            if isinstance(frame, FaceState):  # recorded motion: tracked long ago
                found = frame
            elif number % self._governor.level.track_every:  # 0 where every frame is tracked
                found = Skipped(frame.capture_ns)
            else:
                start_ns = time.monotonic_ns()
                with self._latency.time("track"):
                    found = self._tracker.track(frame.rgb, frame.capture_ns)
                self.tracked = Tracked(found, (frame.rgb.shape[1], frame.rgb.shape[0]))
                self._tracker_ns += time.monotonic_ns() - start_ns
                self._latency.record(CAPTURE_TO_TRACKED, _since_ms(frame.capture_ns))
            if isinstance(found, FaceState):
                self._tracked += 1
                self._faceless += not found.found
            # what the tracker found is worth more than that it was not asked: a slow avatar would stand still
            if not (self._states.offer if isinstance(found, Skipped) else self._states.put)(found):
                break
        self._states.close()

    def _animate(self, end_ns: int | None) -> None:
        """Paint what was tracked; when nothing comes, because the camera or the tracker is gone, idle meanwhile."""
        last_ns = 0  # capture time of the newest picture: time never goes back
        wait_s = START_S
        while True:
            state = self._states.take(wait_s)
            now_ns = start_ns = time.monotonic_ns()
            if state is None or isinstance(state, NoPicture):
                if self._states.closed or (end_ns is not None and now_ns >= end_ns):
                    break
                wait_s = 1 / min(self._camera.fps, MOST_FPS) if self.publishers.watched else UNWATCHED_S
                state = no_face(now_ns)
                self._idled += 1
            else:
                wait_s = max(STALLED_S, 3 / self._camera.fps)
            if state.capture_ns <= last_ns:
                self._states.dropped += 1  # late: the avatar idles already
                continue
            last_ns = state.capture_ns
            picture = self.animator.extrapolate(last_ns) if isinstance(state, Skipped) else self.animator.paint(state)
            if picture is None:
                continue
            if not self._pictures.put(picture):
                break
            self._avatar_ns += time.monotonic_ns() - start_ns
            self._governor.frame(now_ns, self._work())
        self._pictures.close()

    def _publish(self, each_second: Callable[[LiveReport], None] | None) -> None:
        clock = self._clock
        pace = SteadyPace(round(1e9 / 10 / self._camera.fps))
        heap = HeapTrim()
        last: AvatarFrame | None = None
        while True:
            picture = self._pictures.take(REPEAT_S)
            if picture is None:
                if self._pictures.closed:
                    break
                if last is not None:
                    self.publishers.send(last)
                continue
            with self._latency.time("hold"):
                pace.wait(picture.capture_ns)
            with self._latency.time("publish"):
                self.publishers.send(picture)
            self._latency.record(CAPTURE_TO_PUBLISHED, _since_ms(picture.capture_ns))
            last = picture
            self._published += 1
            if interval_ms := clock.published(time.monotonic_ns()):
                self._latency.record(INTERVAL, interval_ms)
            if clock.settled_now():
                self._forget_figures()
            heap.after_frame(time.monotonic_ns())
            if each_second is not None and clock.second_over():
                each_second(self._report(False, {}))

    # Around them

    def _thread(self, name: str, body: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                body()
            except BaseException as failure:
                self._fail(failure)

        # daemon: a network that never answers must not keep the program alive
        thread = threading.Thread(target=run, name=f"visavis-{name}", daemon=True)
        thread.start()
        return thread

    def _fail(self, failure: BaseException) -> None:
        """End the run by it."""
        self._failures.append(failure)
        for mailbox in (self._frames, self._states, self._pictures):
            mailbox.close(discard=True)

    def _forget_figures(self) -> None:
        self._latency.reset()
        self._before = self._totals()

    def _work(self) -> Work:
        lost = self._frames.dropped, self._states.dropped, self._pictures.dropped
        return Work(*lost, self._tracker_ns, self._avatar_ns)

    def _totals(self) -> dict[str, int]:
        """Counted since the start; other threads go on counting, so nothing is ever set back."""
        drops = {"camera": self._camera.dropped}
        drops |= {mailbox.name: mailbox.dropped for mailbox in (self._frames, self._states, self._pictures)}
        drops |= {"engine": self.animator.held, "publishers": self.publishers.dropped}
        counts = {"captured": self._captured, "tracked": self._tracked, "faceless": self._faceless}
        return {**counts, "published": self._published, "idled": self._idled, **drops}

    def _report(self, interrupted: bool, latency: dict[str, StageLatency]) -> LiveReport:
        drops = {name: total - self._before.get(name, 0) for name, total in self._totals().items()}
        captured, tracked, faceless, published, idled = (
            drops.pop(name) for name in ("captured", "tracked", "faceless", "published", "idled")
        )
        return LiveReport(
            captured=captured,
            tracked=tracked,
            faceless=faceless,
            published=published,
            idled=idled,
            fps=self._clock.fps(),
            seconds=self._clock.seconds(),
            drops=drops,
            latency=latency,
            first_frame_ms=self._clock.first_frame_ms(),
            level=self._governor.level.name,
            lowest_level=self._governor.lowest_level.name,
            short=self._governor.short,
            level_seconds=dict(self._governor.seconds),
            interrupted=interrupted,
        )


def _since_ms(capture_ns: int) -> float:
    return (time.monotonic_ns() - capture_ns) / 1e6
