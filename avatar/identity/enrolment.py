"""From photos to an avatar: check each picture, crop the face, embed, keep the best in front."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.core.avatar import Avatar
from avatar.core.avatar_name import avatar_name, file_stem
from avatar.core.errors import InputError, PhotoError, UsageError
from avatar.face.state import Tracker
from avatar.identity.consent import consent_record
from avatar.identity.enrolment_steps import EnrolmentOptions, Portraits, made, make_avatar, refuse_covered
from avatar.identity.face_identity import open_face_identity
from avatar.identity.photo_check import MAX_FACES, PhotoCheck, check_photo
from avatar.identity.same_person import describe, strangers
from avatar.render.embedding import open_embedder
from avatar.sources.photo import PhotoReader
from avatar.tracking.caged_tracker import CagedTracker

MAX_PHOTOS = 32


@dataclass(frozen=True, slots=True)
class PhotoReport:
    """What became of one photo."""

    path: Path
    sha256: str | None = None  # None: the file could not be read
    check: PhotoCheck | None = None  # None: the picture could not be read
    reason: str | None = None  # why it was left out and what to do; None: it was used

    @property
    def file_name(self) -> str:
        """Without the folders, which are nobody's business in a bundle that is passed on."""
        return self.path.name.encode(errors="replace").decode()


@dataclass(frozen=True, slots=True)
class EnrolmentReport:
    """The avatar, and which photos it was made of. The first of `used` is the portrait."""

    avatar: Avatar
    used: tuple[PhotoReport, ...]  # from the best to the worst
    rejected: tuple[PhotoReport, ...]


@dataclass(frozen=True, slots=True)
class _Shot:
    """A usable photo, reduced to what the networks need: the whole pictures of 32 photos would take gigabytes."""

    report: PhotoReport
    portrait: Picture  # (512, 512, 3)
    landmarks: Array  # (478, 3) in [0, 1] of the portrait
    blendshapes: Array  # (52,)
    score: float
    index: int = 0  # among those that were given


class StrangersError(InputError):
    """Photos that seem to show another person than the rest. photos: which of those that were given."""

    def __init__(self, what: str, photos: Sequence[int]) -> None:
        super().__init__(
            what,
            "Leave out what is not the same person, or add --same-person if it is.",
            "Remove what is not the same person, or tick “It is one person”.",
        )
        self.photos = tuple(photos)


def _silent(message: str) -> None:
    pass


Photo = Path | Picture  # a file, or an (H, W, 3) uint8 RGB picture


def enroll(
    photos: Sequence[Photo],
    name: str,
    tracker_model: Path,
    options: EnrolmentOptions | None = None,
    progress: Callable[[str], None] = _silent,
) -> EnrolmentReport:
    """Make an avatar from 1 to 32 photos of one person. Nothing is written: see `bundle.save_avatar`.

    `progress` is called with one line before each step. Raises UsageError for a bad name or number of photos,
    InputError with every photo's reason when none can be used, when photos show different people, and when eyes or
    mouth are hidden on each.
    """
    name = avatar_name(name)
    if not 1 <= len(photos) <= MAX_PHOTOS:
        raise UsageError(f"{len(photos)} photos were given; an avatar takes 1 to {MAX_PHOTOS}. Name the best.")
    options = options or EnrolmentOptions()
    record = consent_record(options.consent)
    with open_embedder(options.say) as embedder:
        shots, rejected = _take_all(photos, tracker_model, progress)
        if not shots:
            reasons = "\n".join(f"  {photo.file_name}: {photo.reason}" for photo in rejected)
            raise InputError(
                f"None of the photos can be used, so {name!r} was not made:\n{reasons}\n",
                f"Try again with other photos: `visavis enroll PHOTO.jpg --name {file_stem(name)}`.",
                "Try again with other photos.",
            )
        shots.sort(key=lambda shot: shot.score, reverse=True)
        which = shots[0].report.file_name if len(shots) == 1 else f"All {len(shots)} photos"
        refuse_covered([shot.report.check for shot in shots if shot.report.check], which, name)
        portraits = Portraits.of(shots)
        if len(shots) > 1 and not options.same_person:
            progress("comparing the faces")
            _refuse_strangers(shots, portraits)
        progress("computing the person's parameters")
        used = tuple(shot.report for shot in shots)
        avatar = make_avatar(name, portraits, embedder, _provenance(used, rejected), record)
    return EnrolmentReport(avatar, used, tuple(rejected))


