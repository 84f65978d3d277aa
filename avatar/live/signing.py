"""Signing what was written, where the c2pa extra is installed."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from avatar.core.avatar import Avatar
from avatar.core.errors import UsageError, VisavisError
from avatar.core.extras import install
from avatar.trust.c2pa_files import FORMATS
from avatar.trust.mark_message import MarkMessage

if TYPE_CHECKING:
    from avatar.trust.signing_key import SigningKey


def can_sign() -> bool:
    return find_spec("c2pa") is not None


def check_key(key_file: Path) -> None:
    """Raises UsageError without the extra, InputError for a file that cannot sign."""
    if not can_sign():
        raise UsageError(f"--sign-with needs c2pa-python, which is not installed: {install('c2pa')}")
    from avatar.trust.signing_key import read_key

    read_key(key_file)


def unread_words(path: Path) -> str:
    """Of a file of a kind that may carry signed metadata, where nothing reads them."""
    return f"Whether {path} carries signed metadata (C2PA) was not looked at: that needs {install('c2pa')}"


def key_of(key_file: Path | None) -> SigningKey:
    """That of the file, else of this computer. Raises InputError, VisavisError."""
    from avatar.trust.signing_key import own_key, read_key

    return own_key() if key_file is None else read_key(key_file)


def sign_videos(files: Iterable[Path], avatar: Avatar, mark: MarkMessage, key_file: Path | None) -> list[str]:
    """Sign by `key_file`, else by the key of this computer. Returns what to say: what could not be signed, and why."""
    files = list(files)
    if not files or not can_sign():
        return []
    from avatar.trust.provenance import sign_video

    said = []
    try:
        key = key_of(key_file)
    except VisavisError as error:
        return [str(error)]
    for path in files:
        if path.suffix.lower() not in FORMATS:
            said.append(f"{path} carries no C2PA data: {path.suffix} has no place for them.")
            continue
        try:
            sign_video(path, avatar, mark, key)
        except VisavisError as error:
            said.append(str(error))
    return said
