"""Take the network away from a process that looks through somebody's camera.

MediaPipe looks up a logging host and would upload usage logs (mediapipe issue 6291), and offers no switch. So on Linux
the kernel refuses sockets to the process that runs it, and to the commands that need no network: by a seccomp filter,
which needs no privilege, holds for every thread and child, and cannot be undone by the process itself.

Sources: https://docs.kernel.org/userspace-api/seccomp_filter.html, https://docs.kernel.org/userspace-api/landlock.html
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

# By machine. The system calls of the x32 convention and of 32-bit programs have other numbers: refused altogether.
_AUDIT_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CALLS = {
    "x86_64": {
        "socket": 41, "connect": 42, "accept": 43, "sendto": 44, "sendmsg": 46, "bind": 49, "listen": 50,
        "accept4": 288, "sendmmsg": 307, "io_uring_setup": 425, "ptrace": 101, "process_vm_readv": 310,
        "process_vm_writev": 311, "pidfd_getfd": 438, "seccomp": 317,
    },
    "aarch64": {
        "socket": 198, "connect": 203, "accept": 202, "sendto": 206, "sendmsg": 211, "bind": 200, "listen": 201,
        "accept4": 242, "sendmmsg": 269, "io_uring_setup": 425, "ptrace": 117, "process_vm_readv": 270,
        "process_vm_writev": 271, "pidfd_getfd": 438, "seccomp": 277,
    },
}  # fmt: skip
_X32_BIT = 0x40000000
_RINGS = ("io_uring_setup",)  # would open sockets behind the filter
_ANY_SOCKET = ("socket", "connect", "bind", "listen", "accept", "accept4", "sendto", "sendmsg", "sendmmsg")
_OTHER_PROCESSES = ("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd")  # which may have a network
_LOCAL_FAMILIES = (socket.AF_UNIX if hasattr(socket, "AF_UNIX") else 1, 16)  # desktops; AF_NETLINK lists interfaces

_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_SET_MODE_FILTER, _SECCOMP_GET_ACTION_AVAIL, _SECCOMP_FILTER_FLAG_TSYNC = 1, 2, 1
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_RET_ALLOW, _RET_ERRNO = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data

_LANDLOCK_CREATE_RULESET, _LANDLOCK_RESTRICT_SELF = 444, 446  # on both machines
_LANDLOCK_CREATE_RULESET_VERSION = 1
_MAKE_SOCKET_FILES, _BIND_AND_CONNECT, _ABSTRACT_SOCKETS_AND_SIGNALS = 1 << 9, 3, 3


def refuse_network() -> str | None:
    """From now on, this process, its threads and its children get local sockets only. Returns None, or why that failed.

    Does nothing, and says so, where VISAVIS_ALLOW_NETWORK is set (a window on a remote X display needs it).
    """
    if os.environ.get(ALLOW_VARIABLE):
        return f"{ALLOW_VARIABLE} is set"
    return _install(_RINGS, _LOCAL_FAMILIES)


def refuse_all_sockets() -> str | None:
    """The same without local sockets, through which a daemon would look up names, and without a way into other
    processes (by /proc only where the kernel has Landlock). Call it before any thread is started: that of other
    processes holds for the threads to come. No variable keeps any of it.
    """
    reason = _install(_RINGS + _ANY_SOCKET + _OTHER_PROCESSES, ())
    if reason is None:
        _leave_other_processes()
    return reason


def why_not_refusable() -> str | None:
    """Why the network cannot be refused to a process on this computer; None where it can. Changes nothing."""
    if sys.platform != "linux":
        return f"only Linux can refuse it to a single program, and this is {platform.system()}"
    if platform.machine() not in _CALLS:
        return f"no filter for {platform.machine()}"
    libc = ctypes.CDLL(None, use_errno=True)
    number, action = _CALLS[platform.machine()]["seccomp"], ctypes.c_uint32(_RET_ERRNO)
    return None if libc.syscall(number, _SECCOMP_GET_ACTION_AVAIL, 0, ctypes.byref(action)) == 0 else _declined()


def _install(refused: tuple[str, ...], families: tuple[int, ...]) -> str | None:
    if reason := why_not_refusable():
        return reason
    libc = ctypes.CDLL(None, use_errno=True)
    program = _filter(platform.machine(), refused, families)
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return _declined()
    number = _CALLS[platform.machine()]["seccomp"]
    result = libc.syscall(number, _SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC, header)
    return None if result == 0 else _declined()


def _leave_other_processes() -> None:
    """By a Landlock domain: no memory of a process outside can be opened, and since Linux 6.12 none gets a signal."""
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_CREATE_RULESET_VERSION)
    if version < 1:
        return
    # struct landlock_ruleset_attr { u64 handled_access_fs, handled_access_net, scoped; } as far as this kernel knows it
    known = 1 if version < 4 else 2 if version < 6 else 3
    rules = struct.pack("3Q", _MAKE_SOCKET_FILES, _BIND_AND_CONNECT, _ABSTRACT_SOCKETS_AND_SIGNALS)[: 8 * known]
    ruleset = libc.syscall(_LANDLOCK_CREATE_RULESET, rules, len(rules), 0)
    if ruleset >= 0:
        libc.syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0)
        os.close(ruleset)


def _declined() -> str:
    return f"the kernel declined: {os.strerror(ctypes.get_errno() or errno.EINVAL)}"


def _filter(machine: str, refused: tuple[str, ...], families: tuple[int, ...]) -> bytes:
    """A classic BPF program: `struct sock_filter { u16 code; u8 if_true; u8 if_false; u32 k; }` each.

    `refused`: system calls; `families`: of the sockets that are allowed all the same.
    """
    calls = _CALLS[machine]
    refuse = _RET_ERRNO | errno.EACCES
    to_refuse = 2 + len(families)  # from the first line after the list of calls
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, _AUDIT_ARCHITECTURES[machine]),
        (_RETURN, 0, 0, refuse),
        (_LOAD, 0, 0, _NUMBER),
        (_JUMP_AT_LEAST, len(refused) + to_refuse, 0, _X32_BIT),
        *((_JUMP_EQUAL, len(refused) - 1 - i + to_refuse, 0, calls[name]) for i, name in enumerate(refused)),
        (_JUMP_EQUAL, 0, 2 + len(families), calls["socket"]),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        *((_JUMP_EQUAL, len(families) - i, 0, int(family)) for i, family in enumerate(families)),
        (_RETURN, 0, 0, refuse),
        (_RETURN, 0, 0, _RET_ALLOW),
    ]
    return b"".join(struct.pack("HBBI", *line) for line in program)
