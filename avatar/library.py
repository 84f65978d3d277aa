"""The door for Python programs: what `visavis enroll` and `visavis avatars` do, as functions."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from avatar.core.arrays import Picture
from avatar.core.avatar import Avatar
from avatar.core.errors import UsageError, VisavisError
from avatar.identity.bundle import avatar_names, avatar_path, find_avatar
from avatar.identity.enrolment import enroll as enroll_photos
from avatar.identity.enrolment_steps import EnrolmentOptions
from avatar.identity.mattes import open_avatar
from avatar.identity.ready_faces import refuse_hiding
from avatar.live.avatar_file import keep_avatar
from avatar.render.engine_options import EngineOptions
from avatar.tracking.model_asset import tracker_model
from engines import Engine, EngineFailure, Say, on_stderr


def enroll(
    photos: Sequence[str | os.PathLike[str] | Picture],
    name: str,
    options: EnrolmentOptions | None = None,
    *,
    replace: bool = False,
    keep: bool = True,
    progress: Callable[[str], None] = lambda line: None,
) -> Avatar:
    """Make an avatar from 1 to 32 photos of one person who has agreed to it.

    photos: files, or (H, W, 3) uint8 RGB arrays. The best becomes the portrait; unfit ones are left out, for reasons
    that stand in the avatar's `provenance["left_out"]`. options: what is said of the person shown, and whether the
    comparison of the faces is skipped. keep: write it among the user's avatars, for `load(name)` and `visavis live
    name`. replace: over one of this name. progress: gets a line before each step.

    The first use on a computer fetches the face tracker's model (3.8 MB); nothing else goes over the network.
    Raises UsageError for a bad or taken name and for no or too many photos, InputError with each photo's reason where
    none can be used, VisavisError where a part does not start.
    """
    path = avatar_path(name)
    if keep and path.exists() and not replace:
        raise UsageError(f"There is already an avatar {name!r} ({path}). Choose another name, or pass replace=True.")
    if keep:
        refuse_hiding(name, path)
    given = [Path(photo) if isinstance(photo, str | os.PathLike) else photo for photo in photos]
    try:
        made = enroll_photos(given, name, tracker_model(), options, progress).avatar
    except EngineFailure as failure:
        raise VisavisError(str(failure)) from failure
    if keep:
        keep_avatar(made, path, "any" if replace else None)
    return made


def load(name_or_path: str | os.PathLike[str]) -> Avatar:
    """An enrolled avatar by its name, or one of an .avatar file. All of it is checked before any is used.

    Raises InputError where there is none, or where the file is damaged or of another network.
    """
    return open_avatar(find_avatar(os.fspath(name_or_path)))


def avatars() -> list[str]:
    """The names of the enrolled avatars, sorted."""
    return avatar_names()


def open_shared_engine(avatar: Avatar, backend: str = "auto", precision: str = "auto", say: Say = on_stderr) -> Engine:
    """The network that draws all avatars, for several puppets: `Puppet(avatar, engine=…)`. Close it after them.

    avatar: any that is not fine-tuned. backend: auto (the fastest, measured once), onnxruntime, openvino, tensorrt.
    precision: auto, fp32, fp16, bf16, int8. Raises UsageError for a fine-tuned avatar, whose network is its own,
    VisavisError where none of them runs.
    """
    if avatar.fine_tuned:
        raise UsageError(f"{avatar.name} is fine-tuned: its network draws nobody else. Open the engine for another.")
    try:
        return EngineOptions(backend, precision).open(avatar, say)
    except EngineFailure as failure:
        raise VisavisError(str(failure)) from failure
