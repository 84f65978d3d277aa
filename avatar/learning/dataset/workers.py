"""Source files to tracks, many at a time: on the cores of this machine or of a Ray cluster, results in order."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from avatar.core.errors import TrackerDownError, VisavisError
from avatar.core.extras import install
from avatar.core.own_process import settle
from avatar.learning.dataset.face_tracks import file_tracks
from avatar.learning.dataset.outcome import CRASHED, KILLED, Outcome, TrackRules
from avatar.sandbox.no_network import refuse_network
from avatar.tracking.model_asset import tracker_model

LOCAL_RAY = "local"
WAITING_PER_WORKER = 3  # results that wait for their turn: a few megabytes each
TRIES = 2  # of a file at which the tracker's process ends
CRASHES_IN_A_ROW = 5  # beyond, it is not the files


@dataclass(frozen=True, slots=True)
class Job:
    """One source file, or a video's part from `start_s` up to `end_s`."""

    path: Path
    is_video: bool
    start_s: float
    end_s: float | None
    rules: TrackRules
    model: Path


Run = Callable[[Iterable[Job]], Generator[Outcome, None, None]]


def on_this_machine(workers: int) -> Run:
    """Jobs to outcomes, in their order, in `workers` processes. A file that kills its process is an outcome too."""

    def run(jobs: Iterable[Job]) -> Generator[Outcome, None, None]:
        waiting: deque[tuple[Job, Future[Outcome]]] = deque()
        pool = worker_pool(workers)
        crashes = _Crashes()
        try:
            for job in _with_end(jobs):
                if job is not None:
                    waiting.append((job, _submit(pool, job)))
                while waiting and (job is None or len(waiting) >= workers * WAITING_PER_WORKER):
                    first, future = waiting.popleft()
                    try:
                        outcome = future.result()
                    except BrokenProcessPool:  # which of the waiting files it was shows when each runs by itself
                        pool.shutdown(cancel_futures=True)
                        outcome = crashes.count(_alone(first))
                        pool = worker_pool(workers)
                        waiting = deque((later, _submit(pool, later)) for later, _ in waiting)
                    yield outcome
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    return run


def on_ray(address: str) -> Run:
    """Jobs to outcomes, in their order, on a Ray cluster that sees the source folder under the same path.

    `address`: "local" starts Ray on this machine for the time of the run, "auto" finds a running one. Each job runs in
    a child of its Ray worker: the child gives up the network, which Ray itself needs, and may crash.
    Source: https://docs.ray.io/en/latest/ray-core/patterns/limit-pending-tasks.html
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports its use to its makers otherwise
    try:
        import ray
    except ImportError as error:
        raise VisavisError(f"--ray needs Ray ({error.name} is missing): {install('ray')}") from error

    def run(jobs: Iterable[Job]) -> Generator[Outcome, None, None]:
        how: dict[str, Any] = {"include_dashboard": False} if address == LOCAL_RAY else {"address": address}
        on_sigterm = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **how)
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            raise VisavisError(
                f"No Ray cluster at {address}: {error}. Start one with `ray start --head`, or give --ray {LOCAL_RAY}."
            ) from error
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray has put its own there
        crashes = _Crashes()
        try:
            task = ray.remote(num_cpus=1, max_retries=5)(_crash_proof)  # retried where a node goes away
            cores = ray.cluster_resources().get("CPU", 1)
            most = WAITING_PER_WORKER * max(1, int(cores))
            waiting: deque[Any] = deque()
            for job in _with_end(jobs):
                if job is not None:
                    waiting.append(task.remote(job))
                while waiting and (job is None or len(waiting) >= most):
                    try:
                        outcome = ray.get(waiting.popleft())
                    except ray.exceptions.RayTaskError as error:
                        raise VisavisError(f"A Ray worker failed: {error.cause}. Is visavis on every node?") from error
                    yield crashes.count(outcome)
        finally:
            ray.shutdown()

    return run


def _with_end(jobs: Iterable[Job]) -> Iterator[Job | None]:
    yield from jobs
    yield None


class _Crashes:
    def __init__(self) -> None:
        self._in_a_row = 0

    def count(self, outcome: Outcome) -> Outcome:
        self._in_a_row = self._in_a_row + 1 if outcome.refusal == KILLED else 0
        if self._in_a_row >= CRASHES_IN_A_ROW:
            raise VisavisError(
                f"{CRASHES_IN_A_ROW} files in a row ended their process: that is not the files' fault. Run "
                "`visavis doctor`, see that memory is not short, then run the same command again to go on."
            )
        return outcome


def worker_pool(workers: int) -> ProcessPoolExecutor:
    """Processes without network, which end with this one."""
    # not forked: FFmpeg's threads do not survive a fork, and two processes would talk to one tracker
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(os.getpid(),))


def _submit(pool: ProcessPoolExecutor, job: Job) -> Future[Outcome]:
    try:
        with _ctrl_c_held():  # the first job starts the workers, which have it held for good
            return pool.submit(run_job, job)
    except BrokenProcessPool as error:
        future: Future[Outcome] = Future()
        future.set_exception(error)
        return future


@contextmanager
def _ctrl_c_held() -> Iterator[None]:
    """Ctrl-C is the parent's to answer, and waits for the end of the block; processes started in it never take it.

    From their very start: while they import, each would show a traceback of its own.
    """
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _alone(job: Job) -> Outcome:
    with worker_pool(1) as pool:
        try:
            return _submit(pool, job).result()
        except BrokenProcessPool:
            return Outcome(refusal=KILLED, detail="the process that read it was killed, twice")


@lru_cache(maxsize=1)
def _child() -> ProcessPoolExecutor:
    return worker_pool(1)


def _crash_proof(job: Job) -> Outcome:
    """In a Ray worker."""
    model = job.model if job.model.is_file() else tracker_model()
    job = Job(job.path, job.is_video, job.start_s, job.end_s, job.rules, model)
    try:
        return _submit(_child(), job).result()
    except BrokenProcessPool:
        _child.cache_clear()
        return _alone(job)


def _start_worker(parent: int) -> None:
    import cv2

    settle()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where it is not held: on Windows
    cv2.setNumThreads(1)
    refuse_network(whatever_is_set=True)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)  # the parent was killed: nobody waits for the result


def run_job(job: Job) -> Outcome:
    """In a worker. Whatever a file does to its readers becomes an outcome; only what is no file's fault raises."""
    fault = ""
    for _ in range(TRIES):
        try:
            return file_tracks(job.path, job.is_video, job.rules, job.model, job.start_s, job.end_s)
        except TrackerDownError as error:
            fault = str(error)
        except VisavisError:
            raise
        except Exception as error:  # a million files hold every way of being broken, and none may stop the run
            return Outcome(refusal=CRASHED, detail=f"{type(error).__name__}: {error}")
    return Outcome(refusal=KILLED, detail=fault)
