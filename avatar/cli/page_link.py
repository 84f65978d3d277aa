"""Opening one of our pages in the browser, and finding the one that is served already."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

FILE = "call.link"  # in home(): who serves the page, and its link


@dataclass(frozen=True, slots=True)
class ServedPage:
    """pid: of the process that serves it."""

    pid: int
    link: str


def open_link(link: str) -> None:
    """By a private file that leads to it: everybody on this computer can read a command line."""
    import html
    import webbrowser

    from avatar.core.paths import home

    leader = home() / "call.html"
    leader.unlink(missing_ok=True)
    leader.touch(0o600)
    target = html.escape(link, quote=True)
    leader.write_text(f'<!doctype html><meta http-equiv="refresh" content="0; url={target}">', encoding="utf-8")
    webbrowser.open(leader.as_uri())


def goes_to_journal() -> bool:
    """Whether what is said on stderr is kept by systemd, as its JOURNAL_STREAM has it: no place for a link."""
    try:
        stream = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):  # none is open
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{stream.st_dev}:{stream.st_ino}"


@contextmanager
def served(link: str) -> Iterator[None]:
    """Meanwhile `served_page` finds it."""
    from avatar.core.private_file import write_private

    with suppress(OSError):  # then another `visavis open` serves a page of its own
        write_private(f"{os.getpid()} {link}".encode(), _file())
    try:
        yield
    finally:
        if (page := _noted()) is not None and page.pid == os.getpid():
            _file().unlink(missing_ok=True)


def served_page() -> ServedPage | None:
    """That of this user and home, if its process listens where the link leads, so not one that was killed."""
    from urllib.parse import urlsplit

    import psutil

    page = _noted()
    if page is None:
        return None
    try:
        process = psutil.Process(page.pid)
        if hasattr(os, "getuid") and process.uids().real != os.getuid():
            return None
        ports = {one.laddr.port for one in process.net_connections("tcp") if one.status == psutil.CONN_LISTEN}
        return page if urlsplit(page.link).port in ports else None
    except (psutil.Error, ValueError):
        return None


def _noted() -> ServedPage | None:
    try:
        pid, link = _file().read_text("utf-8").split(" ")
        return ServedPage(int(pid), link)
    except (OSError, ValueError):
        return None


def _file() -> Path:
    from avatar.core.paths import home

    return home() / FILE
