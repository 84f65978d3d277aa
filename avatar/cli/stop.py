"""Being stopped by a service manager, a script or `timeout`."""

from __future__ import annotations

import signal
from types import FrameType


def sigterm_as_ctrl_c() -> None:
    """From here on SIGTERM ends the command as Ctrl-C does: a recording is finished, a half-written file removed."""
    signal.signal(signal.SIGTERM, _as_ctrl_c)


def _as_ctrl_c(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
