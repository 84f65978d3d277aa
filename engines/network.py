"""What every backend needs to know of a network's file, inputs and machine."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

from engines.engine import EngineFailure, InputMismatch, Tensors

REMAKE = ": make it again with `visavis export fast`"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """The shape (-1: any size) and dtype that a network declares for one tensor."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]

    @classmethod
    def of(cls, shape: tuple[int, ...], dtype: DTypeLike) -> TensorSpec:
        return cls(shape, np.dtype(dtype))


def network_file(path: Path) -> Path:
    """`path`, once it is known to be a readable, non-empty file. Raises EngineFailure."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except FileNotFoundError:
        raise EngineFailure(f"{path} does not exist: make it with `visavis export fast`") from None
    except OSError as error:
        raise EngineFailure(f"{path} cannot be read: {error.strerror}") from None
    if empty:
        raise EngineFailure(f"{path} is empty{REMAKE}")
    return path


def thread_count(threads: int | None) -> int:
    """`threads`, or by default all usable cores but one, which is the tracker's. Raises EngineFailure below 1.

    Of two cores it takes both: the tracker needs a third of one, and a generator on one alone misses the frame rate.
    """
    if threads is None:
        usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return max(min(usable, 2), usable - 1)
    if threads < 1:
        raise EngineFailure(f"an engine needs at least one thread, not {threads}")
    return threads


def checked(specs: Mapping[str, TensorSpec], given: Mapping[str, NDArray[np.generic]], model: str) -> Tensors:
    """The given arrays, contiguous, once names, shapes and dtypes are those of `specs`. Raises InputMismatch."""
    if given.keys() != specs.keys():
        missing = ", ".join(sorted(specs.keys() - given.keys())) or "none"
        unknown = ", ".join(sorted(given.keys() - specs.keys())) or "none"
        raise InputMismatch(f"{model} takes the inputs {', '.join(specs)} (missing: {missing}; unknown: {unknown})")
    arrays: Tensors = {}
    for name, spec in specs.items():
        array = given[name]
        if not isinstance(array, np.ndarray):
            raise InputMismatch(f"{model}: input {name} must be a numpy array, not {type(array).__name__}")
        if array.dtype != spec.dtype:
            raise InputMismatch(f"{model}: input {name} must be {spec.dtype}, not {array.dtype}")
        fits = len(array.shape) == len(spec.shape) and all(
            wanted in (-1, size) for wanted, size in zip(spec.shape, array.shape, strict=True)
        )
        if not fits:
            raise InputMismatch(
                f"{model}: input {name} must have the shape {shape_text(spec.shape)}, not {shape_text(array.shape)}"
            )
        arrays[name] = np.ascontiguousarray(array).reshape(array.shape)
    return arrays


def shape_text(shape: tuple[int, ...]) -> str:
    """(1, 3, -1) as "1 x 3 x any"."""
    return " x ".join("any" if size < 0 else str(size) for size in shape) or "() (a single number)"


def one_line(error: BaseException, preamble: re.Pattern[str], limit: int = 300) -> str:
    """A backend's message for the end of ours: in one line, without what `preamble` matches, and not without end."""
    lines = [preamble.sub("", line).strip() for line in str(error).splitlines()]
    text = " ".join(line for line in lines if line).strip(" .") or type(error).__name__
    return text if len(text) <= limit else text[: limit - 1] + "…"
