"""The live loop alone, and beside a Chromium on the same cores that shows its picture, in turn.

    python benchmarks/beside.py NAME --camera talk.mp4                       # two minutes
    python benchmarks/beside.py NAME --camera talk.mp4 --sizes 512x512 --rounds 3 --markdown

Each run is `visavis profile`'s, in a process of its own; without --camera, the avatar's own portrait moves. Chromium
has the picture as visavis' own page has its preview: JPEGs over a WebSocket, the next one asked for when one has come,
drawn on a canvas. What visavis takes for them is in its figures. Chromium is headless and draws without a GPU; all of
its processes are counted, without its first three seconds.

Needs Chromium and Playwright (pip install playwright).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import psutil
from aiohttp import web

sys.path.insert(0, str(Path(__file__).parents[1]))

from avatar.core.errors import VisavisError
from avatar.dashboard.open_pages import OpenPages
from avatar.dashboard.preview import PagePreview
from avatar.http.safety import PROTOCOL
from avatar.identity.bundle import find_avatar
from avatar.identity.mattes import open_avatar
from avatar.live.framing import parse_size
from avatar.live.live_report import CAPTURE_TO_PUBLISHED
from avatar.live.options import LiveOptions
from avatar.live.session import open_session
from avatar.profiling.profile import Measurement, Memory, profile_session
from avatar.publish.publisher import Publisher
from avatar.sources.camera import Camera, open_camera
from avatar.sources.portrait_camera import PortraitCamera
from avatar.tracking.model_asset import tracker_model
from avatar.webrtc.media_thread import MediaThread
from benchmarks.call_pages import FLAGS, open_chromium
from benchmarks.reporting import machine, print_table

SETTLE_S = 3.0  # of Chromium's figures
PAGE = """<!doctype html><title>beside</title><canvas></canvas><script>
let shown = 0;
const canvas = document.querySelector("canvas"), socket = new WebSocket(`ws://${location.host}/pictures`, "%s");
socket.binaryType = "blob";
socket.onopen = () => socket.send("frame");
socket.onmessage = async ({ data }) => {
  if (!(data instanceof Blob)) return;
  const picture = await createImageBitmap(data);
  socket.send("frame");
  if (canvas.width !== picture.width) [canvas.width, canvas.height] = [picture.width, picture.height];
  canvas.getContext("2d").drawImage(picture, 0, 0);
  shown += 1;
};
</script>"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="an avatar")
    parser.add_argument("--camera", help="a video that plays the driver")
    parser.add_argument("--sizes", default="512x512,1280x720")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each run")
    parser.add_argument("--rounds", type=int, default=1, help="how often all is run in turn")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--host", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.host:
        _host(given.name, given.camera, given.sizes, given.seconds)
        return
    print(f"{machine()}, {date.today()}\npython benchmarks/beside.py {' '.join(sys.argv[1:])}\n")
    rows = [
        (_run(given, size, beside=beside), None)
        for _ in range(given.rounds)
        for size in given.sizes.split(",")
        for beside in (False, True)
    ]
    columns = (
        "picture", "beside", "pictures/s", "p50 ms", "p99 ms", "tracked", "work", "visavis, core-ms a picture",
        "Chromium shows", "Chromium, core-ms a picture",
    )  # fmt: skip
    print_table(columns, rows, markdown=given.markdown)


# ---- visavis, in a process of its own


def _host(name: str, camera: str | None, size: str, seconds: float) -> None:
    """Print the page's link; once a line comes, measure; print the profile as JSON."""
    started_ns = time.monotonic_ns()
    avatar = open_avatar(find_avatar(name))
    source: Camera = open_camera(camera, loop=True) if camera else PortraitCamera(avatar.portraits[0])
    options = LiveOptions(size=parse_size(size))
    with _served() as (preview, link):
        publishers: list[Publisher] = [Memory(), preview]
        with open_session(avatar, tracker_model(), source, publishers, options) as session:
            print(link, flush=True)
            sys.stdin.readline()
            report = profile_session(session, Measurement(seconds, started_ns))
    print(json.dumps(report.as_json()), flush=True)


@contextmanager
def _served() -> Iterator[tuple[PagePreview, str]]:
    """The preview, and the link at which a page shows it."""

    async def start() -> int:
        pages.start()
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return int(runner.addresses[0][1])

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=PAGE % PROTOCOL, content_type="text/html")

    async def nothing() -> dict[str, Any]:
        return {}

    media = MediaThread()
    preview = PagePreview(lambda: pages.frame())
    pages = OpenPages(nothing, lambda: preview.newest, list)
    app = web.Application()
    app.add_routes([web.get("/", page), web.get("/pictures", pages.serve)])
    runner = web.AppRunner(app, access_log=None)
    try:
        yield preview, f"http://127.0.0.1:{media.wait(start())}/"
    finally:
        media.wait(pages.close())
        media.wait(runner.cleanup())
        media.close()


# ---- beside it


def _run(given: argparse.Namespace, size: str, *, beside: bool) -> list[str]:
    command = [sys.executable, __file__, given.name, "--host", "--sizes", size, "--seconds", str(given.seconds)]
    command += ["--camera", given.camera] if given.camera else []
    host = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert host.stdin is not None and host.stdout is not None
        link = host.stdout.readline().strip()
        if not link:
            raise VisavisError("visavis did not start. What it said is above.")
        shown = ["–", "–"]
        if beside:
            with open_chromium(*FLAGS) as browser:
                page = browser.new_page(viewport={"width": 1280, "height": 900})
                page.goto(link)
                host.stdin.write("go\n")
                host.stdin.flush()
                shown = _watch(page, given.seconds)
        printed, _ = host.communicate(None if beside else "go\n")
    finally:
        host.kill()
    report = json.loads(printed)
    way, frames = report["stages"][CAPTURE_TO_PUBLISHED], report["frames"]
    lasted = "; ".join(f"{seconds:.0f} s {name}" for name, seconds in report["governor"]["seconds"].items())
    return [
        size,
        "Chromium" if beside else "nothing",
        f"{report['fps']:.1f}",
        f"{way['p50_ms']:.0f}",
        f"{way['p99_ms']:.0f}",
        f"{frames['tracked'] / frames['captured']:.0%}",
        lasted,
        f"{sum(report['core_ms'].values()):.1f}",
        *shown,
    ]


def _watch(page: Any, seconds: float) -> list[str]:
    """Pictures a second that Chromium shows, and its core-milliseconds for one."""
    page.wait_for_timeout(1000 * SETTLE_S)
    before = time.monotonic(), _chromium_s(), page.evaluate("shown")
    page.wait_for_timeout(1000 * max(1.0, seconds - SETTLE_S - 1))
    wall_s, core_s, pictures = (
        now - then for now, then in zip((time.monotonic(), _chromium_s(), page.evaluate("shown")), before, strict=True)
    )
    return [f"{pictures / wall_s:.1f}/s", f"{1e3 * core_s / max(1, pictures):.1f}"]


def _chromium_s() -> float:
    """Processor time of all its processes."""
    total_s = 0.0
    for process in psutil.Process().children(recursive=True):
        try:
            if process.name().startswith("chrom"):
                total_s += sum(process.cpu_times()[:2])
        except psutil.Error:  # it has ended meanwhile
            continue
    return total_s


if __name__ == "__main__":
    try:
        main()
    except VisavisError as error:
        sys.exit(str(error))
