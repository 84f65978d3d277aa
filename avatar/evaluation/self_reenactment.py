"""Self-reenactment: a person's later frames re-made from earlier ones, and compared with the real thing.

Motion is absolute: position, size and pose are the driver's own, so that prediction and real picture coincide. For the
same reason it is not smoothed: the live loop's filter lags, which is a matter of latency and not of the picture.
Protocol of Zakharov et al., ICCV 2019, section 4: the source frames and the frames to predict come from one clip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatar.errors import InputError
from avatar.evaluation.baselines import landmark_warp
from avatar.identity.avatar import Avatar
from avatar.identity.crop import CROP_SIZE_PX, Crop, face_crop
from avatar.identity.embedding import embed
from avatar.identity.photo_check import check_photo
from avatar.live.renderer import Renderer
from avatar.retarget.retargeter import Retargeter
from avatar.sources.video_file import VideoFile
from avatar.tracking.face_landmarker import FaceTracker
from avatar.tracking.face_state import FaceState
from engines.engine import Engine

SIZE_PX = 256
UNMOVED, WARP, VISAVIS = "unmoved", "landmark_warp", "visavis"
SYSTEMS = (UNMOVED, WARP, VISAVIS)

Pictures = NDArray[np.uint8]  # (N, SIZE_PX, SIZE_PX, 3) RGB
Tick = Callable[[float], None]  # told the share done of one clip, in [0, 1]


@dataclass(frozen=True)
class ClipRun:
    """The pictures of one clip. All pictures and `driver` go by `target_frames`; frame numbers count from 0."""

    clip: str
    path: Path
    damage: str | None  # one sentence when the file is cut off or broken: what was readable was used
    frame_count: int
    without_face: int  # frames of the clip in which no face was tracked; none of them is a source or a target
    source_frames: tuple[int, ...]  # the first is the one that is animated
    target_frames: tuple[int, ...]
    crop: Crop  # on the original frame, the same for source and targets
    source: NDArray[np.uint8]  # (SIZE_PX, SIZE_PX, 3)
    driver: tuple[FaceState, ...]  # landmarks in pixels of the original frame
    targets: Pictures
    predictions: dict[str, Pictures]  # by system

    def driver_landmarks(self, i: int) -> NDArray[np.float32]:
        """(478, 3) landmarks of the i-th target in pixels of the pictures."""
        return self.crop.normalise(self.driver[i].landmarks) * SIZE_PX


@dataclass(frozen=True)
class SelfReenactment:
    """The product's own chain, run on a clip. One tracker per clip, in video mode, as in the live loop."""

    tracker_model: Path
    embedder: Engine
    generator: Engine
    model_id: str
    shots: int = 1
    max_targets: int = 60

    def run(self, path: Path, tick: Tick = lambda share: None) -> ClipRun:
        """Raises InputError, naming the file, for an unreadable clip or one with too few frames that show a face."""
        video = VideoFile(path)
        states = self._track(video, tick)
        source_frames, target_frames = choose_frames(path, states, self.shots, self.max_targets)
        needed = {*source_frames, *target_frames}
        chosen = {frame.index: frame.rgb for frame in video if frame.index in needed}
        if missing := needed - chosen.keys():
            raise InputError(f"{path}: frame {min(missing)} could be read once but not again. Is the file changing?")
        source_frames = self._best_first(source_frames, chosen)
        crops = [face_crop(states[i].landmarks, video.width, video.height) for i in source_frames]
        crop = crops[0]
        avatar = self._avatar(path.stem, [states[i] for i in source_frames], crops, [chosen[i] for i in source_frames])
        source = crop.cut(chosen[source_frames[0]], SIZE_PX)
        source_landmarks = crop.normalise(states[source_frames[0]].landmarks)
        retargeter = Retargeter(avatar, mode="absolute", frame_crop=crop, smoothing=False)
        retargeter.recalibrate(states[source_frames[0]])  # driver and avatar are one person: the portrait calibrates
        renderer = Renderer(avatar, self.generator, size_px=SIZE_PX)
        wanted = set(target_frames)
        warped, drawn = [], []
        for i, state in enumerate(states):
            driving = retargeter.drive(state)
            if i in wanted:
                warped.append(landmark_warp(source, source_landmarks, crop.normalise(state.landmarks)))
                drawn.append(renderer.render(driving))
                tick(0.5 + 0.5 * len(drawn) / len(wanted))
        return ClipRun(
            clip=path.stem,
            path=path,
            damage=video.damage,
            frame_count=len(states),
            without_face=sum(not state.found for state in states),
            source_frames=source_frames,
            target_frames=target_frames,
            crop=crop,
            source=source,
            driver=tuple(states[i] for i in target_frames),
            targets=np.stack([crop.cut(chosen[i], SIZE_PX) for i in target_frames]),
            predictions={UNMOVED: np.stack([source] * len(drawn)), WARP: np.stack(warped), VISAVIS: np.stack(drawn)},
        )

    def _track(self, video: VideoFile, tick: Tick) -> list[FaceState]:
        states = []
        with FaceTracker(self.tracker_model, mode="video") as tracker:
            for frame in video:
                states.append(tracker.track(frame.rgb, round(frame.media_s * 1e9)))
                tick(0.5 * min(1.0, len(states) / max(1, video.expected_count)))
        return states

    def _best_first(self, frames: tuple[int, ...], pictures: dict[int, NDArray[np.uint8]]) -> tuple[int, ...]:
        """The best portrait in front, by the score that enrolment goes by; the others in their order."""
        if len(frames) == 1:
            return frames
        with FaceTracker(self.tracker_model, mode="image") as tracker:
            best = max(frames, key=lambda i: check_photo(pictures[i], tracker).check.score)
        return (best, *(i for i in frames if i != best))

    def _avatar(self, name: str, states: list[FaceState], crops: list[Crop], frames: list[NDArray[np.uint8]]) -> Avatar:
        portraits = np.stack([crop.cut(rgb, CROP_SIZE_PX) for crop, rgb in zip(crops, frames, strict=True)])
        landmarks = np.stack([crop.normalise(state.landmarks) for crop, state in zip(crops, states, strict=True)])
        embedding, psi = embed(self.embedder, portraits, landmarks)
        return Avatar(name, self.model_id, portraits[:1], landmarks[:1], states[0].blendshapes[None], embedding, psi)


def choose_frames(
    path: Path, states: list[FaceState], shots: int, max_targets: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(source frames, target frames) among those with a face.

    One shot: the first such frame, and all later ones. More: spread over the first half, and all of the second half.
    Targets are thinned evenly to `max_targets`.
    """
    if not states:
        raise InputError(f"{path}: no frame could be read. Is it a video? Try to play it.")
    faces = [i for i, state in enumerate(states) if state.found]
    if not faces:
        raise InputError(f"{path}: no face in any of its {len(states)} frames. Take this clip out.")
    half = len(states) / 2
    early = faces[:1] if shots == 1 else [i for i in faces if i < half]
    late = faces[1:] if shots == 1 else [i for i in faces if i >= half]
    if len(early) < shots or not late:
        raise InputError(
            f"{path}: {len(early)} frames with a face to learn from and {len(late)} to predict, but {shots} and at "
            "least 1 are needed. Take a longer clip or fewer --shots."
        )
    return tuple(_spread(early, shots)), tuple(_spread(late, max_targets))


def _spread(indices: list[int], count: int) -> list[int]:
    """At most `count` of the indices, evenly spread, the first and the last among them."""
    if len(indices) <= count:
        return indices
    return [indices[i] for i in np.linspace(0, len(indices) - 1, count).round().astype(int)]
