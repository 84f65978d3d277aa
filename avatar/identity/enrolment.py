"""From photos to an avatar: check each, crop the face, embed, keep the best as the portrait."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatar.errors import InputError, UsageError
from avatar.identity.avatar import Avatar
from avatar.identity.bundle import avatar_path
from avatar.identity.embedding import embed
from avatar.identity.photo_check import PhotoCheck, check_photo
from avatar.sources.photo import load_photo
from avatar.tracking.face_landmarker import FaceTracker
from engines.engine import Engine

MAX_PHOTOS = 32
MAX_STATEMENT_LENGTH = 2000
MAX_FACES = 4  # enough to notice that a photo shows more than one
CONSENT_NOTICE = "Enrol only yourself, or a person who has agreed to be shown by an avatar."


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
    portrait: NDArray[np.uint8]  # (512, 512, 3)
    landmarks: NDArray[np.float32]  # (478, 3) in [0, 1] of the portrait
    blendshapes: NDArray[np.float32]  # (52,)
    score: float


def _silent(message: str) -> None:
    pass


def enroll(
    photos: Sequence[Path],
    name: str,
    *,
    tracker_model: Path,
    embedder: Engine,
    model_id: str,
    consent: str | None = None,
    progress: Callable[[str], None] = _silent,
) -> EnrolmentReport:
    """Make an avatar from 1 to 32 photos of one person. Nothing is written: see `bundle.save_avatar`.

    `consent` is the shown person's statement, or what was agreed with them; without it the bundle records that none
    was given. `progress` is called with one line before each photo and before the embedding.
    Raises UsageError for a bad name or number of photos, InputError with every photo's reason when none can be used.
    """
    avatar_path(name)
    if not 1 <= len(photos) <= MAX_PHOTOS:
        raise UsageError(f"{len(photos)} photos were given; an avatar takes 1 to {MAX_PHOTOS}. Name the best.")
    record = consent_record(consent)
    shots: list[_Shot] = []
    rejected: list[PhotoReport] = []
    seen: dict[str, str] = {}
    with FaceTracker(tracker_model, "image", MAX_FACES) as tracker:
        for number, path in enumerate(photos, 1):
            progress(f"photo {number} of {len(photos)}: {path.name}")
            outcome = _take(path, tracker, seen)
            if isinstance(outcome, _Shot):
                shots.append(outcome)
            else:
                rejected.append(outcome)
    if not shots:
        reasons = "\n".join(f"  {photo.file_name}: {photo.reason}" for photo in rejected)
        raise InputError(
            f"None of the photos can be used, so {name!r} was not made:\n{reasons}\n"
            f"Try again with other photos: `visavis enroll PHOTO.jpg --name {name}`."
        )
    progress("computing the person's parameters")
    shots.sort(key=lambda shot: shot.score, reverse=True)
    embedding, psi = embed(
        embedder, np.stack([shot.portrait for shot in shots]), np.stack([shot.landmarks for shot in shots])
    )
    best = shots[0]
    used = tuple(shot.report for shot in shots)
    avatar = Avatar(
        name=name,
        model_id=model_id,
        portraits=best.portrait[None],
        landmarks=best.landmarks[None],
        blendshapes=best.blendshapes[None],
        embedding=embedding,
        psi=psi,
        provenance=_provenance(used, rejected),
        consent=record,
    )
    return EnrolmentReport(avatar, used, tuple(rejected))


def consent_record(statement: str | None) -> dict[str, Any]:
    """What the bundle keeps of the shown person's consent. `given` is False where nobody stated it."""
    text = (statement or "").strip().encode(errors="replace").decode()
    if statement is not None and not text:
        raise UsageError("The consent statement is empty. Say who agreed to what, or leave --consent out.")
    if len(text) > MAX_STATEMENT_LENGTH:
        raise UsageError(f"The consent statement has {len(text)} characters; at most {MAX_STATEMENT_LENGTH} are kept.")
    return {"statement": text or CONSENT_NOTICE, "given": bool(text), "at": _now()}


def _take(path: Path, tracker: FaceTracker, seen: dict[str, str]) -> _Shot | PhotoReport:
    """`seen`: sha256 of the photos so far -> file name."""
    try:
        rgb = load_photo(path)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except InputError as error:
        return PhotoReport(path, reason=str(error).removeprefix(f"{path} "))
    if sha256 in seen:
        return PhotoReport(path, sha256, reason=f"the same picture as {seen[sha256]}. Give each only once")
    photo = check_photo(rgb, tracker)
    report = PhotoReport(path, sha256, photo.check, photo.check.refusal)
    if photo.crop is None or photo.check.refusal is not None:
        return report
    seen[sha256] = report.file_name
    return _Shot(
        report,
        portrait=photo.crop.cut(photo.rgb),
        landmarks=photo.crop.normalise(photo.face.landmarks),
        blendshapes=photo.face.blendshapes,
        score=photo.check.score,
    )


def _provenance(used: Sequence[PhotoReport], rejected: Sequence[PhotoReport]) -> dict[str, Any]:
    try:
        made_by = f"visavis {version('visavis')}"
    except PackageNotFoundError:  # run from a source tree that is not installed
        made_by = "visavis (not installed)"
    return {
        "made_by": made_by,
        "at": _now(),
        "photos_used": len(used),
        "portrait": used[0].file_name,
        "photos": [{"file": photo.file_name, "sha256": photo.sha256} for photo in used],
        "left_out": [
            {"file": photo.file_name, "sha256": photo.sha256, "reason": _without_folders(photo)} for photo in rejected
        ],
    }


def _without_folders(photo: PhotoReport) -> str:
    return (photo.reason or "").replace(str(photo.path), photo.file_name).encode(errors="replace").decode()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
