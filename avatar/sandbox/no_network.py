"""Take the network away from a command that needs none: a second wall, as nothing that it imports should use one.

Faces are looked at in the tracker's process, which no setting gives a network (`confinement`): MediaPipe looks up a
logging host and would upload usage logs (mediapipe issue 6291), and offers no switch.
"""

from __future__ import annotations

import os
import socket

from avatar.sandbox.seccomp import Only, refuse

ALLOW_VARIABLE = "VISAVIS_ALLOW_NETWORK"
_AF_NETLINK = 16  # lists the network's interfaces
_LOCAL_FAMILIES = (int(getattr(socket, "AF_UNIX", 1)), _AF_NETLINK)  # desktops need them
_RINGS = ("io_uring_setup",)  # would open sockets behind the filter


def refuse_network(*, whatever_is_set: bool = False) -> str | None:
    """From now on, this process, its threads and its children get local sockets only. Returns None, or why that failed.

    Does nothing, and says so, where VISAVIS_ALLOW_NETWORK is set (a window on a remote X display needs it), unless
    `whatever_is_set`: for workers, which open no window.
    """
    if not whatever_is_set and os.environ.get(ALLOW_VARIABLE):
        return f"{ALLOW_VARIABLE} is set"
    return refuse(_RINGS, [Only("socket", 0, _LOCAL_FAMILIES)])
