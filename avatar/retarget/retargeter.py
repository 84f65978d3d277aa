"""From the driver's face to the avatar's landmarks: expression and pose move over, the shape of the face does not."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from avatar.identity.avatar import Avatar
from avatar.identity.crop import Crop, face_crop
from avatar.retarget.apertures import eye_width, gaps, mouth_width, set_lid_gaps, set_mouth_gaps
from avatar.retarget.driving import Driving
from avatar.retarget.face_model import face_model
from avatar.retarget.face_regions import INNER_LIP_PAIRS, LEFT_LID_PAIRS, RIGHT_LID_PAIRS
from avatar.retarget.geometry import HeadPose, head_pose
from avatar.retarget.idle import IdleMotion
from avatar.tracking.face_state import FaceState
from avatar.tracking.one_euro import OneEuroFilter

Array = NDArray[np.float32]
Mode = Literal["relative", "absolute"]

CALIBRATION_FRAMES = 60  # over which the driver's neutral face and rest pose are averaged
MAX_TURN_RADIANS = 0.6  # from the portrait's own pose, eased towards: further, one photo holds no picture
MAX_SHIFT = 0.14  # of the crop's side, eased towards likewise
MAX_SCALE_CHANGE = 0.25  # natural logarithm
EASE_OUT_S, EASE_IN_S = 0.8, 0.3  # into the idle pose and back


class Retargeter:
    """Turns FaceStates into Driving for one avatar.

    The driver's neutral shape is what is left of a tracked face when its blendshapes' share is taken away; the avatar's
    comes from its portrait in the same way. `relative` adds the driver's turns and moves since rest to the portrait's
    own pose; `absolute` takes the driver's pose and place as they are in `frame_crop` of the driver's picture.

    Smoothing is a One-Euro filter: at rest it lags 40 ms, in motion below one frame (see `OneEuroFilter`).
    """

    def __init__(
        self, avatar: Avatar, mode: Mode = "relative", frame_crop: Crop | None = None, smoothing: bool = True
    ) -> None:
        self.mode, self.frame_crop, self.smoothing = mode, frame_crop, smoothing
        model = face_model()
        self._source = avatar.landmarks[0]
        self._pose = head_pose(self._source, model.mean_shape)
        self._shape = self._pose.remove(self._source)
        self._neutral = self._shape - model.expression(avatar.blendshapes[0])
        self._mouth_width = mouth_width(self._neutral)
        self._idle = IdleMotion(self._shape, self._pose)
        # units: distances of the outer eye corners; a lip travels some 3 of them a second
        self._shape_filter = OneEuroFilter(min_cutoff_hz=4.0, beta=12.0)
        self._pose_filter = OneEuroFilter(min_cutoff_hz=4.0, beta=12.0)
        self._driven = self._source
        self._presence = 0.0  # 0 idle … 1 driven
        self._last_ns: int | None = None
        self.recalibrate()

    def recalibrate(self, *calm: FaceState) -> None:
        """Forget the driver's neutral face and rest pose; learn them from `calm` alone, else from what comes next."""
        self._frames = 0
        self._fixed = False
        for state in calm:
            if state.found:
                shape, pose = self._seen(state)
                self._learn_neutral(shape, pose, state)
                self._fixed = True

    def drive(self, state: FaceState) -> Driving:
        """The avatar's landmarks for one tracked frame. Without a face, eases to a living idle pose."""
        elapsed_s = 0.0 if self._last_ns is None else max(0.0, (state.capture_ns - self._last_ns) / 1e9)
        first = self._last_ns is None
        self._last_ns = state.capture_ns
        if state.found:
            self._driven = self._transfer(state)
            self._presence = 1.0 if first else min(1.0, self._presence + elapsed_s / EASE_IN_S)
        else:
            self._presence = max(0.0, self._presence - elapsed_s / EASE_OUT_S)
            self._shape_filter.reset()
            self._pose_filter.reset()
        share = self._presence * self._presence * (3 - 2 * self._presence)
        landmarks = self._driven
        if share < 1.0:
            landmarks = share * self._driven + (1 - share) * self._idle.at(state.capture_ns / 1e9)
        return Driving(landmarks.astype(np.float32), state.capture_ns, state.found)

    def _transfer(self, state: FaceState) -> Array:
        shape, pose = self._seen(state)
        if not self._fixed and self._frames < CALIBRATION_FRAMES:
            self._learn_neutral(shape, pose, state)
        return self._placed(pose).apply(self._expressed(shape))

    def _seen(self, state: FaceState) -> tuple[Array, HeadPose]:
        """The driver's pose-free shape and pose, in [0, 1] of the driver's crop, smoothed."""
        if self.frame_crop is None:
            # only differences of place and size matter from here on: any fixed square will do
            width, height = np.ceil(state.landmarks[:, :2].max(0)).astype(int)
            self.frame_crop = face_crop(state.landmarks, max(1, int(width)), max(1, int(height)))
        landmarks = self.frame_crop.normalise(state.landmarks)
        pose = head_pose(landmarks, face_model().mean_shape)
        shape = pose.remove(landmarks)
        if self.smoothing:
            time_s = state.capture_ns / 1e9
            shape = self._shape_filter(shape, time_s)
            pose = _from_vector(self._pose_filter(_to_vector(pose), time_s))
        return shape, pose

    def _learn_neutral(self, shape: Array, pose: HeadPose, state: FaceState) -> None:
        neutral = shape - face_model().expression(state.blendshapes)
        vector = _to_vector(pose)
        if self._frames == 0:
            self._driver_neutral, self._driver_rest = neutral, vector
        else:
            share = 1.0 / (self._frames + 1)
            self._driver_neutral = self._driver_neutral + share * (neutral - self._driver_neutral)
            self._driver_rest = self._driver_rest + share * (vector - self._driver_rest)
        self._frames += 1

    def _expressed(self, shape: Array) -> Array:
        """The avatar's pose-free face with the driver's expression."""
        result = self._neutral + (shape - self._driver_neutral)
        # a shut mouth must be shut whatever the shapes of the two mouths: set the gaps, do not add them
        ratio = self._mouth_width / max(mouth_width(self._driver_neutral), 1e-3)
        result = set_mouth_gaps(result, gaps(shape, INNER_LIP_PAIRS) * ratio)
        for pairs in (RIGHT_LID_PAIRS, LEFT_LID_PAIRS):
            ratio = self._openness(self._neutral, pairs) / self._openness(self._driver_neutral, pairs)
            result = set_lid_gaps(result, pairs, gaps(shape, pairs) * float(np.clip(ratio, 0.5, 2.0)))
        return result

    @staticmethod
    def _openness(shape: Array, pairs: NDArray[np.int_]) -> float:
        return max(float(gaps(shape, pairs).mean()), 0.1 * eye_width(shape, pairs))

    def _placed(self, pose: HeadPose) -> HeadPose:
        if self.mode == "absolute":
            return pose
        rest, own = _from_vector(self._driver_rest), self._pose
        turn = Rotation.from_matrix(pose.rotation @ rest.rotation.T).as_rotvec()
        angle = float(np.linalg.norm(turn))
        turn *= _eased(angle, MAX_TURN_RADIANS) / max(angle, 1e-6)
        scale = float(np.exp(_eased(float(np.log(pose.scale / rest.scale)), MAX_SCALE_CHANGE)))
        shift = (pose.translation - rest.translation) * (own.scale / rest.scale)
        shift[:2] = [_eased(float(x), MAX_SHIFT) for x in shift[:2]]
        return HeadPose(
            (Rotation.from_rotvec(turn).as_matrix() @ own.rotation).astype(np.float32),
            own.scale * scale,
            (own.translation + shift).astype(np.float32),
        )


def _eased(value: float, limit: float) -> float:
    """`value` near zero, never beyond ±`limit`."""
    return limit * float(np.tanh(value / limit))


def _to_vector(pose: HeadPose) -> Array:
    """Rotation vector, log scale, translation in units of the scale: comparable speeds for one filter."""
    turn = Rotation.from_matrix(pose.rotation).as_rotvec()
    return np.concatenate([turn, [np.log(pose.scale)], pose.translation]).astype(np.float32)


def _from_vector(vector: Array) -> HeadPose:
    turn = Rotation.from_rotvec(vector[:3]).as_matrix().astype(np.float32)
    return HeadPose(turn, float(np.exp(vector[3])), vector[4:].astype(np.float32))
