"""Writing an avatar's file anew."""

from __future__ import annotations

from pathlib import Path

from avatar.core.avatar import Avatar
from avatar.identity.bundle import save_avatar
from avatar.identity.consent import unlocked
from avatar.identity.mattes import open_avatar


def unlock_file(path: Path, reason: str) -> Avatar:
    """The avatar of the file, in which is kept from now on that somebody else drove it, and why.

    Raises UsageError as of `unlocked`, InputError where it cannot be read, VisavisError where it cannot be written.
    """
    avatar = unlocked(open_avatar(path), reason)
    save_avatar(avatar, path)
    return avatar
