"""How peers find each other: STUN, TURN, and hiding addresses behind a relay."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from aioice.ice import get_host_addresses
from aiortc import RTCConfiguration, RTCIceServer
from aiortc.rtcconfiguration import RTCBundlePolicy, RTCIceTransportPolicy
from aiortc.rtcicetransport import parse_stun_turn_uri

from avatar.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Ice:
    """The servers that peers may ask for their own addresses (STUN) or for a relay (TURN). None unless told.

    With `relay_only`, nobody learns an address of this computer but the TURN server.
    """

    stun: tuple[str, ...] = ()
    turn: tuple[str, ...] = ()
    username: str | None = None
    credential: str | None = None
    relay_only: bool = False

    def __post_init__(self) -> None:
        for uri in self.stun + self.turn:
            _check(uri, ("stun", "stuns") if uri in self.stun else ("turn", "turns"))
        if self.turn and not (self.username and self.credential):
            raise UsageError("--turn needs credentials: --turn-user NAME, and the password in VISAVIS_TURN_PASSWORD.")
        if self.relay_only and not self.turn:
            raise UsageError("--relay-only needs a relay: --turn turn:HOST:3478")

    def configuration(self) -> RTCConfiguration:
        """For aiortc, whose own default would ask a server of Google's."""
        return RTCConfiguration(
            iceServers=[
                *(RTCIceServer(uri) for uri in self.stun),
                *(RTCIceServer(uri, self.username, self.credential) for uri in self.turn),
            ],
            iceTransportPolicy=RTCIceTransportPolicy.RELAY if self.relay_only else RTCIceTransportPolicy.ALL,
            bundlePolicy=RTCBundlePolicy.MAX_BUNDLE,
        )

    def for_page(self, owner: bool) -> dict[str, Any]:
        """The same for a browser's `new RTCPeerConnection(…)`. Guests are not told the relay's password."""
        servers: list[dict[str, Any]] = [{"urls": uri} for uri in self.stun]
        if not owner:
            return {"iceServers": servers, "iceTransportPolicy": "all"}
        servers += [{"urls": uri, "username": self.username, "credential": self.credential} for uri in self.turn]
        return {"iceServers": servers, "iceTransportPolicy": "relay" if self.relay_only else "all"}

    def completed(self, more: Ice) -> Ice:
        """These servers, and of `more` what there is none of here."""
        return replace(
            self,
            stun=self.stun or more.stun,
            turn=self.turn or more.turn,
            username=self.username or more.username,
            credential=self.credential or more.credential,
        )


def own_addresses(six: bool) -> list[str]:
    """Of this computer in its networks, by IPv6 or else IPv4; loopback is none of them."""
    return get_host_addresses(use_ipv4=not six, use_ipv6=six)


def _check(uri: str, schemes: tuple[str, ...]) -> None:
    try:
        parsed = parse_stun_turn_uri(uri)
    except ValueError as error:
        raise UsageError(f"{uri!r} is not like {schemes[0]}:HOST:3478.") from error
    if parsed["port"] > 65535:
        raise UsageError(f"{uri!r} names a port that no computer has.")
    if parsed["scheme"] not in schemes:
        raise UsageError(f"{uri!r} does not start with {' or '.join(scheme + ':' for scheme in schemes)}.")
