"""From photos or a selfie clip to an avatar: check each picture, crop the face, embed, keep the best in front."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array
from avatar.core.avatar import Avatar
from avatar.core.errors import InputError, UsageError
from avatar.core.frame import Frame
from avatar.face.state import Tracker, no_face
from avatar.identity.bundle import avatar_path
from avatar.identity.face_identity import DIFFERENT_PEOPLE, open_face_identity
from avatar.identity.face_search import is_human
from avatar.identity.photo_check import TWO_FACES, PhotoCheck, check_photo
from avatar.identity.same_person import FROM_THE_OTHERS, describe, match_light, strangers
from avatar.identity.selfie import EVERY_NS, WANTED, Coverage, SelfieFrame, SelfieReader
from avatar.render.embedding import embed
from avatar.sources.photo import PhotoReader
from avatar.tracking.caged_tracker import CagedTracker
from engines.engine import Engine

MAX_PHOTOS = 32
MAX_STATEMENT_LENGTH = 2000
MAX_CLIP_S = 120.0  # more of a selfie clip tells nothing new
MIN_CLIP_FRAMES = 5  # usable ones; with fewer, a few photos are the better way
CROWD_SHARE = 0.5  # of the frames: from here on a second face is no passer-by
SECOND_PERSON_SHARE = 0.5  # with so many frames of another person it is unclear who is meant
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
class ClipReport:
    """The avatar, what the clip held, and the frames that became portraits, the reference first.

    `coverage.missing` is what none of these frames shows, also where the clip held a blurred one.
    """

    avatar: Avatar
    coverage: Coverage
    frames: tuple[SelfieFrame, ...]
    start_ns: int  # the clip's first frame, on the clock of `SelfieFrame.capture_ns`

    def at_s(self, frame: SelfieFrame) -> float:
        """When in the clip the frame is shown."""
        return round((frame.capture_ns - self.start_ns) / 1e9, 2)


@dataclass(frozen=True, slots=True)
class _Shot:
    """A usable photo, reduced to what the networks need: the whole pictures of 32 photos would take gigabytes."""

    report: PhotoReport
    portrait: NDArray[np.uint8]  # (512, 512, 3)
    landmarks: Array  # (478, 3) in [0, 1] of the portrait
    blendshapes: Array  # (52,)
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
    same_person: bool = False,
    progress: Callable[[str], None] = _silent,
) -> EnrolmentReport:
    """Make an avatar from 1 to 32 photos of one person. Nothing is written: see `bundle.save_avatar`.

    `consent` is the shown person's statement, or what was agreed with them; without it the bundle records that none
    was given. `same_person` skips the comparison of the faces. `progress` is called with one line before each step.
    Raises UsageError for a bad name or number of photos, InputError with every photo's reason when none can be used,
    when photos show different people, and when eyes or mouth are hidden on each.
    """
    avatar_path(name)
    if not 1 <= len(photos) <= MAX_PHOTOS:
        raise UsageError(f"{len(photos)} photos were given; an avatar takes 1 to {MAX_PHOTOS}. Name the best.")
    record = consent_record(consent)
    shots: list[_Shot] = []
    rejected: list[PhotoReport] = []
    seen: dict[str, str] = {}
    with CagedTracker(tracker_model, "image", MAX_FACES, patient=True) as tracker, PhotoReader() as reader:
        for number, path in enumerate(photos, 1):
            progress(f"photo {number} of {len(photos)}: {path.name}")
            outcome = _take(path, reader, tracker, seen)
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
    shots.sort(key=lambda shot: shot.score, reverse=True)
    which = shots[0].report.file_name if len(shots) == 1 else f"All {len(shots)} photos"
    _refuse_covered([shot.report.check for shot in shots if shot.report.check], which, name)
    if len(shots) > 1 and not same_person:
        progress("comparing the faces")
        _refuse_strangers(shots)
    progress("computing the person's parameters")
    used = tuple(shot.report for shot in shots)
    portraits, landmarks = _stacked(shots)
    blendshapes = np.stack([shot.blendshapes for shot in shots])
    provenance = _provenance(used, rejected)
    avatar = _avatar(name, portraits, landmarks, blendshapes, embedder, model_id, provenance, record)
    return EnrolmentReport(avatar, used, tuple(rejected))


def enroll_clip(
    frames: Iterable[Frame],
    clip_name: str,
    name: str,
    *,
    tracker_model: Path,
    embedder: Engine,
    model_id: str,
    live: bool = False,
    seconds: float = MAX_CLIP_S,
    consent: str | None = None,
    same_person: bool = False,
    progress: Callable[[float, SelfieReader], None] = lambda done_s, reader: None,
) -> ClipReport:
    """Make an avatar from the first `seconds` of a selfie clip: up to 32 of its frames. Nothing is written.

    `live`: the frames come from a camera, so their `capture_ns` tells the time (else `media_s`), and it ends as soon as
    nothing is missing. The clip is that of the person who is seen most; `same_person` skips the comparison of the
    faces. `progress` gets the seconds seen so far and the reader, which knows what is missing. Raises InputError when
    too few frames can be used, and when it is unclear which of two people is meant.
    """
    avatar_path(name)
    record = consent_record(consent)
    start_ns: int | None = None
    crowd: NDArray[np.uint8] | None = None  # the last frame with more than one face
    with (
        nullcontext() if same_person else open_face_identity() as identity,
        CagedTracker(tracker_model, "video", patient=not live) as tracker,
    ):
        reader = SelfieReader(identity)
        for frame in frames:
            stamp_ns = frame.capture_ns if live else round(frame.media_s * 1e9)
            start_ns = stamp_ns if start_ns is None else start_ns
            done_s = (stamp_ns - start_ns) / 1e9
            if done_s > seconds:
                break
            if reader.due(stamp_ns):
                face = tracker.track(frame.rgb, stamp_ns)
                crowd = frame.rgb if face.faces > 1 else crowd
                reader.take(frame.rgb, face)
                progress(done_s, reader)
                if live and reader.complete and reader.useful >= MIN_CLIP_FRAMES:
                    break
    coverage = reader.coverage()
    if start_ns is None or reader.useful < MIN_CLIP_FRAMES:
        raise InputError(
            f"{clip_name}: {reader.useful or 'none'} of its frames can be used, at least {MIN_CLIP_FRAMES} are needed "
            f"({_faults(coverage)}). Film your face from the front for 20 seconds, in good light, at arm's length, "
            "with nobody else in the picture; or give photos."
        )
    if reader.second_person > SECOND_PERSON_SHARE:
        raise InputError(
            f"{clip_name}: two people are seen about equally long, so it is unclear who is meant. Cut the clip to one "
            "of them, or add --same-person if it is the same person after all."
        )
    if crowd is not None and reader.several_faces > CROWD_SHARE and _two_alike(crowd, tracker_model):
        raise InputError(
            f"{clip_name}: two faces are about equally large in {reader.several_faces:.0%} of the frames, so it is "
            "unclear who is meant. Film one person alone, or crop the clip to one of them."
        )
    chosen = reader.choose()
    if not _show_a_human(chosen, tracker_model):
        raise InputError(
            f"{clip_name}: no human face was found, only what looks a little like one. Film your face from the "
            "front, in good light; or give photos."
        )
    _refuse_covered([frame.check for frame in chosen], clip_name, name)
    shown = frozenset[str]().union(*(frame.shows for frame in chosen))
    coverage = replace(coverage, missing=tuple(advice for what, advice in WANTED.items() if what not in shown))
    portraits, landmarks = np.stack([f.portrait for f in chosen]), np.stack([f.landmarks for f in chosen])
    return ClipReport(
        _avatar(
            name,
            portraits,
            landmarks,
            np.stack([f.blendshapes for f in chosen]),
            embedder,
            model_id,
            _clip_provenance(clip_name, chosen, coverage, start_ns),
            record,
        ),
        coverage,
        tuple(chosen),
        start_ns,
    )


def _two_alike(rgb: NDArray[np.uint8], tracker_model: Path) -> bool:
    with CagedTracker(tracker_model, "image", MAX_FACES, patient=True) as tracker:
        return check_photo(rgb, tracker).check.fault == TWO_FACES


def _show_a_human(frames: Sequence[SelfieFrame], tracker_model: Path) -> bool:
    """By the first few, the reference among them."""
    with CagedTracker(tracker_model, "image", patient=True) as tracker:
        faces = [replace(no_face(0), landmarks=frame.landmarks * len(frame.portrait)) for frame in frames[:5]]
        human = [is_human(frame.portrait, face, tracker) for frame, face in zip(frames, faces, strict=False)]
    return 2 * sum(human) > len(human)


def _faults(coverage: Coverage) -> str:
    faults = {"without a face": coverage.without_face, **coverage.refused}
    told = [f"{fault}: {count}" for fault, count in faults.items() if count]
    looked_at = f"{coverage.frames} looked at, {EVERY_NS / 1e6:.0f} ms apart"
    return f"{looked_at}; {', '.join(told)}" if told else looked_at


def _clip_provenance(
    clip_name: str, chosen: Sequence[SelfieFrame], coverage: Coverage, start_ns: int
) -> dict[str, Any]:
    return _made() | {
        "clip": Path(clip_name).name.encode(errors="replace").decode(),
        "frames_looked_at": coverage.frames,
        "frames_used": len(chosen),
        "used_at_s": [round((frame.capture_ns - start_ns) / 1e9, 2) for frame in chosen],
        "missing": list(coverage.missing),
    }


def _refuse_strangers(shots: Sequence[_Shot]) -> None:
    """Raises InputError that names the photos of somebody else."""
    if len(shots) < 2:
        return
    with open_face_identity() as identity:
        found = strangers(describe(identity, *_stacked(shots)))
    if found:
        names = ", ".join(f"{shots[i].report.file_name} (distance {apart:.2f})" for i, apart in found.items())
        pair = len(shots) == 2
        others, limit = (shots[0].report.file_name, DIFFERENT_PEOPLE) if pair else ("the other photos", FROM_THE_OTHERS)
        raise InputError(
            f"{names} {'seems' if len(found) == 1 else 'seem'} to show somebody else than {others}: photos of one "
            f"person are at most {limit} apart. Leave out what is not the same person, or add --same-person if it is."
        )


def _refuse_covered(checks: Sequence[PhotoCheck], which: str, name: str) -> None:
    """Raises InputError where no picture shows the eyes, or none the mouth: all of them would have to be made up."""
    for part, by, hidden in (
        ("eyes", "dark glasses or a deep shadow", [check.eyes_hidden for check in checks]),
        ("mouth", "a mask or a hand", [check.mouth_hidden for check in checks]),
    ):
        if all(hidden):
            raise InputError(
                f"{which}: {by} seems to hide the {part}, and an avatar needs to know them. Take another that shows "
                f"the {part}, and try again: `visavis enroll PHOTO.jpg --name {name}`."
            )


def _stacked(shots: Sequence[_Shot]) -> tuple[NDArray[np.uint8], Array]:
    return np.stack([shot.portrait for shot in shots]), np.stack([shot.landmarks for shot in shots])


def _avatar(
    name: str,
    portraits: NDArray[np.uint8],
    landmarks: Array,
    blendshapes: Array,
    embedder: Engine,
    model_id: str,
    provenance: dict[str, Any],
    consent: dict[str, Any],
) -> Avatar:
    """The first portrait is the reference, also for the light, once the embedder has seen all as they are."""
    embedding, psi = embed(embedder, portraits, landmarks)
    return Avatar(
        name=name,
        model_id=model_id,
        portraits=match_light(portraits, landmarks),
        landmarks=landmarks,
        blendshapes=blendshapes,
        embedding=embedding,
        psi=psi,
        provenance=provenance,
        consent=consent,
    )


def consent_record(statement: str | None) -> dict[str, Any]:
    """What the bundle keeps of the shown person's consent. `given` is False where nobody stated it."""
    text = (statement or "").strip().encode(errors="replace").decode()
    if statement is not None and not text:
        raise UsageError("The consent statement is empty. Say who agreed to what, or leave --consent out.")
    if len(text) > MAX_STATEMENT_LENGTH:
        raise UsageError(f"The consent statement has {len(text)} characters; at most {MAX_STATEMENT_LENGTH} are kept.")
    return {"statement": text or CONSENT_NOTICE, "given": bool(text), "at": _now()}


def _take(path: Path, reader: PhotoReader, tracker: Tracker, seen: dict[str, str]) -> _Shot | PhotoReport:
    """`seen`: sha256 of the photos so far -> file name."""
    try:
        rgb = reader.load(path)
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


def _made() -> dict[str, Any]:
    try:
        made_by = f"visavis {version('visavis')}"
    except PackageNotFoundError:  # run from a source tree that is not installed
        made_by = "visavis (not installed)"
    return {"made_by": made_by, "at": _now()}


def _provenance(used: Sequence[PhotoReport], rejected: Sequence[PhotoReport]) -> dict[str, Any]:
    return _made() | {
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
