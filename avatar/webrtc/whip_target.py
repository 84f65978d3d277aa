"""Where to publish by WHIP: an address and its token."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urldefrag, urlsplit

from avatar.core.errors import UsageError
from avatar.http.listener import LOOPBACK_NAMES

TOKEN_VARIABLE = "VISAVIS_WHIP_TOKEN"


@dataclass(frozen=True, slots=True)
class WhipTarget:
    """Where to publish. The token is never printed."""

    url: str
    token: str | None = field(default=None, repr=False)

    @property
    def exposed(self) -> bool:
        """Whether what is sent can be read on its way."""
        parts = urlsplit(self.url)
        return parts.scheme == "http" and parts.hostname not in LOOPBACK_NAMES

    @classmethod
    def parse(cls, spec: str) -> WhipTarget:
        """`spec`: "https://host/whip/room", the token in $VISAVIS_WHIP_TOKEN or after "#token=". Raises UsageError.

        >>> WhipTarget.parse("https://host/whip#token=abc").token
        'abc'
        """
        url, fragment = urldefrag(spec)
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(
                f"--to whip:{url} is not an address. Use whip:https://HOST/PATH of your server's WHIP page."
            )
        if parts.username or parts.password:
            raise UsageError(f"Put the token into {TOKEN_VARIABLE}, not into the address.")
        token = parse_qs(fragment).get("token", [None])[0] or os.environ.get(TOKEN_VARIABLE) or None
        if token is not None and (not token.isascii() or not token.isprintable() or " " in token):
            raise UsageError("The token holds characters that no bearer token has.")
        return cls(url, token)
