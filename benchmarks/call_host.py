"""visavis in the benchmark of calls: all that `visavis call` runs, and the code of each picture is read and drawn.

Started by `benchmarks/calls.py` as a process of its own, so that its memory is visavis' alone. On stdout, JSON lines:
first {"page", "invitation", "engine"}, then each second {"way": [[code, capture ms, encoder ms], …], "report": {…},
"calibrated": 0 … 1}, in ms of time.monotonic. On stdin: "delay MS" holds every picture for that long from now on; the
end of it ends the call.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections import OrderedDict, deque
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from avatar.call.hosted_call import HostedCall
from avatar.call.hosting import CallOptions, host_call
from avatar.core.frame import Frame, NoPicture
from avatar.dashboard.dashboard import Dashboard
from avatar.dashboard.live_choices import CameraChoice, Given, Wish
from avatar.identity.bundle import find_avatar, load_avatar
from avatar.profiling.time_code import KEPT, CodedPublisher, CodeReadingCamera
from avatar.publish.publisher import Publisher
from avatar.tracking.model_asset import tracker_model
from avatar.webrtc.congestion import BitRates
from avatar.webrtc.publisher import CallPublisher
from avatar.webrtc.remote_camera import RemoteCamera
from engines import on_stderr

BROWSER = "browser"  # the page lends its camera to the choice of this name
NEAR_NS = 5_000_000  # the age at the encoder names a frame so exactly, and the next one is 33 ms away


class Way:
    """When each code was captured and when it was encoded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._captured: OrderedDict[int, int] = OrderedDict()  # capture_ns → code
        self._rows: list[tuple[int, float, float]] = []

    def captured(self, code: int, capture_ns: int) -> None:
        with self._lock:
            self._captured[capture_ns] = code
            while len(self._captured) > KEPT:
                self._captured.popitem(last=False)

    def encoded(self, age_ns: int) -> None:
        now_ns = time.monotonic_ns()
        with self._lock:
            nearest = min(self._captured, key=lambda at: abs(now_ns - age_ns - at), default=0)
            if abs(now_ns - age_ns - nearest) < NEAR_NS:
                self._rows.append((self._captured[nearest], nearest / 1e6, now_ns / 1e6))

    def take(self) -> list[tuple[int, float, float]]:
        with self._lock:
            rows, self._rows = self._rows, []
        return rows


class WatchedCamera(CodeReadingCamera):
    def __init__(self, camera: RemoteCamera, way: Way) -> None:
        super().__init__(camera)
        self._way = way

    def read(self) -> Frame | NoPicture | None:
        frame = super().read()
        if isinstance(frame, Frame) and (code := self.code(frame.capture_ns)) is not None:
            self._way.captured(code, frame.capture_ns)
        return frame


class HeldPublisher(Publisher):
    """Hands each frame on `delay_s` later: a known delay, to see whether the measuring finds it."""

    def __init__(self, publisher: Publisher) -> None:
        self.name, self.delay_s = publisher.name, 0.0
        self._publisher = publisher
        self._held: deque[tuple[float, Frame]] = deque()
        self._change = threading.Condition()
        self._open = False

    def open(self, width: int, height: int, fps: float) -> None:
        self._publisher.open(width, height, fps)
        self._open = True
        threading.Thread(target=self._hand_on, name="held", daemon=True).start()

    def send(self, frame: Frame) -> None:
        if not self.delay_s and not self._held:
            self._publisher.send(frame)
            return
        with self._change:
            self._held.append((time.monotonic() + self.delay_s, frame))
            self._change.notify()

    def close(self) -> None:
        with self._change:
            self._open = False
            self._change.notify()
        self._publisher.close()

    def _hand_on(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._held or not self._open)
                if not self._open:
                    return
                due_s, frame = self._held[0]
            time.sleep(max(0.0, due_s - time.monotonic()))
            self._publisher.send(frame)
            self._held.popleft()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("avatar")
    parser.add_argument("--size", default="512x512")
    parser.add_argument("--codec", default="auto")
    parser.add_argument("--engine", default="auto")
    options = parser.parse_args()
    bundle = find_avatar(options.avatar)
    way, browser = Way(), RemoteCamera("a browser's camera", on_stderr)
    camera = WatchedCamera(browser, way)
    held: list[HeldPublisher] = []

    def publishers() -> list[Publisher]:
        held.append(HeldPublisher(CallPublisher(hosted.call.video, BitRates())))
        return [CodedPublisher(held[0], camera)]

    given = Given([CameraChoice(BROWSER, "the browser's camera", lambda say: camera)], publishers, say=on_stderr)
    dashboard = Dashboard(tracker_model, given)
    calling = CallOptions("avatar", codec=None if options.codec == "auto" else options.codec)
    stop = threading.Event()

    def obey() -> None:
        for line in sys.stdin:
            word, _, value = line.partition(" ")
            if word == "delay":
                held[0].delay_s = float(value) / 1e3
        stop.set()

    with host_call(calling, browser, dashboard) as hosted:
        _watch_encoder(hosted, way)
        dashboard.live.start(Wish(load_avatar(bundle).name, BROWSER, options.engine, size=options.size), bundle)
        while not dashboard.live.engine_line and not dashboard.live.ended_by_itself:
            time.sleep(0.02)
        if dashboard.live.failure is not None:
            raise dashboard.live.failure
        links = {"page": hosted.page_link, "invitation": hosted.invitation, "engine": dashboard.live.engine_line}
        print(json.dumps(links), flush=True)
        threading.Thread(target=obey, name="orders", daemon=True).start()
        while not stop.wait(1) and not dashboard.live.ended_by_itself:
            last, seconds = dashboard.live.figures.report, dashboard.live.report()["seconds"]
            told = {
                "way": way.take(),
                "report": asdict(last) if last else None,
                "calibrated": seconds[-1]["calibrated"] if seconds else 0.0,
            }
            print(json.dumps(told), flush=True)
        dashboard.live.close()
    if dashboard.live.failure is not None:
        raise dashboard.live.failure


def _watch_encoder(hosted: HostedCall, way: Way) -> None:
    sent = hosted.call.video.sent

    def watched(age_ns: int) -> None:
        way.encoded(age_ns)
        sent(age_ns)

    hosted.call.video.sent = watched  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
