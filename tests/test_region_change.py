"""What a network changes in a region is drawn into the picture without a seam, and nowhere else."""

from __future__ import annotations

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.render.region_change import RegionChange, blend_region, pixel_grid

MIDDLE = np.array([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]], np.float32)  # the middle half of the picture


def painted(to_region: Array, keep: float = 0.0, added: float = 1.0) -> RegionChange:
    """White, or what is there and nothing added, moved by nothing."""
    linear = np.linalg.inv(to_region[:, :2])
    places = (pixel_grid(8, 12) - to_region[:, 2]) @ linear.T
    shape = (16, 24)
    return RegionChange(
        np.ascontiguousarray(places.transpose(2, 0, 1), np.float32),
        np.full((1, *shape), keep, np.float32),
        np.full((3, *shape), added, np.float32),
        to_region,
    )


def copied(picture: Picture) -> Picture:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA), np.uint8)


def test_blending_leaves_no_seam_and_touches_nothing_outside() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    blend_region(picture, copied(picture), painted(MIDDLE))
    result = picture[..., 0].astype(int)
    assert result[32, 32] == 255
    assert max(np.abs(result - result[::-1]).max(), np.abs(result - result[:, ::-1]).max()) <= 12  # centred
    assert result[:15].max() == 0 and result[:, :15].max() == 0
    assert np.abs(np.diff(result, axis=0)).max() < 100


def test_what_is_kept_and_not_moved_stays() -> None:
    across = np.linspace(0, 255, 64).astype(np.uint8)
    picture = np.dstack([np.broadcast_to(across, (64, 64)), np.broadcast_to(across[:, None], (64, 64)), np.eye(64) * 0])
    picture = np.ascontiguousarray(picture, np.uint8)
    before = copied(picture)
    blend_region(picture, before, painted(MIDDLE, keep=1, added=0))
    inside = np.s_[20:44, 20:44]
    assert np.abs(picture[inside].astype(int) - before[inside][..., :3]).max() <= 2


def test_only_what_may_change_does() -> None:
    picture, only = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8)
    only[:, 32:] = 255
    blend_region(picture, copied(picture), painted(MIDDLE), only)
    assert picture[:, :32].max() == 0 and picture[32, 40].min() > 250


def test_a_region_outside_of_the_picture_changes_nothing() -> None:
    picture = np.zeros((32, 32, 3), np.uint8)
    blend_region(picture, copied(picture), painted(np.array([[2.0, 0.0, 9.0], [0.0, 2.0, 0.0]], np.float32)))
    assert picture.max() == 0
