"""A bad network, made of sockets: a UDP relay that loses, delays and throttles."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any


class BadNetwork:
    """A UDP relay before one peer: `loss` is a share, `jitter_s` a random delay, `limit_bps` a bottleneck."""

    def __init__(self, loss: float = 0.0, jitter_s: float = 0.0, limit_bps: float | None = None) -> None:
        self.loss, self.jitter_s, self.limit_bps = loss, jitter_s, limit_bps
        self.passed = self.lost = 0
        self._random = random.Random(7)
        self._free_s = 0.0
        self._viewer: tuple[str, int] | None = None

    async def before(self, host: str, port: int) -> int:
        """Returns the port that leads to `host`:`port`."""
        loop = asyncio.get_running_loop()
        far, _ = await loop.create_datagram_endpoint(lambda: _Ear(self._to_viewer), remote_addr=(host, port))
        near, _ = await loop.create_datagram_endpoint(lambda: _Ear(self._to_sender), local_addr=(host, 0))
        self._far, self._near = far, near
        return int(near.get_extra_info("sockname")[1])

    def close(self) -> None:
        self._far.close()
        self._near.close()

    def _to_sender(self, data: bytes, address: tuple[str, int]) -> None:
        self._viewer = address
        self._pass_on(lambda: self._far.sendto(data), len(data), throttled=False)

    def _to_viewer(self, data: bytes, _address: tuple[str, int]) -> None:
        self._pass_on(lambda: self._near.sendto(data, self._viewer), len(data), throttled=True)

    def _pass_on(self, send: Any, size: int, throttled: bool) -> None:
        now_s = time.monotonic()
        delay_s = self._random.uniform(0, self.jitter_s)
        if throttled and self.limit_bps:
            self._free_s = max(self._free_s, now_s) + size * 8 / self.limit_bps
            delay_s += self._free_s - now_s
        if self._random.random() < self.loss or delay_s > 0.5:
            self.lost += 1
            if delay_s > 0.5:
                self._free_s -= size * 8 / (self.limit_bps or 1)
            return
        self.passed += 1
        asyncio.get_running_loop().call_later(delay_s, lambda: self._near.is_closing() or send())


class _Ear(asyncio.DatagramProtocol):
    def __init__(self, heard: Any) -> None:
        self.datagram_received = heard  # type: ignore[method-assign]


def without_candidates(sdp: str) -> str:
    return "\r\n".join(line for line in sdp.split("\r\n") if "candidate" not in line)


async def led_through(answer: str, network: BadNetwork) -> str:
    """The answer with `network` as the only way to who gave it."""
    candidates = [line.split() for line in answer.split("\r\n") if line.startswith("a=candidate:")]
    host, port = next(candidate[4:6] for candidate in candidates if "." in candidate[4])
    relay = await network.before(host, int(port))
    only = f"a=candidate:1 1 udp 2130706431 {host} {relay} typ host\r\na=ice-ufrag"
    return without_candidates(answer).replace("a=ice-ufrag", only, 1)
