"""What suits a process that is wholly ours: a command, or a child of one. A host that imports us is left as it is."""

from __future__ import annotations

import os

from avatar.core.heap import share_arenas

# The matrices here are small (130 x 130). With a second thread, OpenBLAS spins for work while the tracker and the
# generator need the cores: one frame's landmark warp then costs 25 times its CPU time. Read when numpy is imported.
ONE_BLAS_THREAD = {"OPENBLAS_NUM_THREADS": "1"}


def settle() -> None:
    """First of all: before numpy is imported, and before there are threads. Children inherit the variable."""
    for name, value in ONE_BLAS_THREAD.items():
        os.environ.setdefault(name, value)
    share_arenas()
