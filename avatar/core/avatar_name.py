"""What an avatar may be called, and the file name that belongs to it: "Anna Smith" lies in Anna-Smith.avatar."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from avatar.core.errors import UsageError
from avatar.core.plain_text import plain_text

MAX_NAME_LENGTH = 64  # characters
MAX_STEM_BYTES = 120  # of UTF-8, so that what is written beside the file has room in any file system
_DIGEST_LENGTH = 8  # hexadecimal digits, of what was cut
_PLAIN = re.compile(r"[A-Za-z0-9_.-]+")
# letters of Arabic, Syriac, Indian, Burmese, Khmer and Mongolian scripts, between which a joiner changes what is read
_JOINED = "[\u0600-\u08ff\u0900-\u0dff\u1000-\u109f\u1780-\u18af]"
_JOINERS = "\u200c\u200d"
_JOINER = re.compile(f"(?<={_JOINED})([{_JOINERS}])[{_JOINERS}]*(?={_JOINED})|[{_JOINERS}]+")
_VARIATION = re.compile("[\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")  # of the character before
_BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0]")  # Unicode calls them letters, marks, a symbol
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)  # Windows' own


def avatar_name(text: str) -> str:
    """The name as it is kept and shown: composed (NFC), its blanks single, no joiner or variation where none is seen.

    Raises UsageError for what cannot be one.
    """
    seen = _JOINER.sub(r"\1", _with_seen_variations(text[: 8 * MAX_NAME_LENGTH]))
    name = unicodedata.normalize("NFC", " ".join(seen.split()))
    fault = _fault(name)
    if fault is not None:
        shown = plain_text(text, MAX_NAME_LENGTH)
        raise UsageError(
            f"{shown!r} cannot be the name of an avatar: {fault}.", "Give another: `--name Anna`.", "Give another."
        )
    return name


def file_stem(name: str) -> str:
    """What its file is called, without the ending. The stem of a stem is itself, so it stands for the name in commands.

    Letters and digits of any script stay, with their marks, and "_", "-" and "."; what is between becomes a "-". One
    that is too long is cut, and ends in a digest of all of it.
    Raises UsageError for what cannot be a name.
    """
    stem = avatar_name(name)
    if not _PLAIN.fullmatch(stem):
        stem = _VARIATION.sub("", stem)
        stem = re.sub("-{2,}", "-", "".join(letter if _stays(letter) else "-" for letter in stem)).strip("-.")
    stem = re.sub(r"\.avatar$", "_avatar", stem.rstrip("."))
    if _DEVICES.fullmatch(stem):
        stem = f"_{stem}"
    if len(stem) > MAX_NAME_LENGTH or len(stem.encode()) > MAX_STEM_BYTES:
        end = f"-{hashlib.sha256(stem.encode()).hexdigest()[:_DIGEST_LENGTH]}"
        start = stem[: MAX_NAME_LENGTH - len(end)].encode()[: MAX_STEM_BYTES - len(end)].decode(errors="ignore")
        stem = start.rstrip("-.") + end
    return stem


def _with_seen_variations(text: str) -> str:
    """Only symbols (as ❤) and ideographs have any: after others they would make a second name that looks the same."""
    kept = ""
    for letter in text:
        if not _VARIATION.match(letter) or (kept and _varies(kept[-1])):
            kept += letter
    return kept


def _varies(letter: str) -> bool:
    return unicodedata.category(letter) == "So" or unicodedata.name(letter, "").startswith("CJK")


def _fault(name: str) -> str | None:
    """Why it cannot be a name, and what to do; None: it can."""
    if not name:
        return "it is empty"
    if len(name) > MAX_NAME_LENGTH:
        return f"it has more than {MAX_NAME_LENGTH} characters"
    if "/" in name or "\\" in name:
        return "it holds a slash, as paths do"
    if _BLANK.search(name) or not all(letter.isprintable() or letter in _JOINERS for letter in name):
        return "it holds characters that cannot be seen"
    if name[0] in ".-" or name.endswith(".avatar"):
        return 'it may not begin with "." or "-", nor end in ".avatar"'
    if not any(unicodedata.category(letter)[0] in "LN" or letter == "_" for letter in name):
        return "it needs a letter or a digit"
    return None


def _stays(letter: str) -> bool:
    return letter in "_-." or unicodedata.category(letter)[0] in "LMN"