def _take_all(
    photos: Sequence[Photo], tracker_model: Path, progress: Callable[[str], None]
) -> tuple[list[_Shot], list[PhotoReport]]:
    """The usable ones, and the others."""
    shots: list[_Shot] = []
    rejected: list[PhotoReport] = []
    seen: dict[str, str] = {}
    with CagedTracker(tracker_model, "image", MAX_FACES, patient=True) as tracker, PhotoReader() as reader:
        for number, photo in enumerate(photos, 1):
            path = photo if isinstance(photo, Path) else Path(f"picture {number}")
            progress(f"photo {number} of {len(photos)}: {path.name}")
            outcome = _take(photo, path, reader, tracker, seen)
            if isinstance(outcome, _Shot):
                shots.append(replace(outcome, index=number - 1))
            else:
                rejected.append(outcome)
    return shots, rejected


def _read(photo: Photo, path: Path, reader: PhotoReader) -> tuple[Picture, str]:
    """The picture, and the sha256 of the file or of the pixels. Raises PhotoError."""
    if isinstance(photo, Path):
        rgb = reader.load(photo)
        with photo.open("rb") as file:
            return rgb, hashlib.file_digest(file, "sha256").hexdigest()
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or not photo.size:
        raise PhotoError(path, f"is {photo.shape} of {photo.dtype}: give (H, W, 3) RGB of uint8")
    return photo, hashlib.sha256(photo.tobytes()).hexdigest()


def _refuse_strangers(shots: Sequence[_Shot], portraits: Portraits) -> None:
    """Raises InputError that names the photos of somebody else."""
    with open_face_identity() as identity:
        found = strangers(describe(identity, portraits.pictures, portraits.landmarks))
    if found:
        names = ", ".join(shots[i].report.file_name for i in found)
        others = shots[0].report.file_name if len(shots) == 2 else "the other photos"
        raise StrangersError(
            f"{names} {'seems' if len(found) == 1 else 'seem'} to show somebody else than {others}.",
            [shots[i].index for i in found],
        )


def _take(photo: Photo, path: Path, reader: PhotoReader, tracker: Tracker, seen: dict[str, str]) -> _Shot | PhotoReport:
    """`path`: how the photo is called. `seen`: sha256 of the photos so far -> file name."""
    try:
        rgb, sha256 = _read(photo, path, reader)
    except PhotoError as error:
        return PhotoReport(path, reason=error.fault)
    if sha256 in seen:
        return PhotoReport(path, sha256, reason=f"the same picture as {seen[sha256]}. Give each only once")
    checked = check_photo(rgb, tracker)
    report = PhotoReport(path, sha256, checked.check, checked.check.refusal)
    if checked.crop is None or checked.check.refusal is not None:
        return report
    seen[sha256] = report.file_name
    return _Shot(
        report,
        portrait=checked.crop.cut(checked.rgb),
        landmarks=checked.crop.normalise(checked.face.landmarks),
        blendshapes=checked.face.blendshapes,
        score=checked.check.score,
    )


def _provenance(used: Sequence[PhotoReport], rejected: Sequence[PhotoReport]) -> dict[str, Any]:
    return made() | {
        "photos_used": len(used),
        "portrait": used[0].file_name,
        "photos": [{"file": photo.file_name, "sha256": photo.sha256} for photo in used],
        "left_out": [
            {"file": photo.file_name, "sha256": photo.sha256, "reason": _without_folders(photo)} for photo in rejected
        ],
    }


def _without_folders(photo: PhotoReport) -> str:
    return (photo.reason or "").replace(str(photo.path), photo.file_name).encode(errors="replace").decode()
