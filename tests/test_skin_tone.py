"""Regions from portraits of different exposure meet without a seam."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from avatar.face.driving import Driving
from avatar.render.generator import open_generator
from avatar.render.portrait_choice import PortraitChoice
from avatar.render.renderer import Renderer
from avatar.render.skin_tone import BORDERS, MOST, gain, skin_tones
from tests.clips import astronaut_avatar

WARM = np.array([1.15, 0.95, 0.8], np.float32)


def test_tones_follow_exposure_and_white_balance() -> None:
    avatar = astronaut_avatar()
    picture, landmarks = avatar.portraits[0], avatar.landmarks[0]
    other = np.clip(picture * WARM * 0.85, 0, 255).astype(np.uint8)
    before, after = skin_tones(picture, landmarks), skin_tones(other, landmarks)
    for region in BORDERS:
        assert gain(before[region], after[region]) == pytest.approx(WARM * 0.85, rel=0.05)
        assert gain(after[region], before[region]) == pytest.approx(1 / (WARM * 0.85), rel=0.05)


def test_a_shadow_is_not_taken_for_exposure() -> None:
    assert gain(np.full(3, 10, np.float32), np.full(3, 200, np.float32)) == pytest.approx([MOST] * 3)
    assert gain(np.full(3, 200, np.float32), np.full(3, 10, np.float32)) == pytest.approx([1 / MOST] * 3)


def test_a_darker_portrait_lends_its_mouth_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mouth and eyes from the same photo, a third darker: nearly the picture of the one photo alone."""
    one = astronaut_avatar()
    dark = np.clip(one.portraits[0] * 0.66, 0, 255).astype(np.uint8)
    two = replace(
        one,
        portraits=np.stack([one.portraits[0], dark]),
        landmarks=np.repeat(one.landmarks[:1], 2, axis=0),
        blendshapes=np.repeat(one.blendshapes[:1], 2, axis=0),
    )
    driving = Driving(one.landmarks[0], 0)
    engine = open_generator(one, threads=1)
    wanted = Renderer(one, engine).render(driving).astype(int)
    monkeypatch.setattr(PortraitChoice, "choose", lambda self, now: {"face": 0, "mouth": 1, "eyes": 1})
    found = Renderer(two, engine).render(driving).astype(int)
    monkeypatch.setattr("avatar.render.renderer.gain", lambda tone, wanted: np.ones(3, np.float32))
    unmatched = Renderer(two, engine).render(driving).astype(int)
    engine.close()
    y, x = (one.landmarks[0][[164, 18, 119, 348]][:, [1, 0]] * 512).astype(int).T
    assert np.abs(found - wanted)[y, x].mean() < 4 < 12 < np.abs(unmatched - wanted)[y, x].mean()
