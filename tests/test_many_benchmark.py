"""Many avatars in one process, as the benchmark draws them."""

from __future__ import annotations

from contextlib import closing
from itertools import islice

import numpy as np

from avatar.face.state import BLENDSHAPE_NAMES, FaceState
from avatar.identity.bundle import find_avatar
from avatar.identity.mattes import open_avatar
from avatar.identity.ready_faces import ready_names
from avatar.sources.motion import MotionRecorder
from benchmarks.many import FPS, NS, Crowd, _wire_kb


def test_avatars_that_share_a_network_are_drawn_in_turn() -> None:
    recorder, blendshapes = MotionRecorder(), np.zeros(len(BLENDSHAPE_NAMES), np.float32)
    landmarks, pose = 512 * open_avatar(find_avatar(ready_names()[0])).landmarks[0], np.eye(4, dtype=np.float32)
    for frame in range(6):
        recorder.add(FaceState(landmarks, blendshapes, pose, 1.0, NS + frame * NS // FPS))
    motion = recorder.motion(512, 512, FPS)
    with closing(Crowd(motion, 2)) as crowd:
        pictures = [picture.copy() for picture in islice(crowd.pictures(), 4)]
    assert {picture.shape for picture in pictures} == {(512, 512, 3)}
    apart = [float(np.abs(pictures[0].astype(int) - other).mean()) for other in pictures[1:]]
    assert apart[1] < 3 < min(apart[0], apart[2])  # first, second, first, second
    assert 0 < _wire_kb(motion, 16) < 10  # who holds still sends next to nothing
