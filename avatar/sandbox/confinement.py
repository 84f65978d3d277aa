"""Walls around a process that looks through somebody's camera with native code of others.

By a seccomp filter it has no socket, no other process, no other program, and changes no file's name or rights; by
Landlock it opens the files that it needs and no other. Both need no privilege, hold for every thread to come, and
cannot be undone by the process itself.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from avatar.sandbox.landlock import READ_FILE, READ_FOLDER, WRITE_FILE, landlock_version, open_only
from avatar.sandbox.seccomp import Only, refuse

_SOCKETS = (
    "socket", "connect", "bind", "listen", "accept", "accept4", "sendto", "sendmsg", "sendmmsg",
    "io_uring_setup",  # would open them behind the filter
)  # fmt: skip
_OTHER_PROCESSES = (  # which may have a network: their memory, descriptors, limits and priorities
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease", "kcmp", "move_pages",
    "migrate_pages", "pidfd_open", "pidfd_getfd", "pidfd_send_signal", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo",
    "setpriority", "ioprio_set", "sched_setscheduler", "sched_setparam", "sched_setattr", "sched_setaffinity",
    "perf_event_open",
)  # fmt: skip
_PROGRAMS = ("execve", "execveat", "fork", "vfork", "unshare", "setns")
_SHARED_WITH_OTHERS = (  # memory, queues and keys of the same user, which are no files
    "shmget", "shmat", "shmctl", "msgget", "msgsnd", "msgrcv", "msgctl", "semget", "semop", "semtimedop", "semctl",
    "mq_open", "mq_unlink", "add_key", "request_key", "keyctl",
)  # fmt: skip
_NAMES_AND_RIGHTS = (  # of files; Landlock knows nothing of rights and attributes, and older kernels have none
    "creat", "truncate", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink",
    "unlinkat", "mkdir", "mkdirat", "rmdir", "mknod", "mknodat", "chmod", "fchmod", "fchmodat", "fchmodat2", "chown",
    "fchown", "lchown", "fchownat", "utime", "utimes", "futimesat", "utimensat", "setxattr", "lsetxattr", "fsetxattr",
    "setxattrat", "removexattr", "lremovexattr", "fremovexattr", "removexattrat", "file_setattr", "inotify_init",
    "inotify_init1", "fanotify_init", "open_by_handle_at", "mount", "mount_setattr", "open_tree", "move_mount",
    "fsopen", "fspick",
    "openat2",  # whose flags a filter cannot see
)  # fmt: skip
_KERNEL = ("bpf", "userfaultfd")  # by which others have broken out
_UNKNOWN = ("clone3",)  # whose flags a filter cannot see: the C library then starts its threads by clone

_MAKE_OR_EMPTY = 0o100 | 0o1000 | 0o20000000  # O_CREAT, O_TRUNC, __O_TMPFILE: the same on both machines
_CLONE_THREAD = 0x10000
_F_SETOWN, _F_SETOWN_EX = 8, 15  # a signal to whoever is named
_TIOCSTI, _TIOCLINUX, _FS_IOC_SETFLAGS = 0x5412, 0x541C, 0x40086602  # types into a terminal; a file's attributes
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_PTRACER = 1, 4, 0x59616D61

_CAP_DAC_READ_SEARCH = 1 << 2  # root reads what belongs to the user who called it
_CAPABILITY_VERSION_3 = 0x20080522
_FILE_LIMIT_BYTES = 1 << 20  # what it may print; it writes no other file
_MEMORY_LIMIT_BYTES = 4 << 30  # of its own; the tracker takes 0.4 GiB, photos of 64 megapixels or not

_DEVICES = ("/dev/null", "/dev/urandom", "/dev/random", "/dev/zero")


@dataclass(frozen=True, slots=True)
class Confinement:
    """Why a wall is missing; None where it stands."""

    network: str | None
    files: str | None


def confine(readable: Iterable[Path]) -> Confinement:
    """`shut_off`, and of all files these and those below them alone. Call it before any thread is started."""
    network = shut_off()
    return Confinement(network, network or _open_only(readable))


def shut_off() -> str | None:
    """From now on, for good: no socket, no program, no other process, and files for reading alone. Returns None, or why
    that failed. No variable keeps any of it.
    """
    if sys.platform == "linux":
        _limit_itself()
    process = os.getpid()
    some = (
        Only("clone", 0, (_CLONE_THREAD,), any_bit=True),
        Only("kill", 0, (process,)),
        Only("tgkill", 0, (process,)),
        Only("prlimit64", 0, (0, process)),
        Only("open", 1, (_MAKE_OR_EMPTY,), any_bit=True, refuse=True),
        Only("openat", 2, (_MAKE_OR_EMPTY,), any_bit=True, refuse=True),
        Only("fcntl", 1, (_F_SETOWN, _F_SETOWN_EX), refuse=True),
        Only("ioctl", 1, (_TIOCSTI, _TIOCLINUX, _FS_IOC_SETFLAGS), refuse=True),
        Only("prctl", 0, (_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_PTRACER), refuse=True),
    )
    refused = _SOCKETS + _OTHER_PROCESSES + _PROGRAMS + _SHARED_WITH_OTHERS + _NAMES_AND_RIGHTS + _KERNEL
    return refuse(refused, some, _UNKNOWN)


def open_for_reading_only() -> None:
    """From now on, /dev/null too: where there is no Landlock, this keeps what lies here from being changed."""
    writing = os.O_WRONLY | os.O_RDWR
    refuse((), [Only(call, at, (writing,), any_bit=True, refuse=True) for call, at in (("open", 1), ("openat", 2))])


def why_files_stay_open() -> str | None:
    """Why this computer's files cannot be kept from a single program; None where they can. Changes nothing."""
    return None if landlock_version() else "this kernel's Landlock is off, or it is older than Linux 5.13"


def _open_only(readable: Iterable[Path]) -> str | None:
    if reason := why_files_stay_open():
        return reason
    rights = [(path, READ_FILE | READ_FOLDER if path.is_dir() else READ_FILE) for path in readable]
    rights += [(Path(device), READ_FILE | WRITE_FILE) for device in _DEVICES]
    try:
        open_only(rights)
    except OSError as error:
        return f"the kernel declined: {error.strerror}"
    return None


def lower_limit(kind: int, most: int) -> None:
    """Of `resource`, for good: to `most`, or to what it could be at most, where that is less already."""
    import resource

    hard = resource.getrlimit(kind)[1]
    lowest = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (lowest, lowest))


def _limit_itself() -> None:
    """No core dump, which would hold a picture; no privilege of root's but to read; bounds to what it may take."""
    import resource

    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    lower_limit(resource.RLIMIT_CORE, 0)
    lower_limit(resource.RLIMIT_FSIZE, _FILE_LIMIT_BYTES)
    lower_limit(resource.RLIMIT_DATA, _MEMORY_LIMIT_BYTES)
    # struct { u32 version; int pid; } and two times { u32 effective, permitted, inheritable; }
    header, sets = struct.pack("Ii", _CAPABILITY_VERSION_3, 0), ctypes.create_string_buffer(24)
    libc.capget(header, sets)
    effective, permitted, *_ = struct.unpack("6I", sets)
    libc.capset(header, struct.pack("6I", effective & _CAP_DAC_READ_SEARCH, permitted & _CAP_DAC_READ_SEARCH, *[0] * 4))
