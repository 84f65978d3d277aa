"""Which part of a portrait is the person: for other backgrounds, and for framing.

MediaPipe does it in a process of its own, inside the tracker's walls (`avatar.tracking.child`).
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from avatar.core.errors import VisavisError
from avatar.sandbox.child_process import cage_environment
from avatar.tracking.cage_process import CAGE
from avatar.tracking.cage_wire import MATTE_HEADER

LIMIT_S = 60.0

Portraits = Sequence[NDArray[np.uint8]] | NDArray[np.uint8]
Matte = NDArray[np.uint8]


def person_mattes(portraits: Portraits) -> list[Matte]:
    """For each (S, S, 3) portrait an (S, S) matte: 255 where the person is, soft at the edges.

    A process is started for it, which takes half a second. Raises VisavisError when that fails.
    """
    stack = np.ascontiguousarray(portraits, np.uint8)
    count, side = stack.shape[:2]
    try:
        done = subprocess.run(
            [*CAGE, "matte"],
            input=MATTE_HEADER.pack(count, side) + stack.tobytes(),
            capture_output=True,
            env=cage_environment(),
            timeout=LIMIT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise VisavisError(f"The person cannot be told from the background: {error}. Try again.") from error
    if done.returncode or len(done.stdout) != count * side * side:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
        raise VisavisError(f"The person cannot be told from the background: {lines[-1][:300]}. Run `visavis doctor`.")
    return list(np.frombuffer(done.stdout, np.uint8).reshape(count, side, side).copy())
