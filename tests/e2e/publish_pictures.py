"""Plain moving pictures through a real publisher, for readers that are other programs.

    usage: publish_pictures.py SPEC (WIDTHxHEIGHT | pause) ...

Opens SPEC (what follows --to) for the first size and sends until SIGUSR1, which goes on to the next size, or SIGTERM,
which ends. As the live loop does, it opens again when the device is not there or has gone. `pause` leaves the device
alone. Says what happens, a line each.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable

import numpy as np

from avatar.core.errors import DeviceError
from avatar.core.frame import Frame
from avatar.live.outputs import open_publisher
from avatar.publish.publisher import Publisher

FPS = 15
BAR, GROUND = (230, 60, 40), (40, 90, 160)


def picture(index: int, width: int, height: int) -> np.ndarray:
    """A red bar that walks over a blue ground."""
    rgb = np.full((height, width, 3), GROUND, np.uint8)
    left = index * 8 % (width - width // 8)
    rgb[:, left : left + width // 8] = BAR
    return rgb


def say(text: object) -> None:
    print(f"{time.monotonic():.1f} {text}", flush=True)


def publish(publisher: Publisher, width: int, height: int, over: Callable[[], bool]) -> None:
    """Until `over`, or until the device goes, which is raised."""
    try:
        publisher.open(width, height, FPS)
        say(f"open {width}x{height}")
        start_s, index = time.monotonic(), 0
        while not over():
            publisher.send(Frame(picture(index, width, height), time.monotonic_ns(), index))
            index += 1
            time.sleep(max(0.0, start_s + index / FPS - time.monotonic()))
    finally:
        publisher.close()
    say(f"closed after {index} frames, {publisher.dropped} dropped")


def main(spec: str, *sizes: str) -> None:
    following, ended = threading.Event(), threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: following.set())
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    publisher = open_publisher(spec, say)
    for size in sizes:
        if size == "pause":
            say("pause")
            while not (following.wait(0.1) or ended.is_set()):
                pass
        width, height = map(int, size.split("x")) if size != "pause" else (0, 0)
        while not (following.is_set() or ended.is_set()):
            try:
                publish(publisher, width, height, lambda: following.is_set() or ended.is_set())
            except DeviceError as error:
                say(f"DeviceError {error}".splitlines()[0])
                time.sleep(0.5)
        if ended.is_set():
            return
        following.clear()


if __name__ == "__main__":
    main(*sys.argv[1:])
