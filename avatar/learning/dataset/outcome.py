"""What becomes of a source file: tracks, stretches of frames that show one face, or the reason that it gives none."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from avatar.core.arrays import Array
from avatar.identity.photo_check import MAX_YAW_DEG, MIN_FACE_PX

# why a frame, or a whole file, is not used
UNREADABLE = "unreadable file"
CRASHED = "crashed the reader"
KILLED = "killed the process that read it"
DAMAGED = "damaged, used in part"
NO_FACE = "no face"
SEVERAL_FACES = "several faces of similar size"
SMALL_FACE = "face too small"
TURNED = "head turned too far"
BLURRED = "face blurred"
LEAVES_CROP = "head leaves the crop"
PADDED = "padding in the crop"
NEAR_STILL = "hardly differs from the frame before"
TOO_SHORT = "track too short"
OTHER_PERSON = "another person"


@dataclass(frozen=True, slots=True)
class TrackRules:
    """What a track must be. Changing one changes the data set."""

    fps: float = 12.5  # frames taken of a clip: neighbours at 25 teach the same thing
    min_face_px: int = MIN_FACE_PX
    min_frames: int = 6  # of a clip's track
    max_turn_deg: float = MAX_YAW_DEG  # to the side, up or down
    jpeg_quality: int = 95  # always 4:4:4: at half the chroma, lips bleed


@dataclass(frozen=True)
class Track:
    """N frames of one face in one fixed crop. A still is a track of one."""

    jpegs: list[bytes]
    landmarks: Array  # (N, 478, 3) in [0, 1] of the crop
    blendshapes: Array  # (N, 52)
    times_s: list[float]
    is_clip: bool
    about: dict[str, Any]  # crop, size of the picture

    def __len__(self) -> int:
        return len(self.jpegs)


@dataclass
class Outcome:
    """What became of one file. `refusal`: why nothing of it is used."""

    tracks: list[Track] = field(default_factory=list)
    seen: int = 0  # frames looked at
    dropped: Counter[str] = field(default_factory=Counter)  # frames by reason
    cuts: int = 0
    histograms: dict[str, list[int]] = field(default_factory=dict)  # of the tracks' frames, see face_figures
    damage: str | None = None
    refusal: str | None = None
    detail: str = ""
