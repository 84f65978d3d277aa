"""The visible label: alike in every picture, to be read after a call's compression, left out only for a reason."""

from __future__ import annotations

import json
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import get_args

import av
import numpy as np
import pytest

from avatar.core.arrays import Picture
from avatar.core.errors import UsageError
from avatar.trust.label import MOST, Corner, Label, LabelStyle
from avatar.trust.left_out import about, record_left_out
from tests.portraits import astronaut, resized

SIDE_PX = 512
CORNERS: tuple[Corner, ...] = get_args(Corner)


@pytest.fixture
def visavis_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def flat(lightness: int, width: int = SIDE_PX, height: int = SIDE_PX) -> Picture:
    return np.full((height, width, 3), lightness, np.uint8)


def labelled(picture: Picture, style: LabelStyle | None = None) -> Picture:
    drawn = picture.copy()
    Label(style).draw(drawn)
    return drawn


def stamp(drawn: Picture, picture: Picture) -> Picture:
    """What of the picture has changed, and nothing around it."""
    rows, columns = np.nonzero((drawn != picture).any(2))
    return drawn[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("size", [(512, 512), (1280, 720)])
def test_the_label_is_in_its_corner_and_never_mirrored(corner: Corner, size: tuple[int, int]) -> None:
    grey = flat(100, *size)
    drawn = labelled(grey, LabelStyle(corner))
    rows, columns = np.nonzero((drawn != grey).any(2))
    assert (rows.max() < size[1] * 0.15) if corner.startswith("top") else (rows.min() > size[1] * 0.85)
    assert (columns.max() < size[0] * 0.4) if corner.endswith("left") else (columns.min() > size[0] * 0.6)
    assert (drawn != grey).any(2).mean() < 0.02  # of the picture
    np.testing.assert_array_equal(stamp(drawn, grey), stamp(labelled(grey), grey))


def test_letters_are_white_with_enough_contrast_on_every_picture() -> None:
    for lightness in (0, 128, 255):
        part = stamp(labelled(flat(lightness)), flat(lightness)) if lightness else labelled(flat(0))[16:46, 16:148]
        ground = np.median(part[:, 48:])  # beside the icon most is ground
        assert part.max() == 255
        assert _contrast(255, float(ground)) >= 4.5  # WCAG 2.2, 1.4.3


def _contrast(one: float, other: float) -> float:
    light, dark = (float((value / 255) ** 2.2) + 0.05 for value in (one, other))
    return light / dark


def test_it_stays_as_it_is_while_the_picture_moves_in_a_call_at_500_kb_s() -> None:
    photo = resized(astronaut(), (SIDE_PX + 60) / SIDE_PX)
    label = Label()
    pictures = []
    for at in range(30):
        picture = photo[at : at + SIDE_PX, 2 * at : 2 * at + SIDE_PX].copy()
        label.draw(picture)
        pictures.append(picture)
    shown = np.stack([picture[16:46, 16:148].mean(2) for picture in _through_vp8(pictures)][10:])
    wanted = np.stack([picture[16:46, 16:148].mean(2) for picture in pictures][10:])
    white = wanted.min(0) > 250
    assert shown[:, white].std(0).mean() < 6  # grey levels, in time: letters do not shimmer
    assert shown[:, white].mean() - shown[:, wanted.max(0) < 110].mean() > 120
    assert np.corrcoef(shown.ravel(), wanted.ravel())[0, 1] > 0.95


def _through_vp8(pictures: list[Picture]) -> list[Picture]:
    file = BytesIO()
    with av.open(file, "w", format="webm") as container:
        stream = container.add_stream("libvpx", rate=Fraction(25), options={"deadline": "realtime", "cpu-used": "8"})
        stream.width = stream.height = SIDE_PX
        stream.pix_fmt, stream.bit_rate = "yuv420p", 500_000
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    with av.open(BytesIO(file.getvalue()), "r") as coded:
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in coded.decode(video=0)]


def test_one_label_draws_into_pictures_of_any_size_and_its_style_may_change() -> None:
    label = Label()
    for side in (64, 512, 64):
        grey = flat(100, side, side)
        label.draw(grey)
        assert (grey != 100).any()
    label.style = LabelStyle("bottom-right", MOST)
    grey = flat(100, 64, 64)
    label.draw(grey)
    assert (grey[:32] == 100).all()
    assert (grey[32:, 32:] != 100).any()


def test_it_is_left_out_only_for_a_reason_which_is_recorded(visavis_home: Path) -> None:
    for reason in ("", "  ", "\x1b\n"):
        with pytest.raises(UsageError, match="Say why"):
            LabelStyle.of("top-left", 6, reason)
    style = LabelStyle.of("top-left", 6, "a film,\nwhich says so")
    np.testing.assert_array_equal(labelled(flat(100), style), flat(100))
    said = record_left_out("ada", style)
    assert record_left_out("ada", LabelStyle()) == ""
    path = visavis_home / "records" / "unlabelled.jsonl"
    assert said.startswith("ada is shown without a visible label (a film, which says so).") and str(path) in said
    (line,) = path.read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["reason"] == "a film, which says so"
    assert path.stat().st_mode & 0o777 == 0o600
    assert about(style).endswith("Without a visible label: a film, which says so")


@pytest.mark.parametrize(
    ("corner", "percent"), [("middle", 6), (3, 6), ("top-left", 3), ("top-left", 21), ("top-left", "6")]
)
def test_a_style_that_cannot_be_is_refused(corner: object, percent: object) -> None:
    with pytest.raises(UsageError):
        LabelStyle.of(corner, percent, None)
