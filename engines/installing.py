"""How one types that a package is brought to this Python: the shell's own `pip` may be another environment's."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

BY_UV, BY_PIPX = "uv-receipt.toml", "pipx_metadata.json"  # what these leave in an environment that they made for a tool


def pip(arguments: str) -> str:
    """The command line by which pip does that here, where visavis runs: `pip("install 'visavis[call]'")`."""
    prefix = Path(sys.prefix)
    if (prefix / BY_UV).is_file():
        return f"uv pip {arguments} --python {shlex.quote(sys.executable)}"
    if (prefix / BY_PIPX).is_file():
        return f"pipx runpip visavis {arguments}"
    typed = shutil.which("pip")
    if typed is not None and Path(typed).parent == Path(sys.executable).parent:
        return f"pip {arguments}"
    return f"{shlex.quote(sys.executable)} -m pip {arguments}"
