"""Processes that look at a dropped file, or work for long: how one is started, and what it does itself.

It has no network and bounded memory, answers in lines of JSON, and its end ends nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from avatar.core.errors import VisavisError
from avatar.core.own_process import settle
from avatar.sandbox.child_process import OWN_GROUP, cage_environment
from avatar.sandbox.no_network import refuse_network
from engines import EngineFailure

MOST_BYTES = 4 << 30  # of its memory; four seconds of 8K take less

Line = dict[str, Any]


def command(module: str, *arguments: str) -> tuple[str, ...]:
    """What starts such a process; to be run as `apart` says."""
    return sys.executable, "-P", "-m", module, *arguments


def apart() -> dict[str, Any]:
    """How it is run: without our secrets, files and Ctrl-C. Its lines come from `stdout`."""
    return {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.DEVNULL,
        "env": cage_environment(),
        "start_new_session": True,
        "creationflags": OWN_GROUP,
    }


def answer(work: Callable[[], Line], scarce: str, most_bytes: int | None = MOST_BYTES) -> None:
    """Say what `work` gives, or {error}. scarce: the error where memory does not suffice. most_bytes: of it."""
    settle()
    refuse_network(whatever_is_set=True)
    if most_bytes is not None:
        _bound_memory(most_bytes)
    try:
        say(work())
    except (VisavisError, EngineFailure) as error:
        say({"error": getattr(error, "on_page", str(error))})
    except MemoryError:
        say({"error": scarce})


def say(line: Line) -> None:
    print(json.dumps(line), flush=True)


def _bound_memory(most_bytes: int) -> None:
    if sys.platform == "linux":
        import resource

        from avatar.sandbox.confinement import lower_limit

        lower_limit(resource.RLIMIT_DATA, most_bytes)
        lower_limit(resource.RLIMIT_CORE, 0)
