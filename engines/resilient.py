"""An engine that outlives its backend: when one fails, the next one answers the same call."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engines.backends import Say
from engines.engine import Engine, EngineDescription, EngineFailure, InputMismatch, Tensors, Unavailable

# For tests and rehearsals: after so many inferences the running engine fails once, as if its device had gone.
FAIL_VARIABLE = "VISAVIS_FAIL_ENGINE_AFTER"


@dataclass(frozen=True, slots=True)
class Rung:
    """One of the engines to fall back on, from the fastest down."""

    name: str  # in EngineDescription.passed_over
    label: str
    open: Callable[[], Engine]
    standing: str  # what is said of it where another runs, e.g. "24.1 ms"
    why: str = ""  # what is said of it where it runs


class ResilientEngine:
    """The first of several engines that works. Implements engines.engine.Engine.

    When the running engine fails, it is closed and not tried again, the next one is loaded, and the same call goes to
    it, so that no frame is lost: that frame waits for the loading, and the newest one wins as ever. With the shipped
    generator on two cores that took 0.2 s for ONNX Runtime and 1.0 s for OpenVINO, most of it importing the library.
    One line says so. The last engine is kept: what it raises reaches the caller, and the next call goes to it again.
    """

    def __init__(
        self,
        model: str,
        rungs: Sequence[Rung],
        unusable: Mapping[str, str],
        say: Say,
        refusal: Callable[[Mapping[str, EngineFailure]], EngineFailure],
    ) -> None:
        """Open the first that loads.

        model: what the network is called in messages.
        unusable: other backends, with the reasons why they are not among the rungs.
        refusal: from label -> failure, what is raised when none of them loads.
        Raises EngineFailure.
        """
        self._model, self._say = model, say
        self._unusable = dict(unusable)
        self._ahead = list(rungs)
        self._passed_over: dict[str, str] = {}
        self._closed = False
        self._inferences = 0
        self._fail_after = _fail_after()
        found, failures = self._next_that_loads()
        if found is None:
            raise refusal(failures)
        self._running, self._engine = found
        self.inputs, self.outputs = self._engine.inputs, self._engine.outputs

    def infer(self, inputs: Mapping[str, NDArray[np.generic]]) -> Tensors:
        if self._closed:
            raise EngineFailure(f"{self._model}: this engine was closed")
        while True:
            try:
                self._fail_if_asked()
                outputs = self._engine.infer(inputs)
            except InputMismatch:
                raise
            except EngineFailure as failure:
                self._replace(failure)
                continue
            self._inferences += 1
            return outputs

    def describe(self) -> EngineDescription:
        """Of the engine that runs now."""
        ahead = {rung.name: rung.standing for rung in self._ahead}
        passed_over = {**self._passed_over, **ahead, **self._unusable}
        return replace(self._engine.describe(), model=self._model, why=self._running.why, passed_over=passed_over)

    def close(self) -> None:
        self._closed = True
        self._engine.close()

    def _replace(self, failure: EngineFailure) -> None:
        """Load the next engine in place of the one that failed. Raises its failure when there is no other."""
        found, skipped = self._next_that_loads(self._engine)
        if found is None:
            raise failure
        with suppress(EngineFailure):  # its device may have gone
            self._engine.close()
        self._passed_over[self._running.name] = f"failed while running ({failure})"
        self._running, self._engine = found
        also = "".join(f"; {label} could not be loaded ({error})" for label, error in skipped.items())
        self._say(f"{str(failure).rstrip('.')}{also}. {self._running.label} runs from here on.")

    def _next_that_loads(
        self, like: Engine | None = None
    ) -> tuple[tuple[Rung, Engine] | None, dict[str, EngineFailure]]:
        """The next engine, or None when none is left; and by label, why those before it could not be loaded."""
        failures: dict[str, EngineFailure] = {}
        while self._ahead:
            rung = self._ahead.pop(0)
            try:
                engine = rung.open()
                if like is None or _alike(engine, like):
                    return (rung, engine), failures
                engine.close()
                raise EngineFailure("it takes other inputs")
            except EngineFailure as error:
                failures[rung.label] = error
                why = str(error).removeprefix(f"{rung.label}: ")
                loading = not isinstance(error, Unavailable)
                self._passed_over[rung.name] = f"could not load the network ({why})" if loading else why
        return None, failures

    def _fail_if_asked(self) -> None:
        if self._inferences == self._fail_after:
            self._fail_after = None
            raise EngineFailure(f"{self._model} failed in {self._running.label}: {FAIL_VARIABLE} asked for it")


def _alike(one: Engine, other: Engine) -> bool:
    """Whether the inputs and outputs have the same names: shapes that are free may be told in several ways."""
    return (one.inputs.keys(), one.outputs.keys()) == (other.inputs.keys(), other.outputs.keys())


def _fail_after() -> int | None:
    value = os.environ.get(FAIL_VARIABLE, "")
    return int(value) if value.isascii() and value.isdecimal() else None
