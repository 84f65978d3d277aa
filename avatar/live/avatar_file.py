"""An avatar's file as its owner keeps it: signed where the c2pa extra is installed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from shlex import quote

from avatar.core.avatar import Avatar
from avatar.core.avatar_name import avatar_name
from avatar.core.errors import InputError, UsageError, VisavisError
from avatar.core.file_name import Expected, check_writable, version
from avatar.core.private_file import write_private
from avatar.identity.bundle import avatar_path, load_avatar, save_avatar, shown_name
from avatar.identity.consent import unlocked
from avatar.identity.mattes import open_avatar
from avatar.identity.ready_faces import refuse_hiding, refuse_ready_face
from avatar.live.bundle_report import SUFFIX, BundleReport, report_on_bundle, signature_of
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


def keep_changed(avatar: Avatar, source: Path, target: Path, expected: Expected = "any", say: Say = on_stderr) -> None:
    """As `keep_avatar`, of what was loaded from the bundle `source`: signed anew only where that is as it was signed.

    Else what a stranger has written into it would be vouched for by the key of this computer. Raises InputError too.
    """
    signature = signature_of(source)
    if signature.confirmed:
        keep_avatar(avatar, target, expected, say=say)
        return
    save_avatar(avatar, target, expected)
    if signature.changed:
        say(f"{avatar.name} is kept without a signature, as {source} is not as it was signed.")
    elif signature.signed:
        say(f"{avatar.name} is kept without a signature, as that of {source} could not be looked at.")
    elif can_sign():
        say(f"{avatar.name} is kept without a signature, as {source} has none.")


def rename_avatar(source: Path, new: str) -> Path:
    """Its file is named anew too. Returns where it lies. Raises UsageError for a taken name, and for a ready face."""
    refuse_ready_face(source)
    target, name = avatar_path(new), avatar_name(new)
    before, avatar = version(source), load_avatar(source, None)
    if target.exists() and (target != source or name == avatar.name):
        raise UsageError(f"There is an avatar {shown_name(target)} already. Choose another name.")
    if target != source:
        refuse_hiding(new, target)
    keep_changed(replace(avatar, name=name), source, target, before if target == source else None)
    if target != source:
        source.unlink()
    return target


def export_avatar(source: Path, target: Path, replaced: bool, key_file: Path | None) -> BundleReport:
    """Write it to a file of the user's choice, and tell what that says of itself.

    A signature that holds stays, unless `key_file` signs anew. replaced: over a file that is there.
    Raises UsageError, InputError, VisavisError.
    """
    check_writable(target)
    if target.suffix != SUFFIX:
        raise UsageError(f"{target}: name it {target.stem or 'NAME'}{SUFFIX}.")
    if target.exists() and not replaced:
        raise UsageError(f"{target} is there already. Choose another name, or add --force to replace it.")
    expected: Expected = "any" if replaced else None
    if key_file is not None:
        keep_avatar(load_avatar(source, None), target, expected, key_file)
    elif report_on_bundle(source).confirmed:
        _copy(source, target, expected)
    else:
        keep_changed(load_avatar(source, None), source, target, expected)
    return report_on_bundle(target)


def import_avatar(source: Path, name: str | None) -> tuple[Path, BundleReport]:
    """Take a file from elsewhere among the user's avatars, once all of it was checked. Never over another one.

    name: another than its own; then its signature, which is that of another name, is made anew: see `keep_changed`.
    Returns where it lies, and what it says of itself. Raises UsageError, InputError, VisavisError.
    """
    avatar, report = load_avatar(source), report_on_bundle(source)
    if report.changed:
        raise InputError(
            f"{source} is not as it was signed, so it is not taken. Ask whoever gave it to you for it again."
        )
    target = avatar_path(name or avatar.name)
    if target.exists():
        raise UsageError(
            f"There is an avatar {shown_name(target)} already. Give it another name: "
            f"visavis avatars import {quote(str(source))} --name NAME"
        )
    refuse_hiding(name or avatar.name, target)
    if name is None:
        _copy(source, target, None)
    else:
        keep_changed(replace(avatar, name=avatar_name(name)), source, target, None)
    return target, report


def _copy(source: Path, target: Path, expected: Expected) -> None:
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(source.read_bytes(), target, expected)
    except OSError as error:
        raise VisavisError(
            f"{target} cannot be written ({error.strerror}). Check the folder, then try again."
        ) from error


def unlock_file(path: Path, reason: str) -> Avatar:
    """The avatar of the file, in which is kept from now on that somebody else drove it, and why.

    Raises UsageError as of `unlocked`, InputError where it cannot be read, VisavisError where it cannot be written.
    """
    avatar = unlocked(open_avatar(path), reason)
    keep_changed(avatar, path, path)
    return avatar
