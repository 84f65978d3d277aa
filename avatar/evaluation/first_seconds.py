"""What is left of a smile with which a driver began, and how late the avatar is. Nothing is drawn for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from avatar.core.arrays import Array
from avatar.core.avatar import Avatar
from avatar.face.driving import Driving
from avatar.face.face_model import face_model
from avatar.face.gaps import gaps
from avatar.face.head_pose import head_pose
from avatar.face.regions import INNER_LIP_PAIRS, LIPS_INNER, LIPS_OUTER
from avatar.face.state import FaceState
from avatar.render.arch import MILLIMETRE
from avatar.retarget.retargeter import Retargeter

AFTER_S = (1.0, 5.0, 20.0)  # from the smile's end
WINDOW_S = 1.0  # of which the mean is taken
SETTLED_S = 1.0  # the lag is told of what comes after
LONGEST_LAG_S = 0.2
_MOUTH = [*LIPS_OUTER, *LIPS_INNER]
_STEP_S = 0.001

Signal = NDArray[np.float64]


def there_and_back(count: int, first: int, least: int) -> list[int]:
    """At least so many frames of a clip of `count`, from `first` to its end, back to its start, and so on."""
    order = [*range(first, count - 1), *range(count - 1, 0, -1)]
    while len(order) < least:
        order += [*range(count - 1), *range(count - 1, 0, -1)]
    return order


def left_of_a_smile(avatar: Avatar, states: Sequence[FaceState], smile: range, step_ns: int) -> tuple[float, ...]:
    """How far, in mm and AFTER_S, a smile that came first puts the avatar's lips from where they are meant to be.

    Meant: where the same words put them, if the driver began with those.
    """
    least = round((AFTER_S[-1] + WINDOW_S) * 1e9 / step_ns) + 1
    talk = there_and_back(len(states), smile[-1] + 1, least)
    begun = _lips(avatar, [states[i] for i in (*smile, *talk)], step_ns)[len(smile) :]
    meant = _lips(avatar, [states[i] for i in talk], step_ns)
    off_mm = np.linalg.norm(begun - meant, axis=2).mean(1) / MILLIMETRE
    starts = [round(after * 1e9 / step_ns) for after in AFTER_S]
    return tuple(float(off_mm[start : start + round(WINDOW_S * 1e9 / step_ns)].mean()) for start in starts)


def mouth_lag_ms(states: Sequence[FaceState], drivings: Sequence[Driving]) -> float | None:
    """The delay at which the avatar's mouth opens most like the driver's. None where the driver's hardly does."""
    pairs = [(s.capture_ns / 1e9, _opening(s.landmarks), _opening(d.landmarks))
             for s, d in zip(states, drivings, strict=True) if s.found]  # fmt: skip
    time_s, driver, avatar = np.array(pairs, np.float64).reshape(-1, 3).T
    settled = time_s >= (time_s[0] if len(time_s) else 0) + SETTLED_S
    time_s, driver, avatar = time_s[settled], driver[settled], avatar[settled]
    if len(time_s) < 2 or time_s[-1] - time_s[0] < 4 * LONGEST_LAG_S or driver.std() < MILLIMETRE:
        return None
    fine_s = np.arange(time_s[0] + LONGEST_LAG_S, time_s[-1] - LONGEST_LAG_S, _STEP_S)
    wanted, shown = CubicSpline(time_s, driver)(fine_s), CubicSpline(time_s, avatar)
    delays_s = np.arange(-LONGEST_LAG_S / 4, LONGEST_LAG_S, _STEP_S)
    likeness = [np.corrcoef(wanted, shown(fine_s + delay_s))[0, 1] for delay_s in delays_s]
    return 1e3 * float(delays_s[int(np.argmax(likeness))])


def _lips(avatar: Avatar, states: Sequence[FaceState], step_ns: int) -> Array:
    """(N, 40, 2) of the pose-free face."""
    retargeter = Retargeter(avatar)
    drivings = [retargeter.drive(replace(state, capture_ns=i * step_ns)) for i, state in enumerate(states)]
    return np.stack([_shape(driving.landmarks)[_MOUTH, :2] for driving in drivings])


def _opening(landmarks: Array) -> float:
    return float(gaps(_shape(landmarks), INNER_LIP_PAIRS).max())


def _shape(landmarks: Array) -> Array:
    return head_pose(landmarks, face_model().mean_shape).remove(landmarks)
