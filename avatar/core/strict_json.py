"""JSON as RFC 8259 has it: from files that anybody may have written, and for programs that read no other."""

from __future__ import annotations

import json
import math
from typing import Any

MAX_DEPTH = 12
MAX_INTEGER = 2**53  # beyond, other readers of JSON see another number (RFC 8259, section 6)


def parse_json(data: bytes | str) -> Any:
    """What the JSON says. Raises ValueError, also for NaN, 1e999, integers of hundreds of digits, and deep nesting.

    >>> parse_json('{"gain": 1.5}')
    {'gain': 1.5}
    """
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
        value = json.loads(text, parse_constant=_refused, parse_float=_number, parse_int=_integer)
        if _depth(value) > MAX_DEPTH:
            raise ValueError("nested too deeply")
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def finite(value: Any) -> Any:
    """The same with None, JSON's null, for NaN and infinities, which JSON does not have.

    >>> finite({"fps": [30.0, float("nan")]})
    {'fps': [30.0, None]}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return value


def _refused(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _number(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError("a number is larger than any")
    return value


def _integer(text: str) -> int:
    if len(text) > 17 or abs(value := int(text)) > MAX_INTEGER:
        raise ValueError("a number is larger than any")
    return value


def _depth(value: Any) -> int:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, children), default=0)
