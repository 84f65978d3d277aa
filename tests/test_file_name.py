"""Two who want one name at the same time: one gets it, the other is told, and nothing is lost or half there."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from avatar.core.errors import UsageError, VisavisError
from avatar.core.file_name import give_name, numbered, under_a_free_name, version
from avatar.core.private_file import write_private
from avatar.identity.bundle import load_avatar, save_avatar
from benchmarks.hostile import made_up_avatar


def at_once(count: int, work: Callable[[int], None]) -> list[BaseException]:
    """What was raised by `count` threads that start together."""
    barrier, raised = threading.Barrier(count), list[BaseException]()

    def run(number: int) -> None:
        barrier.wait()
        try:
            work(number)
        except OSError as failure:
            raised.append(failure)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def no_hard_links(*_: object) -> None:
    raise PermissionError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize("links", [True, False])
def test_of_many_who_want_a_new_name_one_gets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    if not links:
        monkeypatch.setattr(os, "link", no_hard_links)  # as on FAT
    for turn in range(20):
        path = tmp_path / f"{turn}.avatar"

        def write(number: int, path: Path = path) -> None:
            write_private(bytes([number]) * 1000, path, None)

        raised = at_once(4, write)
        assert [type(failure) for failure in raised] == [FileExistsError] * 3
        whole = path.read_bytes()
        assert len(whole) == 1000 and len(set(whole)) == 1
        assert path.stat().st_mode & 0o777 == 0o600
    assert len(list(tmp_path.iterdir())) == 20  # nothing is left beside


def test_what_long_work_made_goes_under_the_next_name(tmp_path: Path) -> None:
    path, names = tmp_path / "talk.motion", list[Path]()

    def write(number: int) -> None:
        data = bytes([number])
        names.append(under_a_free_name(path, None, lambda name, expected: write_private(data, name, expected)))

    assert at_once(4, write) == []
    expected = [path, *(tmp_path / f"talk-{number}.motion" for number in (2, 3, 4))]
    assert sorted(names) == sorted(expected) == sorted(tmp_path.iterdir())
    assert sorted(name.read_bytes() for name in names) == [bytes([number]) for number in range(4)]
    assert [name for name, _ in zip(numbered(path), range(4), strict=False)] == expected


def test_a_file_replaces_the_one_that_it_was_made_of_and_no_other(tmp_path: Path) -> None:
    path, part = tmp_path / "anna.avatar", tmp_path / "part"
    assert version(path) is None
    path.write_bytes(b"one")
    before = version(path)
    write_private(b"two", path, before)
    assert path.read_bytes() == b"two"
    part.write_bytes(b"of the first")
    with pytest.raises(FileExistsError):
        give_name(part, path, before)
    path.unlink()
    with pytest.raises(FileExistsError):
        give_name(part, path, before)
    assert not path.exists() and part.exists()


def test_an_avatar_of_a_name_that_is_taken_meanwhile_is_not_kept(tmp_path: Path) -> None:
    path, avatar = tmp_path / "anna.avatar", made_up_avatar()
    save_avatar(avatar, path, None)
    with pytest.raises(UsageError, match=r"already an avatar 'anna' .*Choose another name.*--force"):
        save_avatar(avatar, path, None)
    assert load_avatar(path).name == "anna"


@pytest.mark.parametrize("happens", ["enrolled anew", "deleted"])
def test_what_was_made_of_an_avatar_that_is_gone_is_not_kept(tmp_path: Path, happens: str) -> None:
    path, avatar = tmp_path / "anna.avatar", made_up_avatar()
    save_avatar(avatar, path)
    before = version(path)
    if happens == "deleted":
        path.unlink()
    else:
        save_avatar(avatar, path)
    with pytest.raises(VisavisError, match="replaced or deleted meanwhile"):
        save_avatar(avatar, path, before)
    assert path.exists() == (happens != "deleted")
