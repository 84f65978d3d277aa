"""Encoders for live video: the bit rate is followed between floor and ceiling, and key frames come when asked."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from aiortc.codecs import get_decoder
from aiortc.codecs.base import Encoder
from aiortc.jitterbuffer import JitterFrame
from aiortc.mediastreams import VIDEO_TIME_BASE
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from avatar.core.errors import UsageError
from avatar.webrtc.aiortc_patches.encoders import (
    KeyFrameLimiter,
    RealtimeH264Encoder,
    RealtimeOpusEncoder,
    RealtimeVp8Encoder,
)
from avatar.webrtc.congestion import BitRates

RATES = BitRates(floor_bps=200_000, start_bps=1_000_000, ceiling_bps=2_000_000)


def noisy(index: int) -> av.VideoFrame:
    """A picture that needs any bit rate that it is given."""
    i420 = np.random.default_rng(index).integers(60, 190, (384, 256), dtype=np.uint8)
    frame = av.VideoFrame.from_ndarray(i420, format="yuv420p")
    frame.pts, frame.time_base = index * 3000, VIDEO_TIME_BASE
    return frame


def rate_and_keys(encoder: Encoder, first: int, count: int, codec: str) -> tuple[float, int]:
    """The bit rate (b/s at 30 fps) of `count` frames from `first` on, and how many of them were key frames."""
    size = keys = 0
    for index in range(first, first + count):
        payloads, _ = encoder.encode(noisy(index))
        size += sum(len(payload) for payload in payloads)
        keys += is_key(payloads, codec)
    return size * 8 * 30 / count, keys


def is_key(payloads: list[bytes], codec: str) -> bool:
    if codec == "vp8":  # RFC 7741: the descriptor is 4 bytes here, and then bit 0 of the header is 0 in key frames
        return payloads[0][4] & 1 == 0
    types = [payload[0] & 31 if payload[0] & 31 != 28 else payload[1] & 31 for payload in payloads]
    return bool({5, 7, 24} & set(types))  # IDR, SPS, or the packet that joins SPS and PPS


def test_h264_follows_the_network_without_a_key_frame() -> None:
    encoder = RealtimeH264Encoder(RATES, 30)
    _, keys = rate_and_keys(encoder, 0, 60, "h264")
    assert keys == 1
    rates = []
    for step, remb in enumerate((300_000, 1_500_000, 600_000)):
        encoder.target_bitrate = remb
        rate_and_keys(encoder, 60 + step * 90, 30, "h264")
        rate, keys = rate_and_keys(encoder, 90 + step * 90, 60, "h264")
        assert keys == 0
        rates.append(rate / remb)
    assert all(0.7 < ratio < 1.4 for ratio in rates), rates


@pytest.mark.parametrize("encoder", [RealtimeH264Encoder(RATES, 30), RealtimeVp8Encoder(RATES, 30)])
def test_the_bit_rate_stays_between_floor_and_ceiling(encoder: RealtimeH264Encoder | RealtimeVp8Encoder) -> None:
    codec = "vp8" if isinstance(encoder, RealtimeVp8Encoder) else "h264"
    encoder.target_bitrate = 1
    rate_and_keys(encoder, 0, 10, codec)
    assert encoder.target_bitrate == RATES.floor_bps
    if codec == "h264":
        encoder.target_bitrate = 10**9
        assert encoder.target_bitrate == RATES.ceiling_bps


def test_vp8_is_not_rebuilt_by_many_small_changes() -> None:
    encoder = RealtimeVp8Encoder(RATES, 30)
    keys = 0
    for index in range(60):
        encoder.target_bitrate = 1_000_000 + 20_000 * (index % 10) if index < 50 else 300_000
        keys += is_key(encoder.encode(noisy(index))[0], "vp8")
    assert keys == 1


@pytest.mark.parametrize("codec", ["h264", "vp8"])
def test_a_key_frame_comes_when_it_is_asked_for_and_can_be_decoded_alone(codec: str) -> None:
    encoder: Encoder = RealtimeH264Encoder(RATES, 30) if codec == "h264" else RealtimeVp8Encoder(RATES, 30)
    encoder.key_frames = KeyFrameLimiter(clock=iter(np.arange(0, 1000, 0.033)).__next__)  # type: ignore[attr-defined]
    packets = [encoder.encode(noisy(index), force_keyframe=index == 20)[0] for index in range(40)]
    keys = [index for index, payloads in enumerate(packets) if is_key(payloads, codec)]
    assert keys[0] == 0 and len(keys) == 2 and 20 <= keys[1] < 40
    mime = {"h264": "video/H264", "vp8": "video/VP8"}[codec]
    parameters = RTCRtpCodecParameters(mimeType=mime, clockRate=90000, payloadType=97)
    from aiortc.codecs import depayload

    whole = b"".join(depayload(parameters, payload) for payload in packets[keys[1]])
    decoder = get_decoder(parameters)
    decoded = [
        frame
        for payload in (
            whole,
            *[b"".join(depayload(parameters, p) for p in later) for later in packets[keys[1] + 1 : keys[1] + 3]],
        )
        for frame in decoder.decode(JitterFrame(payload, 0))
    ]
    assert decoded and (decoded[0].width, decoded[0].height) == (256, 256)  # type: ignore[attr-defined]


def test_a_storm_of_requests_gets_two_key_frames_a_second() -> None:
    now = [100.0]
    keys = KeyFrameLimiter(clock=lambda: now[0])
    granted = 0
    for _ in range(300):  # ten seconds, one request with every frame
        granted += keys.due(requested=True)
        now[0] += 1 / 30
    assert 18 <= granted <= 21


def test_a_request_that_comes_too_early_is_kept() -> None:
    now = [0.0]
    keys = KeyFrameLimiter(clock=lambda: now[0])
    assert keys.due(True)
    now[0] = 0.2
    assert not keys.due(True)
    now[0] = 0.7
    assert keys.due(False)


def test_bit_rates_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError, match="floor"):
        BitRates.between(3000, 1000)
    assert BitRates.between(200, 800) == BitRates(200_000, 800_000, 800_000)


def test_lost_speech_is_in_the_packet_that_follows() -> None:
    def packets(encoder: Encoder) -> list[bytes]:
        made = []
        for index in range(30):
            at = np.arange(index * 960, (index + 1) * 960) / 48_000
            samples = (8000 * np.sin(2 * np.pi * 220 * at)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48_000, index * 960, Fraction(1, 48_000)
            made += encoder.encode(frame)[0]
        return made

    ours = packets(RealtimeOpusEncoder())
    assert len(ours) >= 29 and sum(map(len, ours)) < 30 * 120  # bytes
    assert all(packet[0] >> 3 < 16 for packet in ours)  # RFC 6716, section 3.1: speech, or speech and more: these can
