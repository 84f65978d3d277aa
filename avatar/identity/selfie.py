"""The frames of a selfie clip that tell most about a person: turns, mouth shapes, teeth, open and shut eyes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avatar.core.arrays import Array, Picture
from avatar.face.crop import CROP_SIZE_PX, Crop, face_crop
from avatar.face.face_model import face_model
from avatar.face.gaps import eye_width, gaps
from avatar.face.head_pose import head_pose
from avatar.face.regions import LEFT_LID_PAIRS, LIPS_INNER, RIGHT_LID_PAIRS
from avatar.face.state import FaceState
from avatar.identity.face_identity import FaceIdentity, distance
from avatar.identity.photo_check import PhotoCheck, check_face, ramp
from avatar.identity.same_person import FROM_THE_OTHERS
from avatar.render.portrait_choice import FaceCodes, face_codes

MAX_FRAMES = 32
MAX_CANDIDATES = 96  # kept while the clip is read: 190 MB at most
EVERY_NS = 80_000_000  # frames nearer to each other than this tell the same
MIN_SHARPNESS_SHARE = 0.7  # of the clip's median; below, a frame is blurred by motion or by the encoder's start
MAX_LUMA_CHANGE = 0.35  # against the clip's median; a camera finding its exposure, a lamp going on
MIN_NOVELTY = 0.35  # a further frame must differ by this much from each chosen one
# What differs by 1: distances of portrait_choice, by which the renderer picks a portrait, and teeth that show
NOVELTY_SCALE = {"face": 0.15, "mouth": 0.05, "eyes": 0.05, "teeth": 0.5}
TURN_DEG, NOD_DEG = 9.0, 6.0  # from here on a head counts as turned, against its rest
MARGIN = 0.04  # of the crop, which the landmarks must not come nearer to
VIEW = 1.6  # side of what is kept of a frame, in sides of its crop

# What a clip should hold: name -> what to do when it is missing
WANTED = {
    "neutral": "look straight at the camera with your mouth closed for a moment",
    "left": "turn your head a little to the left",
    "right": "turn your head a little to the right",
    "up": "raise your chin a little",
    "down": "lower your chin a little",
    "open": "open your mouth wide",
    "teeth": "show your teeth, as when you laugh",
    "smile": "smile",
    "round": "say “oo”",
    "shut": "close your eyes for a moment",
    "aside": "look to the side with your eyes alone",
}
ON_ITS_SIDE, MAX_ROLL_DEG = "on its side", 50.0  # a clip that says nothing of being turned
# What to do about a frame that cannot be used, by PhotoCheck.fault
MENDS = {
    "small": "come nearer to the camera",
    "cut off": "move so that your whole head is in the picture",
    "turned": "turn back towards the camera",
    "bent": "hold your head upright",
    "dark": "turn towards a lamp or a window: your face is too dark",
    "blurred": "hold still: the picture is blurred",
    ON_ITS_SIDE: "turn the camera: the picture lies on its side",
}
NO_FACE = "move in front of the camera: it sees no face"
OTHER_PERSON = "clear your face, and be alone: it looks like somebody else"


@dataclass(frozen=True)
class SelfieFrame:
    """One frame of the clip, reduced to what the networks need."""

    portrait: Picture  # (512, 512, 3)
    landmarks: Array  # (478, 3) in [0, 1] of the portrait
    blendshapes: Array  # (52,)
    check: PhotoCheck
    shows: frozenset[str]  # names of WANTED
    capture_ns: int


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
class _Candidate:
    view: Picture  # part of the frame about the face, shrunk where a crop would be
    origin: Array  # (3,) of the view, in pixels of the frame
    scale: float  # pixels of the view to one of the frame
    frame_size: tuple[int, int]  # width, height
    face: FaceState
    check: PhotoCheck
    shows: frozenset[str]
    teeth: float
    closed_mouth: float  # in [0, 1]
    eye_gap: float  # in widths of the eye
    several_faces: bool

    def turn(self) -> Array:
        return np.array([self.check.yaw_deg, self.check.pitch_deg, self.check.roll_deg], np.float32)

    def crop(self) -> Crop:
        return face_crop(self.face.landmarks, *self.frame_size)

    def cut(self, crop: Crop) -> tuple[Picture, Array] | None:
        """Portrait and its landmarks; None where the face or the crop's border would be cut off."""
        points = crop.normalise(self.face.landmarks)
        inside = points[:, :2].min() > MARGIN and points[:, :2].max() < 1 - MARGIN
        low = (np.array([crop.x, crop.y]) - self.origin[:2]) * self.scale
        high = low + crop.side * self.scale
        size = np.array(self.view.shape[1::-1])
        if not inside or (low < -0.5).any() or (high > size + 0.5).any():
            return None
        return _square(self.view, low, crop.side * self.scale), points


