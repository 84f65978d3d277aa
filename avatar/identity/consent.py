"""What the bundle keeps of the shown person's consent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, Literal

from avatar.core.avatar import Avatar
from avatar.core.errors import UsageError
from avatar.core.plain_text import plain_text

Kind = Literal["oneself", "agreed", "character", "historical"]
KINDS: dict[Kind, str] = {
    "oneself": "oneself",
    "agreed": "a person who agreed",
    "character": "a painting or a character",
    "historical": "a historical person",
}
LIVING: tuple[Kind, ...] = ("oneself", "agreed")  # who can be asked for gestures
MAX_STATEMENT_LENGTH, MAX_NAME_LENGTH = 2000, 100
MAX_REASON_LENGTH, MOST_UNLOCKINGS = 200, 100  # the latest are kept
CONSENT_NOTICE = "Enrol only yourself, or a person who has agreed to be shown by an avatar."


@dataclass(frozen=True, slots=True)
class Statement:
    """What whoever enrols says of the person shown: which of KINDS it is, and in their own words, who agreed to what.

    person, agreed_on: who agreed, and when, where it is a person who agreed.
    """

    kind: Kind
    text: str = ""
    person: str = ""
    agreed_on: date | None = None

    @classmethod
    def of(cls, kind: object, text: object = "", person: object = "", agreed_on: object = "") -> Statement:
        """As somebody has typed it; agreed_on: YYYY-MM-DD, or nothing for today. Raises UsageError."""
        if not isinstance(kind, str) or kind not in KINDS:
            raise UsageError(f"Say whom the pictures show: {', '.join(KINDS)}.")
        if not all(isinstance(words, str) for words in (text, person, agreed_on)):
            raise UsageError("What is said of the person shown is text.")
        words, who, day = (str(given).strip().encode(errors="replace").decode() for given in (text, person, agreed_on))
        if len(words) > MAX_STATEMENT_LENGTH:
            raise UsageError(f"The statement has {len(words)} characters; at most {MAX_STATEMENT_LENGTH} are kept.")
        if kind != "agreed" and (who or day):
            raise UsageError(f"Only of a person who agreed, name and day are kept: not of {KINDS[kind]}.")
        if kind == "agreed" and not (who or words):
            raise UsageError("Say who agreed: the name is recorded, with the day.")
        if plain_text(who, MAX_NAME_LENGTH) != who:
            raise UsageError(f"The name of who agreed is one line of at most {MAX_NAME_LENGTH} characters.")
        return cls(kind, words, who, _day(day) if kind == "agreed" else None)


def _day(text: str) -> date:
    today = datetime.now().astimezone().date()
    try:
        day = date.fromisoformat(text) if text else today
    except ValueError:
        raise UsageError(f"{plain_text(text, 40)} is not a day. Write it as {today.isoformat()}.") from None
    if day > today:
        raise UsageError(f"{day} has not come yet: nobody can have agreed then.")
    return day


def consent_record(statement: Statement | None) -> dict[str, Any]:
    """What the bundle keeps of the shown person's consent. `given` is False where nobody stated it."""
    record: dict[str, Any] = {
        "statement": CONSENT_NOTICE,
        "given": statement is not None,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if statement is not None:
        record |= {"kind": statement.kind, "statement": statement.text or KINDS[statement.kind].capitalize() + "."}
    if statement is not None and statement.agreed_on is not None:
        record |= {"person": statement.person, "agreed_on": statement.agreed_on.isoformat()}
    return record


def consent_words(record: dict[str, Any]) -> str:
    """A record of any bundle, also a stranger's, in a few words for lists."""
    kind = record.get("kind")
    if kind == "agreed":
        who = plain_text(record.get("person") or "", MAX_NAME_LENGTH) or "somebody"
        return ", ".join(word for word in (f"agreed: {who}", plain_text(record.get("agreed_on") or "", 10)) if word)
    if isinstance(kind, str) and kind in KINDS:
        return KINDS[kind]
    return "consent given" if record.get("given") is True else "no consent recorded"


def unlocked(avatar: Avatar, reason: str) -> Avatar:
    """The same avatar, in whose consent record stands that somebody else drove it, when and why.

    Raises UsageError for one that anybody may drive, for no reason, and where its person has agreed to nobody else.
    """
    text = reason.strip().encode(errors="replace").decode()
    if not avatar.locked:
        raise UsageError(f"{avatar.name} is not locked to its own person.", "Leave --unlock out.")
    if not avatar.consent.get("others_may_drive", True):
        raise UsageError(f"{avatar.name} cannot be unlocked: its person agreed to nobody else. Enrol anew.")
    if not text or len(text) > MAX_REASON_LENGTH:
        raise UsageError(f"Unlocking needs a reason of up to {MAX_REASON_LENGTH} characters: it is kept in the avatar.")
    record = {"reason": text, "at": datetime.now(UTC).isoformat(timespec="seconds")}
    before = avatar.consent.get("unlocked")
    kept = before[-(MOST_UNLOCKINGS - 1) :] if isinstance(before, list) else []
    return replace(avatar, consent=avatar.consent | {"unlocked": [*kept, record]})
