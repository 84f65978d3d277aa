"""The mattes of an avatar's portraits: made at enrolment, or once for an avatar of an older visavis."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from avatar.core.avatar import Avatar
from avatar.core.errors import VisavisError
from avatar.core.file_name import version
from avatar.core.model_files import MODEL_ID
from avatar.core.paths import home
from avatar.identity.bundle import load_avatar, save_avatar
from avatar.identity.descriptors import with_descriptors
from avatar.identity.ready_faces import shown_title
from avatar.render.cutout import usable_matte
from avatar.tracking.person_matte import person_mattes


def with_mattes(avatar: Avatar) -> Avatar:
    """The same avatar, whose portraits have their mattes. Half a second, and 0.2 s each, where they are still to make.

    Raises VisavisError where the segmenter does not start.
    """
    if len(avatar.mattes):
        return avatar
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        mattes = threads.map(usable_matte, avatar.portraits, person_mattes(avatar.portraits), avatar.landmarks)
        return replace(avatar, mattes=np.stack(list(mattes)))


def open_avatar(path: Path, model_id: str | None = MODEL_ID) -> Avatar:
    """As `load_avatar`, ready to be shown: what an older visavis did not keep is made now.

    It is kept in the file if that is one of the user's avatars; a file from elsewhere stays as it is.
    """
    before = version(path) if path.is_file() else None
    avatar = load_avatar(path, model_id)
    ready = with_descriptors(with_mattes(avatar))
    if ready is not avatar and path.parent == home() / "avatars":
        with suppress(VisavisError):  # no space, or enrolled anew meanwhile: then they are made again the next time
            save_avatar(ready, path, before)
    return ready


def open_shown(path: Path) -> Avatar:
    """As `open_avatar`, named as people read it: a ready face by its title."""
    avatar = open_avatar(path)
    return replace(avatar, name=shown_title(avatar.name, path))
