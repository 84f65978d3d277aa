"""The few calls of the CUDA driver API that an engine needs, from the library that comes with every NVIDIA driver.

https://docs.nvidia.com/cuda/cuda-driver-api/ ; the suffixes _v2 are those that `cuda.h` puts behind the plain names.
"""

from __future__ import annotations

import ctypes
import sys
from ctypes import byref, c_char_p, c_int, c_size_t, c_uint, c_uint64, c_void_p
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.engine import EngineFailure

NO_GPU = "no NVIDIA GPU was found"
CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_…
STREAM_NON_BLOCKING = 1
CAPTURE_THREAD_LOCAL = 1

SIGNATURES: dict[str, list[Any]] = {
    "cuInit": [c_uint],
    "cuDriverGetVersion": [c_void_p],
    "cuGetErrorString": [c_int, c_void_p],
    "cuDeviceGetCount": [c_void_p],
    "cuDeviceGet": [c_void_p, c_int],
    "cuDeviceGetName": [c_char_p, c_int, c_int],
    "cuDeviceGetAttribute": [c_void_p, c_int, c_int],
    "cuDevicePrimaryCtxRetain": [c_void_p, c_int],
    "cuDevicePrimaryCtxRelease_v2": [c_int],
    "cuCtxSetCurrent": [c_void_p],
    "cuMemAlloc_v2": [c_void_p, c_size_t],
    "cuMemFree_v2": [c_uint64],
    "cuMemHostAlloc": [c_void_p, c_size_t, c_uint],
    "cuMemFreeHost": [c_void_p],
    "cuMemcpyHtoDAsync_v2": [c_uint64, c_void_p, c_size_t, c_void_p],
    "cuMemcpyDtoHAsync_v2": [c_void_p, c_uint64, c_size_t, c_void_p],
    "cuStreamCreate": [c_void_p, c_uint],
    "cuStreamSynchronize": [c_void_p],
    "cuStreamDestroy_v2": [c_void_p],
    "cuStreamBeginCapture_v2": [c_void_p, c_int],
    "cuStreamEndCapture": [c_void_p, c_void_p],
    "cuGraphInstantiateWithFlags": [c_void_p, c_void_p, c_uint64],
    "cuGraphLaunch": [c_void_p, c_void_p],
    "cuGraphDestroy": [c_void_p],
    "cuGraphExecDestroy": [c_void_p],
}


