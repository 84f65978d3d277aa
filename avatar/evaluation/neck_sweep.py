"""A driver who only moves and comes near, and whose camera changes its size: does the person stay whole?

The driver is the portrait's own face, at rest but for its place and size, through the live product's chain. No real
picture is needed, so nothing but the renderer and the retargeting can be wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from avatar.core.avatar import Avatar
from avatar.evaluation.neck import Lengths, farthest, mark, measure, spread
from avatar.evaluation.person import draw
from avatar.face.state import FaceState
from avatar.retarget.retargeter import Retargeter

FPS, CAMERA_PX = 25, 640
REST_S, MOVE_S, HOLD_S = 1.6, 0.6, 0.4
# across, down (shares of the camera's picture), size, and the camera's longer side
PATH = (
    (0.0, 0.0, 1.0, 640), (0.15, 0.0, 1.0, 640), (-0.15, 0.0, 1.0, 640), (0.0, -0.1, 1.0, 640), (0.0, 0.1, 1.0, 640),
    (0.0, 0.0, 0.65, 640), (0.0, 0.0, 1.4, 640), (0.12, 0.08, 0.8, 640), (0.12, 0.08, 0.8, 320), (0.0, 0.0, 1.0, 320),
    (0.0, 0.0, 1.2, 1280), (0.0, 0.0, 1.0, 640),
)  # fmt: skip


@dataclass(frozen=True)
class Sweep:
    """What became of it. Shares of 1; None where fewer than two pictures could be measured."""

    neck_spread: float | None  # standard deviation over mean
    neck_farthest: float | None  # greatest change from rest
    width_spread: float | None
    lost: int  # pictures in which a mark was not found: the neck's base may have left the picture
    frames: int


def sweep(avatar: Avatar) -> Sweep | None:
    """Of the avatar's first portrait. None where that ends above the neck's base."""
    marked = mark(avatar.portraits[0], avatar.landmarks[0])
    if marked is None:
        return None
    alone = replace(
        avatar,
        portraits=marked.picture[None],
        landmarks=avatar.landmarks[:1],
        blendshapes=avatar.blendshapes[:1],
        mattes=avatar.mattes[:1],
    )
    retargeter = Retargeter(alone)
    states, wanted = driver(alone)
    drivings = [retargeter.drive(state) for state in states]
    pictures = draw(alone, drivings, wanted).pictures
    found = [
        measure(picture, marked.colour, drivings[i].landmarks) for picture, i in zip(pictures, wanted, strict=True)
    ]
    return summary(found)


def summary(found: list[Lengths | None]) -> Sweep:
    """The first one is the rest."""
    known = [one for one in found if one is not None]
    lost = len(found) - len(known)
    if found[0] is None or len(known) < 2:
        return Sweep(None, None, None, lost, len(found))
    necks = [one.neck for one in known]
    width = spread([one.width for one in known])
    return Sweep(spread(necks), farthest(necks, found[0].neck), width, lost, len(found))


def driver(avatar: Avatar) -> tuple[list[FaceState], list[int]]:
    """The states of the whole sweep, and which of them to look at: the end and the middle of each move."""
    centre = avatar.landmarks[0].mean(0)
    spots = [np.array(PATH[0])] * round(REST_S * FPS)
    wanted = [len(spots) - 1]
    for before, after in pairwise(np.array(PATH)):
        steps = np.linspace(0, 1, round(MOVE_S * FPS) + 1)[1:, None]
        moving = before + (3 * steps**2 - 2 * steps**3) * (after - before)
        moving[:, 3] = after[3]  # a camera changes its size from one frame to the next
        spots += [*moving, *[after] * round(HOLD_S * FPS)]
        wanted += [len(spots) - round(HOLD_S * FPS) - len(steps) // 2, len(spots) - 1]
    states = []
    for number, (across, down, size, camera_px) in enumerate(spots):
        # the portrait's face takes half of its crop: in a camera's picture it is some third
        face = (avatar.landmarks[0] - centre) * 0.6 * size + np.array([0.5 + across, 0.5 + down, 0])
        states.append(
            FaceState(
                np.asarray(face * camera_px, np.float32),
                avatar.blendshapes[0],
                np.eye(4, dtype=np.float32),
                1.0,
                round(number * 1e9 / FPS),
                frame_px=round(camera_px),
            )
        )
    return states, wanted
