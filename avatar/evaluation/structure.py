"""Is what was drawn still a head on a neck before a wall? The measures of shape, outline and motion, for one clip.

Each is defined in a file of its own; here they are taken of the pictures of `SelfRun`, beside the clip's real ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from avatar.core.arrays import Array
from avatar.evaluation.clip import SIZE_PX, Clip, Moments, Pictures
from avatar.evaluation.face_masks import oval_mask
from avatar.evaluation.flicker import flicker, second_difference
from avatar.evaluation.folds import fold_rate, stretch_rate
from avatar.evaluation.plate import plate_deviation
from avatar.evaluation.scores import PerFrame
from avatar.evaluation.seam import seam
from avatar.evaluation.shoulder_motion import Motion, motion, motion_error, shoulders
from avatar.evaluation.silhouette import Matte, edge_energy, matte_iou, sharpness, silhouette_ring
from avatar.tracking.person_matte import person_mattes


class Structure:
    """The real pictures of a clip, measured once, and sets of drawn ones, by name. Raises VisavisError when the mattes
    fail."""

    def __init__(self, clip: Clip, sets: Mapping[str, Pictures]) -> None:
        self._real, self._sets = clip.targets, sets
        self._goals = [clip.landmarks(i) for i in clip.target_frames]
        mattes = _mattes([clip.targets, *sets.values()])  # together: each call starts a process
        self._mattes, self._drawn_mattes = mattes[0], dict(zip(sets, mattes[1:], strict=True))
        self.ovals = np.stack([oval_mask(goal, SIZE_PX) for goal in self._goals])
        self.rings = np.stack([silhouette_ring(matte) for matte in self._mattes])
        self._energies = [edge_energy(*pair) for pair in zip(clip.targets, self._mattes, strict=True)]
        self._shoulders = [shoulders(*pair) for pair in zip(self._mattes, self._goals, strict=True)]
        self._motions = _motions(clip.targets)
        self._moment_ovals = [oval_mask(clip.landmarks(i), SIZE_PX) for i in clip.moments]
        self._restlessness = self._second_differences(clip.moment_pictures)

    def real(self) -> dict[str, PerFrame]:
        """What of this the real pictures themselves have."""
        return {"plate": np.array([plate_deviation(self._real, self._mattes)])}

    def of(self, name: str, moments: Moments, flows: Array | None) -> dict[str, PerFrame]:
        """Of one set, by metric. The folds are left out without flows."""
        pictures, mattes = self._sets[name], self._drawn_mattes[name]
        energies = [edge_energy(*pair) for pair in zip(pictures, mattes, strict=True)]
        seams = [seam(*three) for three in zip(self._real, pictures, self._goals, strict=True)]
        motions = zip(self._motions, _motions(pictures), self._shoulders[:-1], strict=True)
        found = {
            "matte_iou": [matte_iou(*pair) for pair in zip(self._mattes, mattes, strict=True)],
            "silhouette_sharpness": [sharpness(*pair) for pair in zip(self._energies, energies, strict=True)],
            "seam_mouth": [one["mouth"] for one in seams],
            "seam_eyes": [one["eyes"] for one in seams],
            "plate": [plate_deviation(pictures, [*mattes, *self._mattes])],
            "shoulder_motion": [motion_error(*three) for three in motions],
            "flicker": [
                flicker(*pair) for pair in zip(self._restlessness, self._second_differences(moments), strict=True)
            ],
        }
        if flows is not None:
            ovals = [oval_mask(goal, flows.shape[1]) for goal in self._goals]
            found["fold"] = [fold_rate(*pair) for pair in zip(flows, ovals, strict=True)]
            found["stretch"] = [stretch_rate(*pair) for pair in zip(flows, ovals, strict=True)]
        return {metric: np.array(values, np.float64) for metric, values in found.items()}

    def _second_differences(self, moments: Moments) -> list[float]:
        return [second_difference(*pair) for pair in zip(moments, self._moment_ovals, strict=True)]


def _mattes(sets: Sequence[Pictures]) -> list[list[Matte]]:
    """Of each set; a picture that comes again, as the unmoved portrait does, is looked at once."""
    distinct = {picture.tobytes(): picture for pictures in sets for picture in pictures}
    known = dict(zip(distinct, person_mattes(list(distinct.values())), strict=True))
    return [[known[picture.tobytes()] for picture in pictures] for pictures in sets]


def _motions(pictures: Pictures) -> list[Motion]:
    return [motion(*pair) for pair in pairwise(pictures)]
