"""Which codecs this process negotiates, and who encodes and decodes them.

aiortc has fixed lists, and asks functions of its own modules: RED is added to the list, and the functions are replaced.
"""

from __future__ import annotations

from dataclasses import replace

from aiortc import rtcpeerconnection, rtcrtpreceiver, rtcrtpsender
from aiortc.codecs import CODECS, get_decoder, get_encoder
from aiortc.codecs.base import Decoder, Encoder
from aiortc.codecs.opus import OpusDecoder
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from av.frame import Frame

from avatar.webrtc.aiortc_patches.encoders import (
    RealtimeH264Encoder,
    RealtimeOpusEncoder,
    RealtimeVp8Encoder,
    RedundantOpusEncoder,
)
from avatar.webrtc.congestion import BitRates
from avatar.webrtc.red import MIME_TYPE, is_red, unpack

OFFERED_TYPE = 104  # in offers of ours; 96 to 102 are aiortc's
FREE_TYPES = {*range(35, 64), *range(96, 128)}  # of RTP; 64 to 95 would look like RTCP (RFC 5761)

_RED = RTCRtpCodecParameters(
    mimeType=MIME_TYPE, clockRate=48_000, channels=2, payloadType=OFFERED_TYPE, parameters={"96/96": None}
)
_PICTURES: dict[str, type[RealtimeH264Encoder | RealtimeVp8Encoder]] = {
    "video/h264": RealtimeH264Encoder,
    "video/vp8": RealtimeVp8Encoder,
}
_aiortcs_common_codecs = rtcpeerconnection.find_common_codecs
_rates, _fps = BitRates(), 30.0


def install() -> None:
    """From now on, this process knows RED and likes it best, and each sender that starts encodes in real time."""
    if _RED not in CODECS["audio"]:
        CODECS["audio"].append(_RED)
    rtcpeerconnection.find_common_codecs = _find_common_codecs
    rtcrtpsender.get_encoder = _get_encoder  # type: ignore[attr-defined]
    rtcrtpreceiver.get_decoder = _get_decoder  # type: ignore[attr-defined]


def set_video_rates(rates: BitRates, fps: float) -> None:
    """Of every video that a sender of this process begins to send from now on."""
    global _rates, _fps
    _rates, _fps = rates, fps


def _find_common_codecs(
    local_codecs: list[RTCRtpCodecParameters], remote_codecs: list[RTCRtpCodecParameters]
) -> list[RTCRtpCodecParameters]:
    """As aiortc's own; RED of an Opus that both know comes first, by their number, which may lie below aiortc's."""
    common = _aiortcs_common_codecs([codec for codec in local_codecs if not is_red(codec)], remote_codecs)
    for opus in [codec for codec in common if codec.mimeType == "audio/opus"]:
        inside = f"{opus.payloadType}/{opus.payloadType}"
        for red in remote_codecs:
            if is_red(red) and inside in red.parameters and red.payloadType in FREE_TYPES:
                return [replace(_RED, payloadType=red.payloadType, parameters={inside: None}), *common]
    return common


def picture_encoder(codec: RTCRtpCodecParameters) -> RealtimeH264Encoder | RealtimeVp8Encoder:
    """Of H.264 or VP8, at the rates that were set last."""
    return _PICTURES[codec.mimeType.lower()](_rates, _fps)


def _get_encoder(codec: RTCRtpCodecParameters) -> Encoder:
    if codec.mimeType.lower() in _PICTURES:
        return picture_encoder(codec)
    if codec.mimeType.lower() == "audio/opus":
        return RealtimeOpusEncoder()
    if is_red(codec):
        return RedundantOpusEncoder(codec)
    return get_encoder(codec)


def _get_decoder(codec: RTCRtpCodecParameters) -> Decoder:
    return _OwnSoundDecoder() if is_red(codec) else get_decoder(codec)


class _OwnSoundDecoder(OpusDecoder):
    """Only each packet's own sound of RED: for receivers that `patch_receiver` was not called for."""

    def decode(self, encoded_frame: JitterFrame) -> list[Frame]:
        try:
            *_, own = unpack(encoded_frame.data)
        except ValueError:
            return []
        return super().decode(JitterFrame(own.data, encoded_frame.timestamp))
