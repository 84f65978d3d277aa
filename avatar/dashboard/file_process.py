"""What a process does that looks at a file which was dropped: no network, and lines of JSON for an answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from avatar.core.errors import VisavisError
from avatar.core.own_process import settle
from avatar.sandbox.no_network import refuse_network
from engines import EngineFailure

Line = dict[str, Any]


def answer(work: Callable[[], Line], scarce: str) -> None:
    """Say what `work` gives, or {error}. scarce: the error where memory does not suffice."""
    settle()
    refuse_network(whatever_is_set=True)
    try:
        say(work())
    except (VisavisError, EngineFailure) as error:
        say({"error": getattr(error, "on_page", str(error))})
    except MemoryError:
        say({"error": scarce})


def say(line: Line) -> None:
    print(json.dumps(line), flush=True)