class Cuda:
    """The first GPU, with its primary context, which TensorRT uses too, and one stream."""

    def __init__(self) -> None:
        """Raises EngineFailure when there is no GPU, or its driver does not start."""
        self._driver = _started_driver()
        device = c_int()
        self._call("cuDeviceGet", byref(device), 0)
        self._device = device.value
        major, minor, name = c_int(), c_int(), ctypes.create_string_buffer(256)
        self._call("cuDeviceGetAttribute", byref(major), CAPABILITY_MAJOR, self._device)
        self._call("cuDeviceGetAttribute", byref(minor), CAPABILITY_MINOR, self._device)
        self._call("cuDeviceGetName", name, len(name), self._device)
        self.capability = 10 * major.value + minor.value
        self.name = name.value.decode(errors="replace")
        self._context, self._stream = c_void_p(), c_void_p()
        self._call("cuDevicePrimaryCtxRetain", byref(self._context), self._device)
        self._graph = c_void_p()
        self._device_memory: list[int] = []
        self._host_memory: list[c_void_p] = []
        self.enter()
        self._call("cuStreamCreate", byref(self._stream), STREAM_NON_BLOCKING)

    @property
    def stream(self) -> int:
        return int(self._stream.value or 0)

    @property
    def has_graph(self) -> bool:
        return bool(self._graph)

    def enter(self) -> None:
        """Make the context the calling thread's: an engine may be made in one thread and used in another."""
        self._call("cuCtxSetCurrent", self._context)

    def allocate(self, size_bytes: int) -> int:
        """Memory on the GPU, freed by `close`. Its address."""
        address = c_uint64()
        self._call("cuMemAlloc_v2", byref(address), max(size_bytes, 1))
        self._device_memory.append(address.value)
        return address.value

    def pinned(self, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
        """An array in page-locked memory, which the GPU reads and writes by itself. Not to be used after `close`."""
        size_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        pointer = c_void_p()
        self._call("cuMemHostAlloc", byref(pointer), max(size_bytes, 1), 0)
        self._host_memory.append(pointer)
        memory: Any = (ctypes.c_char * size_bytes).from_address(int(pointer.value or 0))
        return np.ndarray(shape, dtype, memory)

    def upload(self, address: int, array: NDArray[np.generic]) -> None:
        """Begin to copy a pinned array to the GPU."""
        self._call("cuMemcpyHtoDAsync_v2", address, array.ctypes.data, array.nbytes, self._stream)

    def download(self, array: NDArray[np.generic], address: int) -> None:
        """Begin to copy from the GPU into a pinned array."""
        self._call("cuMemcpyDtoHAsync_v2", array.ctypes.data, address, array.nbytes, self._stream)

    def wait(self) -> None:
        self._call("cuStreamSynchronize", self._stream)

    def begin_capture(self) -> None:
        self._call("cuStreamBeginCapture_v2", self._stream, CAPTURE_THREAD_LOCAL)

    def end_capture(self) -> None:
        """Make a graph of what was put into the stream since `begin_capture`, for `launch`."""
        graph = c_void_p()
        self._call("cuStreamEndCapture", self._stream, byref(graph))
        try:
            self._call("cuGraphInstantiateWithFlags", byref(self._graph), graph, 0)
        finally:
            self._call("cuGraphDestroy", graph)

    def launch(self) -> None:
        self._call("cuGraphLaunch", self._graph, self._stream)

    def drop_graph(self) -> None:
        if self._graph:
            self._call("cuGraphExecDestroy", self._graph)
            self._graph = c_void_p()

    def close(self) -> None:
        """Free all memory and the stream. May be called twice."""
        if not self._context:
            return
        self.enter()
        if self._stream:
            self.wait()
        self.drop_graph()
        while self._device_memory:
            self._call("cuMemFree_v2", self._device_memory.pop())
        while self._host_memory:
            self._call("cuMemFreeHost", self._host_memory.pop())
        if self._stream:
            self._call("cuStreamDestroy_v2", self._stream)
        self._context = c_void_p()
        self._call("cuDevicePrimaryCtxRelease_v2", self._device)

    def _call(self, name: str, *arguments: Any) -> None:
        if code := getattr(self._driver, name)(*arguments):
            raise EngineFailure(f"{name} failed: {_error_text(self._driver, code)}")


def driver_cuda() -> str:
    """The newest CUDA that the driver knows, such as "12.2". Raises EngineFailure when there is no driver."""
    version = c_int()
    _started_driver().cuDriverGetVersion(byref(version))
    return f"{version.value // 1000}.{version.value % 1000 // 10}"


def no_gpu() -> str | None:
    """Why there is no NVIDIA GPU to run on. None: there is one."""
    try:
        _started_driver()
    except EngineFailure as error:
        return str(error)
    return None


def _started_driver() -> Any:
    """The driver's library, once it has found a GPU. Raises EngineFailure."""
    try:
        # WinDLL's calling convention is CDLL's on the 64-bit Windows that the driver is for.
        library = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        for name, arguments in SIGNATURES.items():
            function = getattr(library, name)
            function.argtypes, function.restype = arguments, c_int
    except OSError:
        raise EngineFailure(f"{NO_GPU} (its driver is not installed)") from None
    except AttributeError as error:
        raise EngineFailure(f"the NVIDIA driver is too old ({error})") from None
    count = c_int()
    if code := library.cuInit(0) or library.cuDeviceGetCount(byref(count)):
        raise EngineFailure(f"{NO_GPU} ({_error_text(library, code)})")
    if not count.value:
        raise EngineFailure(NO_GPU)
    return library


def _error_text(library: Any, code: int) -> str:
    text = c_char_p()
    library.cuGetErrorString(code, byref(text))
    return (text.value or b"unknown error").decode(errors="replace")