@dataclass
class _Person:
    """The frames that look like one person."""

    total: Array  # (128,) sum of the descriptors
    count: int = 0
    shown: Counter[str] = field(default_factory=Counter)
    turns: list[tuple[float, float, float]] = field(default_factory=list)  # yaw, pitch, roll
    candidates: list[_Candidate] = field(default_factory=list)

    def mean(self) -> Array:
        """(128,) the mean descriptor."""
        return np.asarray(self.total / self.count, np.float32)

    def rest(self) -> Array:
        """(3,) the turn that the person comes back to: few hold the head, or the camera, quite straight."""
        return np.median(np.array(self.turns, np.float32), axis=0)

    def all_shown(self) -> dict[str, int]:
        """How many frames show each thing of WANTED."""
        rest = self.rest() if self.turns else np.zeros(3, np.float32)
        turned = Counter(name for turn in self.turns for name in _turned(np.array(turn, np.float32) - rest))
        return {name: self.shown[name] + turned[name] for name in WANTED}


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
        candidate = _candidate(rgb, face, check)
        person.count += 1
        person.shown.update(candidate.shows)
        person.turns.append((check.yaw_deg, check.pitch_deg, check.roll_deg))
        person.candidates.append(candidate)
        kept = sum(len(one.candidates) for one in self._people)
        if kept > MAX_CANDIDATES:
            fullest = max(self._people, key=lambda one: len(one.candidates))
            fullest.candidates = _thinned(fullest.candidates)

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
        """At most `count` frames of the main person, the best neutral one first.

        Then the best one of each thing in WANTED, the rarest first, then always the frame that adds most
        (farthest-point sampling: Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985),
        weighed by its quality.
        """
        if not self._people:
            return []
        rest = self._main().rest()
        fit = [replace(one, shows=one.shows | _turned(one.turn() - rest)) for one in _fit(self._main().candidates)]
        quality = _quality(fit)
        codes = _Codes(fit)
        chosen = [int(np.argmax(quality * _neutrality(fit)))]
        nearest = codes.apart(chosen[0])

        def add(index: int) -> None:
            nonlocal nearest
            chosen.append(index)
            nearest = np.minimum(nearest, codes.apart(index))

        owners = {name: [i for i, one in enumerate(fit) if name in one.shows] for name in WANTED}
        for owning in sorted(filter(None, owners.values()), key=len):
            if len(chosen) < count and not set(owning) & set(chosen):
                add(max(owning, key=lambda i: quality[i]))
        while len(chosen) < min(count, len(fit)):
            novelty = np.linalg.norm(nearest, axis=0)
            best = int((novelty * quality).argmax())
            if novelty[best] < MIN_NOVELTY:
                break
            add(best)
        shared = fit[chosen[0]].crop()
        return [_framed(fit[i], shared) for i in chosen]

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


class _Codes:
    """Distances between candidates, by what the renderer chooses among portraits separately."""

    def __init__(self, candidates: list[_Candidate]) -> None:
        self._codes: FaceCodes = face_codes(np.stack([one.face.landmarks for one in candidates]))
        self._teeth = np.array([one.teeth for one in candidates], np.float32)

    def apart(self, index: int) -> Array:
        """(4, N) scaled distances of all to one of them."""
        one = self._codes.rows(np.array([index]))
        rows = [self._codes.distances(one, region) / NOVELTY_SCALE[region] for region in ("face", "mouth", "eyes")]
        return np.stack([*rows, np.abs(self._teeth - self._teeth[index]) / NOVELTY_SCALE["teeth"]]).astype(np.float32)


