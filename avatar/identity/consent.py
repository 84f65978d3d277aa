"""What the bundle keeps of the shown person's consent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from avatar.core.errors import UsageError

MAX_STATEMENT_LENGTH = 2000
CONSENT_NOTICE = "Enrol only yourself, or a person who has agreed to be shown by an avatar."


def consent_record(statement: str | None) -> dict[str, Any]:
    """What the bundle keeps of the shown person's consent. `given` is False where nobody stated it."""
    text = (statement or "").strip().encode(errors="replace").decode()
    if statement is not None and not text:
        raise UsageError("The consent statement is empty. Say who agreed to what, or leave --consent out.")
    if len(text) > MAX_STATEMENT_LENGTH:
        raise UsageError(f"The consent statement has {len(text)} characters; at most {MAX_STATEMENT_LENGTH} are kept.")
    return {
        "statement": text or CONSENT_NOTICE,
        "given": bool(text),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
