"""Settings of a run by name, as a command line gives them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from avatar.core.errors import UsageError


def apply_settings(settings: Sequence[str], options: Sequence[Any]) -> list[Any]:
    """Apply name=value to the dataclass that has the name; `weights` of one are named weight_NAME. UsageError."""
    changes: list[dict[str, Any]] = [{} for _ in options]
    weights: list[dict[str, float]] = [{} for _ in options]
    places: dict[str, tuple[int, str, Any]] = {}
    for i, one in enumerate(options):
        for f in fields(one):
            value = getattr(one, f.name)
            if is_dataclass(value) and not isinstance(value, type):
                places |= {f"weight_{w.name}": (i, w.name, getattr(value, w.name)) for w in fields(value)}
            else:
                places[f.name] = (i, f.name, value)
    for setting in settings:
        key, _, text = setting.partition("=")
        if key not in places:
            raise UsageError(f"There is no training option '{key}'. Choose from: {', '.join(places)}.")
        i, name, default = places[key]
        (weights if key.startswith("weight_") else changes)[i][name] = _parsed(setting, text, default)
    result = []
    for one, change, weight in zip(options, changes, weights, strict=True):
        nested = {"weights": replace(one.weights, **weight)} if weight else {}
        result.append(replace(one, **change, **nested))
    return result


def _parsed(setting: str, text: str, default: Any) -> Any:
    """The value as the default's kind: word, yes or no (1, 0), whole number from 1 (where 0 has no meaning), number."""
    if isinstance(default, str):
        return text
    try:
        value = float(text)
        if isinstance(default, (bool, int)) and value != int(value):
            raise ValueError
    except (ValueError, OverflowError):
        kind = "a whole number" if isinstance(default, (bool, int)) else "a number"
        raise UsageError(f"--set {setting}: '{text}' is not {kind}.") from None
    if not 0 <= value < math.inf:
        raise UsageError(f"--set {setting}: give a number that is not negative.")
    if isinstance(default, bool):
        return bool(value)
    if isinstance(default, int):
        if value == 0 and setting.split("=")[0] in ("batch", "steps", "accumulate", "k", "log_every", "save_every"):
            raise UsageError(f"--set {setting}: give at least 1.")
        return int(value)
    return value
