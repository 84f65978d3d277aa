"""What the mark says: that the picture is ours, which avatar it shows, and the day."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from avatar.core.avatar import Avatar

PRODUCT = 0x5A  # the first 8 bits of every message of ours
FIRST_DAY = date(2026, 1, 1)  # day 0 of 65,536: until 2205
_DAYS = 1 << 16
_BUNDLE_BYTES = 5


@dataclass(frozen=True, slots=True)
class MarkMessage:
    """bundle: ten hexadecimal digits, of `bundle_id`. day: on which the run began, by UTC."""

    bundle: str
    day: date

    @classmethod
    def of(cls, avatar: Avatar) -> MarkMessage:
        """For pictures of this avatar that are made today. Of a clock that is far wrong, the nearest day."""
        today = datetime.now(UTC).date()
        last = FIRST_DAY + timedelta(days=_DAYS - 1)
        return cls(bundle_id(avatar), min(max(today, FIRST_DAY), last))

    @classmethod
    def from_number(cls, number: int) -> MarkMessage | None:
        """None for a message of some other product."""
        if number >> 56 != PRODUCT:
            return None
        return cls(f"{number >> 16 & 0xFFFFFFFFFF:010x}", FIRST_DAY + timedelta(days=number & 0xFFFF))

    def number(self) -> int:
        """The 64 bits: product 8, bundle 40, day 16."""
        return PRODUCT << 56 | int(self.bundle, 16) << 16 | (self.day - FIRST_DAY).days


def bundle_id(avatar: Avatar) -> str:
    """Ten hexadecimal digits. The same after renaming and fine-tuning; another one whenever somebody is enrolled anew.

    It tells nothing by itself: only who has the bundle can tell that it is this one.
    """
    digest = hashlib.blake2b(str(avatar.consent.get("at", "")).encode(), digest_size=_BUNDLE_BYTES)
    for portrait in avatar.portraits:
        digest.update(portrait.tobytes())
    return digest.hexdigest()
