"""What is known of a call that this computer hosts: its server shows it, and the command adds to it as it goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from avatar.call.call import Call
from avatar.call.room import Message
from avatar.http.safety import Tokens
from avatar.webrtc.ice import Ice
from avatar.webrtc.remote_camera import RemoteCamera

# Whom the invitation lets in: nobody elsewhere; who is in this network; whoever a proxy, or another's room, lets in
Reach = Literal["this computer", "network", "elsewhere"]


@dataclass(eq=False)
class HostedCall:
    """`page_link` is for this person alone, `invitation` for the others."""

    call: Call
    name: str  # as the others see it, until the page says another
    ice: Ice
    tokens: Tokens
    whip_sound: bool = True  # a source by WHIP is heard too
    browser_camera: RemoteCamera | None = None  # where a page's camera drives, now
    whip_camera: RemoteCamera | None = None  # and where a source by WHIP does
    addresses: list[str] = field(default_factory=list)  # of the server: "http://127.0.0.1:8080/" first
    invited_to: str = ""  # the address that is in the invitation
    digest: str = ""  # of the certificate there, in hex; "" where who comes need not know it
    joined: str = ""  # the invitation of somebody else's room, where that was joined
    reach: Reach = "this computer"
    fingerprint: str = (
        ""  # SHA-256 of the certificate that browsers do not know, as they show it; "" where they know it
    )
    let_network_in: Callable[[], Awaitable[None]] | None = None  # None where it is, or where others are met elsewhere
    shut_network_out: Callable[[], Awaitable[None]] | None = None  # after that
    figures: Message = field(default_factory=dict)  # the live loop's, as the page shows them

    @property
    def page_link(self) -> str:
        return f"{self.addresses[0]}#owner={self.tokens.owner}"

    @property
    def invitation(self) -> str:
        link = f"{self.invited_to}#room={self.tokens.guest}"
        return self.joined or (f"{link}&cert={self.digest}" if self.digest else link)
