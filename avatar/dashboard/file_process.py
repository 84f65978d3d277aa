"""What a process does that looks at a dropped file: no network, bounded memory, and lines of JSON for an answer."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from avatar.core.errors import VisavisError
from avatar.core.own_process import settle
from avatar.sandbox.no_network import refuse_network
from engines import EngineFailure

MOST_BYTES = 4 << 30  # of its memory; four seconds of 8K take less

Line = dict[str, Any]


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
