"""Percentiles of the face identity network's distances between pictures of one person and of different people.

    python scripts/face_identity_distances.py DATA [--leave-out PATTERN ...]

DATA holds manifest.csv with the columns file, identity and source, stills and clips, as for `visavis train`. Different
people are compared within one source only, because two sources may show one person under two names.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from fnmatch import fnmatch
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avatar.core.arrays import Array
from avatar.face.face_descriptor import distance
from avatar.face.face_model import face_model
from avatar.face.head_pose import head_pose
from avatar.identity.face_identity import FaceIdentity, open_face_identity
from avatar.identity.photo_check import MAX_YAW_DEG, MIN_FACE_PX
from avatar.learning.dataset.source_layouts import manifest_sources
from avatar.sources.video_file import VideoFile
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model

PERCENTILES = (1, 5, 50, 95, 99, 99.9, 100)
LIMITS = (0.5, 0.6, 0.65, 0.7, 0.75)
CLIP_FRAMES = 8
SMALL_PX = 60
SMALL_EVERY = 4  # stills


def pictures(path: Path) -> Iterator[NDArray[np.uint8]]:
    """The still, or frames spread over the clip."""
    if path.suffix != ".mp4":
        yield np.asarray(Image.open(path).convert("RGB"))
        return
    video = VideoFile(path)
    stride = max(1, (video.expected_count or 100) // CLIP_FRAMES)
    for shown in video.shown():
        if shown.number % stride == 0:
            yield shown.rgb()


def describe(rgb: NDArray[np.uint8], tracker: CagedTracker, identity: FaceIdentity) -> tuple[Array, float] | None:
    """Descriptor and face size of a picture that enrolment would take, else None."""
    face = tracker.track(rgb, 0)
    if not face.found:
        return None
    size_px = float(np.ptp(face.landmarks[:, :2], axis=0).max())
    forward = head_pose(face.landmarks, face_model().mean_shape).rotation[:, 2]
    if size_px < MIN_FACE_PX or np.degrees(np.arccos(np.clip(forward[2], -1, 1))) > MAX_YAW_DEG:
        return None
    return identity.descriptor(rgb, face.landmarks), size_px


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--leave-out", nargs="*", default=[], metavar="PATTERN", help="files of the manifest")
    options = parser.parse_args()
    listed = manifest_sources(options.data).files
    files = [file for file in listed if not any(fnmatch(file.name, pattern) for pattern in options.leave_out)]
    groups: dict[tuple[str, str], list[tuple[str, str, Array]]] = defaultdict(list)  # (kind, source) -> pictures
    distances: dict[str, list[float]] = defaultdict(list)
    with open_face_identity() as identity, CagedTracker(tracker_model(), "image", patient=True) as tracker:
        for number, file in enumerate(files):
            clip = file.is_video
            for rgb in pictures(options.data / file.name):
                if (found := describe(rgb, tracker, identity)) is None:
                    continue
                descriptor, size_px = found
                # all clips count as one source: they share no person
                groups["clips" if clip else "stills", "" if clip else file.columns["source"]].append(
                    (file.identity, file.name, descriptor)
                )
                if not clip and number % SMALL_EVERY == 0:
                    factor = SMALL_PX / size_px
                    small = cv2.resize(rgb, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
                    if again := describe(np.asarray(small, np.uint8), tracker, identity):
                        distances[f"one still, full and with a face of {SMALL_PX} px"].append(
                            distance(descriptor, again[0])
                        )
    for (kind, _), members in groups.items():
        for (person, file_name, a), (other, other_name, b) in combinations(members, 2):
            if person != other:
                case = f"different people, {kind}"
            elif kind == "stills":
                case = "one person, two stills"
            else:
                case = "one person, one clip" if file_name == other_name else "one person, two clips"
            distances[case].append(float(np.linalg.norm(a - b)))
    print("case | pairs |", " | ".join(f"{p} %" for p in PERCENTILES), "|", " | ".join(f"> {x}" for x in LIMITS))
    for case, values in sorted(distances.items()):
        cells = [f"{v:.3f}" for v in np.percentile(values, PERCENTILES)]
        cells += [f"{np.mean(np.array(values) > limit):.4f}" for limit in LIMITS]
        print(case, len(values), *cells, sep=" | ")


if __name__ == "__main__":
    main()
