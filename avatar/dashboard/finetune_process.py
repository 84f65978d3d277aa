"""The process that fine-tunes an avatar for the page: as `visavis finetune` does, at low priority, without a network.

    python -P -m avatar.dashboard.finetune_process AVATAR FOLDER MINUTES

It says lines of JSON: {share} while it learns, and last {kept, words, longer_minutes} or {error}. Where it would keep
what came out, that lies in FOLDER as "made", and beside it are "before" and "after": JPEGs of both with one expression.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from avatar.core.avatar import Avatar
from avatar.dashboard.file_process import Line, answer, say

if TYPE_CHECKING:
    from avatar.core.arrays import Picture
    from avatar.learning.finetune import FineTuneReport

LOW_PRIORITY = 15  # of the live avatar's process, which has 0
BETWEEN_NS = 1_000_000_000  # two pictures, so that nothing fades
_FIGURES = re.compile(r" \([^)]*\)")  # for the terminal


def main() -> None:
    if hasattr(os, "nice"):  # else whoever starts it sees to that
        os.nice(LOW_PRIORITY)
    # its file was checked when it became the user's; torch takes what 32 portraits need
    answer(_tuned, "There is not enough free memory. Close other programs, then try again.", most_bytes=None)


def _tuned() -> Line:
    from avatar.core.extras import without_torch
    from avatar.identity.bundle import load_avatar, save_avatar

    try:
        from avatar.learning.finetune import finetune, leave_a_core
    except ModuleNotFoundError as error:
        raise without_torch("Fine-tuning", error) from error
    source, folder, minutes = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    avatar = load_avatar(source)
    leave_a_core()
    say({"share": 0.0})
    report = finetune(avatar, minutes=minutes, progress=lambda share, line: say({"share": round(share, 3)}))
    if report.kept:
        for name, shown in (("before", avatar), ("after", report.avatar)):
            _save_picture(_drawn(shown), folder / name)
        save_avatar(report.avatar, folder / "made")
    return {"kept": report.kept, "words": _in_words(report), "longer_minutes": report.longer_minutes}


def _in_words(report: FineTuneReport) -> str:
    if report.kept:
        photos = "a photo" if report.held_out_photos == 1 else f"{report.held_out_photos} photos"
        return f"The new one comes closer to {photos} of yours from which it did not learn."
    reason = _FIGURES.sub("", report.reason)
    return f"It stays as it was: {reason}. {report.advice}"


def _drawn(avatar: Avatar) -> Picture:
    """(512, 512, 3): with the expression, among those of its portraits, that is the farthest from the first's."""
    import numpy as np

    from avatar.face.driving import Driving
    from avatar.render.engine_options import EngineOptions
    from avatar.render.painter import open_painter

    apart = np.linalg.norm(avatar.blendshapes - avatar.blendshapes[0], axis=1)
    landmarks = avatar.landmarks[int(apart.argmax())]
    engine = EngineOptions(threads=1, measured_later=True).open(avatar)
    try:
        painter = open_painter(avatar, engine, patient=True)
        painter.render(Driving(landmarks, 0))
        return painter.render(Driving(landmarks, BETWEEN_NS))  # no other portrait fades out any more
    finally:
        engine.close()


def _save_picture(picture: Picture, path: Path) -> None:
    from PIL import Image

    Image.fromarray(picture).save(path, "JPEG", quality=92)


if __name__ == "__main__":
    main()
