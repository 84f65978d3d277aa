"""Processes that are started from here: their environment holds no token, password or key that they do not need."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from avatar.core.own_process import ONE_BLAS_THREAD

# Ctrl-C is not for it: here on Windows, by `start_new_session` elsewhere
OWN_GROUP: int = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
_FOR_PYTHON = re.compile(
    r"(PYTHON|LC_|OMP_|OPENBLAS_|MALLOC_|TF_CPP_|GLOG_).*"
    r"|HOME|LANG|LANGUAGE|TZ|LD_LIBRARY_PATH|GLIBC_TUNABLES|DYLD_(FALLBACK_)?LIBRARY_PATH|TMPDIR|XDG_DATA_HOME"
    r"|VISAVIS_HOME|VISAVIS_NATIVE_LOG"
    # without these no process starts on Windows
    r"|SYSTEMROOT|SYSTEMDRIVE|WINDIR|PATH|PATHEXT|TEMP|TMP|USERPROFILE|LOCALAPPDATA|NUMBER_OF_PROCESSORS|PROCESSOR_.*"
)
_SECRETS = re.compile(r".*(TOKEN|PASSWORD|PASSWD|SECRET|CREDENTIAL|API_?KEY|ACCESS_KEY|PRIVATE_KEY).*|SSH_AUTH_SOCK")


def cage_environment() -> dict[str, str]:
    """What Python and the libraries of a caged process read, and nothing else. It imports what this process would, from
    the same places, and writes nothing beside it."""
    kept = {name: value for name, value in without_secrets().items() if _FOR_PYTHON.fullmatch(name.upper())}
    paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    return ONE_BLAS_THREAD | kept | {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}


def without_secrets() -> dict[str, str]:
    """For windows, which read whatever a desktop sets."""
    return {name: value for name, value in os.environ.items() if not _SECRETS.fullmatch(name.upper())}


def end_in_words(code: int) -> str:
    """How a process of that exit code ended: the rest of a sentence."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
