"""A selfie clip, read frame by frame: whose it is, what it shows, what to do next, and the frames that tell most."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.face.crop import face_crop
from avatar.face.face_descriptor import distance
from avatar.face.state import FaceState
from avatar.identity.face_identity import FaceIdentity
from avatar.identity.photo_check import check_face
from avatar.identity.same_person import FROM_THE_OTHERS
from avatar.identity.selfie_choice import choose, thinned
from avatar.identity.selfie_frame import Candidate, SelfieFrame, candidate
from avatar.identity.selfie_signs import MAX_ROLL_DEG, MENDS, NO_FACE, ON_ITS_SIDE, OTHER_PERSON, WANTED, turned

MAX_FRAMES = 32
MAX_CANDIDATES = 96  # kept while the clip is read: 190 MB at most
EVERY_NS = 80_000_000  # frames nearer to each other than this tell the same


@dataclass(frozen=True)
class Coverage:
    """What a clip held. Frames nearer to each other than EVERY_NS are not looked at and not counted."""

    frames: int
    without_face: int
    with_several_faces: int
    of_others: int  # of somebody else, or with the face covered
    refused: dict[str, int]  # by PhotoCheck.fault, or ON_ITS_SIDE
    shown: dict[str, int]  # frames that show each thing of WANTED
    yaw_deg: tuple[float, float]  # the least and the most
    pitch_deg: tuple[float, float]
    roll_deg: tuple[float, float]
    missing: tuple[str, ...]  # what to do so that nothing is missing, as parts of a sentence


@dataclass
class _Person:
    """The frames that look like one person."""

    total: Array  # (128,) sum of the descriptors
    count: int = 0
    shown: Counter[str] = field(default_factory=Counter)
    turns: list[tuple[float, float, float]] = field(default_factory=list)  # yaw, pitch, roll
    candidates: list[Candidate] = field(default_factory=list)

    def mean(self) -> Array:
        """(128,) the mean descriptor."""
        return np.asarray(self.total / self.count, np.float32)

    def rest(self) -> Array:
        """(3,) the turn that the person comes back to: few hold the head, or the camera, quite straight."""
        return np.median(np.array(self.turns, np.float32), axis=0)

    def all_shown(self) -> dict[str, int]:
        """How many frames show each thing of WANTED."""
        rest = self.rest() if self.turns else np.zeros(3, np.float32)
        by_turn = Counter(name for turn in self.turns for name in turned(np.array(turn, np.float32) - rest))
        return {name: self.shown[name] + by_turn[name] for name in WANTED}


class SelfieReader:
    """Takes the tracked frames of a clip one by one, and at the end chooses among them.

    `identity` tells people apart: the clip is that of the person with the most frames. None: all frames are taken for
    one person.
    """

    def __init__(self, identity: FaceIdentity | None) -> None:
        self._identity = identity
        self._people: list[_Person] = []
        self._frames = self._without_face = self._several = 0
        self._refused: Counter[str] = Counter()
        self._trouble: str | None = NO_FACE
        self._last_ns: int | None = None

    def due(self, stamp_ns: int) -> bool:
        """Is the frame of this time looked at, or is it too near to the last one?"""
        return self._last_ns is None or not 0 <= stamp_ns - self._last_ns < EVERY_NS

    def take(self, rgb: Picture, face: FaceState) -> None:
        """A frame (H, W, 3) with its tracked face, at `face.capture_ns`. Skipped where it is not `due`."""
        if not self.due(face.capture_ns):
            return
        self._last_ns = face.capture_ns
        self._frames += 1
        if not face.found:
            self._without_face += 1
            self._trouble = NO_FACE
            return
        self._several += face.faces > 1
        height, width = rgb.shape[:2]
        check = check_face(rgb, face, face_crop(face.landmarks, width, height))
        fault = check.fault or (ON_ITS_SIDE if abs(check.roll_deg) > MAX_ROLL_DEG else None)
        if fault is not None:
            self._refused[fault] += 1
            self._trouble = MENDS.get(fault)
            return
        person = self._whose(rgb, face)
        self._trouble = None if person is self._main() else OTHER_PERSON
        kept = candidate(rgb, face, check)
        person.count += 1
        person.shown.update(kept.shows)
        person.turns.append((check.yaw_deg, check.pitch_deg, check.roll_deg))
        person.candidates.append(kept)
        if sum(len(one.candidates) for one in self._people) > MAX_CANDIDATES:
            fullest = max(self._people, key=lambda one: len(one.candidates))
            fullest.candidates = thinned(fullest.candidates)

    def hint(self) -> str:
        """What the person should do now, as part of a sentence: mend the last frame's trouble, else what is missing."""
        missing = self.coverage().missing
        return self._trouble or (missing[0] if missing else "nothing is missing any more")

    @property
    def complete(self) -> bool:
        """Has everything in WANTED been seen?"""
        return bool(self._people) and all(self._main().all_shown().values())

    @property
    def several_faces(self) -> float:
        """Share of the frames looked at that show more than one face."""
        return self._several / max(self._frames, 1)

    @property
    def useful(self) -> int:
        """How many frames could be used."""
        return self._main().count if self._people else 0

    @property
    def second_person(self) -> float:
        """How many frames another person has, over those of the person with the most."""
        counts = sorted((one.count for one in self._people), reverse=True)
        return counts[1] / counts[0] if len(counts) > 1 else 0.0

    def coverage(self) -> Coverage:
        main = self._main() if self._people else _Person(np.zeros(0, np.float32))
        turns, shown = np.array(main.turns or [(0.0, 0.0, 0.0)]), main.all_shown()
        yaw, pitch, roll = ((float(values.min()), float(values.max())) for values in turns.T)
        return Coverage(
            frames=self._frames,
            without_face=self._without_face,
            with_several_faces=self._several,
            of_others=sum(one.count for one in self._people) - main.count,
            refused=dict(self._refused),
            shown=shown,
            yaw_deg=yaw,
            pitch_deg=pitch,
            roll_deg=roll,
            missing=tuple(advice for name, advice in WANTED.items() if not shown[name]),
        )

    def choose(self, count: int = MAX_FRAMES) -> list[SelfieFrame]:
        """At most `count` frames of the main person, the best neutral one first. See `selfie_choice`."""
        if not self._people:
            return []
        rest = self._main().rest()
        return choose(
            [replace(one, shows=one.shows | turned(one.turn() - rest)) for one in self._main().candidates], count
        )

    def _main(self) -> _Person:
        return max(self._people, key=lambda one: one.count)

    def _whose(self, rgb: Picture, face: FaceState) -> _Person:
        """The person that the face resembles most, or a new one."""
        seen = np.zeros(1, np.float32) if self._identity is None else self._identity.descriptor(rgb, face.landmarks)
        near = min(self._people, key=lambda one: distance(seen, one.mean()), default=None)
        if near is None or distance(seen, near.mean()) > FROM_THE_OTHERS:
            near = _Person(np.zeros_like(seen))
            self._people.append(near)
        near.total = near.total + seen
        return near
