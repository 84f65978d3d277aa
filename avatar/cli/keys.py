"""Keys while a command runs, without Return."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

POLL_S = 0.2


@contextmanager
def listening(actions: Mapping[str, Callable[[], None]]) -> Iterator[bool]:
    """Call `actions[key]` for each key that is pressed, in a thread of its own. False where there is no terminal.

    The terminal is as before afterwards. Ctrl-C keeps its meaning.
    """
    if not sys.stdin or not sys.stdin.isatty():
        yield False
        return
    ended = threading.Event()
    with _unbuffered() as read:
        thread = threading.Thread(target=_listen, args=(read, actions, ended), name="visavis-keys", daemon=True)
        thread.start()
        try:
            yield True
        finally:
            ended.set()
            thread.join(2 * POLL_S)


def _listen(read: Callable[[], str], actions: Mapping[str, Callable[[], None]], ended: threading.Event) -> None:
    while not ended.is_set():
        if (action := actions.get(read())) is not None:
            action()


@contextmanager
def _unbuffered() -> Iterator[Callable[[], str]]:
    """A function that waits up to POLL_S for a key, "" without one."""
    if sys.platform == "win32":
        import msvcrt
        import time

        def wait() -> str:
            if msvcrt.kbhit():
                return msvcrt.getwch()
            time.sleep(POLL_S)
            return ""

        yield wait
        return
    import os
    import select
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def read() -> str:
        ready, _, _ = select.select([descriptor], [], [], POLL_S)
        return os.read(descriptor, 1).decode(errors="replace") if ready else ""

    tty.setcbreak(descriptor)
    try:
        yield read
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
