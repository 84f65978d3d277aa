"""The liveness challenge before a camera: its pictures are tracked and described, nothing of them is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from avatar.core.arrays import Array
from avatar.core.frame import Frame
from avatar.face.face_descriptor import describable
from avatar.identity.face_identity import open_face_identity
from avatar.identity.liveness import LivenessChallenge
from avatar.tracking.caged_tracker import CagedTracker

DESCRIBED_NS = 300_000_000  # from one descriptor to the next
TRIES = 3  # each in an order of its own
ENDED = "the camera gave no more pictures"


def check_liveness(
    frames: Iterable[Frame], tracker_model: Path, portraits: Array, progress: Callable[[LivenessChallenge], None]
) -> tuple[dict[str, Any] | None, str]:
    """(what the consent record keeps, or None where it failed TRIES times; why it failed the last time).

    portraits: (T, 128) descriptors. `progress` gets each challenge after each picture, and again when it is over.
    """
    pictures = iter(frames)
    why = ENDED
    with open_face_identity() as identity, CagedTracker(tracker_model, "video") as tracker:
        for _ in range(TRIES):
            challenge = LivenessChallenge(portraits)
            tracker.forget()
            described_ns = 0
            while not challenge.over:
                frame = next(pictures, None)
                if frame is None:
                    return None, ENDED
                face = tracker.track(frame.rgb, frame.capture_ns)
                if face.capture_ns - described_ns >= DESCRIBED_NS and describable(face):
                    described_ns = face.capture_ns
                    face = replace(face, descriptor=identity.descriptor(frame.rgb, face.landmarks))
                challenge.see(face)
                progress(challenge)
            if challenge.passed:
                return challenge.record(), ""
            why = challenge.failure or ENDED
    return None, why
