"""What every command that looks at faces does first."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from avatar.sources.network_camera import is_address, public_name
from avatar.tracking.caged_tracker import cage_note
from avatar.tracking.model_asset import tracker_model
from avatar.trust.no_network import refuse_network


def tracker_model_and_note(console: Console) -> Path:
    """The tracker's model, fetched if it must be. Says so where the tracker's own network cannot be refused."""
    path = tracker_model()
    if note := cage_note():
        console.print(note, style="yellow", soft_wrap=True)
    return path


def tracker_model_then_offline(console: Console, camera: str | None = None) -> Path:
    """The same; then this process gives up its network too, for good. For commands that need none: a second wall.

    Not where `camera` is an address, which is said: it is read here. The tracker has no network all the same.
    """
    path = tracker_model_and_note(console)
    if camera is not None and is_address(camera):
        console.print(f"This command keeps its network, for {public_name(camera)} alone.", markup=False, soft_wrap=True)
    else:
        refuse_network()  # a reason why not is the note's, or the user's own wish
    return path
