"""The liveness challenge at a terminal: what to do next, and that the avatar is its person's alone from then on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from avatar.cli.terminal import Terminal
from avatar.core.avatar import Avatar
from avatar.core.avatar_name import file_stem
from avatar.core.errors import InputError
from avatar.core.frame import Frame
from avatar.identity.liveness import LivenessChallenge
from avatar.identity.liveness_check import TRIES, check_liveness


def lock_to_who_is_there(avatar: Avatar, frames: Iterable[Frame], tracker_model: Path, messages: Terminal) -> Avatar:
    """The same avatar, whose consent record says that its person was there. Raises InputError where that fails."""
    messages.say(
        "Now show that you are there: do each thing when it is asked for, and look straight ahead in between. "
        f"You have {TRIES} tries."
    )
    told: tuple[int, str] | None = None

    def progress(challenge: LivenessChallenge) -> None:
        nonlocal told
        if challenge.failure is not None:
            messages.say(f"That was not it: {challenge.failure}.")
            told = None
        elif not challenge.over and (now := (challenge.done, challenge.hint)) != told:
            seen = "Good. " if told is not None and challenge.done > told[0] else ""
            told = now
            messages.say(f"{seen}Now: {challenge.hint}")

    record, failure = check_liveness(frames, tracker_model, avatar.descriptors, progress)
    if record is None:
        raise InputError(
            f"It was not seen that the person of {avatar.name} is there: {failure}. No avatar was made.",
            "Try again, or add --no-liveness: then your statement alone is recorded, and the avatar is not locked.",
        )
    messages.say(
        f"Good, it is you. From here on {avatar.name} moves for its own person alone; for somebody else it takes "
        f"`visavis live {file_stem(avatar.name)} --unlock REASON`, which is recorded."
    )
    return replace(avatar, consent=avatar.consent | {"liveness": record})
