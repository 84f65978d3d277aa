"""The process that reads a selfie clip which was dropped on the page: no network, and its end ends nothing else.

    python -P -m avatar.dashboard.clip_process CLIP                → is it a video, and how long?
    python -P -m avatar.dashboard.clip_process CLIP NAME MODEL OUT → an avatar of it, saved as OUT

It says lines of JSON: {done_s, total_s} while it reads, and last {seconds}, {missing: what the clip did not show}
or {error}.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from avatar.core.errors import VisavisError
from avatar.core.own_process import settle
from avatar.sandbox.no_network import refuse_network
from engines import EngineFailure

CALLED = "The clip"


def main() -> None:
    settle()
    refuse_network(whatever_is_set=True)
    path = Path(sys.argv[1])
    try:
        _say(_length(path) if len(sys.argv) == 2 else _make(path, sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])))
    except (VisavisError, EngineFailure) as error:
        _say({"error": getattr(error, "on_page", str(error)).replace(str(path), CALLED)})
    except MemoryError:
        _say({"error": f"{CALLED} takes more memory than any video of a phone. Save a smaller copy."})


def _length(path: Path) -> dict[str, Any]:
    from avatar.sources.video_file import VideoFile

    return {"seconds": round(VideoFile(path).duration_s, 1)}


def _make(path: Path, name: str, model: Path, out: Path) -> dict[str, Any]:
    from avatar.identity.bundle import save_avatar
    from avatar.identity.clip_enrolment import MAX_CLIP_S, SelfieClip, enroll_clip
    from avatar.identity.clip_turn import turn_upright
    from avatar.sources.video_file import VideoFile

    clip = VideoFile(path)
    total_s = min(clip.duration_s or MAX_CLIP_S, MAX_CLIP_S)
    _say({"done_s": 0.0, "total_s": total_s})
    turn_upright(clip, model)
    made = enroll_clip(
        SelfieClip(clip, CALLED),
        name,
        model,
        progress=lambda done_s, reader: _say({"done_s": round(done_s, 1), "total_s": total_s}),
    )
    save_avatar(made.avatar, out)
    return {"missing": made.coverage.missing}


def _say(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
