"""visavis: a talking head from a few photos, driven by a camera."""

import os

from avatar.core.heap import share_arenas

# The matrices here are small (130 x 130). With a second thread, OpenBLAS spins for work while the tracker and the
# generator need the cores: one frame's landmark warp then costs 25 times its CPU time. Read when numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

share_arenas()
