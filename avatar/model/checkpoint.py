"""Trained weights as one safetensors file with the configuration in its header. No pickle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from avatar.core.errors import InputError, UsageError
from avatar.core.strict_json import parse_json

# what a file that is no checkpoint, or one of other networks, makes of reading and building them
DAMAGE = (OSError, SafetensorError, KeyError, TypeError, ValueError, AttributeError, RuntimeError, UsageError)
MAX_REASON = 200  # characters of it that are told


def read_header(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Configuration, and what is said about the training. Raises what DAMAGE lists."""
    with safe_open(path, "pt") as file:
        header = file.metadata() or {}
    config, about = parse_json(header["config"]), json.loads(header.get("about", "{}"))
    if not isinstance(config, dict) or not isinstance(about, dict):
        raise ValueError("its header does not say what the networks are")
    return config, about


def read_tensors(path: Path) -> dict[str, Tensor]:
    """In float32. Raises what DAMAGE lists."""
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 (not a mapping)
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise ValueError(f"{name} holds weights that are no numbers")
    return tensors


@contextmanager
def reading(path: Path, fault: str, then: str = "") -> Iterator[None]:
    """What DAMAGE lists becomes an InputError: that the file `fault`, why, and what to do `then`."""
    try:
        yield
    except DAMAGE as error:
        raise InputError(" ".join(filter(None, (f"{path} {fault} ({_in_a_line(error)}).", then)))) from error


def _in_a_line(error: Exception) -> str:
    """torch lists every tensor that does not fit, each in a line of its own."""
    text = " ".join(str(error).split())
    return f"{text[:MAX_REASON]}…" if len(text) > MAX_REASON else text
