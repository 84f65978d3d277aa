"""What a process that is started from here finds of this one: its packages, and its environment without secrets."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

_SECRETS = re.compile(r".*(TOKEN|PASSWORD|PASSWD|SECRET|CREDENTIAL|API_?KEY|ACCESS_KEY|PRIVATE_KEY).*|SSH_AUTH_SOCK")


def without_secrets() -> dict[str, str]:
    """The environment with no token, password or key: libraries read many variables of their own, so the rest stays."""
    return {name: value for name, value in os.environ.items() if not _SECRETS.fullmatch(name.upper())}


def import_paths() -> str:
    """PYTHONPATH of a child that imports what this process would, from the same places. With `python -P` it imports
    nothing from the folder that somebody happens to be in."""
    return os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