def _candidate(rgb: Picture, face: FaceState, check: PhotoCheck) -> _Candidate:
    height, width = rgb.shape[:2]
    crop = face_crop(face.landmarks, width, height)
    around = (VIEW - 1) / 2 * crop.side
    x, y = (max(0, int(corner - around)) for corner in (crop.x, crop.y))
    view = rgb[y : int(crop.y + crop.side + around), x : int(crop.x + crop.side + around)]
    scale = min(1.0, CROP_SIZE_PX / crop.side)
    if scale < 1:
        view = np.asarray(cv2.resize(view, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    shape = head_pose(face.landmarks, face_model().mean_shape).remove(face.landmarks)
    teeth = teeth_share(rgb, face.landmarks)
    lids = (RIGHT_LID_PAIRS, LEFT_LID_PAIRS)
    return _Candidate(
        view=view.copy(),
        origin=np.array([x, y, 0], np.float32),
        scale=scale,
        frame_size=(width, height),
        face=face,
        check=check,
        shows=_shows(face, check, teeth),
        teeth=teeth,
        closed_mouth=ramp(-check.lips_apart, -0.2, -0.03),
        eye_gap=min(float(gaps(shape, pairs).max()) / eye_width(shape, pairs) for pairs in lids),
        several_faces=face.faces > 1,
    )


def _shows(face: FaceState, check: PhotoCheck, teeth: float) -> frozenset[str]:
    smile = (face.blendshape("mouthSmileLeft") + face.blendshape("mouthSmileRight")) / 2
    round_lips = max(face.blendshape("mouthPucker"), face.blendshape("mouthFunnel"))
    glance = max(face.blendshape(f"eyeLook{way}{side}") for way in ("In", "Out") for side in ("Left", "Right"))
    frontal = abs(check.yaw_deg) < 12
    signs = {
        "neutral": frontal and check.lips_apart < 0.05 and check.blink < 0.35 and smile < 0.4,
        "open": check.lips_apart > 0.3, "teeth": teeth > 0.25, "smile": smile > 0.4, "round": round_lips > 0.45,
        "shut": check.blink > 0.55, "aside": frontal and glance > 0.45,
    }  # fmt: skip
    return frozenset(name for name, true in signs.items() if true)


def _turned(turn: Array) -> frozenset[str]:
    """`turn`: (3,) yaw, pitch and roll against the person's rest, in degrees."""
    yaw, pitch, _ = turn
    # the picture's right is the person's left
    signs = {"left": yaw > TURN_DEG, "right": yaw < -TURN_DEG, "up": pitch > NOD_DEG, "down": pitch < -NOD_DEG}
    return frozenset(name for name, true in signs.items() if true)


def teeth_share(rgb: Picture, landmarks: Array) -> float:
    """Share of what lies between the lips that is bright and without colour; 0 where they are nearly closed.

    landmarks: (478, 3) in pixels of the (H, W, 3) picture.
    """
    lips = landmarks[list(LIPS_INNER), :2]
    width = float(np.linalg.norm(landmarks[61, :2] - landmarks[291, :2]))
    low = np.maximum(np.floor(lips.min(0)).astype(int), 0)
    part = rgb[low[1] : int(lips[:, 1].max()) + 2, low[0] : int(lips[:, 0].max()) + 2]
    mask = np.zeros(part.shape[:2], np.uint8)
    if mask.size == 0:
        return 0.0
    cv2.fillPoly(mask, [np.rint(lips - low).astype(np.int32)], 1)
    between = part[mask.astype(bool)].astype(np.float32)
    if len(between) < 0.03 * width**2:
        return 0.0
    value, least = between.max(1), between.min(1)
    cheeks = np.clip(landmarks[[50, 280], :2].astype(int), 0, np.array(rgb.shape[1::-1]) - 1)
    skin = float(rgb[cheeks[:, 1], cheeks[:, 0]].max(1).mean())
    return float(np.mean((least > 0.57 * value) & (value > 0.55 * skin)))


def _fit(candidates: list[_Candidate]) -> list[_Candidate]:
    """Without those blurred by motion and those in another light."""
    sharpness = float(np.median([one.check.sharpness for one in candidates]))
    luma = float(np.median([one.check.luma for one in candidates]))
    fit = [
        one
        for one in candidates
        if one.check.sharpness >= MIN_SHARPNESS_SHARE * sharpness
        and abs(one.check.luma - luma) <= MAX_LUMA_CHANGE * luma
    ]
    return fit or candidates


def _quality(candidates: list[_Candidate]) -> Array:
    """(N,) in [0, 1]: sharp, lit like the others, alone in the picture."""
    sharpness = float(np.median([one.check.sharpness for one in candidates]))
    luma = float(np.median([one.check.luma for one in candidates]))
    return np.array(
        [
            ramp(one.check.sharpness, 0.0, max(sharpness, 1e-6))
            * ramp(-abs(one.check.luma - luma) / max(luma, 1.0), -MAX_LUMA_CHANGE, -0.1)
            * (0.5 if one.several_faces else 1.0)
            for one in candidates
        ],
        np.float32,
    )


def _neutrality(candidates: list[_Candidate]) -> Array:
    """(N,) how well each would do as the reference: frontal, mouth closed, eyes open, no grimace."""
    wide = max(float(np.percentile([one.eye_gap for one in candidates], 75)), 1e-6)
    return np.array(
        [
            one.check.score
            * one.closed_mouth
            * ramp(one.eye_gap / wide, 0.5, 0.95)
            * ramp(-max(one.face.blendshape("mouthSmileLeft"), one.face.blendshape("mouthSmileRight")), -0.9, -0.2)
            * ramp(-max(one.face.blendshape("mouthPucker"), one.face.blendshape("mouthFunnel")), -1.2, -0.4)
            for one in candidates
        ],
        np.float32,
    )


def _thinned(candidates: list[_Candidate]) -> list[_Candidate]:
    """Without a quarter of them: of the two most alike always the worse one, unless nothing else shows what it does."""
    codes, worth = _Codes(candidates), _quality(candidates) * (0.5 + _neutrality(candidates))
    apart = np.stack([np.linalg.norm(codes.apart(i), axis=0) for i in range(len(candidates))])
    rows, columns = np.triu_indices(len(candidates), 1)
    owners = Counter(name for one in candidates for name in one.shows)
    gone: set[int] = set()
    for pair in np.argsort(apart[rows, columns]):  # a quarter at once: comparing all at each frame is slow
        i, j = int(rows[pair]), int(columns[pair])
        worse = i if worth[i] < worth[j] else j
        if i not in gone and j not in gone and all(owners[name] > 1 for name in candidates[worse].shows):
            gone.add(worse)
            owners.subtract(candidates[worse].shows)
        if len(gone) >= len(candidates) // 4:
            break
    return [one for i, one in enumerate(candidates) if i not in gone]


def _framed(one: _Candidate, shared: Crop) -> SelfieFrame:
    """By the clip's shared crop, so that the background stays where it is; where the face leaves that, by its own."""
    cut = one.cut(shared)
    if cut is None:
        own = one.crop()
        low = (np.array([own.x, own.y]) - one.origin[:2]) * one.scale
        cut = _square(one.view, low, own.side * one.scale), own.normalise(one.face.landmarks)
    portrait, points = cut
    return SelfieFrame(portrait, points, one.face.blendshapes, one.check, one.shows, one.face.capture_ns)


def _square(view: Picture, low: NDArray[np.floating], side: float) -> Picture:
    """(512, 512, 3) of the square whose upper left corner is `low` (2,)."""
    x, y = np.maximum(low, 0.0)
    box = (float(x), float(y), min(float(x + side), view.shape[1]), min(float(y + side), view.shape[0]))
    picture = Image.fromarray(view).resize((CROP_SIZE_PX, CROP_SIZE_PX), Image.Resampling.LANCZOS, box=box)
    return np.asarray(picture, np.uint8)
