"""What every command that looks at faces does first."""

from __future__ import annotations

from pathlib import Path

from avatar.cli.terminal import Terminal
from avatar.sandbox.no_network import refuse_network
from avatar.sources.network_camera import is_address, public_name
from avatar.tracking.caged_tracker import cage_note
from avatar.tracking.model_asset import tracker_model


def tracker_model_and_note(terminal: Terminal) -> Path:
    """The tracker's model, fetched if it must be. Says so where the tracker's own network cannot be refused."""
    path = tracker_model(terminal.note)
    if note := cage_note():
        terminal.note(note)
    return path


def tracker_model_then_offline(terminal: Terminal, camera: str | None = None) -> Path:
    """The same; then this process gives up its network too, for good. For commands that need none: a second wall.

    Not where `camera` is an address, which is said: it is read here. The tracker has no network all the same.
    """
    path = tracker_model_and_note(terminal)
    if camera is not None and is_address(camera):
        terminal.say(f"This command keeps its network, to read {public_name(camera)}.")
    else:
        refuse_network()  # a reason why not is the note's, or the user's own wish
    return path
