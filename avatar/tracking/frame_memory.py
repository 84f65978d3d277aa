"""Memory that two processes share for one picture and what was found in it. It grows when the pictures do."""

from __future__ import annotations

import mmap
import os
import sys
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from typing import Protocol


class FrameMemory(Protocol):
    """The maker gives `address` to the other process, and tells it with every picture what `attach` needs."""

    @property
    def address(self) -> str:
        """At most 64 characters of ASCII."""
        ...

    @property
    def buffer(self) -> mmap.mmap | memoryview:
        """Of the last size reserved, or more. No longer the same after `reserve`."""
        ...

    def reserve(self, size_bytes: int) -> None:
        """Be at least so large; what was in it may be lost."""
        ...

    def release(self) -> None:
        """Let go of it. Nobody may hold a view of the buffer."""
        ...


def open_frame_memory(size_bytes: int) -> FrameMemory:
    """Memory that belongs to no file and dies with the processes that hold it."""
    return SealedMemory(size_bytes) if sys.platform == "linux" else NamedMemory(size_bytes)


def attach(held: FrameMemory | None, address: str, size_bytes: int) -> FrameMemory:
    """The other side's view of the memory at `address`; `held`, its last view, where that still does."""
    if held is not None and held.address == address and len(held.buffer) >= size_bytes:
        return held
    if sys.platform == "linux" and address.startswith("fd:"):
        return SealedMemory(size_bytes, int(address.removeprefix("fd:")))
    return NamedMemory(size_bytes, address)


if sys.platform == "linux":
    import fcntl

    class SealedMemory:
        """A memfd. Sealed against shrinking, by which the other process could make this one fault.

        `address` names the descriptor, which the other process inherits.
        """

        def __init__(self, size_bytes: int, descriptor: int | None = None) -> None:
            if descriptor is None:
                descriptor = os.memfd_create("visavis-frame", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
                os.ftruncate(descriptor, size_bytes)
                fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
            self.descriptor = descriptor
            self._map = mmap.mmap(descriptor, size_bytes)

        @property
        def address(self) -> str:
            return f"fd:{self.descriptor}"

        @property
        def buffer(self) -> mmap.mmap | memoryview:
            return self._map

        def reserve(self, size_bytes: int) -> None:
            if size_bytes > len(self._map):
                os.ftruncate(self.descriptor, size_bytes)
                self._map.close()
                self._map = mmap.mmap(self.descriptor, size_bytes)

        def release(self) -> None:
            self._map.close()
            os.close(self.descriptor)


class NamedMemory:
    """POSIX shared memory or Windows' named mappings: a new one, of another name, when it must grow."""

    def __init__(self, size_bytes: int, name: str | None = None) -> None:
        self._memory = SharedMemory(create=True, size=size_bytes) if name is None else _attached(name)

    @property
    def address(self) -> str:
        return self._memory.name

    @property
    def buffer(self) -> mmap.mmap | memoryview:
        assert self._memory.buf is not None
        return self._memory.buf

    def reserve(self, size_bytes: int) -> None:
        if size_bytes > len(self.buffer):
            self.release()
            self._memory = SharedMemory(create=True, size=size_bytes)

    def release(self) -> None:
        self._memory.close()
        self._memory.unlink()


def _attached(name: str) -> SharedMemory:
    """Without Python's tracker, which would remove it when this process ends."""
    if sys.version_info >= (3, 13):
        return SharedMemory(name, track=False)
    memory = SharedMemory(name)
    if os.name == "posix":
        resource_tracker.unregister(f"/{memory.name}", "shared_memory")
    return memory
