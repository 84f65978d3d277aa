"""A first visit as somebody new makes it, in Chromium with a film as its webcam: the time of each step, and its film.

    python scripts/first_visit.py [--install] [--film FILE.webp]

--install begins before: `make install` into an empty folder, whose visavis then is visited. --film: its first 30 s.
Faces are those of scripts/portraits alone.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, expect

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from avatar import LabelStyle
from scripts.page_picture import VISAVIS, opened_page, running, webcam_film
from scripts.readme_pictures import PORTRAITS, driven, loop, motion

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_MS = 120_000
FILM_S, FILM_FPS, FILM_PX, QUALITY = 30, 8, 800, 55
MOST_BYTES = 3_000_000
LOOK_S = 4  # at what has come, before the next click


class Visit:
    """Counts clicks, and takes the time of each step."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int, float]] = []
        self.clicks = 0
        self._start_s = time.monotonic()

    def begin(self) -> None:
        self.clicks, self._start_s = 0, time.monotonic()

    def done(self, step: str) -> None:
        self.steps.append((step, self.clicks, time.monotonic() - self._start_s))
        self.begin()

    def click(self, place: Any) -> None:
        self.clicks += 1
        place.click(timeout=PATIENCE_MS)


class Screencast:
    """What a page shows, as Chromium hands it out: JPEGs with the second at which each was shown."""

    def __init__(self, page: Page) -> None:
        self.pictures: list[tuple[float, bytes]] = []
        self._session = page.context.new_cdp_session(page)
        self._session.on("Page.screencastFrame", self._take)
        self._session.send("Page.startScreencast", {"format": "jpeg", "quality": 90, "maxWidth": FILM_PX})

    def _take(self, frame: dict[str, Any]) -> None:
        self.pictures.append((frame["metadata"]["timestamp"], base64.b64decode(frame["data"])))
        self._session.send("Page.screencastFrameAck", {"sessionId": frame["sessionId"]})

    def stop(self) -> None:
        self._session.send("Page.stopScreencast")

    def save(self, path: Path) -> None:
        """The first FILM_S, FILM_FPS pictures each."""
        start_s, shown, at = self.pictures[0][0], [], 0
        for number in range(FILM_S * FILM_FPS):
            while at + 1 < len(self.pictures) and self.pictures[at + 1][0] - start_s <= number / FILM_FPS:
                at += 1
            shown.append(Image.open(io.BytesIO(self.pictures[at][1])).convert("RGB"))
        shown[0].save(
            path, save_all=True, append_images=shown[1:], duration=round(1000 / FILM_FPS), loop=0, quality=QUALITY
        )
        if path.stat().st_size > MOST_BYTES:
            sys.exit(f"{path} has {path.stat().st_size / 1e6:.1f} MB; docs/ takes {MOST_BYTES / 1e6:.0f}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--install", action="store_true", help="install it first, as a user does")
    parser.add_argument("--film", type=Path, help="an animated WebP of the first 30 s")
    options = parser.parse_args()
    states, _ = motion()
    first, last = loop(states)
    visit = Visit()
    with tempfile.TemporaryDirectory(prefix="visavis-visit-") as name:
        folder = Path(name)
        webcam = driven("man_2", states, LabelStyle(left_out="It plays the webcam of a film."))[first:last]
        film = webcam_film(webcam, folder / "webcam.mjpeg")
        command = VISAVIS
        if options.install:
            visit.begin()
            subprocess.run(["make", "install"], cwd=ROOT, env={**os.environ, "PREFIX": str(folder)}, check=True)
            visit.done("`make install`")
            command = [str(folder / "bin" / "visavis")]
        with opened_page(film) as page:
            cast = Screencast(page) if options.film else None
            visit.begin()
            with running(command, folder / "home") as link:
                visit.done("`visavis`, until its page can be opened")
                walk(page, link, visit)
                if cast is not None:
                    cast.stop()
    print("| step | clicks | seconds |\n|---|--:|--:|")
    for step, clicks, seconds in visit.steps:
        print(f"| {step} | {clicks} | {seconds:.1f} |")
    if cast is not None:
        cast.save(options.film)


def walk(page: Page, link: str, visit: Visit) -> None:
    state = page.locator("#live-state")
    page.goto(link)
    expect(state).to_have_text("Idling", timeout=PATIENCE_MS)
    visit.done("a ready face lives")
    page.wait_for_timeout(1000 * LOOK_S)
    visit.begin()
    visit.click(page.get_by_role("button", name="Use my webcam"))
    expect(state).to_have_text("Live", timeout=PATIENCE_MS)
    visit.done("it moves as one does before the webcam")
    page.wait_for_timeout(1000 * LOOK_S)
    visit.begin()
    visit.click(page.locator("#new-avatar"))
    with page.expect_file_chooser() as chosen:
        visit.click(page.get_by_text("Choose photos or a clip"))
    chosen.value.set_files(PORTRAITS / "woman_2.jpg")
    visit.clicks += 1  # the photo, in the system's own dialog
    expect(page.locator("#photos-status")).to_contain_text("can be used", timeout=PATIENCE_MS)
    page.fill("#enrol-name", "Ruth S.")
    visit.click(page.locator("#consent"))
    expect(page.locator("#enrol-create")).to_be_enabled(timeout=PATIENCE_MS)
    visit.click(page.locator("#enrol-create"))
    expect(page.locator("#enrol")).not_to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_role("radio", name="Ruth S.", exact=True)).to_be_checked(timeout=PATIENCE_MS)
    expect(state).to_have_text("Live", timeout=PATIENCE_MS)
    visit.done("one's own face does, from one photo")
    page.wait_for_timeout(1000 * LOOK_S)


if __name__ == "__main__":
    main()
