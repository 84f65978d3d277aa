"""What a worker opens once and keeps: caged trackers, the decoder of photos, and the network that tells people apart.

Each lives as long as the worker's process.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from avatar.identity.face_identity import FaceIdentity, open_face_identity
from avatar.sources.photo import PhotoReader
from avatar.tracking.caged_tracker import CagedTracker


@lru_cache
def photo_tracker(model: Path, max_faces: int) -> CagedTracker:
    """In image mode."""
    return CagedTracker(model, "image", max_faces, _in_silence, patient=True)


def clip_tracker(model: Path) -> CagedTracker:
    """In video mode, and as if it had seen nothing yet.

    Should its process end within a clip, the next one would not know what came before, and the clip's bytes would not
    be the same: it raises TrackerDownError, and goes on at the clip's start.
    """
    tracker = _clip_tracker(model)
    tracker.forget()
    return tracker


@lru_cache
def _clip_tracker(model: Path) -> CagedTracker:
    return CagedTracker(model, "video", say=_in_silence, patient=True, tries=1)


@lru_cache
def photo_reader() -> PhotoReader:
    return PhotoReader()


@lru_cache
def face_identity() -> FaceIdentity:
    return open_face_identity("onnxruntime", threads=1)


def _in_silence(line: str) -> None:
    """What becomes of a file stands in the journal."""
