"""Whom an avatar shows, as it is said at enrolment."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated

import typer

from avatar.cli.terminal import Terminal
from avatar.core.errors import UsageError
from avatar.identity.consent import CONSENT_NOTICE, KINDS, LIVING, Statement

TRIES = 3  # at the question
NOTHING_SAID = f"{CONSENT_NOTICE} Say whom it shows with --shows; nothing was said, and the avatar says so."


@dataclass(frozen=True)
class Stated:
    """What is recorded in the avatar of the person shown."""

    shows: Annotated[
        str | None,
        typer.Option(
            metavar="WHOM", help="Whom it shows, which is recorded: oneself, agreed, character or historical."
        ),
    ] = None
    agreed_by: Annotated[str | None, typer.Option(metavar="NAME", help="With agreed: who has agreed.")] = None
    agreed_on: Annotated[
        str | None, typer.Option(metavar="YYYY-MM-DD", help="With agreed: on which day; else today.")
    ] = None
    consent: Annotated[
        str | None,
        typer.Option(
            "--i-have-consent",
            "--consent",
            help="Who agreed to what, in your words, which are recorded: for scripts. Without --shows: agreed.",
            metavar="TEXT",
        ),
    ] = None
    liveness: Annotated[
        bool | None,
        typer.Option(
            "--liveness/--no-liveness",
            help="With --camera: ask for a few gestures, which show that a living person is there and lock the avatar "
            "to that person. Without either: for oneself, it is done.",
            show_default=False,
        ),
    ] = None

    def asks_for_gestures(self, statement: Statement | None, webcam: bool) -> bool:
        """Whether the person is challenged. webcam: live pictures, not those of a file. Raises UsageError."""
        if self.liveness is None:
            return webcam and statement is not None and statement.kind == "oneself"
        if self.liveness and (statement is None or statement.kind not in LIVING):
            raise UsageError("--liveness is for a living person: say --shows oneself or agreed, or leave it out.")
        return self.liveness

    def statement(self, messages: Terminal, asks: bool) -> Statement | None:
        """Asked for at a terminal where nothing was said; None where nobody can be asked. Raises UsageError."""
        text, person, day = self.consent or "", self.agreed_by or "", self.agreed_on or ""
        if self.consent is not None and not text.strip():
            raise UsageError("The statement is empty. Say who agreed to what, or leave --i-have-consent out.")
        if self.shows is not None:
            return Statement.of(self.shows, text, person, day)
        if text or person or day:
            return Statement.of("agreed", text, person, day)
        if asks and sys.stdin is not None and sys.stdin.isatty():
            return _asked(messages)
        return None


def _asked(messages: Terminal) -> Statement:
    messages.say("Whom do the pictures show? The answer is recorded in the avatar.")
    numbered = {str(number): kind for number, kind in enumerate(KINDS, 1)}
    messages.say(*(f"  {number} {KINDS[kind]}" for number, kind in numbered.items()))
    for _ in range(TRIES):
        answer = typer.prompt("1 to 4", err=True).strip()
        if answer in numbered:
            kind = numbered[answer]
            return Statement.of(kind, person=typer.prompt("Who has agreed?", err=True) if kind == "agreed" else "")
        messages.say(f"{answer} is none of them. Type the number of a line; Ctrl-C leaves.")
    raise UsageError("That was none of them either. Start again, or say whom it shows with --shows.")
