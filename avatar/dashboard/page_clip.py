"""A selfie clip that the page sent: how long it is, and the avatar that is made of it, both by a process of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avatar.core.avatar import Avatar
from avatar.core.errors import InputError
from avatar.dashboard.clip_process import CALLED
from avatar.dashboard.file_process import apart, command
from avatar.dashboard.uploads import Limit
from avatar.http.peer_text import json_object
from avatar.identity.bundle import load_avatar
from avatar.identity.clip_enrolment import MAX_CLIP_S
from avatar.sandbox.child_process import end_in_words

CLIP = Limit(512 << 20, "Cut 10 to 20 seconds out of it, or save a smaller copy: 1280 pixels wide is plenty.")
MIN_CLIP_S = 1.0
END_S = 5.0  # for a process that says nothing any more


@dataclass(frozen=True, slots=True)
class Clip:
    """What is known of a clip. `reason`: why it cannot be used, and what to do; `note`: what will be left out."""

    reason: str | None
    seconds: float = 0.0  # 0: the file does not say
    note: str = ""


@dataclass(frozen=True, slots=True)
class ClipAvatar:
    """The avatar, without a consent record, and what the clip did not show: what to do, as parts of a sentence."""

    avatar: Avatar
    missing: tuple[str, ...]


def look_at(path: Path) -> Clip:
    """Can it be read as a video? Slow: not for an event loop."""
    try:
        seconds = float(_last(path, [], lambda line: None)["seconds"])
    except InputError as error:
        return Clip(error.on_page)
    if 0 < seconds < MIN_CLIP_S:
        return Clip(f"It lasts {seconds:g} seconds. Film 10 to 20: look straight, turn your head, talk, laugh.")
    note = f"Only its first {MAX_CLIP_S / 60:g} minutes are looked at." if seconds > MAX_CLIP_S else ""
    return Clip(None, seconds, note)


def make_of(path: Path, name: str, tracker_model: Path, progress: Callable[[float, float], None]) -> ClipAvatar:
    """progress: gets the seconds that were read, and how many there are; what it raises ends the work. InputError."""
    made = path.with_name("made")
    try:
        told = _last(
            path, [name, str(tracker_model), str(made)], lambda line: progress(line["done_s"], line["total_s"])
        )
        return ClipAvatar(load_avatar(made), tuple(map(str, told["missing"])))
    finally:
        made.unlink(missing_ok=True)


def _last(path: Path, more: list[str], tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """What the process says last; what it says before goes to `tell`. Raises InputError."""
    with subprocess.Popen(command("avatar.dashboard.clip_process", str(path), *more), **apart()) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                said = json_object(line)
                if "error" in said:
                    raise InputError(str(said["error"]).replace(str(path), CALLED))
                if "done_s" not in said:
                    return said
                tell(said)
            with suppress(subprocess.TimeoutExpired):
                process.wait(END_S)
        finally:
            process.kill()
    raise InputError(
        f"{CALLED} cannot be read: the process that tried {end_in_words(process.returncode)}. Save it anew."
    )
