"""What of PipeWire's C library a camera needs, for ctypes. Names are those of the headers beside them."""

from __future__ import annotations

import ctypes
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int32, c_int64, c_uint32, c_uint64
from ctypes import c_void_p as pointer
from functools import lru_cache
from typing import Any

SONAME = "libpipewire-0.3.so.0"

# pipewire/stream.h: enum pw_stream_state
STATE_ERROR, STATE_UNCONNECTED, STATE_PAUSED, STATE_STREAMING = -1, 0, 2, 3
# pipewire/stream.h: enum pw_stream_flags
FLAG_MAP_BUFFERS, FLAG_DRIVER = 1 << 2, 1 << 3
VERSION_STREAM_EVENTS = 2  # pipewire/stream.h: PW_VERSION_STREAM_EVENTS
ID_ANY = 0xFFFF_FFFF  # pipewire/core.h: PW_ID_ANY
DIRECTION_OUTPUT = 1  # spa/utils/defs.h: SPA_DIRECTION_OUTPUT

# spa/utils/type.h
TYPE_OBJECT_FORMAT, TYPE_OBJECT_PARAM_BUFFERS = 0x40003, 0x40004
# spa/param/param.h: enum spa_param_type
PARAM_ENUM_FORMAT, PARAM_FORMAT, PARAM_BUFFERS = 3, 4, 5
# spa/param/format.h
FORMAT_MEDIA_TYPE, FORMAT_MEDIA_SUBTYPE = 1, 2
MEDIA_TYPE_VIDEO, MEDIA_SUBTYPE_RAW = 2, 1
FORMAT_VIDEO_FORMAT, FORMAT_VIDEO_SIZE, FORMAT_VIDEO_FRAMERATE = 0x20001, 0x20003, 0x20004
VIDEO_FORMAT_I420 = 2  # spa/param/video/raw.h
# spa/param/buffers.h: enum spa_param_buffers
BUFFERS_COUNT, BUFFERS_BLOCKS, BUFFERS_SIZE, BUFFERS_STRIDE, BUFFERS_DATA_TYPE = 1, 2, 3, 4, 6
DATA_MEM_FD = 2  # spa/buffer/buffer.h: enum spa_data_type


class SpaChunk(Structure):  # spa/buffer/buffer.h
    _fields_ = (("offset", c_uint32), ("size", c_uint32), ("stride", c_int32), ("flags", c_int32))


class SpaData(Structure):  # spa/buffer/buffer.h
    _fields_ = (
        ("type", c_uint32),
        ("flags", c_uint32),
        ("fd", c_int64),
        ("mapoffset", c_uint32),
        ("maxsize", c_uint32),
        ("data", pointer),
        ("chunk", POINTER(SpaChunk)),
    )


class SpaBuffer(Structure):  # spa/buffer/buffer.h
    _fields_ = (("n_metas", c_uint32), ("n_datas", c_uint32), ("metas", pointer), ("datas", POINTER(SpaData)))


class PwBuffer(Structure):  # pipewire/stream.h; later versions append to it
    _fields_ = (("buffer", POINTER(SpaBuffer)), ("user_data", pointer), ("size", c_uint64))


STATE_CHANGED = CFUNCTYPE(None, pointer, c_int, c_int, c_char_p)
PARAM_CHANGED = CFUNCTYPE(None, pointer, c_uint32, pointer)


class PwStreamEvents(Structure):  # pipewire/stream.h; callbacks that are not named with a type stay NULL
    _fields_ = (
        ("version", c_uint32),
        ("destroy", pointer),
        ("state_changed", STATE_CHANGED),
        ("control_info", pointer),
        ("io_changed", pointer),
        ("param_changed", PARAM_CHANGED),
        ("add_buffer", pointer),
        ("remove_buffer", pointer),
        ("process", pointer),
        ("drained", pointer),
        ("command", pointer),
        ("trigger_done", pointer),
    )


_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "pw_init": (None, (pointer, pointer)),
    "pw_properties_new_string": (pointer, (c_char_p,)),
    "pw_stream_connect": (c_int, (pointer, c_int, c_uint32, c_int, pointer, c_uint32)),
    "pw_stream_dequeue_buffer": (POINTER(PwBuffer), (pointer,)),
    "pw_stream_destroy": (None, (pointer,)),
    "pw_stream_new_simple": (pointer, (pointer, c_char_p, pointer, POINTER(PwStreamEvents), pointer)),
    "pw_stream_queue_buffer": (c_int, (pointer, POINTER(PwBuffer))),
    "pw_stream_trigger_process": (c_int, (pointer,)),
    "pw_stream_update_params": (c_int, (pointer, pointer, c_uint32)),
    "pw_thread_loop_destroy": (None, (pointer,)),
    "pw_thread_loop_get_loop": (pointer, (pointer,)),
    "pw_thread_loop_lock": (None, (pointer,)),
    "pw_thread_loop_new": (pointer, (c_char_p, pointer)),
    "pw_thread_loop_start": (c_int, (pointer,)),
    "pw_thread_loop_stop": (None, (pointer,)),
    "pw_thread_loop_unlock": (None, (pointer,)),
}


@lru_cache(maxsize=1)
def load() -> ctypes.CDLL:
    """The library, initialised. Raises OSError where it is not installed."""
    library = ctypes.CDLL(SONAME)
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    library.pw_init(None, None)
    return library
