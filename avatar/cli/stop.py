"""Being stopped by a service manager, a script, `timeout`, or a terminal that is closed."""

from __future__ import annotations

import signal
from types import FrameType

HANGUP = getattr(signal, "SIGHUP", None)  # not on Windows


def sigterm_as_ctrl_c() -> None:
    """From here on SIGTERM and SIGHUP end the command as Ctrl-C does: a recording is finished, photos are removed."""
    signal.signal(signal.SIGTERM, _as_ctrl_c)
    if HANGUP is not None and signal.getsignal(HANGUP) is not signal.SIG_IGN:  # as `nohup` sets it
        signal.signal(HANGUP, _as_ctrl_c)


def _as_ctrl_c(number: int, _frame: FrameType | None) -> None:
    if number == HANGUP:
        signal.signal(number, signal.SIG_IGN)  # shell and kernel both send it: the second would cut the cleaning up
    raise KeyboardInterrupt
