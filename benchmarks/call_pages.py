"""Chromium in the benchmark of calls: the driver's page, whose webcam is a file, and a guest's page, which looks on."""

from __future__ import annotations

import base64
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avatar.core.errors import VisavisError
from avatar.profiling.time_code import code_of

SCRIPT = (Path(__file__).parent / "call_ends.js").read_text(encoding="utf-8")
CAMERA = """
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wanted) => {
  const stream = await ask(wanted);
  for (const track of stream.getVideoTracks()) glass.watchCamera(track);
  return stream;
};
"""
NO_CAMERA = """
navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("Only looks on", "NotAllowedError"); };
"""
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",  # root may not start it otherwise; it opens visavis' own pages alone
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)
START_S = 60
STALE_MS = 5000
AVATAR = ".member.avatar video"


@dataclass(frozen=True, slots=True)
class Taken:
    """A picture that the webcam gave. Times are ms of `time.monotonic`."""

    code: int
    captured_ms: float


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture at the far end."""

    code: int
    displayed_ms: float  # when Chromium expected it on the display, but not before it was given to the compositor
    received_ms: float | None  # its last packet
    width: int


class Pages:
    """Two pages of one Chromium. One thread only."""

    def __init__(self, driver: Any, guest: Any) -> None:
        self.driver, self.guest = driver, guest
        self.unread = 0  # pictures at either end whose code could not be read
        self._zero_ms = {page: time_origin_ms(page) for page in (driver, guest)}

    def wait(self, seconds: float) -> None:
        """While the pages go on."""
        self.guest.wait_for_timeout(1000 * seconds)

    def take(self) -> tuple[list[Taken], list[Shown]]:
        """What came since the last call. The far end is asked first: what it shows, the webcam gave before."""
        zero_ms = self._zero_ms[self.guest]
        shown: list[Shown] = []
        for blocks, displayed, presented, received, width in self.guest.evaluate("glass.take()"):
            if (code := code_of(blocks)) is None:
                self.unread += 1
                continue
            received_ms = None if received is None else zero_ms + received
            shown.append(Shown(code, zero_ms + max(displayed, presented), received_ms, width))
        zero_ms = self._zero_ms[self.driver]
        taken: list[Taken] = []
        for blocks, captured_us, here in self.driver.evaluate("glass.take()"):
            if (code := code_of(blocks)) is None:
                self.unread += 1
                continue
            captured_ms, here_ms = captured_us / 1e3, zero_ms + here
            # the stamp is of the same clock, unless this Chromium counts from the first picture
            taken.append(Taken(code, captured_ms if 0 <= here_ms - captured_ms < STALE_MS else here_ms))
        return taken, shown

    def picture(self, kind: str) -> tuple[int | None, bytes]:
        """What the far end shows now, as "image/png" or "image/jpeg", and its code."""
        blocks, text = self.guest.evaluate("kind => glass.picture(kind)", kind)
        return code_of(blocks), base64.b64decode(text)


@contextmanager
def open_chromium(*flags: str, program: str | None = None) -> Iterator[Any]:
    """A browser without a window: the program of that name, else the first that is there. Raises VisavisError."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise VisavisError("The pages are driven by Playwright: pip install playwright") from error
    found = program or next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if found is None:
        raise VisavisError("There is no Chromium. Install it: sudo apt-get install chromium")
    with sync_playwright() as playwright:
        # Ctrl-C is ours: what was measured until then is still told
        browser = playwright.chromium.launch(
            executable_path=found, args=list(flags), handle_sigint=False, handle_sigterm=False
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_pages(page_link: str, invitation: str, webcam: Path, chromium: str | None = None) -> Iterator[Pages]:
    """Both in the call: the driver's webcam, once visavis wants it, is `webcam` (Y4M); the guest has none.

    Raises VisavisError where there is no Chromium, or the guest sees no avatar in time.
    """
    with open_chromium(*FLAGS, f"--use-file-for-fake-video-capture={webcam}", program=chromium) as browser:
        from playwright.sync_api import Error

        try:
            driver, guest = _page(browser, CAMERA), _page(browser, NO_CAMERA)
            driver.goto(page_link)
            driver.get_by_role("button", name="Use my webcam").click(timeout=1000 * START_S)
            guest.goto(invitation)
            guest.fill("#guest-name", "Guest")
            guest.get_by_role("button", name="Join the call").click()
            guest.wait_for_selector(AVATAR, timeout=1000 * START_S)
            guest.evaluate(f"glass.watchVideo(document.querySelector({AVATAR!r}))")
            pages = Pages(driver, guest)
            _wait_for_codes(pages)
            yield pages
        except Error as error:
            raise VisavisError(f"Chromium: {str(error).splitlines()[0]}") from error


def _page(browser: Any, script: str) -> Any:
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.add_init_script(SCRIPT + script)
    return page


def _wait_for_codes(pages: Pages) -> None:
    end_s = time.monotonic() + START_S
    while True:
        pages.wait(0.25)
        if all(pages.take()):
            pages.unread = 0  # what came before the avatar had none
            return
        if time.monotonic() > end_s:
            said = [page.locator(".problem:visible").all_inner_texts() for page in (pages.driver, pages.guest)]
            raise VisavisError(f"The far end shows no picture with a code after {START_S} s. The pages say: {said}")


def time_origin_ms(page: Any) -> float:
    """`performance.now()` of 0 in ms of `time.monotonic`: both count the monotonic clock of this computer."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    metrics = {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}
    session.detach()
    origin_ms = 1e3 * float(metrics["NavigationStart"])
    before_ms = time.monotonic_ns() / 1e6
    now_ms = origin_ms + float(page.evaluate("performance.now()"))
    after_ms = time.monotonic_ns() / 1e6
    if not before_ms - 1 <= now_ms <= after_ms + 1:
        raise VisavisError(f"Chromium's clock is not this computer's: {now_ms:.0f} ms, not {before_ms:.0f} ms.")
    return origin_ms
