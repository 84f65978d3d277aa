"""Viewers' browsers are asked to show each picture as soon as it is decoded, without a jitter buffer.

The header extension is Chromium's own; others leave it out of the negotiation, and get none.
https://webrtc.googlesource.com/src/+/main/docs/native-code/rtp-hdrext/playout-delay/README.md
aiortc knows no extensions but its own: its list is extended, and a sender's map of them replaced.
"""

from __future__ import annotations

from aiortc.codecs import HEADER_EXTENSIONS
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import HeaderExtensions, HeaderExtensionsMap, pack_header_extensions, unpack_header_extensions

URI = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
OFFERED_ID = 4  # in offers of ours; 1 to 3 are aiortc's
NO_DELAY = bytes(3)  # 12 bits each of the least and the greatest delay, in units of 10 ms


class PlayoutDelayMap(HeaderExtensionsMap):
    """aiortc's own, and NO_DELAY where that was negotiated."""

    def __init__(self) -> None:
        super().__init__()
        self._id: int | None = None

    def configure(self, parameters: RTCRtpParameters) -> None:
        super().configure(parameters)
        self._id = next((extension.id for extension in parameters.headerExtensions if extension.uri == URI), None)

    def set(self, values: HeaderExtensions) -> tuple[int, bytes]:
        profile, packed = super().set(values)
        if self._id is None:
            return profile, packed
        return pack_header_extensions([*unpack_header_extensions(profile, packed), (self._id, NO_DELAY)])


def install() -> None:
    """From now on, offers and answers of this process know the extension."""
    known = HEADER_EXTENSIONS["video"]
    if all(extension.uri != URI for extension in known):
        known.append(RTCRtpHeaderExtensionParameters(id=OFFERED_ID, uri=URI))
