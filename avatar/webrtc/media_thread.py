"""An asyncio loop in a thread of its own, for network work beside the live loop."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from avatar.core.plain_text import plain_text
from avatar.http.allowance import Allowance

T = TypeVar("T")
CLOSE_S = 5.0
TOLD_PER_SECOND, TOLD_BURST = 0.2, 10.0  # lines about what strangers' packets lead to

logger = logging.getLogger(__name__)


class MediaThread:
    """Runs coroutines for threads that have no loop of their own."""

    def __init__(self, name: str = "visavis-media") -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(self._tell)
        self._told = Allowance(TOLD_PER_SECOND, TOLD_BURST)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start `work` on the loop; from any other thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def wait(self, work: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
        """Run `work` on the loop and wait for what it returns or raises. Raises TimeoutError, and cancels it."""
        future = self.submit(work)
        try:
            return future.result(timeout_s)
        except TimeoutError:
            future.cancel()
            raise

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def close(self) -> None:
        """Cancel what still runs and end the thread. Safe to call twice."""
        if self.alive:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(CLOSE_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            self.loop.run_until_complete(self._end_tasks())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
        finally:
            self.loop.close()

    async def _end_tasks(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_S)

    def _tell(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """One line about what a library's callback or task failed at, as over a stranger's packets."""
        error = context.get("exception")
        if self._told.take():
            logger.warning("%s", plain_text(f"{context['message']}: {error!r}" if error else context["message"]))
            logger.debug("it failed here", exc_info=error)
