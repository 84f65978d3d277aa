"""The process that reads a selfie clip which was dropped on the page: no network, and its end ends nothing else.

    python -P -m avatar.dashboard.clip_process CLIP                → is it a video, and how long?
    python -P -m avatar.dashboard.clip_process CLIP NAME MODEL OUT → an avatar of it, saved as OUT

It says lines of JSON: {done_s, total_s} while it reads, and last {seconds}, {missing: what the clip did not show}
or {error}.
"""

from __future__ import annotations

import sys
from pathlib import Path

from avatar.dashboard.file_process import Line, answer, say

CALLED = "The clip"


def main() -> None:
    answer(_looked_at, f"{CALLED} takes more memory than any video of a phone. Save a smaller copy.")


def _looked_at() -> Line:
    path, *more = sys.argv[1:]
    if not more:
        return _length(Path(path))
    name, model, out = more
    return _make(Path(path), name, Path(model), Path(out))


def _length(path: Path) -> Line:
    from avatar.sources.video_file import VideoFile

    return {"seconds": round(VideoFile(path).duration_s, 1)}


def _make(path: Path, name: str, model: Path, out: Path) -> Line:
    from avatar.identity.bundle import save_avatar
    from avatar.identity.clip_enrolment import MAX_CLIP_S, SelfieClip, enroll_clip
    from avatar.identity.clip_turn import turn_upright
    from avatar.sources.video_file import VideoFile

    clip = VideoFile(path)
    total_s = min(clip.duration_s or MAX_CLIP_S, MAX_CLIP_S)
    say({"done_s": 0.0, "total_s": total_s})
    turn_upright(clip, model)
    made = enroll_clip(
        SelfieClip(clip, CALLED),
        name,
        model,
        progress=lambda done_s, reader: say({"done_s": round(done_s, 1), "total_s": total_s}),
    )
    save_avatar(made.avatar, out)
    return {"missing": made.coverage.missing}


if __name__ == "__main__":
    main()
