"""Why pictures were published without the visible label: kept, one line a run, in home()/"records"."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime

from avatar.core.errors import VisavisError
from avatar.core.paths import home
from avatar.trust.label import WORDS, LabelStyle

FOLDER, FILE = "records", "unlabelled.jsonl"


def record_left_out(avatar: str, style: LabelStyle) -> str:
    """Record that `avatar` is shown without a label from now on. Returns what to say of it; "" where there is a label.

    Raises VisavisError where nothing can be written.
    """
    if not style.left_out:
        return ""
    path = home() / FOLDER / FILE
    now = datetime.now(UTC).isoformat(timespec="seconds")
    line = json.dumps({"at": now, "avatar": avatar, "reason": style.left_out}, ensure_ascii=False)
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        raise VisavisError(f"The reason cannot be recorded in {path} ({error.strerror}): the label stays.") from error
    return f"{avatar} is shown without a visible label ({style.left_out}). The reason is recorded in {path}."


def about(style: LabelStyle) -> str:
    """What a file says of its pictures."""
    return f"{WORDS}, by visavis." + (f" Without a visible label: {style.left_out}" if style.left_out else "")
