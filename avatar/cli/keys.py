"""Keys while a command runs, without Return."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

POLL_S = 0.2


@contextmanager
def listening(actions: Mapping[str, Callable[[], None]]) -> Iterator[bool]:
    """Call `actions[key]` for each key that is pressed, in a thread of its own. Yields False where stdin is no
    terminal, or belongs to another program now.

    The terminal is as before afterwards. Ctrl-C keeps its meaning.
    """
    if not sys.stdin or not sys.stdin.isatty() or _in_background():
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
        try:
            key = read()
        except OSError:  # the terminal was closed
            return
        if (action := actions.get(key)) is not None:
            action()


def _in_background() -> bool:
    """Whether this runs behind a shell, which stops background programs that touch the terminal's settings."""
    if sys.platform == "win32":
        return False
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) != os.getpgrp()
    except OSError:  # a terminal that controls no programs
        return False


@contextmanager
def _unbuffered() -> Iterator[Callable[[], str]]:
    """Yields a function that waits up to POLL_S for a key, and returns "" when none came."""
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
    import select
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def read() -> str:
        ready, _, _ = select.select([descriptor], [], [], POLL_S)
        if not ready:
            return ""
        pressed = os.read(descriptor, 1)
        if not pressed:
            raise OSError("the terminal was closed")
        return pressed.decode(errors="replace")

    tty.setcbreak(descriptor)
    try:
        yield read
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
