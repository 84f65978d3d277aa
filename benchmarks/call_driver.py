"""The driver in the benchmark of calls: a webcam's pictures in a file, each with its number, and how mouths follow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Picture
from avatar.face.regions import EYE_CORNERS_OUTER, INNER_LIP_PAIRS
from avatar.face.state import FaceState
from avatar.profiling.time_code import draw_code
from avatar.sources.portrait_camera import HEIGHT, WIDTH, PortraitCamera
from avatar.sources.video_file import VideoFile
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model

FPS = 30
LONGEST_S = 10  # of the file, which is not compressed; then it starts over
MOST_LAG = 10  # pictures
STILL = 0.005  # spread of the mouth's opening below which nothing can be compared
FEWEST = 20  # pairs
HEADER = f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{FPS}:1 Ip A1:1 C420jpeg\n".encode()
PICTURE_BYTES = WIDTH * HEIGHT * 3 // 2


def portrait_pictures(portrait: Picture) -> Iterator[Picture]:
    """The portrait in motion, with a shut mouth."""
    camera = PortraitCamera(portrait, FPS)
    for index in range(LONGEST_S * FPS):
        yield camera.view(index / FPS)


def clip_pictures(path: Path) -> Iterator[Picture]:
    """(HEIGHT, WIDTH, 3), 30 a second, whatever the rate and the shape of the clip."""
    due = 0
    for frame in VideoFile(path):
        while due / FPS <= frame.media_s:
            yield _fitted(frame.rgb)
            due += 1
            if due == LONGEST_S * FPS:
                return


def write_webcam(pictures: Iterable[Picture], path: Path) -> int:
    """Write Y4M, which Chromium plays as a webcam, over and over; picture i carries the code i. Returns how many."""
    count = 0
    with path.open("wb") as file:
        file.write(HEADER)
        for rgb in pictures:
            coded = rgb.copy()
            draw_code(coded, count)
            file.write(b"FRAME\n" + cv2.cvtColor(coded, cv2.COLOR_RGB2YUV_I420).tobytes())
            count += 1
    return count


def read_webcam(path: Path) -> Iterator[Picture]:
    with path.open("rb") as file:
        file.seek(len(HEADER))
        while len(raw := file.read(len(b"FRAME\n") + PICTURE_BYTES)) > PICTURE_BYTES:
            yuv = np.frombuffer(raw, np.uint8, offset=len(b"FRAME\n")).reshape(HEIGHT * 3 // 2, WIDTH)
            yield np.asarray(cv2.cvtColor(yuv, cv2.COLOR_YUV2RGB_I420), np.uint8)


def _fitted(rgb: Picture) -> Picture:
    """Whole, in the middle."""
    scale = min(HEIGHT / rgb.shape[0], WIDTH / rgb.shape[1])
    turn = np.array([[scale, 0, (WIDTH - scale * rgb.shape[1]) / 2], [0, scale, (HEIGHT - scale * rgb.shape[0]) / 2]])
    return np.asarray(cv2.warpAffine(rgb, turn, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE), np.uint8)


@dataclass(frozen=True, slots=True)
class MouthFollows:
    """How the mouth that is shown moves with the driver's mouth in the very picture that drove it."""

    pairs: int
    correlation: float | None  # Pearson's; None where the driver's mouth does not move, or too few faces were found
    best_lag: int | None  # pictures of the driver by which the shown mouth is late, where the correlation is greatest


def mouth_follows(webcam: Path, shown: Mapping[int, Picture]) -> MouthFollows:
    """`shown`: pictures of the far end, by the number of the driver's picture that each carries."""
    with CagedTracker(tracker_model(), "image", patient=True) as tracker:
        driver = np.array([_opening(tracker.track(picture, 0)) for picture in read_webcam(webcam)])
        avatar = {number: _opening(tracker.track(picture, 0)) for number, picture in shown.items()}
    return compare_mouths(driver, avatar)


def compare_mouths(driver: NDArray[np.float64], avatar: Mapping[int, float]) -> MouthFollows:
    """`driver`: (N,) openings of a clip that repeats; NaN without a face."""
    numbers = np.array(sorted(number for number in avatar if number < len(driver)), int)
    openings = np.array([avatar[int(number)] for number in numbers])
    found: dict[int, float] = {}
    pairs = 0
    for lag in range(-MOST_LAG, MOST_LAG + 1):
        theirs = driver[(numbers - lag) % len(driver)]
        both = np.isfinite(theirs) & np.isfinite(openings)
        if lag == 0:
            pairs = int(both.sum())
        if both.sum() >= FEWEST and theirs[both].std() > STILL and openings[both].std() > 0:
            found[lag] = float(np.corrcoef(theirs[both], openings[both])[0, 1])
    if 0 not in found:
        return MouthFollows(pairs, None, None)
    return MouthFollows(pairs, found[0], max(found, key=lambda lag: found[lag]))


def _opening(face: FaceState) -> float:
    """The gap between the inner lips, in distances of the eyes' outer corners; NaN without a face."""
    if not face.found:
        return float("nan")
    points = face.landmarks[:, :2]
    gap = np.linalg.norm(points[INNER_LIP_PAIRS[:, 0]] - points[INNER_LIP_PAIRS[:, 1]], axis=1).mean()
    return float(gap / np.linalg.norm(points[EYE_CORNERS_OUTER[0]] - points[EYE_CORNERS_OUTER[1]]))
