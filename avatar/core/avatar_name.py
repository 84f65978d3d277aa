"""What an avatar may be called, and the file name that belongs to it: "Anna Smith" lies in Anna-Smith.avatar."""

from __future__ import annotations

import re
import unicodedata

from avatar.core.errors import UsageError
from avatar.core.plain_text import plain_text

MAX_NAME_LENGTH = 64  # characters
MAX_STEM_BYTES = 120  # of UTF-8, so that what is written beside the file has room in any file system
_PLAIN = re.compile(r"[A-Za-z0-9_.-]+")
_JOINERS = str.maketrans("", "", "\u200c\u200d")  # not seen, but part of Persian and Indian names
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)  # Windows' own


def avatar_name(text: str) -> str:
    """The name as it is kept and shown: composed (NFC), its blanks single. Raises UsageError for what cannot be one."""
    name = unicodedata.normalize("NFC", " ".join(text[: 8 * MAX_NAME_LENGTH].split()))
    fault = _fault(name)
    if fault is not None:
        shown = plain_text(text, MAX_NAME_LENGTH)
        raise UsageError(
            f"{shown!r} cannot be the name of an avatar: {fault}.", "Give another: `--name Anna`.", "Give another."
        )
    return name


def file_stem(name: str) -> str:
    """What its file is called, without the ending. The stem of a stem is itself, so it stands for the name in commands.

    Letters and digits of any script stay, with their marks, and "_", "-" and "."; what is between becomes a "-".
    Raises UsageError for what cannot be a name.
    """
    stem = avatar_name(name)
    if not _PLAIN.fullmatch(stem):
        stem = re.sub("-{2,}", "-", "".join(letter if _stays(letter) else "-" for letter in stem)).strip("-.")
    stem = stem.encode()[:MAX_STEM_BYTES].decode(errors="ignore").rstrip(".")
    return f"_{stem}" if _DEVICES.fullmatch(stem) else stem


def _fault(name: str) -> str | None:
    """Why it cannot be a name, and what to do; None: it can."""
    if not name:
        return "it is empty"
    if len(name) > MAX_NAME_LENGTH:
        return f"it has more than {MAX_NAME_LENGTH} characters"
    if "/" in name or "\\" in name:
        return "it holds a slash, as paths do"
    if not name.translate(_JOINERS).isprintable():
        return "it holds characters that cannot be seen"
    if name[0] in ".-" or name.endswith(".avatar"):
        return 'it may not begin with "." or "-", nor end in ".avatar"'
    if not any(unicodedata.category(letter)[0] in "LN" or letter == "_" for letter in name):
        return "it needs a letter or a digit"
    return None


def _stays(letter: str) -> bool:
    return letter in "_-." or unicodedata.category(letter)[0] in "LMN"
