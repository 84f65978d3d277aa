"""Clips that lie on their side or upside down, and do not say so: turned, as photos are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.face.state import Tracker
from avatar.identity.face_search import find_faces
from avatar.sources.video_file import VideoFile
from avatar.tracking.caged_tracker import CagedTracker

EVERY_S, LOOKED_AT = 0.2, 25  # frames among which faces are looked for
VOTES, MAJORITY = 3, 2  # frames with a face that are asked
VIEW_PX = 640  # longer side of what is looked at


def turn_upright(video: VideoFile, tracker_model: Path) -> str | None:
    """Turn the clip so that its faces are upright. Returns the sentence that says so, None where they are already."""
    with CagedTracker(tracker_model, "image", patient=True) as tracker:
        return turn_upright_by(video, tracker)


def turn_upright_by(video: VideoFile, tracker: Tracker) -> str | None:
    """The same with a tracker in image mode, or `CagedTracker.image_mode`."""
    video.turn(find_turn(video, tracker))
    if not video.turned_deg:
        return None
    lies = "is upside down" if video.turned_deg == 180 else "lies on its side"
    return f"{video.path} {lies}: turned by {video.turned_deg}°."


def find_turn(video: VideoFile, tracker: Tracker) -> int:
    """Degrees clockwise by which most of the first frames with a face must be turned. `tracker`: in image mode."""
    votes: Counter[int] = Counter()
    for rgb in _first_pictures(video):
        # a search of the parts of an empty picture would take long
        if any(tracker.track(np.ascontiguousarray(np.rot90(rgb, quarter)), 0).found for quarter in range(4)):
            turn_deg, _, faces = find_faces(rgb, tracker)
            votes[turn_deg] += bool(faces)
        if votes.total() == VOTES:
            break
    turn_deg, count = votes.most_common(1)[0] if votes else (0, 0)
    return turn_deg if count >= MAJORITY else 0


def _first_pictures(video: VideoFile) -> Iterator[NDArray[np.uint8]]:
    """As the file shows them, by itself."""
    video.turn(0)
    looked_at = 0
    for shown in video.shown():
        if shown.media_s - video.first_media_s < looked_at * EVERY_S - 1e-6:
            continue
        rgb = shown.rgb()
        scale = min(1.0, VIEW_PX / max(rgb.shape))
        yield np.asarray(cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        looked_at += 1
        if looked_at == LOOKED_AT:
            return
