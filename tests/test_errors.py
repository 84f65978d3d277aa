"""What an error says next, in a terminal and on the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from avatar.core.errors import PhotoError, VisavisError
from avatar.identity.bundle import _write, avatar_path, load_avatar, save_avatar
from avatar.identity.enrolment_steps import refuse_covered
from avatar.sources.photo import load_photo
from tests.clips import astronaut_avatar


def assert_said(act: Callable[[], object], everywhere: str, in_a_terminal: str) -> None:
    with pytest.raises(VisavisError) as caught:
        act()
    assert str(caught.value) == f"{everywhere}{in_a_terminal}"
    assert caught.value.on_page == f"{everywhere}."


def test_the_page_says_nothing_of_what_a_terminal_takes(tmp_path: Path) -> None:
    assert_said(
        lambda: refuse_covered([SimpleNamespace(eyes_hidden=True, mouth_hidden=False)], "a.jpg", "ada"),  # type: ignore[list-item]
        "a.jpg: dark glasses or a deep shadow seems to hide the eyes, and an avatar needs to know them. "
        "Take another that shows the eyes, and try again",
        ": `visavis enroll PHOTO.jpg --name ada`.",
    )
    assert_said(
        lambda: avatar_path("a/b"),
        "'a/b' cannot be the name of an avatar: it holds a slash, as paths do. Give another",
        ": `--name Anna`.",
    )
    taken = tmp_path / "ada.avatar"
    taken.write_bytes(b"of another window")
    assert_said(
        lambda: _write(b"new", taken, None),
        f"There is already an avatar 'ada' ({taken}), made meanwhile. Choose another name, or replace it",
        ": `visavis enroll PHOTO… --name NAME --force`.",
    )
    save_avatar(replace(astronaut_avatar(), model_id="old-1"), taken)
    assert_said(
        lambda: load_avatar(taken, "new-2"),
        f"{taken} was made for the network 'old-1', this visavis has 'new-2'. Enrol the photos again",
        ": `visavis enroll PHOTO… --name NAME --force`.",
    )


def test_a_photo_has_its_name_in_the_terminal_alone(tmp_path: Path) -> None:
    fault = "is a text file, not a photo, whatever its name says. Name a JPEG, PNG, WebP or TIFF picture."
    (tmp_path / "a.jpg").write_text("text")
    with pytest.raises(PhotoError) as caught:
        load_photo(tmp_path / "a.jpg")
    assert str(caught.value) == f"{tmp_path / 'a.jpg'} {fault}"
    assert caught.value.on_page == f"It {fault}"


def test_who_breaks_off_a_question_ends_as_by_ctrl_c() -> None:
    import typer

    from avatar.cli.main import _explain

    assert _explain(typer.Abort()) == ("", 130)
