"""One machine, many avatars: how many a core draws, what a further one takes, and what sets the limit.

    python benchmarks/many.py                                     # two minutes
    python benchmarks/many.py --avatars 1,4 --processes 1 --seconds 3 --markdown
    python benchmarks/many.py --batch 1,2,4,8                     # also: the network for several persons in one call

The avatars are the ready ones, over and over. Each is drawn by the live run's own retargeter, layers, network, label
and mark, after the recorded motion of one driver: the first one's portrait, moved before the real tracker. The avatars
of a process share one network and are drawn in turn by one thread, as fast as it can, at no camera's pace.

Core-milliseconds are processor time of all threads and hardly feel other programs; pictures a second do, so the cores
that the benchmark got stand beside them. Memory is what would be free again at a process' end (USS). Encoders are
those of `visavis call`, at the bit rate with which a viewer begins. --batch needs the train extra, and takes the
network in all digits and in bfloat16: there is none in INT8 for several persons.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import date
from fractions import Fraction
from itertools import count, cycle, islice
from pathlib import Path
from statistics import median

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # before numpy: see `avatar.Puppet`
sys.path.insert(0, str(Path(__file__).parents[1]))

import av
import cv2
import numpy as np
import psutil
from aiortc.codecs.base import Encoder

from avatar.core.arrays import Picture
from avatar.identity.bundle import find_avatar
from avatar.identity.mattes import open_avatar
from avatar.identity.ready_faces import ready_names
from avatar.live.animator import Animator
from avatar.live.governor import Governor
from avatar.live.latency import LatencyRecorder
from avatar.live.live_report import STAGES
from avatar.live.options import LiveOptions
from avatar.live.session import open_rig
from avatar.profiling.usage import tree_usage
from avatar.render.engine_options import EngineOptions
from avatar.sources.motion import Motion, MotionRecorder, read_motion, write_motion
from avatar.sources.portrait_camera import HEIGHT, WIDTH, PortraitCamera
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model
from avatar.webrtc.aiortc_patches.encoders import RealtimeH264Encoder, RealtimeVp8Encoder
from avatar.webrtc.congestion import BitRates
from benchmarks.reporting import machine, print_table

FPS = 30
MOTION_FRAMES, WARM_UP_FRAMES, ENCODED_FRAMES, BATCH_ROUNDS = 240, 30, 150, 25
APART_FRAMES = 7  # from one avatar to the next, in the same motion
NS = 1_000_000_000
PARTS = {  # of a picture, by the live run's stages
    "retargeting": ("retarget",),
    "the network": ("generator",),
    "layers: relief, mouth, eyes, blending": ("render",),  # less the network, which is a part of it
    "label and mark": ("compose", "mark"),
}
ENCODERS: dict[str, Callable[[BitRates, float], Encoder]] = {"VP8": RealtimeVp8Encoder, "H.264": RealtimeH264Encoder}
WIRE_STEPS = 16, 4  # a pixel, in which landmarks would be sent


@dataclass(frozen=True, slots=True)
class Job:
    """What one process draws. `first`: with which of the ready faces it begins."""

    motion: str  # a file
    avatars: int
    first: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Drawn:
    """What came of it, in one process or in several."""

    pictures: int
    core_s: float
    wall_s: float
    memory_mb: float
    shares: dict[str, float]  # of the time, by PARTS
    engine: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--avatars", type=_numbers, default="1,2,4,8,16", help="in all processes together")
    parser.add_argument("--processes", type=_numbers, default="1,2")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each row")
    parser.add_argument("--batch", type=_numbers, default="", help="persons in one call of the network")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.job is not None:
        _work(Job(**json.loads(given.job)))
        return
    print(f"{machine()}, {date.today()}\npython benchmarks/many.py {' '.join(sys.argv[1:])}\n")
    with tempfile.TemporaryDirectory(prefix="visavis-many-") as folder:
        path = Path(folder) / "driver.motion"
        tracking_ms = _record(path)
        encoded = _encode(path)
        ways = [(processes, avatars) for processes in given.processes for avatars in given.avatars]
        rows = {
            (processes, avatars): _draw_together(path, processes, avatars, given.seconds)
            for processes, avatars in ways
            if avatars % processes == 0
        }
        wire_kb = {steps: _wire_kb(read_motion(path), steps) for steps in WIRE_STEPS}
    _print_curve(rows, given.markdown)
    _print_parts(next(iter(rows.values())), tracking_ms, encoded, given.markdown)
    told = "; ".join(f"{kb:.0f} kB/s in steps of 1/{steps} px" for steps, kb in wire_kb.items())
    print(f"\nThe driver's landmarks as numbers, {FPS} a second, deflated: {told}")
    if given.batch:
        _print_batches(given.batch, given.markdown)


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


# ---- one process


class Crowd:
    """Avatars that share a network, and are drawn in turn."""

    def __init__(self, motion: Motion, avatars: int, first: int = 0) -> None:
        self.latency = LatencyRecorder(STAGES)
        self._states = list(motion.states())
        names = islice(cycle(ready_names()), first, first + avatars)
        faces = [open_avatar(find_avatar(name)) for name in names]
        options = EngineOptions(threads=1)
        self.engine = options.open(faces[0], lambda line: None)
        self._animators = [
            Animator(
                open_rig(face, self.engine, LiveOptions(), self.latency), Governor(), options.open, self.latency, print
            )
            for face in faces
        ]

    def pictures(self) -> Iterator[Picture]:
        """One of each avatar, and again, without end."""
        for frame in count():
            for number, animator in enumerate(self._animators):
                state = self._states[(frame + APART_FRAMES * number) % len(self._states)]
                yield animator.paint(replace(state, capture_ns=NS + frame * NS // FPS)).rgb

    def close(self) -> None:
        self.engine.close()


def _work(job: Job) -> None:
    """In a process of its own: draw, once a line comes, and print what came of it as JSON."""
    cv2.setNumThreads(1)
    with closing(Crowd(read_motion(Path(job.motion)), job.avatars, job.first)) as crowd:
        pictures = crowd.pictures()
        for _ in islice(pictures, WARM_UP_FRAMES * job.avatars):
            pass
        print("ready", flush=True)
        sys.stdin.readline()
        crowd.latency.reset()
        start_s, core_s, drawn = time.monotonic(), time.process_time(), 0
        while time.monotonic() < start_s + job.seconds:
            next(pictures)
            drawn += 1
        core_s, wall_s = time.process_time() - core_s, time.monotonic() - start_s
        stages = {stage: line.p50_ms for stage, line in crowd.latency.table().items()}
        stages["render"] -= stages["generator"]
        done = Drawn(
            drawn, core_s, wall_s, psutil.Process().memory_full_info().uss / 1e6,
            {part: sum(stages[name] for name in names) / sum(stages.values()) for part, names in PARTS.items()},
            crowd.engine.describe().precision,
        )  # fmt: skip
    print(json.dumps(asdict(done)), flush=True)


# ---- several


def _record(path: Path) -> float:
    """The driver's motion; the answer is what tracking takes, in core-milliseconds a frame."""
    portrait = open_avatar(find_avatar(ready_names()[0])).portraits[0]
    camera, recorder = PortraitCamera(portrait, FPS), MotionRecorder()
    with CagedTracker(tracker_model(), "video", patient=True) as tracker:
        assert tracker.pid is not None
        process = psutil.Process(tracker.pid)
        for frame in range(MOTION_FRAMES):
            if frame == WARM_UP_FRAMES:
                before_s = tree_usage(process)[0]
            recorder.add(tracker.track(camera.view(frame / FPS), NS + frame * NS // FPS))
        core_s = tree_usage(process)[0] - before_s
    write_motion(recorder.motion(WIDTH, HEIGHT, FPS), path)
    return 1e3 * core_s / (MOTION_FRAMES - WARM_UP_FRAMES)


def _draw_together(motion: Path, processes: int, avatars: int, seconds: float) -> Drawn:
    """So many avatars in so many processes at once."""
    each = avatars // processes
    workers = []
    for number in range(processes):
        job = json.dumps(asdict(Job(str(motion), each, number * each, seconds)))
        command = [sys.executable, __file__, "--job", job]
        workers.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    for worker in workers:
        assert worker.stdout is not None and worker.stdout.readline() == "ready\n", "a process could not draw"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    done = [Drawn(**json.loads(worker.communicate()[0])) for worker in workers]
    return Drawn(
        sum(one.pictures for one in done),
        sum(one.core_s for one in done),
        max(one.wall_s for one in done),
        sum(one.memory_mb for one in done),
        done[0].shares,
        done[0].engine,
    )


def _encode(motion: Path) -> dict[str, tuple[float, float]]:
    """By encoder: core-milliseconds a picture, its conversion to I420 included; and kilobits a second."""
    with closing(Crowd(read_motion(motion), 1)) as crowd:
        pictures = [picture.copy() for picture in islice(crowd.pictures(), ENCODED_FRAMES)]
    found = {}
    for name, make in ENCODERS.items():
        encoder, sent = make(BitRates(), FPS), 0
        core_s = time.process_time()
        for index, picture in enumerate(pictures):
            planes = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420), np.uint8)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = index * 90_000 // FPS, Fraction(1, 90_000)
            sent += sum(map(len, encoder.encode(frame)[0]))
        core_s = time.process_time() - core_s
        found[name] = 1e3 * core_s / len(pictures), 8 * sent / 1e3 * FPS / len(pictures)
    return found


