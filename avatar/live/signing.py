"""Signing what was written, where the c2pa extra is installed."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from avatar.core.avatar import Avatar
from avatar.core.errors import UsageError, VisavisError
from avatar.core.extras import install
from avatar.trust.mark_message import MarkMessage


def can_sign() -> bool:
    return find_spec("c2pa") is not None


def check_key(key_file: Path) -> None:
    """Raises UsageError without the extra, InputError for a file that cannot sign."""
    if not can_sign():
        raise UsageError(f"--sign-with needs c2pa-python, which is not installed: {install('c2pa')}")
    from avatar.trust.signing_key import read_key

    read_key(key_file)


def sign_videos(files: Iterable[Path], avatar: Avatar, mark: MarkMessage, key_file: Path | None) -> list[str]:
    """Sign by `key_file`, else by the key of this computer. Returns what to say: what could not be signed, and why."""
    files = list(files)
    if not files or not can_sign():
        return []
    from avatar.trust.provenance import FORMATS, sign_video
    from avatar.trust.signing_key import own_key, read_key

    said = []
    try:
        key = own_key() if key_file is None else read_key(key_file)
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
