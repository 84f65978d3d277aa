"""A bad network, made of sockets: a UDP relay that loses, delays, throttles and dies. For tests and benchmarks.

Linux's own (`tc netem`) needs root and a kernel module that many virtual machines lack.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

Address = tuple[str, int]
DEEPEST_S = 0.5  # what a bottleneck's queue would hold for longer is dropped, as routers do


class BadNetwork:
    """A UDP relay before one peer, alike in both directions. What is wrong with it may be changed while it runs.

    loss: share of the packets. jitter_s: each waits for up to that long, by chance, so that they overtake each other.
    limit_bps: a bottleneck with a queue of DEEPEST_S. dead: nothing passes.
    """

    def __init__(
        self, loss: float = 0.0, jitter_s: float = 0.0, limit_bps: float | None = None, dead: bool = False
    ) -> None:
        self.loss, self.jitter_s, self.limit_bps, self.dead = loss, jitter_s, limit_bps, dead
        self.passed = self.lost = 0  # packets
        self.offered_bytes = 0
        self._random = random.Random(7)
        self._viewer: Address | None = None

    async def before(self, host: str, port: int) -> int:
        """Returns the port that leads to `host`:`port`."""
        loop = asyncio.get_running_loop()
        to_far, to_near = _Way(self), _Way(self)

        def from_near(data: bytes, address: Address) -> None:
            self._viewer = address
            to_far.carry(data, lambda: self._far.sendto(data))

        def from_far(data: bytes, _address: Address) -> None:
            to_near.carry(data, lambda: self._near.sendto(data, self._viewer))

        self._far, _ = await loop.create_datagram_endpoint(lambda: _Ear(from_far), remote_addr=(host, port))
        self._near, _ = await loop.create_datagram_endpoint(lambda: _Ear(from_near), local_addr=(host, 0))
        return int(self._near.get_extra_info("sockname")[1])

    def close(self) -> None:
        self._far.close()
        self._near.close()

    def lets_pass(self, delay_s: float) -> bool:
        passes = not self.dead and delay_s <= DEEPEST_S and self._random.random() >= self.loss
        self.passed, self.lost = self.passed + passes, self.lost + (not passes)
        return passes

    def chance(self) -> float:
        return self._random.uniform(0, self.jitter_s)

    @property
    def open(self) -> bool:
        return not self._near.is_closing()


class _Way:
    """One direction, with its own queue before the bottleneck."""

    def __init__(self, network: BadNetwork) -> None:
        self._network = network
        self._free_s = 0.0  # when the bottleneck has sent all that waits

    def carry(self, data: bytes, send: Callable[[], None]) -> None:
        network, now_s = self._network, time.monotonic()
        network.offered_bytes += len(data)
        free_s = now_s
        if network.limit_bps:
            free_s = max(self._free_s, now_s) + len(data) * 8 / network.limit_bps
        if network.lets_pass(free_s - now_s):
            self._free_s = free_s
            delay_s = free_s - now_s + network.chance()
            asyncio.get_running_loop().call_later(delay_s, lambda: send() if network.open else None)


class _Ear(asyncio.DatagramProtocol):
    def __init__(self, heard: Callable[[bytes, Any], None]) -> None:
        self._heard = heard

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._heard(data, addr)


def without_candidates(sdp: str) -> str:
    return "\r\n".join(line for line in sdp.split("\r\n") if "candidate" not in line)


async def led_through(answer: str, network: BadNetwork) -> str:
    """The answer with `network` as the only way to who gave it."""
    candidates = [line.split() for line in answer.split("\r\n") if line.startswith("a=candidate:")]
    host, port = next(candidate[4:6] for candidate in candidates if "." in candidate[4])
    relay = await network.before(host, int(port))
    only = f"a=candidate:1 1 udp 2130706431 {host} {relay} typ host\r\na=ice-ufrag"
    return without_candidates(answer).replace("a=ice-ufrag", only)
