"""Photos driven by clips, as one picture to look at: each row a photo, then driver and avatar at the telling moments.

    python scripts/contact_sheet.py --photos a.jpg b.jpg --grey c.jpg --painting d.jpg --drivers one.mp4 two.mp4

Every photo goes the way of a user's: enrolled, driven with relative motion from the clip's first frame on.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from avatar.core.arrays import Picture
from avatar.core.avatar import Avatar
from avatar.core.errors import InputError, VisavisError
from avatar.face.crop import face_crop
from avatar.face.face_model import face_model
from avatar.face.head_pose import head_pose
from avatar.face.state import FaceState
from avatar.identity.enrolment import enroll
from avatar.learning.degrade import black_and_white, painting
from avatar.render.engine_options import EngineOptions
from avatar.render.painter import open_painter
from avatar.retarget.retargeter import Retargeter
from avatar.sources.video_file import VideoFile
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model

CELL_PX = 224
Treatment = Callable[[Picture, np.random.Generator], Picture]
SETTLED_S = 1.5  # moments before it belong to calibration


@dataclass(frozen=True)
class Driver:
    """A tracked clip, and the frames to be shown."""

    states: list[FaceState]
    frame_px: tuple[int, int]  # width, height
    shown: dict[int, Picture]  # frame number to the driver's face


def read_driver(path: Path, model: Path) -> Driver:
    """Track a clip, and choose the widest open mouth, shut eyes, smile, and the furthest turns to both sides."""
    video = VideoFile(path)
    states, pictures = [], []
    with CagedTracker(model, "video", patient=True) as tracker:
        for frame in video:
            states.append(tracker.track(frame.rgb, round((frame.media_s - video.first_media_s) * 1e9)))
            pictures.append(frame.rgb)
    usable = [i for i, state in enumerate(states) if state.found and state.capture_ns > SETTLED_S * 1e9]
    if not usable:
        raise InputError(f"{path} shows no face after its first {SETTLED_S} seconds.")
    mean = face_model().mean_shape
    yaw = {i: head_pose(states[i].landmarks, mean).rotation[0, 2] for i in usable}
    signals: list[Callable[[int], float]] = [
        lambda i: states[i].blendshape("jawOpen"),
        lambda i: states[i].blendshape("eyeBlinkLeft") + states[i].blendshape("eyeBlinkRight"),
        lambda i: states[i].blendshape("mouthSmileLeft") + states[i].blendshape("mouthSmileRight"),
        lambda i: yaw[i],
        lambda i: -yaw[i],
    ]
    chosen = sorted({max(usable, key=signal) for signal in signals})
    shown = {}
    for i in chosen:
        crop = face_crop(states[i].landmarks, pictures[i].shape[1], pictures[i].shape[0])
        shown[i] = crop.cut(pictures[i], CELL_PX)
    height, width = pictures[0].shape[:2]
    return Driver(states, (width, height), shown)


def drive(avatar: Avatar, driver: Driver) -> list[Picture]:
    """Portrait, then driver and avatar side by side for each chosen frame."""
    engine = EngineOptions().open(avatar)
    try:
        retargeter, painter = Retargeter(avatar, "relative"), open_painter(avatar, engine, patient=True)
        cells = [cv2.resize(avatar.portraits[0], (CELL_PX, CELL_PX), interpolation=cv2.INTER_AREA)]
        for i, state in enumerate(driver.states):
            if retargeter.frame_crop is None and state.found:
                retargeter.frame_crop = face_crop(state.landmarks, *driver.frame_px)
            driving = retargeter.drive(state)
            if i in driver.shown:
                drawn = cv2.resize(painter.render(driving), (CELL_PX, CELL_PX), interpolation=cv2.INTER_AREA)
                cells += [driver.shown[i], drawn]
    finally:
        engine.close()
    return [np.asarray(cell, np.uint8) for cell in cells]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, nargs="*", default=[], help="as they are")
    parser.add_argument("--grey", type=Path, nargs="*", default=[], help="to be made black-and-white, with grain")
    parser.add_argument("--painting", type=Path, nargs="*", default=[], help="to be made paintings on canvas")
    parser.add_argument("--drivers", type=Path, nargs="+", required=True)
    parser.add_argument("--output", type=Path, default=Path("contact_sheet.png"))
    arguments = parser.parse_args()
    kinds: list[tuple[Path, Treatment | None]] = [(path, None) for path in arguments.photos]
    kinds += [(path, black_and_white) for path in arguments.grey] + [(path, painting) for path in arguments.painting]
    try:
        model = tracker_model()
        drivers = [read_driver(path, model) for path in arguments.drivers]
        rows = []
        with tempfile.TemporaryDirectory() as folder:
            for number, (path, treatment) in enumerate(kinds):
                photo = path
                if treatment is not None:
                    rgb = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
                    photo = Path(folder) / f"{number}.png"
                    Image.fromarray(treatment(rgb, np.random.default_rng(number))).save(photo)
                report = enroll([photo], "sheet", model)
                rows += [drive(report.avatar, driver) for driver in drivers]
                print(f"{number + 1} of {len(kinds)}: {path.name}", flush=True)
        most = max(len(row) for row in rows)
        blank = np.full((CELL_PX, CELL_PX, 3), 255, np.uint8)
        lines = [np.concatenate(row + [blank] * (most - len(row)), axis=1) for row in rows]
        Image.fromarray(np.concatenate(lines)).save(arguments.output)
        print(f"wrote {arguments.output}")
    except VisavisError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
