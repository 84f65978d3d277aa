"""Self-reenactment: a person's later frames re-made from earlier ones, and compared with the real thing.

Motion is absolute: position, size and pose are the driver's own, so that prediction and real picture coincide. For the
same reason it is not smoothed: the live loop's filter lags, which is a matter of latency and not of the picture.
Protocol of Zakharov et al., ICCV 2019, section 4: the source frames and the frames to predict come from one clip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from avatar.core.arrays import Array
from avatar.evaluation.clip import Clip, Moments, Pictures, Tick, moment
from avatar.evaluation.person import FF, Drawn, Person, draw_all
from avatar.retarget.retargeter import Retargeter


@dataclass(frozen=True)
class SelfRun:
    """By system, what was made of the clip's target frames and of its moments."""

    pictures: dict[str, Pictures]
    flows: dict[str, Array]  # (N, h, w, 2) as of `Painter.flow`, of the systems that have one
    moments: dict[str, Moments]


def reenact(person: Person, tick: Tick = lambda share: None) -> SelfRun:
    """Every system's pictures. A fine-tuning that was not kept gives the very arrays of feed-forward."""
    clip: Clip = person.clip
    retargeter = Retargeter(person.avatars[FF], mode="absolute", frame_crop=clip.crop, smoothing=False)
    retargeter.recalibrate(clip.states[clip.sources[person.shots][0]])  # driver and avatar are one person
    drivings = [retargeter.drive(state) for state in clip.states]
    wanted = sorted({*clip.target_frames, *(k for i in clip.moments for k in moment(i))})
    goals = np.stack([clip.landmarks(i) for i in wanted])
    return _shared_out(clip, wanted, draw_all(person, drivings, goals, wanted, tick))


def _shared_out(clip: Clip, wanted: list[int], drawn: Mapping[str, Drawn]) -> SelfRun:
    targets = [wanted.index(i) for i in clip.target_frames]
    moments = np.array([[wanted.index(k) for k in moment(i)] for i in clip.moments], int).reshape(-1, 3)
    distinct = {id(one): one for one in drawn.values()}
    pictures = {key: one.pictures[targets] for key, one in distinct.items()}
    flows = {key: one.flows[targets] for key, one in distinct.items() if one.flows is not None}
    moving = {key: one.pictures[moments] for key, one in distinct.items()}
    return SelfRun(
        {system: pictures[id(one)] for system, one in drawn.items()},
        {system: flows[id(one)] for system, one in drawn.items() if id(one) in flows},
        {system: moving[id(one)] for system, one in drawn.items()},
    )
