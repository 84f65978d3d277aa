"""From a selfie clip to an avatar: track each frame, keep those that tell most, embed them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from avatar.core.arrays import Picture
from avatar.core.avatar import Avatar
from avatar.core.avatar_name import avatar_name
from avatar.core.errors import InputError
from avatar.core.frame import Frame
from avatar.face.state import no_face
from avatar.identity.consent import consent_record
from avatar.identity.enrolment_steps import EnrolmentOptions, Portraits, made, make_avatar, refuse_covered
from avatar.identity.face_identity import open_face_identity
from avatar.identity.face_search import is_human
from avatar.identity.photo_check import MAX_FACES, TWO_FACES, check_photo
from avatar.identity.selfie import EVERY_NS, Coverage, SelfieReader
from avatar.identity.selfie_frame import SelfieFrame
from avatar.identity.selfie_signs import WANTED
from avatar.render.embedding import open_embedder
from avatar.tracking.caged_tracker import CagedTracker

MAX_CLIP_S = 120.0  # more of a selfie clip tells nothing new
MIN_CLIP_FRAMES = 5  # usable ones; with fewer, a few photos are the better way
CROWD_SHARE = 0.5  # of the frames: from here on a second face is no passer-by
SECOND_PERSON_SHARE = 0.5  # with so many frames of another person it is unclear who is meant


@dataclass(frozen=True, slots=True)
class SelfieClip:
    """Frames of one person, of which the first `seconds` are read, and how messages call them.

    live: they come from a camera, so their `capture_ns` tells the time (else `media_s`), and it ends as soon as nothing
    is missing.
    """

    frames: Iterable[Frame]
    name: str
    live: bool = False
    seconds: float = MAX_CLIP_S


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


def enroll_clip(
    clip: SelfieClip,
    name: str,
    tracker_model: Path,
    options: EnrolmentOptions | None = None,
    progress: Callable[[float, SelfieReader], None] = lambda done_s, reader: None,
) -> ClipReport:
    """Make an avatar from up to 32 frames of a selfie clip. Nothing is written.

    The clip is that of the person who is seen most. `progress` gets the seconds seen so far and the reader, which knows
    what is missing. Raises InputError when too few frames can be used, and when it is unclear which of two people is
    meant.
    """
    name = avatar_name(name)
    options = options or EnrolmentOptions()
    record = consent_record(options.consent)
    with open_embedder(options.say) as embedder:
        seen = _read(clip, tracker_model, options, progress)
        _refuse_unclear(clip, seen, tracker_model)
        start_ns = seen.start_ns
        chosen = seen.reader.choose()
        if not _show_a_human(chosen, tracker_model):
            raise InputError(
                f"{clip.name}: no human face was found, only what looks a little like one. Film your face from the "
                "front, in good light; or give photos."
            )
        refuse_covered([frame.check for frame in chosen], clip.name, name)
        shown = frozenset[str]().union(*(frame.shows for frame in chosen))
        coverage = replace(
            seen.reader.coverage(), missing=tuple(advice for what, advice in WANTED.items() if what not in shown)
        )
        provenance = _provenance(clip.name, chosen, coverage, start_ns)
        return ClipReport(
            make_avatar(name, Portraits.of(chosen), embedder, provenance, record), coverage, tuple(chosen), start_ns
        )


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was read of a clip."""

    reader: SelfieReader
    start_ns: int  # 0 where there was no frame
    crowd: Picture | None  # the last frame with more than one face


def _read(
    clip: SelfieClip, tracker_model: Path, options: EnrolmentOptions, progress: Callable[[float, SelfieReader], None]
) -> _Seen:
    start_ns: int | None = None
    crowd: Picture | None = None
    with (
        nullcontext() if options.same_person else open_face_identity() as identity,
        CagedTracker(tracker_model, "video", patient=not clip.live) as tracker,
    ):
        reader = SelfieReader(identity)
        for frame in clip.frames:
            stamp_ns = frame.capture_ns if clip.live else round(frame.media_s * 1e9)
            start_ns = stamp_ns if start_ns is None else start_ns
            done_s = (stamp_ns - start_ns) / 1e9
            if done_s > clip.seconds:
                break
            if reader.due(stamp_ns):
                face = tracker.track(frame.rgb, stamp_ns)
                crowd = frame.rgb if face.faces > 1 else crowd
                reader.take(frame.rgb, face)
                progress(done_s, reader)
                if clip.live and reader.complete and reader.useful >= MIN_CLIP_FRAMES:
                    break
    return _Seen(reader, start_ns or 0, crowd)


def _refuse_unclear(clip: SelfieClip, seen: _Seen, tracker_model: Path) -> None:
    """Raises InputError where too little can be used, or it is unclear who is meant."""
    reader = seen.reader
    if reader.useful < MIN_CLIP_FRAMES:
        raise InputError(
            f"{clip.name}: {reader.useful or 'none'} of its frames can be used, at least {MIN_CLIP_FRAMES} are needed "
            f"({_faults(reader.coverage())}). Film your face from the front for 20 seconds, in good light, at arm's "
            "length, with nobody else in the picture; or give photos."
        )
    if reader.second_person > SECOND_PERSON_SHARE:
        raise InputError(
            f"{clip.name}: two people are seen about equally long, so it is unclear who is meant.",
            "Cut the clip to one of them, or add --same-person if it is the same person after all.",
            "Cut it to one of them.",
        )
    if seen.crowd is not None and reader.several_faces > CROWD_SHARE and _two_alike(seen.crowd, tracker_model):
        raise InputError(
            f"{clip.name}: two faces are about equally large in {reader.several_faces:.0%} of the frames, so it is "
            "unclear who is meant. Film one person alone, or crop the clip to one of them."
        )


def _two_alike(rgb: Picture, tracker_model: Path) -> bool:
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


def _provenance(clip_name: str, chosen: Sequence[SelfieFrame], coverage: Coverage, start_ns: int) -> dict[str, Any]:
    return made() | {
        "clip": Path(clip_name).name.encode(errors="replace").decode(),
        "frames_looked_at": coverage.frames,
        "frames_used": len(chosen),
        "used_at_s": [round((frame.capture_ns - start_ns) / 1e9, 2) for frame in chosen],
        "missing": list(coverage.missing),
    }
