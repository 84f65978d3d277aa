"""The page in Chromium, with a film as its webcam, for scripts that show it; and its screenshots."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from avatar.core.arrays import Picture

CHROMIUM = "/usr/bin/chromium"
VISAVIS = [sys.executable, "-m", "avatar.cli.main"]
WIDTH_PX, HEIGHT_PX = 1280, 880
WEBCAM_PX = (640, 480)
PATIENCE_MS = 90_000
LEARNT_MS = 8_000  # in which the face before the webcam is learnt
LOOKED_AT_MS = 1_000  # with nothing said any more
QUALITY = 82
QUIET = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")


def page_pictures(webcam: list[Picture], folder: Path, out: Path) -> None:
    """webcam: (H, W, 3) RGB pictures that play as it. folder: for what is needed meanwhile."""
    film = webcam_film(webcam, folder / "webcam.mjpeg")
    with running(VISAVIS, folder / "home") as link, opened_page(film) as page:
        page.goto(link)
        page.get_by_role("button", name="Use my webcam").click(timeout=PATIENCE_MS)
        page.get_by_text("Live", exact=True).wait_for(timeout=PATIENCE_MS)
        page.wait_for_timeout(LEARNT_MS)
        while page.locator("#advice-close").is_visible():  # that this computer has much to do, for example
            page.locator("#advice-close").click()
            page.wait_for_timeout(LOOKED_AT_MS)
        for scheme in ("light", "dark"):
            keep(page, scheme, out / f"page-{scheme}.webp")


@contextmanager
def opened_page(film: Path) -> Iterator[Page]:
    """A page of a Chromium whose webcam the film is."""
    fake = (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    )
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *fake])
        yield chromium.new_page(viewport={"width": WIDTH_PX, "height": HEIGHT_PX})
        chromium.close()


def keep(page: Page, scheme: str, path: Path) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.wait_for_timeout(500)
    Image.open(io.BytesIO(page.screenshot())).convert("RGB").save(path, quality=QUALITY)


@contextmanager
def running(visavis: list[str], home: Path) -> Iterator[str]:
    """The command `visavis` with nobody enrolled; the link of its page."""
    command = [*visavis, "open", "--no-open", "--json"]
    environment = {**os.environ, "VISAVIS_HOME": str(home)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            yield str(json.loads(process.stdout.readline())["page"])
        finally:
            process.terminate()


def webcam_film(pictures: list[Picture], path: Path) -> Path:
    """Square pictures in a picture as wide as a webcam's, forth and back, as Chromium takes it."""
    width, height = WEBCAM_PX
    with path.open("wb") as file:
        for picture in [*pictures, *pictures[::-1]]:
            square = cv2.resize(picture, (height, height), interpolation=cv2.INTER_AREA)
            side = (width - height) // 2
            wide = np.pad(square, ((0, 0), (side, side), (0, 0)), mode="edge")
            file.write(cv2.imencode(".jpg", wide[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
    return path
