"""Token buckets: one, and one for each address that asks."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

REMEMBERED = 1024  # addresses


class Allowance:
    """So much per second, and a burst before it."""

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second, self._burst, self._clock = per_second, burst, clock
        self._left, self._then_s = burst, clock()

    def take(self) -> bool:
        """One more? False when the allowance is used up for now."""
        now_s = self._clock()
        self._left = min(self._burst, self._left + (now_s - self._then_s) * self._per_second)
        self._then_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Allowances:
    """One for each who asks. Coming again under another name, token or member's id gives nobody a new one."""

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second, self._burst = per_second, burst
        self._known: OrderedDict[str, Allowance] = OrderedDict()

    def take(self, asking: str) -> bool:
        """One more for `asking`: an address as `origin_of` gives it, and what else is counted apart."""
        if asking not in self._known:
            self._known[asking] = Allowance(self._per_second, self._burst)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end(asking)
        return self._known[asking].take()


def origin_of(address: str | None) -> str:
    """Whose address that is: of IPv6 the first half, since everybody has the other half to choose from.

    >>> origin_of("2001:db8::1:2")
    '2001:db8::/64'
    """
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return address or ""
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or f"{IPv6Address(int(parsed) >> 64 << 64)}/64")
    return str(parsed)
