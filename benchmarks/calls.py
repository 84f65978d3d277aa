"""A whole call from glass to glass: a webcam in one page, the avatar in another, and visavis between them.

    python benchmarks/calls.py NAME --camera talk.mp4                    # a minute
    python benchmarks/calls.py NAME --camera talk.mp4 --minutes 10       # does latency or memory creep up?
    python benchmarks/calls.py NAME --screenshots FOLDER --markdown      # what the far end saw

Chromium plays a clip (without --camera: the avatar's own portrait, moving) as its webcam; each picture carries its
number as blocks in a corner. visavis' own page takes that webcam and sends it to visavis by WebRTC, as for anybody who
chose "This browser's camera"; visavis tracks the face, draws the avatar, and writes the number of the picture that
drove it into the avatar's. A guest's page, which is visavis' own too, gets that by WebRTC; there the number is read
back from a canvas, for each picture that is shown.

Glass to glass begins with the time at which Chromium got the picture from its webcam, which it stamps on it, and ends
when it expects the picture on the display (requestVideoFrameCallback). All of Chromium's times and those of visavis are
of one clock, the computer's monotonic one, which is checked. Included: Chromium's encoder and decoder at both ends, the
page's preview of the avatar, the reading and drawing of the numbers (a millisecond in all). Not included: the webcam's
exposure and transfer, the display itself, a network between computers. Both pages and visavis share this computer, so
that it works for three. The first seconds, in which the avatar learns the driver's face and the bit rate rises, are
left out; the slopes leave out the first fifth of the time as well, at most five minutes, as `visavis profile --soak`
does: the figures of two minutes are kept for the page. Ctrl-C ends early, and the report is of what there is.

Needs Chromium and Playwright (pip install playwright).
"""

from __future__ import annotations

import argparse
import json
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from avatar.core.errors import VisavisError
from avatar.identity.bundle import find_avatar, load_avatar
from avatar.profiling.profile import Budget
from avatar.profiling.soak import Slope, slope, warm_up_s
from avatar.profiling.usage import tree_usage
from benchmarks.call_driver import MouthFollows, clip_pictures, mouth_follows, portrait_pictures, write_webcam
from benchmarks.call_pages import Pages, Shown, Taken, open_pages
from benchmarks.reporting import machine

HOST = Path(__file__).parent / "call_host.py"
START_S, CLOSE_S = 120.0, 30.0  # of visavis; the engines may have to be measured first
SETTLE_S, CALIBRATED_S = 8.0, 60.0  # at least, and at most while the avatar still learns the driver's face
EVERY_S = 1.0
SCREENSHOTS = 12  # over the whole run
FOLLOW_S, FOLLOW_EVERY_S = 12.0, 0.1  # after the measured time: pictures in which the mouth is looked for
SOAK_S = 120.0  # shorter runs have no slope worth telling
P50_MS, P95_MS = 120.0, 180.0  # the budget

PARTS = {
    "arrived_ms": "webcam → visavis (Chromium's encoder, network, decoder)",
    "own_ms": "visavis: capture → encoder",
    "sent_ms": "encoder → received by Chromium (encoder, network)",
    "shown_ms": "received → on the display (decoder, jitter buffer, compositor)",
    "glass_ms": "glass to glass",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture that was driven by a webcam's picture, and shown. NaN: not known of this one."""

    at_s: float  # monotonic, when it was shown
    glass_ms: float
    arrived_ms: float
    own_ms: float
    sent_ms: float
    shown_ms: float


@dataclass
class Trip:
    """Brings together what each place says of a picture. A code means the newest picture that carries it."""

    samples: list[Sample] = field(default_factory=list)
    lost: int = 0  # shown, but of no known picture of the webcam
    taken: int = 0
    _captures: defaultdict[int, deque[float]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=4)))
    _way: defaultdict[int, deque[tuple[float, float]]] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=4))
    )
    _waiting: list[Shown] = field(default_factory=list)
    _seen_ms: dict[int, float] = field(default_factory=dict)  # by code: the capture that was shown last

    def add(self, taken: Sequence[Taken], way: Sequence[Sequence[float]], shown: Sequence[Shown]) -> None:
        """What has come since the last call. Pictures shown are looked at one call later, when all is known of them."""
        self.taken += len(taken)
        for picture in taken:
            self._captures[picture.code].append(picture.captured_ms)
        for code, capture_ms, encoder_ms in way:
            self._way[int(code)].append((capture_ms, encoder_ms))
        waiting, self._waiting = self._waiting, list(shown)
        for late in waiting:
            self._match(late)

    def _match(self, picture: Shown) -> None:
        captured_ms = max((at for at in self._captures[picture.code] if at < picture.displayed_ms), default=None)
        if captured_ms is None:
            self.lost += 1
            return
        if self._seen_ms.get(picture.code) == captured_ms:  # shown once more
            return
        self._seen_ms[picture.code] = captured_ms
        nan = float("nan")
        arrived_ms, encoder_ms = next(
            (way for way in self._way[picture.code] if captured_ms <= way[0] and way[1] < picture.displayed_ms),
            (nan, nan),
        )
        received_ms = nan if picture.received_ms is None else picture.received_ms
        self.samples.append(
            Sample(
                picture.displayed_ms / 1e3,
                picture.displayed_ms - captured_ms,
                arrived_ms - captured_ms,
                encoder_ms - arrived_ms,
                received_ms - encoder_ms,
                picture.displayed_ms - received_ms,
            )
        )


