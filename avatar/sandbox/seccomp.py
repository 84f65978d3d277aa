"""System calls that the kernel refuses to a process, its threads and its children, for good.

A seccomp filter needs no privilege, and the process cannot undo it.
Source: https://docs.kernel.org/userspace-api/seccomp_filter.html
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from avatar.sandbox.system_calls import MACHINES, number

# The system calls of the x32 convention and of 32-bit programs have other numbers: refused altogether.
_AUDIT_ARCHITECTURES = dict(zip(MACHINES, (0xC000003E, 0xC00000B7), strict=True))
_X32_BIT = 0x40000000

_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_SET_MODE_FILTER, _SECCOMP_GET_ACTION_AVAIL, _SECCOMP_FILTER_FLAG_TSYNC = 1, 2, 1
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_RET_ALLOW, _RET_ERRNO = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data


@dataclass(frozen=True, slots=True)
class Only:
    """A call that is allowed (or, inverted, refused) only where the low half of an argument is one of `values`, or with
    `any_bit` shares a bit with one."""

    call: str
    argument: int  # from 0
    values: tuple[int, ...]
    any_bit: bool = False
    refuse: bool = False


def refuse(calls: Iterable[str], some: Iterable[Only] = (), unknown: Iterable[str] = ()) -> str | None:
    """From now on, with EACCES; `unknown` ones as if the kernel did not have them. Returns None, or why that failed."""
    if reason := why_not_refusable():
        return reason
    libc = ctypes.CDLL(None, use_errno=True)
    program = filter_program(platform.machine(), calls, some, unknown)
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return _declined()
    seccomp = number("seccomp", platform.machine())
    result = libc.syscall(seccomp, _SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC, header)
    return None if result == 0 else _declined()


def why_not_refusable() -> str | None:
    """Why nothing can be refused to a process on this computer; None where it can. Changes nothing."""
    if sys.platform != "linux":
        return f"only Linux can refuse it to a single program, and this is {platform.system()}"
    machine = platform.machine()
    if machine not in MACHINES:
        return f"no filter for {machine}"
    libc = ctypes.CDLL(None, use_errno=True)
    action = ctypes.c_uint32(_RET_ERRNO)
    available = libc.syscall(number("seccomp", machine), _SECCOMP_GET_ACTION_AVAIL, 0, ctypes.byref(action)) == 0
    return None if available else _declined()


def _declined() -> str:
    return f"the kernel declined: {os.strerror(ctypes.get_errno() or errno.EINVAL)}"


def filter_program(machine: str, calls: Iterable[str], some: Iterable[Only], unknown: Iterable[str]) -> bytes:
    """A classic BPF program: `struct sock_filter { u16 code; u8 if_true; u8 if_false; u32 k; }` each.

    The two numbers in the middle say how many lines a jump leaves out.
    """
    refused = _RET_ERRNO | errno.EACCES
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, _AUDIT_ARCHITECTURES[machine]),
        (_RETURN, 0, 0, refused),
        (_LOAD, 0, 0, _NUMBER),
        (_JUMP_AT_LEAST, 0, 1, _X32_BIT),
        (_RETURN, 0, 0, refused),
    ]
    for answer, names in ((refused, calls), (_RET_ERRNO | errno.ENOSYS, unknown)):
        for name in names:
            if (call := number(name, machine)) is not None:
                program += [(_JUMP_EQUAL, 0, 1, call), (_RETURN, 0, 0, answer)]
    for only in some:
        if (call := number(only.call, machine)) is None:
            continue
        jump, count = _JUMP_ANY_BIT if only.any_bit else _JUMP_EQUAL, len(only.values)
        otherwise, then = (_RET_ALLOW, refused) if only.refuse else (refused, _RET_ALLOW)
        program += [
            (_JUMP_EQUAL, 0, count + 3, call),
            (_LOAD, 0, 0, _FIRST_ARGUMENT + 8 * only.argument),
            *((jump, count - i, 0, value) for i, value in enumerate(only.values)),
            (_RETURN, 0, 0, otherwise),
            (_RETURN, 0, 0, then),
        ]
    program.append((_RETURN, 0, 0, _RET_ALLOW))
    return b"".join(struct.pack("HBBI", *line) for line in program)
