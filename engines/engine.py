"""The one interface behind which every inference backend runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Tensors = dict[str, NDArray[np.generic]]
Example = Callable[[], Mapping[str, NDArray[np.generic]]]  # makes inputs such as a network is fed in use


@dataclass(frozen=True, slots=True)
class EngineDescription:
    """What runs, for the one line that is printed and for `--json`."""

    backend: str  # "onnxruntime", "openvino", …
    version: str
    device: str  # "cpu", …
    precision: str  # "fp32", …
    model: str  # file name of the network
    threads: int = 0  # CPU threads of one inference; 0 where it means nothing
    why: str = ""  # this one and no other, e.g. "12.1 ms, the fastest of 3 measured on 2026-11-24"
    # "openvino", or "openvino:cpu:bf16" for one of several ways in which a backend could -> why it does not run
    passed_over: Mapping[str, str] = field(default_factory=dict)


class Engine(Protocol):
    """A loaded network. One engine belongs to one thread at a time."""

    inputs: dict[str, tuple[int, ...]]  # name -> shape; -1 where any size is taken
    outputs: dict[str, tuple[int, ...]]

    def infer(self, inputs: Mapping[str, NDArray[np.generic]]) -> Tensors:
        """Run the network once; the arrays that come back are the caller's to keep.

        Raises InputMismatch when the inputs are not what the network takes, EngineFailure when the backend fails.
        """
        ...

    def describe(self) -> EngineDescription: ...

    def close(self) -> None:
        """Free the network's memory. May be called twice; `infer` raises EngineFailure from then on."""
        ...


class EngineFailure(Exception):  # noqa: N818 (no error yet while another backend works)
    """A backend could not load or run a network. The message says which and why, in one line."""


class InputMismatch(EngineFailure):
    """A name, shape or dtype that the network does not take. Another backend would refuse it too."""


class Unavailable(EngineFailure):
    """The library or the device that a backend needs is not there, whatever the network."""
