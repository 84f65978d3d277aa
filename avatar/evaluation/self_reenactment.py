"""Self-reenactment: a person's later frames re-made from earlier ones, and compared with the real thing.

Motion is absolute: position, size and pose are the driver's own, so that prediction and real picture coincide. For the
same reason it is not smoothed: the live loop's filter lags, which is a matter of latency and not of the picture.
Protocol of Zakharov et al., ICCV 2019, section 4: the source frames and the frames to predict come from one clip.
"""

from __future__ import annotations

import numpy as np

from avatar.evaluation.clip import Clip, Pictures, Tick
from avatar.evaluation.person import FF, Person, draw_all
from avatar.retarget.retargeter import Retargeter


def reenact(person: Person, tick: Tick = lambda share: None) -> dict[str, Pictures]:
    """Every system's pictures of the clip's target frames."""
    clip: Clip = person.clip
    retargeter = Retargeter(person.avatars[FF], mode="absolute", frame_crop=clip.crop, smoothing=False)
    retargeter.recalibrate(clip.states[clip.sources[person.shots][0]])  # driver and avatar are one person
    drivings = [retargeter.drive(state) for state in clip.states]
    goals = np.stack([clip.landmarks(i) for i in clip.target_frames])
    return draw_all(person, drivings, goals, clip.target_frames, tick)
