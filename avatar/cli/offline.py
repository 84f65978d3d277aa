"""What every command that looks at faces does first."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from avatar.tracking.model_asset import tracker_model
from avatar.trust.no_network import refuse_network


def tracker_model_then_offline(console: Console) -> Path:
    """The tracker's model, fetched if it must be; then the process gives up its network for good, or says why not."""
    path = tracker_model()
    if reason := refuse_network():
        console.print(
            f"The network stays reachable: {reason}. MediaPipe may send usage logs.", style="yellow", soft_wrap=True
        )
    return path
