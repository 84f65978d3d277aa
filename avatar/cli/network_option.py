"""`--network` and `--weights`: the network that draws, where it is not the one that comes with visavis."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from avatar.core.errors import UsageError

if TYPE_CHECKING:
    from avatar.render.full_network import FullNetwork

NETWORK_HELP = "fast, or full: the paper's own network, for GPUs. full needs --weights."
WEIGHTS_HELP = "With full: the folder that `visavis export` made of its checkpoint."


def named_network(network: str, weights: Path | None) -> FullNetwork | None:
    """None: the one that comes with visavis. Raises UsageError."""
    if network not in ("fast", "full"):
        raise UsageError(f"There is no network '{network}'. Choose fast or full.")
    if network == "fast":
        if weights is not None:
            raise UsageError("--weights is for full: fast comes with visavis.")
        return None
    from avatar.render.full_network import HOW, FullNetwork

    if weights is None:
        raise UsageError(HOW)
    return FullNetwork(weights)
