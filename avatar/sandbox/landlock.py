"""A process that may open only the files that it names beforehand: Linux' Landlock, which needs no privilege.

Source: https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

# the same on all machines
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION, _RULE_PATH_BENEATH = 1, 1
WRITE_FILE, READ_FILE, READ_FOLDER = 1 << 1, 1 << 2, 1 << 3
_FILE_RIGHTS_OF_VERSION = {1: 13, 2: 14, 3: 15, 4: 15}  # how many bits; newer ones have 16
_NEWEST_FILE_RIGHTS = 16
_BIND_AND_CONNECT, _ABSTRACT_SOCKETS_AND_SIGNALS = 3, 3


def landlock_version() -> int:
    """Of the kernel's interface; 0 where it has none, or was started without."""
    if sys.platform != "linux":
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    return max(int(libc.syscall(_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)), 0)


def open_only(rights: Iterable[tuple[Path, int]]) -> None:
    """From now on, this thread and those that it starts open files and folders with these rights alone. A folder's hold
    for all below it; what does not exist is left out.

    Nothing can be executed, made, renamed or removed; no memory of a process outside can be opened, and since Linux
    6.12 none gets a signal. Raises OSError where the kernel declines.
    """
    version = landlock_version()
    file_rights = (1 << _FILE_RIGHTS_OF_VERSION.get(version, _NEWEST_FILE_RIGHTS)) - 1
    # struct landlock_ruleset_attr { u64 handled_access_fs, handled_access_net, scoped; } as far as this kernel knows it
    known = 1 if version < 4 else 2 if version < 6 else 3
    handled = struct.pack("3Q", file_rights, _BIND_AND_CONNECT, _ABSTRACT_SOCKETS_AND_SIGNALS)[: 8 * known]
    ruleset = _ask(_CREATE_RULESET, handled, len(handled), 0)
    try:
        for path, allowed in rights:
            _allow(ruleset, path, allowed)
        _ask(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, allowed: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # nothing there that could be opened
    try:
        # struct landlock_path_beneath_attr { u64 allowed_access; s32 parent_fd; }, packed
        _ask(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", allowed, descriptor), 0)
    finally:
        os.close(descriptor)


def _ask(call: int, *arguments: int | bytes) -> int:
    result = int(ctypes.CDLL(None, use_errno=True).syscall(call, *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
