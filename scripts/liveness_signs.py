"""How often do people, and photos that are moved by hand, show what the liveness challenge asks for? Prints the table.

    python scripts/liveness_signs.py DATA

DATA holds manifest.csv with the columns file, identity, source and split, clips and stills, as for `visavis train`.
Clips and photos are those of split val. People talk in the clips, and nobody asks them for anything. Photos are turned
by up to 45°, tilted by 15° and moved nearer, as paper before a camera. Smiles: all pairs of neutral and smiling stills
of the London Set.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from avatar.core.arrays import Picture
from avatar.evaluation.manifest import STILLS
from avatar.face.state import FaceState
from avatar.identity.liveness import GESTURES, HELD_S, LivenessChallenge
from avatar.identity.liveness_signs import Gesture, Signs, gestures
from avatar.learning.dataset.source_layouts import manifest_sources
from avatar.learning.dataset.split import VAL
from avatar.sources.photo import load_photo
from avatar.sources.video_file import VideoFile
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model

NAMES = tuple(GESTURES)
FRAME_NS, MOVED_FRAMES, ORDERS = 40_000_000, 60, 5
ME = np.zeros((1, 128), np.float32)


def moved(photo: Picture, index: int) -> Picture:
    """(360, 480, 3): a photo on paper before a camera, at frame `index` of a hand that turns, tilts and nears it."""
    yaw, pitch, near = 45 * np.sin(index / 9), 15 * np.sin(index / 5), 1.5 + 0.7 * np.cos(index / 13)
    (c, s), (d, t) = ((np.cos(angle), np.sin(angle)) for angle in np.radians((yaw, pitch)))
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ np.array([[1, 0, 0], [0, d, -t], [0, t, d]])
    height, width = photo.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    space = np.column_stack([(corners - (width / 2, height / 2)) / max(photo.shape), np.zeros(4)]) @ turn.T
    place = space[:, :2] * near / (near + space[:, 2:]) * 300 + (240, 180)
    matrix = cv2.getPerspectiveTransform(corners, place.astype(np.float32))
    return np.asarray(cv2.warpPerspective(photo, matrix, (480, 360), borderValue=(90, 90, 90)), np.uint8)


def held(faces: Sequence[FaceState]) -> set[Gesture]:
    """What is shown for HELD_S, against the first calm face."""
    signs = [(face.capture_ns, Signs.of(face)) for face in faces if face.found]
    rest = next((one for _, one in signs if one.calm), None)
    since: dict[Gesture, int] = {}
    seen: set[Gesture] = set()
    for at_ns, one in signs if rest is not None else ():
        shown = gestures(one, rest)  # type: ignore[arg-type]
        since = {name: since.get(name, at_ns) for name in shown}
        seen |= {name for name, from_ns in since.items() if at_ns - from_ns >= HELD_S * 1e9}
    return seen


def passes(faces: Sequence[FaceState]) -> bool:
    """Does it pass the challenge when it is played again and again for a minute, as the face that was enrolled?"""
    challenge, length_ns = LivenessChallenge(ME), faces[-1].capture_ns + FRAME_NS
    for turn in range(int(60e9 / length_ns) + 1):
        for face in faces:
            if challenge.over:
                break
            challenge.see(replace(face, capture_ns=face.capture_ns + turn * length_ns, descriptor=ME[0]))
    return challenge.passed


def row(name: str, shown: Sequence[set[Gesture]]) -> str:
    count = Counter(gesture for one in shown for gesture in one)
    return f"| {name} | {len(shown)} | " + " | ".join(f"{count[one] / len(shown):.1%}" for one in NAMES) + " |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    options = parser.parse_args()
    files = manifest_sources(options.data).files
    held_out = [file for file in files if file.columns.get("split") == VAL]
    clips = [file.name for file in held_out if file.is_video]
    stills = [file.name for file in held_out if file.name.startswith(f"{STILLS}/")]
    pairs = defaultdict(list)
    for file in files:
        if file.columns["source"].startswith("Face Research Lab London Set"):
            pairs[file.identity].append(file.name)
    talking, photos = list[list[FaceState]](), list[list[FaceState]]()
    with CagedTracker(tracker_model(), patient=True) as tracker:
        for name in clips:
            tracker.forget()
            frames = VideoFile(options.data / name)
            talking.append([tracker.track(one.rgb, round(one.media_s * 1e9) + 1) for one in frames])
        for name in stills:
            tracker.forget()
            picture = load_photo(options.data / name)
            hand = range(MOVED_FRAMES)
            photos.append([tracker.track(moved(picture, index), (index + 1) * FRAME_NS) for index in hand])
        smiles = list[set[Gesture]]()
        for two in (pair for pair in pairs.values() if len(pair) == 2):
            faces = [tracker.image_mode.track(load_photo(options.data / name), 0) for name in two]
            calm, smiling = sorted((Signs.of(face) for face in faces), key=lambda one: one.smile)
            smiles.append(set(gestures(smiling, calm)))
    print("| shown | number | " + " | ".join(NAMES) + " |")
    print("|---" * (len(NAMES) + 2) + "|")
    print(row("people who talk", [held(faces) for faces in talking]))
    print(row("photos moved by hand", [held(faces) for faces in photos]))
    print(row("smiling against neutral still", smiles))
    for name, played in (("people who talk", talking), ("photos moved by hand", photos)):
        passed = sum(passes(faces) for faces in played for _ in range(ORDERS))
        print(f"{name}: {passed} of {len(played) * ORDERS} challenges passed")


if __name__ == "__main__":
    main()
