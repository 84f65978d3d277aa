"""Time that passes as fast as the work is done: threads take turns, and the clock leaps while all of them wait."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any, Self

import pytest


class _Turn:
    """One thread's place: it runs from when its gate is opened until it waits."""

    def __init__(self) -> None:
        self.gate = threading.Lock()
        self.gate.acquire()
        self.alarm = 0  # the number of the alarm that may wake it; 0: none


class SimulatedTime:
    """Stands in for `time` and `threading` in modules that wait with `sleep`, `Condition` or `Thread.join` alone.

    One thread runs at a time, and the order is always the same. Made by the thread that runs first.
    """

    def __init__(self, start_ns: int) -> None:
        self.now_ns = start_ns
        self._running = _Turn()
        self._ready: deque[_Turn] = deque()
        self._alarms: list[tuple[int, int, _Turn]] = []
        self._numbers = itertools.count(1)

    def take_over(self, monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> None:
        """Replace what `modules` know as `time` and `threading`."""
        stand_in = SimpleNamespace(
            Lock=threading.Lock,
            Condition=lambda: _Condition(self),
            Thread=lambda target, args=(), name="", daemon=True: _Thread(self, target, args, name),
        )
        for module in modules:
            for name, value in (("time", self), ("threading", stand_in)):
                if hasattr(module, name):
                    monkeypatch.setattr(module, name, value)

    # As of the module `time`

    def monotonic_ns(self) -> int:
        return self.now_ns

    def monotonic(self) -> float:
        return self.now_ns / 1e9

    def sleep(self, seconds: float) -> None:
        self._alarm(self._running, seconds)
        self._wait()

    # Turns

    def _alarm(self, turn: _Turn, seconds: float) -> None:
        turn.alarm = next(self._numbers)
        heapq.heappush(self._alarms, (self.now_ns + max(0, round(seconds * 1e9)), turn.alarm, turn))

    def _wake(self, turn: _Turn) -> None:
        turn.alarm = 0
        self._ready.append(turn)

    def _wait(self) -> None:
        """Let others run until `_wake` or the alarm."""
        mine = self._running
        following = self._following()
        if following is not mine:
            self._running = following
            following.gate.release()
            mine.gate.acquire()

    def _leave(self) -> None:
        """The running thread ends."""
        self._running = self._following()
        self._running.gate.release()

    def _following(self) -> _Turn:
        if self._ready:
            return self._ready.popleft()
        while self._alarms:
            at_ns, number, turn = heapq.heappop(self._alarms)
            if turn.alarm == number:
                turn.alarm = 0
                self.now_ns = max(self.now_ns, at_ns)
                return turn
        raise RuntimeError("every thread waits for another")


class _Condition:
    """`threading.Condition`. Nobody else runs until `wait`, so there is nothing to lock."""

    def __init__(self, clock: SimulatedTime) -> None:
        self._clock = clock
        self._waiting: deque[_Turn] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def wait(self, timeout: float) -> bool:
        turn = self._clock._running
        self._waiting.append(turn)
        self._clock._alarm(turn, timeout)
        self._clock._wait()
        notified = turn not in self._waiting
        if not notified:
            self._waiting.remove(turn)
        return notified

    def notify(self) -> None:
        if self._waiting:
            self._clock._wake(self._waiting.popleft())

    def notify_all(self) -> None:
        while self._waiting:
            self.notify()


class _Thread:
    def __init__(self, clock: SimulatedTime, target: Callable[..., object], args: tuple[Any, ...], name: str) -> None:
        self._clock, self._turn, self._ended = clock, _Turn(), _Condition(clock)
        self._alive = True
        self._body = partial(target, *args)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._clock._wake(self._turn)

    def join(self, timeout: float) -> None:
        if self._alive:
            self._ended.wait(timeout)

    def _run(self) -> None:
        self._turn.gate.acquire()
        try:
            self._body()
        finally:
            self._alive = False
            self._ended.notify_all()
            self._clock._leave()
