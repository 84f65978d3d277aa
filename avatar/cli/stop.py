"""Being stopped: by Ctrl-C and Ctrl-\\, by a service manager, a script, `timeout`, or a terminal that is closed."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

HANGUP = getattr(signal, "SIGHUP", None)  # not on Windows
QUIT = getattr(signal, "SIGQUIT", None)
CTRL_C = 128 + signal.SIGINT  # exit code
SHOW_CURSOR = b"\x1b[?25h"


def leave_on_ctrl_c() -> None:
    """From here on Ctrl-C ends the process at once, without a word: nothing has been begun, or all is done."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as shells set it for programs in the background
        signal.signal(signal.SIGINT, lambda *_: os._exit(CTRL_C))


def ctrl_c_as_exception() -> None:
    """From here on Ctrl-C raises KeyboardInterrupt, so that what was begun is put in order."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def sigterm_as_ctrl_c() -> None:
    """From here on SIGTERM and SIGHUP end the command as Ctrl-C does: a recording is finished, photos are removed."""
    signal.signal(signal.SIGTERM, _as_ctrl_c)
    if HANGUP is not None and signal.getsignal(HANGUP) is not signal.SIG_IGN:  # as `nohup` sets it
        signal.signal(HANGUP, _as_ctrl_c)


def leave_on_quit() -> None:
    """From here on Ctrl-\\ ends the process at once and in any state, but leaves the terminal as it is now."""
    if QUIT is None or signal.getsignal(QUIT) is signal.SIG_IGN:
        return
    import termios

    terminal = sys.__stdin__.fileno() if sys.__stdin__ is not None and sys.__stdin__.isatty() else None
    before = None if terminal is None else termios.tcgetattr(terminal)

    def leave(number: int, _frame: FrameType | None) -> None:
        if terminal is not None and before is not None:
            termios.tcsetattr(terminal, termios.TCSANOW, before)
        if os.isatty(2):
            os.write(2, SHOW_CURSOR)
        os._exit(128 + number)

    signal.signal(QUIT, leave)


def _as_ctrl_c(number: int, _frame: FrameType | None) -> None:
    if number == HANGUP:
        signal.signal(number, signal.SIG_IGN)  # shell and kernel both send it: the second would cut the cleaning up
    raise KeyboardInterrupt
