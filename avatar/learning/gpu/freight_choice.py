"""Which frames of a data set to take where few fit: all stills, and of clips the frames that differ most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from avatar.core.arrays import Array
from avatar.face.face_codes import REGIONS, FaceCodes, face_codes

PER_CLIP_LEAST = 2  # a frame alone teaches no motion
MOST_PER_CLIP = 200


def by_difference(landmarks: Array, most: int = MOST_PER_CLIP) -> list[int]:
    """Frames of one clip, (N, 478, 3), in the order in which each is the farthest from all before it.

    Far is what another pose, another mouth or other eyes make.
    """
    codes = face_codes(landmarks)
    order = [0]
    nearest = _distances(codes, 0)
    while len(order) < min(most, len(landmarks)):
        farthest = int(nearest.argmax())
        if nearest[farthest] <= 0:
            break
        order.append(farthest)
        nearest = np.minimum(nearest, _distances(codes, farthest))
    return order


def _distances(codes: FaceCodes, row: int) -> Array:
    one = codes.rows(np.array([row]))
    return np.asarray(sum(codes.distances(one, region) for region in REGIONS), np.float32)


def ranked(clips: Sequence[tuple[str, Sequence[int]]]) -> list[tuple[int, int]]:
    """(clip, frame) of all clips, the most useful first. `clips`: whose each is, and its frames by difference.

    Everybody's clips take turns, and who has many clips gets the root of that many turns. Two frames of a clip come
    together, or it would teach nothing.
    """
    of_person = Counter(person for person, _ in clips)
    places = [
        (max(turn + 1, PER_CLIP_LEAST) * float(np.sqrt(of_person[person])), turn, number, frame)
        for number, (person, order) in enumerate(clips)
        if len(order) >= PER_CLIP_LEAST
        for turn, frame in enumerate(order)
    ]
    # the first frames of a clip stand side by side, so that a cut between shards seldom parts them
    places.sort(key=lambda place: (place[0], place[2], place[1]))
    return [(number, frame) for _, _, number, frame in places]