def _wire_kb(motion: Motion, steps_a_pixel: int) -> float:
    """Kilobytes a second of what drives an avatar, sent as differences from frame to frame."""
    landmarks = np.stack([state.landmarks for state in motion.states()])
    steps = np.rint(steps_a_pixel * landmarks).astype(np.int16)
    packer = zlib.compressobj(9)
    sizes = [
        len(packer.compress(change.tobytes()) + packer.flush(zlib.Z_SYNC_FLUSH)) for change in np.diff(steps, axis=0)
    ]
    return FPS * float(np.mean(sizes)) / 1e3


# ---- the report


def _print_curve(rows: Mapping[tuple[int, int], Drawn], markdown: bool) -> None:
    def further_mb(processes: int, avatars: int) -> str:
        fewest = min(other for many, other in rows if many == processes)
        if avatars == fewest:
            return "–"
        more = rows[processes, avatars].memory_mb - rows[processes, fewest].memory_mb
        return f"{more / (avatars - fewest):.0f}"

    cells = [
        [
            f"{processes}",
            f"{avatars}",
            f"{row.pictures / row.wall_s / avatars:.1f}",
            f"{row.pictures / row.wall_s:.0f}",
            f"{row.core_s / row.wall_s:.2f}",
            f"{1e3 * row.core_s / row.pictures:.1f}",
            f"{row.pictures / row.core_s / FPS:.1f}",
            f"{row.memory_mb:.0f}",
            further_mb(processes, avatars),
        ]
        for (processes, avatars), row in rows.items()
    ]
    columns = (
        "processes", "avatars", "pictures/s of each", "of all", "cores had", "core-ms a picture",
        f"avatars a core at {FPS}/s", "MB", "MB for a further one",
    )  # fmt: skip
    print_table(columns, [(row, None) for row in cells], markdown=markdown)


