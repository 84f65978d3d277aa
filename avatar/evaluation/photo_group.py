"""Photos of one person with the head turned: a clip of few frames, for the table of turns.

Clips of people who talk to a camera hold few turns, data sets of photos many. Light and hair differ between occasions,
so the figures compare what drew the same pairs, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from avatar.evaluation.clip import SIZE_PX, Clip
from avatar.evaluation.motion import SIGNALS, signals
from avatar.face.crop import CROP_SIZE_PX, Crop, face_crop
from avatar.face.state import FaceState, Tracker
from avatar.sources.photo import PhotoReader

TURNED_DEG = 16.0  # from the source; groups without such a photo tell nothing that clips do not
APART_NS = 40_000_000  # as of a clip: longer, the retargeter would take for a pause, and go on from the picture before


def read_group(paths: Sequence[Path], reader: PhotoReader, tracker: Tracker, first_ns: int) -> Clip | None:
    """The photo whose face is turned least is the source, those turned from it by TURNED_DEG or more are predicted.
    Each is cut by its own face. None where there are no such photos.

    `first_ns`: later than all that the tracker has seen. Raises InputError for a photo that cannot be read.
    """
    states: list[FaceState] = []
    pictures = []
    for path in paths:
        rgb = reader.load(path)
        state = tracker.track(rgb, first_ns + len(states) * APART_NS)
        if state.found:
            crop = face_crop(state.landmarks, rgb.shape[1], rgb.shape[0])
            points = np.asarray(crop.normalise(state.landmarks) * CROP_SIZE_PX, np.float32)
            states.append(replace(state, landmarks=points, frame_px=CROP_SIZE_PX))
            pictures.append((crop.cut(rgb), crop.cut(rgb, SIZE_PX)))
    if not states:
        return None
    yaws = np.array([signals(state)[SIGNALS.index("yaw")] for state in states])
    source = int(np.abs(yaws).argmin())
    targets = tuple(int(number) for number in np.flatnonzero(np.abs(yaws - yaws[source]) >= TURNED_DEG))
    if not targets:
        return None
    return Clip(
        name=paths[0].stem,
        path=paths[0],
        damage=None,
        states=tuple(states),
        sources={1: (source,)},
        unfit={},
        target_frames=targets,
        crop=Crop(0, 0, CROP_SIZE_PX),
        portraits={source: pictures[source][0]},
        small={source: pictures[source][1]},
        targets=np.stack([pictures[number][1] for number in targets]),
        moments=(),
        moment_pictures=np.zeros((0, 3, SIZE_PX, SIZE_PX, 3), np.uint8),
    )