class Host:
    """visavis, in a process of its own."""

    def __init__(self, arguments: Sequence[str]) -> None:
        """Raises VisavisError where it does not start; it says why on stderr."""
        self.process = subprocess.Popen(
            [sys.executable, str(HOST), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the benchmark, which ends it
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, name="visavis", daemon=True).start()
        try:
            first = self._lines.get(timeout=START_S)
        except queue.Empty:
            first = None
        if first is None:
            self.close()
            raise VisavisError("visavis did not start. What it said is above.")
        self.links: dict[str, str] = json.loads(first)
        self.report: dict[str, Any] | None = None  # of the live loop
        self.calibrated = False  # whether the driver's face is known

    def hold(self, delay_ms: float) -> None:
        """From now on, every picture waits for that long before it is sent."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"delay {delay_ms}\n")
        self.process.stdin.flush()

    def take(self) -> list[list[float]]:
        """[code, capture ms, encoder ms] since the last call. Raises VisavisError when it has ended."""
        rows: list[list[float]] = []
        while not self._lines.empty():
            line = self._lines.get()
            if line is None:
                raise VisavisError("visavis has ended. What it said is above.")
            told = json.loads(line)
            self.report, self.calibrated = told["report"] or self.report, told["calibrated"] >= 1
            rows += told["way"]
        return rows

    def memory_mb(self) -> float:
        try:
            return tree_usage(psutil.Process(self.process.pid))[1]
        except psutil.NoSuchProcess:
            return float("nan")

    def close(self) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.close()
            self.process.wait(CLOSE_S)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)


@contextmanager
def placed_call(
    avatar: str, camera: Path | None, host_arguments: Sequence[str] = (), chromium: str | None = None
) -> Iterator[tuple[Host, Pages, Path]]:
    """A call under way, and the file that is its webcam."""
    bundle = find_avatar(avatar)
    portrait = load_avatar(bundle).portraits[0]
    with tempfile.TemporaryDirectory(prefix="visavis-benchmark-") as folder:
        webcam = Path(folder) / "webcam.y4m"
        _say("making the webcam's pictures")
        write_webcam(portrait_pictures(portrait) if camera is None else clip_pictures(camera), webcam)
        _say("starting visavis")
        host = Host([str(bundle), *host_arguments])
        try:
            _say("opening the pages")
            with open_pages(host.links["page"], host.links["invitation"], webcam, chromium) as pages:
                yield host, pages, webcam
        finally:
            host.close()


def settle(host: Host, pages: Pages, stop: threading.Event) -> None:
    """Let it run until the figures mean something."""
    start_s = time.monotonic()
    while not stop.is_set() and (gone_s := time.monotonic() - start_s) < CALIBRATED_S:
        if gone_s >= SETTLE_S and host.calibrated:
            break
        pages.wait(0.5)
        pages.take()
        host.take()


def begin(host: Host, pages: Pages) -> Trip:
    trip = Trip()
    pages.wait(EVERY_S)
    taken, _ = pages.take()  # what is shown from now on was taken before now
    trip.add(taken, host.take(), [])
    trip.taken = pages.unread = 0
    return trip


def measured(host: Host, pages: Pages, trip: Trip, seconds: float, stop: threading.Event) -> Iterator[float]:
    """Fill `trip` for that many seconds; yields each second how long it has been."""
    start_s = time.monotonic()
    while (done_s := time.monotonic() - start_s) < seconds and not stop.is_set():
        pages.wait(min(EVERY_S, seconds - done_s))
        taken, shown = pages.take()
        trip.add(taken, host.take(), shown)
        yield time.monotonic() - start_s
    trip.add([], host.take(), [])


@dataclass
class Run:
    """All that a run has found, so far."""

    trip: Trip = field(default_factory=Trip)
    start_s: float = 0.0
    seconds: float = 0.0
    memory: list[tuple[float, float]] = field(default_factory=list)  # (s, MB)
    loop: dict[str, Any] | None = None
    engine: str = ""
    unread: int = 0
    said: list[str] = field(default_factory=list)
    mouth: MouthFollows | None = None


def run_call(options: argparse.Namespace, run: Run, stop: threading.Event) -> None:
    """Fills `run`. What goes wrong once it measures is said in it, and ends it."""
    host_arguments = ["--size", options.size, "--codec", options.codec, "--engine", options.engine]
    with placed_call(options.avatar, options.camera, host_arguments, options.chromium) as (host, pages, webcam):
        run.engine = host.links["engine"]
        _say("settling, until the avatar knows the driver's face")
        settle(host, pages, stop)
        run.trip = begin(host, pages)
        run.start_s = time.monotonic()
        seconds = 60 * options.minutes
        album = _Album(options.screenshots, seconds / SCREENSHOTS)
        try:
            for done_s in measured(host, pages, run.trip, seconds, stop):
                run.seconds, run.loop, run.unread = done_s, host.report, pages.unread
                run.memory.append((time.monotonic(), host.memory_mb()))
                album.perhaps(pages, done_s)
                _say(_now(run, seconds))
            album.pages(pages)
            if not run.trip.samples:
                return
            _say("looking at the mouth")
            shown = _faces(pages, stop)
        except VisavisError as error:
            run.said.append(str(error))
            return
        run.mouth = mouth_follows(webcam, shown)


class _Album:
    """PNGs of the far end."""

    def __init__(self, folder: Path | None, every_s: float) -> None:
        self._folder, self._every_s, self._due_s = folder, every_s, 0.0
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def perhaps(self, pages: Pages, done_s: float) -> None:
        if self._folder is not None and done_s >= self._due_s:
            self._due_s += self._every_s
            (self._folder / f"far_end_{done_s:05.0f}s.png").write_bytes(pages.picture("image/png")[1])

    def pages(self, pages: Pages) -> None:
        if self._folder is not None:
            pages.driver.screenshot(path=self._folder / "page_driver.png", full_page=True)
            pages.guest.screenshot(path=self._folder / "page_guest.png", full_page=True)


def _faces(pages: Pages, stop: threading.Event) -> dict[int, NDArray[np.uint8]]:
    """Pictures of the far end by their codes; a few even when the run was ended early."""
    shown: dict[int, NDArray[np.uint8]] = {}
    end_s = time.monotonic() + (FOLLOW_S / 2 if stop.is_set() else FOLLOW_S)
    while time.monotonic() < end_s:
        pages.wait(FOLLOW_EVERY_S)
        code, jpeg = pages.picture("image/jpeg")
        if code is not None:
            bgr = np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)
            shown[code] = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
    return shown


# ---- the report


def summarised(run: Run, options: argparse.Namespace) -> dict[str, Any]:
    """The report as plain values."""
    samples = run.trip.samples
    glass = np.array([sample.glass_ms for sample in samples])
    budgets = [
        Budget(f"glass to glass (p{percent})", limit_ms, float(np.percentile(glass, percent)), "ms")
        for percent, limit_ms in ((50, P50_MS), (95, P95_MS))
        if len(glass)
    ]
    return {
        "machine": machine(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python", "benchmarks/calls.py", *sys.argv[1:]]),
        "avatar": options.avatar,
        "camera": str(options.camera or "the avatar's own portrait, moving"),
        "size": options.size,
        "codec": options.codec,
        "engine": run.engine,
        "seconds": round(run.seconds, 1),
        "minutes_wanted": options.minutes,
        "webcam_fps": round(run.trip.taken / run.seconds, 2) if run.seconds else 0.0,
        "far_end_fps": round(len(samples) / run.seconds, 2) if run.seconds else 0.0,
        "parts": {key: _percentiles([getattr(sample, key) for sample in samples]) for key in PARTS},
        "minutes": _minutes(run),
        "slopes": [{**asdict(line), "flat": line.flat} for line in _slopes(run)],
        "memory_mb": round(max((mb for _, mb in run.memory if np.isfinite(mb)), default=0.0), 1),
        "mouth": None if run.mouth is None else asdict(run.mouth),
        "unmatched": run.trip.lost,
        "unread": run.unread,
        "loop": run.loop,
        "budgets": [{**asdict(budget), "met": budget.met} for budget in budgets],
        "said": run.said,
    }


def _percentiles(values: Sequence[float]) -> dict[str, float] | None:
    known = np.array([value for value in values if np.isfinite(value)])
    if not len(known):
        return None
    p50, p95, p99 = np.percentile(known, [50, 95, 99])
    return {"count": len(known), "p50": round(p50, 1), "p95": round(p95, 1), "p99": round(p99, 1)}


def _minutes(run: Run) -> list[dict[str, Any]]:
    rows = []
    for minute in range(int(np.ceil(run.seconds / 60 - 1e-3))):
        from_s, to_s = run.start_s + 60 * minute, run.start_s + 60 * (minute + 1)
        glass = _percentiles([sample.glass_ms for sample in run.trip.samples if from_s <= sample.at_s < to_s])
        megabytes = [mb for at_s, mb in run.memory if from_s <= at_s < to_s and np.isfinite(mb)]
        if glass is not None and megabytes:
            length_s = min(60.0, run.seconds - 60 * minute)
            fps = round(glass.pop("count") / length_s, 1)
            rows.append({"minute": minute + 1, "fps": fps, **glass, "memory_mb": round(float(np.median(megabytes)), 1)})
    return rows


def _slopes(run: Run) -> list[Slope]:
    warm_s = run.start_s + warm_up_s(run.seconds)
    memory = np.array([row for row in run.memory if row[0] >= warm_s and np.isfinite(row[1])])
    if run.seconds < SOAK_S or len(memory) < 3:
        return []
    by_second: defaultdict[int, list[float]] = defaultdict(list)
    for sample in run.trip.samples:
        if sample.at_s >= warm_s:
            by_second[int(sample.at_s)].append(sample.glass_ms)
    at_s = np.array(sorted(by_second), float)
    medians = np.array([np.median(by_second[int(second)]) for second in at_s])
    found = [slope("memory of visavis' processes", "MB", memory[:, 0], memory[:, 1])]
    return [slope("glass to glass, median of a second", "ms", at_s, medians), *found] if len(at_s) > 2 else found


def print_report(report: Mapping[str, Any], markdown: bool) -> None:
    about = [
        f"{report['machine']}, {report['date']}",
        report["engine"],
        f"{report['camera']} → {report['avatar']} at {report['size']}; codec: {report['codec']}",
    ]
    lines = []
    for key, name in PARTS.items():
        part = report["parts"][key]
        figures = [f"{part[name]:.0f}" for name in ("p50", "p95", "p99")] if part else ["–"] * 3
        lines.append([name, str(part["count"]) if part else "0", *figures])
    _print_table(about, ["ms", "pictures", "p50", "p95", "p99"], lines, markdown)
    minutes = [
        [str(row["minute"]), *(f"{row[key]:.1f}" for key in ("fps", "p50", "p95", "p99", "memory_mb"))]
        for row in report["minutes"]
    ]
    heads = ["minute", "far end fps", "p50 ms", "p95 ms", "p99 ms", "memory MB"]
    _print_table(["", "Glass to glass by the minute; memory is that of visavis' processes."], heads, minutes, markdown)
    rows = [
        ["webcam", f"{report['webcam_fps']:.1f} fps"],
        ["far end, different pictures", f"{report['far_end_fps']:.1f} fps"],
        ["shown without a known picture of the webcam; codes unread", f"{report['unmatched']}; {report['unread']}"],
        ["memory of visavis' processes, greatest", f"{report['memory_mb']:.0f} MB"],
        ["the avatar's mouth follows the driver's", _mouth(report["mouth"])],
    ]
    if loop := report["loop"]:
        drops = ", ".join(f"{hop} {count}" for hop, count in loop["drops"].items() if count) or "none"
        rows.append(["dropped in visavis, from the start", drops])
    for line in report["slopes"]:
        verdict = "not different from zero" if line["flat"] else "NOT flat"
        interval = f"95 % interval {line['low']:+.1f} to {line['high']:+.1f}"
        rows.append([line["what"], f"{line['per_hour']:+.1f} {line['unit']} an hour ({interval}): {verdict}"])
    for budget in report["budgets"]:
        verdict = "met" if budget["met"] else "MISSED"
        rows.append([budget["what"], f"{budget['value']:.0f} of {budget['limit']:.0f} {budget['unit']}: {verdict}"])
    _print_table([""], ["what", "figure"], rows, markdown)
    for line in report["said"]:
        print(line)


def _mouth(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "not looked at"
    if found["correlation"] is None:
        return f"nothing to compare in {found['pairs']} pictures: give a talking --camera CLIP"
    return f"r = {found['correlation']:.2f} in {found['pairs']} pictures, greatest at {found['best_lag']:+d} pictures"


def _print_table(about: Sequence[str], heads: Sequence[str], lines: Sequence[Sequence[str]], markdown: bool) -> None:
    if markdown:
        print("\n".join(f"{line}  " if line else "" for line in about), end="\n\n")
        print(f"| {' | '.join(heads)} |\n|{'|'.join('---' for _ in heads)}|")
        print("\n".join(f"| {' | '.join(line)} |" for line in lines))
        return
    console = Console(width=max(140, Console().width), highlight=False)
    for line in about:
        console.print(line, markup=False)
    table = Table(box=None, pad_edge=False)
    for at, head in enumerate(heads):
        table.add_column(head, justify="right" if at and len(heads) > 2 else "left")
    for cells in lines:
        table.add_row(*cells)
    console.print(table)


def _now(run: Run, seconds: float) -> str:
    newest = [sample.glass_ms for sample in run.trip.samples[-60:]]
    figure = f"glass to glass {np.median(newest):.0f} ms" if newest else "nothing shown yet"
    return f"{run.seconds:.0f} of {seconds:.0f} s: {figure}; Ctrl-C ends, and reports"


def _say(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", help="the avatar: a name given to `visavis enroll`, or a .avatar file")
    parser.add_argument("--avatar", help="the same")
    parser.add_argument("--camera", type=Path, help="a talking clip that plays as the webcam: its first 10 s")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long to measure (default: 1)")
    parser.add_argument("--size", default="512x512", help="of the avatar's picture")
    parser.add_argument("--codec", choices=("auto", "h264", "vp8"), default="auto", help="of the avatar's picture")
    parser.add_argument("--engine", default="auto", help="auto, onnxruntime, openvino, …")
    parser.add_argument("--screenshots", type=Path, metavar="FOLDER", help="PNGs of the far end, and of both pages")
    parser.add_argument("--chromium", help="its program, where it is not in the path")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the report as JSON")
    form.add_argument("--markdown", action="store_true", help="print the report as Markdown")
    options = parser.parse_args()
    options.avatar = options.avatar or options.name
    if options.avatar is None:
        parser.error("name an avatar: one given to `visavis enroll`, or a .avatar file")
    stop = threading.Event()

    def end_early(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    signal.signal(signal.SIGINT, end_early)
    signal.signal(signal.SIGTERM, end_early)
    run = Run()
    try:
        run_call(options, run, stop)
    except VisavisError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        run.said.append("Ended while it was still at work.")
    _say("")
    report = summarised(run, options)
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        print_report(report, options.markdown)


if __name__ == "__main__":
    main()
