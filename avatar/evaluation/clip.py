"""A clip, tracked once, and its frames shared out: sources in the first half, targets in the second."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture
from avatar.core.errors import InputError
from avatar.face.crop import CROP_SIZE_PX, Crop, face_crop
from avatar.face.state import FaceState
from avatar.identity.clip_turn import turn_upright
from avatar.identity.photo_check import check_photo
from avatar.sources.video_file import VideoFile
from avatar.tracking.caged_tracker import CagedTracker

SIZE_PX = 256
CANDIDATES = 8  # frames of the first half among which the first source is chosen
MOMENTS = 6  # of three frames that follow each other, to see what flickers

Pictures = NDArray[np.uint8]  # (N, SIZE_PX, SIZE_PX, 3) RGB
Moments = NDArray[np.uint8]  # (M, 3, SIZE_PX, SIZE_PX, 3) RGB
Tick = Callable[[float], None]  # told the share done, in [0, 1]


def _silent(share: float) -> None:
    pass


@dataclass(frozen=True)
class Clip:
    """One person's clip. Frame numbers count from 0; frames without a face are neither source nor target.

    The targets and the crop are the same for every number of shots, so results for different numbers compare.
    """

    name: str
    path: Path
    damage: str | None  # when the file is cut off, broken or turned: what was made of it
    states: tuple[FaceState, ...]  # of every frame, landmarks in its pixels
    sources: dict[int, tuple[int, ...]]  # by number of shots; the first, the reference, is the same for all
    unfit: dict[int, str]  # numbers of shots for which this clip has too few frames, with the reason
    target_frames: tuple[int, ...]
    crop: Crop  # the reference frame's, of all pictures
    portraits: dict[int, Picture]  # by frame, (512, 512, 3)
    small: dict[int, Picture]  # the same at (SIZE_PX, SIZE_PX, 3)
    targets: Pictures
    moments: tuple[int, ...]  # the middle ones of three frames that follow each other
    moment_pictures: Moments

    @property
    def without_face(self) -> int:
        return sum(not state.found for state in self.states)

    def landmarks(self, frame: int) -> Array:
        """(478, 3) landmarks in [0, 1] of the crop."""
        return self.crop.normalise(self.states[frame].landmarks)


@dataclass(frozen=True)
class DriverClip:
    """A clip whose person drives somebody else."""

    name: str
    path: Path
    damage: str | None
    states: tuple[FaceState, ...]
    target_frames: tuple[int, ...]
    crop: Crop  # of its first face
    pictures: Pictures  # of the target frames, for contact sheets


def read_clip(path: Path, shots: Sequence[int], max_targets: int, tracker_model: Path, tick: Tick = _silent) -> Clip:
    """Raises InputError, naming the file, for an unreadable clip or one whose halves do not both show a face."""
    video = VideoFile(path)
    turned = turn_upright(video, tracker_model)
    states = track(video, tracker_model, tick)
    early, late = halves(path, states)
    tried = _pictures(video, candidates := spread(early, CANDIDATES))
    with CagedTracker(tracker_model, "image", patient=True) as tracker:
        reference = max(candidates, key=lambda i: check_photo(tried[i], tracker).check.score)
    sources, unfit = choose_sources(path, early, reference, shots)
    targets = spread(late, max_targets)
    moments = spread([i for i in late if {i - 1, i + 1} <= set(late)], MOMENTS)
    used = {i for chosen in sources.values() for i in chosen}
    frames = _pictures(video, [*targets, *used, *(k for i in moments for k in moment(i))])
    crop = face_crop(states[reference].landmarks, video.width, video.height)
    return Clip(
        name=path.stem,
        path=path,
        damage=_noted(turned, video.damage),
        states=tuple(states),
        sources=sources,
        unfit=unfit,
        target_frames=tuple(targets),
        crop=crop,
        portraits={i: crop.cut(frames[i], CROP_SIZE_PX) for i in used},
        small={i: crop.cut(frames[i], SIZE_PX) for i in used},
        targets=np.stack([crop.cut(frames[i], SIZE_PX) for i in targets]),
        moments=tuple(moments),
        moment_pictures=np.array(
            [[crop.cut(frames[k], SIZE_PX) for k in moment(i)] for i in moments], np.uint8
        ).reshape(-1, 3, SIZE_PX, SIZE_PX, 3),
    )


def read_driver_clip(path: Path, max_targets: int, tracker_model: Path, tick: Tick = _silent) -> DriverClip:
    """Raises InputError, naming the file, for an unreadable clip or one without a face."""
    video = VideoFile(path)
    turned = turn_upright(video, tracker_model)
    states = track(video, tracker_model, tick)
    faces = _faces(path, states)
    targets = spread(faces, max_targets)
    frames = _pictures(video, targets)
    crop = face_crop(states[faces[0]].landmarks, video.width, video.height)
    pictures = np.stack([crop.cut(frames[i], SIZE_PX) for i in targets])
    return DriverClip(path.stem, path, _noted(turned, video.damage), tuple(states), tuple(targets), crop, pictures)


def track(video: VideoFile, tracker_model: Path, tick: Tick = _silent) -> list[FaceState]:
    """Every frame's face by one tracker in video mode, as in the live loop; times are the file's, from 0."""
    states = []
    with CagedTracker(tracker_model, "video", patient=True) as tracker:
        for frame in video:
            states.append(tracker.track(frame.rgb, round((frame.media_s - video.first_media_s) * 1e9)))
            tick(min(1.0, len(states) / max(1, video.expected_count)))
    return states


def _noted(*notes: str | None) -> str | None:
    return " ".join(note for note in notes if note) or None


def halves(path: Path, states: Sequence[FaceState]) -> tuple[list[int], list[int]]:
    """The frames with a face in the first and in the second half."""
    faces = _faces(path, states)
    half = len(states) / 2
    early, late = [i for i in faces if i < half], [i for i in faces if i >= half]
    if not early or not late:
        raise InputError(
            f"{path}: only one half of its {len(states)} frames shows a face, but one is needed to learn from and the "
            "other to predict. Take this clip out."
        )
    return early, late


def choose_sources(
    path: Path, early: list[int], reference: int, shots: Sequence[int]
) -> tuple[dict[int, tuple[int, ...]], dict[int, str]]:
    """(source frames by number of shots, reasons why there are no sources for the others).

    The reference first, then the middles of equal parts of the first half: not its first frame, which encoders spoil.
    """
    others = [i for i in early if i != reference]
    sources = {count: (reference, *middles(others, count - 1)) for count in shots if count <= len(early)}
    unfit = {
        count: f"{path}: {len(early)} frames of its first half show a face, but {count} shots were asked for. "
        "Take a longer clip or fewer --shots."
        for count in shots
        if count > len(early)
    }
    return sources, unfit


def spread(indices: list[int], count: int) -> list[int]:
    """At most `count` of the indices, evenly spread, the first and the last among them; of one, the middle one."""
    if len(indices) <= count:
        return indices
    if count == 1:
        return [indices[len(indices) // 2]]
    return [indices[i] for i in np.linspace(0, len(indices) - 1, count).round().astype(int)]


def moment(middle: int) -> tuple[int, int, int]:
    """The frames of a moment."""
    return middle - 1, middle, middle + 1


def middles(indices: list[int], count: int) -> list[int]:
    """`count` of at least so many indices: the middle one of each of `count` equal parts."""
    return [indices[(2 * k + 1) * len(indices) // (2 * count)] for k in range(count)]


def _faces(path: Path, states: Sequence[FaceState]) -> list[int]:
    if not states:
        raise InputError(f"{path}: no frame could be read. Is it a video? Try to play it.")
    faces = [i for i, state in enumerate(states) if state.found]
    if not faces:
        raise InputError(f"{path}: no face in any of its {len(states)} frames. Take this clip out.")
    return faces


def _pictures(video: VideoFile, numbers: Iterable[int]) -> dict[int, Picture]:
    wanted = set(numbers)
    found = {frame.index: frame.rgb for frame in video if frame.index in wanted}
    if missing := wanted - found.keys():
        raise InputError(f"{video.path}: frame {min(missing)} could be read once but not again. Is the file changing?")
    return found
