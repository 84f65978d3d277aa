"""An avatar's file as its owner keeps it: signed where the c2pa extra is installed."""

from __future__ import annotations

from pathlib import Path

from avatar.core.avatar import Avatar
from avatar.core.errors import VisavisError
from avatar.core.file_name import Expected
from avatar.identity.bundle import save_avatar
from avatar.identity.consent import unlocked
from avatar.identity.mattes import open_avatar
from avatar.live.signing import can_sign, key_of
from engines import Say, on_stderr


def keep_avatar(
    avatar: Avatar, path: Path, expected: Expected = "any", key_file: Path | None = None, say: Say = on_stderr
) -> None:
    """As `save_avatar`, signed by `key_file`, else by the key of this computer.

    What could not be signed is kept nevertheless, and said.
    """

    def signature(manifest: bytes) -> bytes:
        if not can_sign():
            return b""
        from avatar.trust.provenance import sign_apart

        try:
            return sign_apart(manifest, avatar, key_of(key_file))
        except VisavisError as error:
            say(f"{avatar.name} is kept without a signature: {error}")
            return b""

    save_avatar(avatar, path, expected, signature)


def unlock_file(path: Path, reason: str) -> Avatar:
    """The avatar of the file, in which is kept from now on that somebody else drove it, and why.

    Raises UsageError as of `unlocked`, InputError where it cannot be read, VisavisError where it cannot be written.
    """
    avatar = unlocked(open_avatar(path), reason)
    keep_avatar(avatar, path)
    return avatar
