"""What the bundle keeps of the shown person's consent."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from avatar.core.avatar import Avatar
from avatar.core.errors import UsageError

MAX_STATEMENT_LENGTH = 2000
MAX_REASON_LENGTH, MOST_UNLOCKINGS = 200, 100  # the latest are kept
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


def unlocked(avatar: Avatar, reason: str) -> Avatar:
    """The same avatar, in whose consent record stands that somebody else drove it, when and why.

    Raises UsageError for one that anybody may drive, for no reason, and where its person has agreed to nobody else.
    """
    text = reason.strip().encode(errors="replace").decode()
    if not avatar.locked:
        raise UsageError(f"{avatar.name} is not locked to its own person: leave --unlock out.")
    if not avatar.consent.get("others_may_drive", True):
        raise UsageError(f"{avatar.name} cannot be unlocked: its person agreed to nobody else. Enrol anew.")
    if not text or len(text) > MAX_REASON_LENGTH:
        raise UsageError(f"--unlock needs a reason of up to {MAX_REASON_LENGTH} characters: it is kept in the avatar.")
    record = {"reason": text, "at": datetime.now(UTC).isoformat(timespec="seconds")}
    before = avatar.consent.get("unlocked")
    kept = before[-(MOST_UNLOCKINGS - 1) :] if isinstance(before, list) else []
    return replace(avatar, consent=avatar.consent | {"unlocked": [*kept, record]})
