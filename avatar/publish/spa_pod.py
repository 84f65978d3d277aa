"""PipeWire's parameters as bytes: just the kinds of POD that a camera needs.

Source: spa/pod/pod.h and spa/utils/type.h of PipeWire. A POD is its body's size, its type, its body, padded to 8 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

# enum spa_type, spa/utils/type.h
TYPE_ID, TYPE_INT, TYPE_RECTANGLE, TYPE_FRACTION, TYPE_OBJECT, TYPE_CHOICE = 3, 4, 10, 11, 15, 19
# enum spa_choice_type, spa/pod/pod.h
CHOICE_RANGE, CHOICE_FLAGS = 1, 4


def identifier(value: int) -> bytes:
    return _pod(TYPE_ID, struct.pack("=I", value))


def integer(value: int) -> bytes:
    return _pod(TYPE_INT, struct.pack("=i", value))


def rectangle(width: int, height: int) -> bytes:
    return _pod(TYPE_RECTANGLE, struct.pack("=II", width, height))


def fraction(numerator: int, denominator: int) -> bytes:
    return _pod(TYPE_FRACTION, struct.pack("=II", numerator, denominator))


def integer_range(default: int, lowest: int, highest: int) -> bytes:
    return _choice(CHOICE_RANGE, default, lowest, highest)


def integer_flags(allowed: int) -> bytes:
    return _choice(CHOICE_FLAGS, allowed)


def object_of(kind: int, parameter: int, properties: Mapping[int, bytes]) -> bytes:
    """An object (struct spa_pod_object_body) with `properties` by key (struct spa_pod_prop, no flags)."""
    body = struct.pack("=II", kind, parameter)
    return _pod(TYPE_OBJECT, body + b"".join(struct.pack("=II", key, 0) + value for key, value in properties.items()))


def _choice(kind: int, *values: int) -> bytes:
    """struct spa_pod_choice_body: kind, flags, then size and type of the values, which stand side by side."""
    return _pod(TYPE_CHOICE, struct.pack(f"=IIII{len(values)}i", kind, 0, 4, TYPE_INT, *values))


def _pod(kind: int, body: bytes) -> bytes:
    return struct.pack("=II", len(body), kind) + body + bytes(-len(body) % 8)
