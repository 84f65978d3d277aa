"""Take the network away from a process that looks through somebody's camera.

MediaPipe looks up a logging host and would upload usage logs (mediapipe issue 6291), and offers no switch. The commands
that track faces need no network at all, so on Linux the kernel refuses them every socket but local ones: a seccomp
filter, which needs no privilege, holds for every thread and child, and cannot be undone by the process itself.

Source: https://docs.kernel.org/userspace-api/seccomp_filter.html
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
import struct
import sys

ALLOW_VARIABLE = "VISAVIS_ALLOW_NETWORK"

# (audit architecture, socket, io_uring_setup, seccomp) by machine. io_uring could open sockets behind the filter.
_ARCHITECTURES = {"x86_64": (0xC000003E, 41, 425, 317), "aarch64": (0xC00000B7, 198, 425, 277)}
_X32_BIT = 0x40000000  # system calls of the x32 convention have other numbers: refused altogether
_ALLOWED_FAMILIES = (socket.AF_UNIX, getattr(socket, "AF_NETLINK", 16))  # desktops; asking for interfaces

_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC = 1, 1
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_RET_ALLOW, _RET_ERRNO = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data


def refuse_network() -> str | None:
    """From now on, this process, its threads and its children get no network. Returns None, or why that failed.

    Does nothing, and says so, where VISAVIS_ALLOW_NETWORK is set (a window on a remote X display needs it).
    """
    if os.environ.get(ALLOW_VARIABLE):
        return f"{ALLOW_VARIABLE} is set"
    if sys.platform != "linux":
        return f"only Linux can refuse it to a single program, and this is {platform.system()}"
    if platform.machine() not in _ARCHITECTURES:
        return f"no filter for {platform.machine()}"
    libc = ctypes.CDLL(None, use_errno=True)
    program = _filter(platform.machine())
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return os.strerror(ctypes.get_errno())
    number = _ARCHITECTURES[platform.machine()][3]
    result = libc.syscall(number, _SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC, header)
    return None if result == 0 else f"the kernel declined: {os.strerror(ctypes.get_errno() or errno.EINVAL)}"


def _filter(machine: str) -> bytes:
    """A classic BPF program: `struct sock_filter { u16 code; u8 if_true; u8 if_false; u32 k; }` each."""
    architecture, socket_number, io_uring_number, _ = _ARCHITECTURES[machine]
    refuse = _RET_ERRNO | errno.EACCES
    families = [(_JUMP_EQUAL, len(_ALLOWED_FAMILIES) - i, 0, int(f)) for i, f in enumerate(_ALLOWED_FAMILIES)]
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, refuse),
        (_LOAD, 0, 0, _NUMBER),
        (_JUMP_AT_LEAST, 0, 1, _X32_BIT),
        (_RETURN, 0, 0, refuse),
        (_JUMP_EQUAL, 0, 1, io_uring_number),
        (_RETURN, 0, 0, refuse),
        (_JUMP_EQUAL, 0, 2 + len(families), socket_number),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        *families,
        (_RETURN, 0, 0, refuse),
        (_RETURN, 0, 0, _RET_ALLOW),
    ]
    return b"".join(struct.pack("HBBI", *line) for line in program)
