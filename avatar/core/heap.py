"""Hours of work take no more memory than the first minutes, and no long pause for finding what is garbage.

Python looks through all objects when a quarter of them is new: in a program that has loaded so many, garbage in cycles
piles up meanwhile, and then every thread waits for a tenth of a second. glibc keeps what is freed in arenas, of which
threads have their own, and gives back only the end of one: what many threads need at the same moment once is resident
for ever, and over hours such moments add up.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

EVERY_NS = 30_000_000_000
ARENAS = 2
_M_ARENA_MAX = -8  # malloc.h


def share_arenas() -> None:
    """Let all threads share ARENAS arenas, instead of eight for each core. Call it before there are threads."""
    if (mallopt := _of_glibc("mallopt", ctypes.c_int, ctypes.c_int)) is not None:
        mallopt(_M_ARENA_MAX, ARENAS)


@contextmanager
def started_up() -> Iterator[None]:
    """Until the end of the body, what exists now is not looked through for garbage: it is needed."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.collect()  # else the quarter is still one of all objects
    try:
        yield
    finally:
        gc.unfreeze()


class HeapTrim:
    """Asked after each frame, it trims after the first one, since starting up leaves much, and then every EVERY_NS.

    Takes about 2 ms, and lets go of the GIL meanwhile.
    """

    def __init__(self) -> None:
        self._trim = _of_glibc("malloc_trim", ctypes.c_size_t)
        self._last_ns: int | None = None

    def after_frame(self, now_ns: int) -> None:
        if self._trim is not None and (self._last_ns is None or now_ns - self._last_ns >= EVERY_NS):
            self._last_ns = now_ns
            self._trim(0)


def _of_glibc(name: str, *arguments: Any) -> Callable[..., int] | None:
    """One of its functions that return an int; None where it is not: musl, macOS, Windows."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        function = getattr(ctypes.CDLL(None), name)
    except AttributeError:
        return None
    function.argtypes, function.restype = arguments, ctypes.c_int
    found: Callable[..., int] = function
    return found
