"""Processes that are started from here: their environment holds no token, password or key that they do not need."""

from __future__ import annotations

import re
import signal
import subprocess

from avatar.core.own_process import ONE_BLAS_THREAD
from engines.child_process import import_paths, without_secrets

# Ctrl-C is not for it: here on Windows, by `start_new_session` elsewhere
OWN_GROUP: int = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
_FOR_PYTHON = re.compile(
    r"(PYTHON|LC_|OMP_|OPENBLAS_|MALLOC_|TF_CPP_|GLOG_).*"
    r"|HOME|LANG|LANGUAGE|TZ|LD_LIBRARY_PATH|GLIBC_TUNABLES|DYLD_(FALLBACK_)?LIBRARY_PATH|TMPDIR|XDG_DATA_HOME"
    r"|VISAVIS_HOME|VISAVIS_NATIVE_LOG"
    # without these no process starts on Windows
    r"|SYSTEMROOT|SYSTEMDRIVE|WINDIR|PATH|PATHEXT|TEMP|TMP|USERPROFILE|LOCALAPPDATA|NUMBER_OF_PROCESSORS|PROCESSOR_.*"
)


def cage_environment() -> dict[str, str]:
    """What Python and the libraries of a caged process read, and nothing else. It imports what this process would, from
    the same places, and writes nothing beside it."""
    kept = {name: value for name, value in without_secrets().items() if _FOR_PYTHON.fullmatch(name.upper())}
    return ONE_BLAS_THREAD | kept | {"PYTHONPATH": import_paths(), "PYTHONDONTWRITEBYTECODE": "1"}


def end_in_words(code: int) -> str:
    """How a process of that exit code ended: the rest of a sentence."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
