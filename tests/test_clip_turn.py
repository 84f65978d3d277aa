"""Clips that are turned and do not say so."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from avatar.identity.clip_turn import find_turn, turn_upright_by
from avatar.sources.video_file import VideoFile
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model
from tests.clips import moving_face, write_clip


@pytest.fixture(scope="module")
def tracker() -> Iterator[CagedTracker]:
    with CagedTracker(tracker_model(), "image", patient=True) as opened:
        yield opened


def turned_clip(path: Path, quarters: int) -> Path:
    """The face, turned counter-clockwise, after 0.4 s of an empty picture."""
    empty = [np.full((240, 320, 3), 90, np.uint8)] * 4
    pictures = [*empty, *(moving_face(index) for index in range(8))]
    return write_clip(path, [np.ascontiguousarray(np.rot90(picture, quarters)) for picture in pictures], fps=10)


@pytest.mark.parametrize(
    ("quarters", "turn_deg", "said"),
    [
        (0, 0, None),
        (1, 90, "lies on its side: turned by 90°"),
        (2, 180, "is upside down: turned by 180°"),
        (3, 270, "lies on its side: turned by 270°"),
    ],
)
def test_a_turned_clip_is_turned_upright_and_that_is_said(
    tmp_path: Path, tracker: CagedTracker, quarters: int, turn_deg: int, said: str | None
) -> None:
    path = turned_clip(tmp_path / "clip.mp4", quarters)
    video = VideoFile(path)
    assert turn_upright_by(video, tracker) == (said and f"{path} {said}.")
    assert video.turned_deg == turn_deg
    assert (video.width, video.height) == (320, 240)
    frames = list(video)
    assert len(frames) == 12
    assert np.abs(frames[7].rgb.astype(int) - moving_face(3)).mean() < 5


def test_a_clip_without_a_face_stays_as_it_is(tmp_path: Path, tracker: CagedTracker) -> None:
    wall = write_clip(tmp_path / "wall.mp4", [np.full((240, 320, 3), 90, np.uint8)] * 4)
    assert find_turn(VideoFile(wall), tracker) == 0