def _print_parts(row: Drawn, tracking_ms: float, encoded: Mapping[str, tuple[float, float]], markdown: bool) -> None:
    """What takes how much of one picture, the largest first."""
    drawing_ms = 1e3 * row.core_s / row.pictures
    parts = {part: share * drawing_ms for part, share in row.shares.items()}
    parts |= {f"encoding, {name} ({kbps:.0f} kb/s)": core_ms for name, (core_ms, kbps) in encoded.items()}
    parts["tracking, where the client does not"] = tracking_ms
    cells = [
        [part, f"{core_ms:.1f}", f"{1e3 / FPS / core_ms:.0f}"]
        for part, core_ms in sorted(parts.items(), key=lambda one: -one[1])
    ]
    print(f"\nOne avatar, one process; the network in {row.engine}\n")
    columns = ("part", "core-ms a picture", f"of this alone, avatars a core at {FPS}/s")
    print_table(columns, [(line, None) for line in cells], markdown=markdown)


def _print_batches(batches: Sequence[int], markdown: bool) -> None:
    from benchmarks.engines import open_batches  # needs torch

    opened = open_batches(batches, threads=1)
    core_s: list[list[float]] = [[] for _ in opened]
    for _ in range(BATCH_ROUNDS):  # in turn, so that a busy moment hits them all
        for one, durations_s in zip(opened, core_s, strict=True):
            start_s = time.process_time()
            one.run()
            durations_s.append(time.process_time() - start_s)
    cells = [
        [one.engine, f"{one.batch}", f"{1e3 * median(durations_s):.1f}", f"{1e3 * median(durations_s) / one.batch:.2f}"]
        for one, durations_s in zip(opened, core_s, strict=True)
    ]
    print("\nThe network alone, on one thread\n")
    columns = ("engine", "persons in one call", "core-ms a call", "core-ms a person")
    print_table(columns, [(row, None) for row in sorted(cells)], markdown=markdown)


if __name__ == "__main__":
    main()
