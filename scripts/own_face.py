"""How often is the avatar's own person known while driving, and how often somebody else taken for that person?

    python scripts/own_face.py DATA [--leave-out PATTERN ...]

DATA holds manifest.csv with the columns file and identity, and clips, as for `visavis train`. The portraits are the
frames of a clip's first half; the driver is seen in the second half, in another clip of the same person, or in one of
somebody else: as `Likeness` sees it, by the mean of three frames in which the face can be described.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from fnmatch import fnmatch
from pathlib import Path

import numpy as np

from avatar.core.arrays import Array
from avatar.face.face_descriptor import describable, distance
from avatar.identity.face_identity import FaceIdentity, open_face_identity
from avatar.learning.dataset.source_layouts import manifest_sources
from avatar.retarget.likeness import KEPT, OTHER, OWN
from avatar.sources.video_file import VideoFile
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model

CLIP_FRAMES, LEAST_FRAMES = 16, 6
LIMITS = (0.35, 0.4, OWN, 0.5, OTHER, 0.6, 0.65)


def descriptors(path: Path, tracker: CagedTracker, identity: FaceIdentity) -> list[Array]:
    """Of frames spread over the clip, in their order."""
    video, found = VideoFile(path), []
    stride = max(1, (video.expected_count or 100) // CLIP_FRAMES)
    for shown in video.shown():
        if shown.number % stride == 0:
            rgb = shown.rgb()
            if describable(face := tracker.track(rgb, 0)):
                found.append(identity.descriptor(rgb, face.landmarks))
    return found


def drivers(seen: list[Array]) -> list[Array]:
    """Each mean of KEPT of them."""
    return [np.mean(seen[at : at + KEPT], axis=0) for at in range(0, len(seen) - KEPT + 1, KEPT)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--leave-out", nargs="*", default=[], metavar="PATTERN", help="files of the manifest")
    options = parser.parse_args()
    files = [file for file in manifest_sources(options.data).files if file.is_video]
    files = [file for file in files if not any(fnmatch(file.name, pattern) for pattern in options.leave_out)]
    clips: list[tuple[str, list[Array]]] = []  # who, and what is seen
    with open_face_identity() as identity, CagedTracker(tracker_model(), "image", patient=True) as tracker:
        for file in files:
            seen = descriptors(options.data / file.name, tracker, identity)
            if len(seen) >= LEAST_FRAMES:
                clips.append((file.identity, seen))
    apart: dict[str, list[float]] = defaultdict(list)
    nearest: dict[tuple[str, str], float] = {}
    for at, (person, seen) in enumerate(clips):
        half = len(seen) // 2
        own = np.mean(seen[:half], axis=0)
        apart["the same clip"] += [distance(driver, own) for driver in drivers(seen[half:])]
        for other_at, (other, others) in enumerate(clips):
            if other_at != at:
                case = "another clip of the same person" if other == person else "somebody else"
                distances = [distance(driver, own) for driver in drivers(others)]
                apart[case] += distances
                if other != person:
                    nearest[person, other] = min(nearest.get((person, other), 9.0), *distances)
    people = len({person for person, _ in clips})
    print(f"{len(clips)} clips of {people} people; the nearest of {len(nearest)} pairs: {min(nearest.values()):.3f}")
    print("driver | number |", " | ".join(f"≤ {limit}" for limit in LIMITS))
    for case, values in apart.items():
        shares = [f"{np.mean(np.array(values) <= limit):.3%}" for limit in LIMITS]
        print(case, len(values), *shares, sep=" | ")


if __name__ == "__main__":
    main()
