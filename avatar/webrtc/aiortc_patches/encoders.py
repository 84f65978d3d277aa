"""Encoders for live pictures and speech: H.264 and VP8 that follow the network without storms of key frames, and Opus.

aiortc's own rebuild the encoder, and so send a key frame, at every change of the bit rate above 10 %, and run x264 at
its medium preset, which takes four times as long. Its Opus takes 96 kb/s, and what is lost of it is lost.
`codecs` exchanges them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import av
import av.video.frame
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.opus import SAMPLE_RATE, SAMPLES_PER_FRAME, TIME_BASE, OpusEncoder
from aiortc.codecs.vpx import Vp8Encoder
from aiortc.mediastreams import VIDEO_TIME_BASE, convert_timebase
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from av.frame import Frame
from av.video.codeccontext import VideoCodecContext

from avatar.webrtc.congestion import BitRates, RateControl
from avatar.webrtc.red import Redundancy

KEY_FRAME_GAP_S = 0.5  # however many picture-loss reports (PLI) come, there are two key frames a second, no more
REBUILD_GAP_S = 4.0  # VP8 cannot change its rate in flight: how often it may be rebuilt, each time with a key frame
REBUILD_CHANGE = 0.25
SOUND_BPS = 40_000


class KeyFrameLimiter:
    """Grants requests for key frames, the next one at the earliest after KEY_FRAME_GAP_S; none is forgotten."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wanted = False
        self._last_s = -KEY_FRAME_GAP_S

    def due(self, requested: bool) -> bool:
        self._wanted = self._wanted or requested
        if not self._wanted or self._clock() - self._last_s < KEY_FRAME_GAP_S:
            return False
        self.sent()
        return True

    def sent(self) -> None:
        self._wanted, self._last_s = False, self._clock()


class RealtimeH264Encoder(H264Encoder):
    """x264 veryfast, zero latency, one slice of one thread; the bit rate changes in flight, without a key frame."""

    def __init__(self, rates: BitRates, fps: float) -> None:
        super().__init__()
        self._rates, self._fps = rates, fps
        self.rate_control = RateControl(rates)
        self.key_frames = KeyFrameLimiter()
        self.report_loss = self.rate_control.report_loss
        self._wanted_bps: Callable[[], int] = lambda: self.rate_control.target_bps

    def follow(self, target_bps: Callable[[], int]) -> None:
        self._wanted_bps = lambda: self._rates.clamp(target_bps())

    @property
    def target_bitrate(self) -> int:
        return self.rate_control.target_bps

    @target_bitrate.setter
    def target_bitrate(self, bitrate: int) -> None:
        self.rate_control.estimate_bps = bitrate

    def compress(self, frame: av.VideoFrame, force_keyframe: bool) -> tuple[bytes, bool]:
        if self.codec is None or (frame.width, frame.height) != (self.codec.width, self.codec.height):
            self.codec = self._open(frame.width, frame.height)
            self.key_frames.sent()
        key = self.key_frames.due(force_keyframe)
        frame.pict_type = av.video.frame.PictureType.I if key else av.video.frame.PictureType.NONE
        self.codec.bit_rate = self._wanted_bps()
        return _joined(self.codec.encode(frame))

    def _encode_frame(self, frame: av.VideoFrame, force_keyframe: bool) -> Iterator[bytes]:
        yield from self._split_bitstream(self.compress(frame, force_keyframe)[0])

    def _open(self, width: int, height: int) -> VideoCodecContext:
        codec = av.CodecContext.create("libx264", "w")
        codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
        # x264 follows a new bit rate only where it was opened at the highest one, with a buffer
        codec.bit_rate = self._rates.ceiling_bps
        codec.framerate = Fraction(self._fps).limit_denominator(1001)
        codec.time_base = VIDEO_TIME_BASE
        codec.thread_count = 1
        codec.options = {
            "preset": "veryfast",  # 2.5 ms at 512x512; medium takes 9
            "tune": "zerolatency",
            "g": "3000",
            "sc_threshold": "0",  # no key frame that nobody asked for
            "forced-idr": "1",
            "maxrate": str(self._rates.ceiling_bps),
            # no key frame larger than this: behind a bottleneck it would fill every queue, and lose its own end
            "bufsize": str(self._rates.start_bps // 8),
        }
        codec.profile = "Baseline"
        codec.open()
        return codec


class RealtimeVp8Encoder(Vp8Encoder):
    """libvpx at its real-time settings. A new bit rate needs a new encoder, so only few and large changes are taken."""

    def __init__(self, rates: BitRates, fps: float) -> None:
        super().__init__()
        self._rates, self._fps = rates, fps
        self.rate_control = RateControl(rates)
        self._wanted_bps: Callable[[], int] = lambda: self.rate_control.target_bps
        self._target_bps = self.rate_control.target_bps  # of the encoder as it was built
        self.key_frames = KeyFrameLimiter()
        self._built_s = 0.0
        self.report_loss = self.rate_control.report_loss

    @property
    def target_bitrate(self) -> int:
        return self._target_bps

    @target_bitrate.setter
    def target_bitrate(self, bitrate: int) -> None:
        self.rate_control.estimate_bps = bitrate

    def follow(self, target_bps: Callable[[], int]) -> None:
        self._wanted_bps = lambda: self._rates.clamp(target_bps())

    def compress(self, frame: av.VideoFrame, force_keyframe: bool) -> tuple[bytes, bool]:
        if self.codec is None or self._rebuild_due(frame):
            self._target_bps = self._wanted_bps()
            self.codec = self._open(frame.width, frame.height)
            self._built_s = time.monotonic()
            self.key_frames.sent()
        key = self.key_frames.due(force_keyframe)
        frame.pict_type = av.video.frame.PictureType.I if key else av.video.frame.PictureType.NONE
        return _joined(self.codec.encode(frame))

    def encode(self, frame: Frame, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        assert isinstance(frame, av.VideoFrame)
        data, _ = self.compress(frame, force_keyframe)
        payloads = self._packetize(data, self.picture_id)
        self.picture_id = (self.picture_id + 1) % (1 << 15)
        assert frame.pts is not None and frame.time_base is not None
        return payloads, convert_timebase(frame.pts, frame.time_base, VIDEO_TIME_BASE)

    def _rebuild_due(self, frame: av.VideoFrame) -> bool:
        assert self.codec is not None
        if (frame.width, frame.height) != (self.codec.width, self.codec.height):
            return True
        change = abs(self._wanted_bps() - self._target_bps) / self._target_bps
        return change > REBUILD_CHANGE and time.monotonic() - self._built_s > REBUILD_GAP_S

    def _open(self, width: int, height: int) -> VideoCodecContext:
        codec = av.CodecContext.create("libvpx", "w")
        codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
        codec.bit_rate = self._target_bps
        codec.framerate = Fraction(self._fps).limit_denominator(1001)
        codec.time_base = VIDEO_TIME_BASE
        codec.gop_size = 3000
        codec.qmin, codec.qmax = 2, 56
        codec.thread_count = 1
        codec.options = {
            "cpu-used": "-6",
            "deadline": "realtime",
            "lag-in-frames": "0",
            "minrate": str(self._target_bps),  # equal to maxrate: constant bit rate
            "maxrate": str(self._target_bps),
            "bufsize": str(self._target_bps),
            "noise-sensitivity": "0",  # an avatar's picture has no camera noise
            "overshoot-pct": "15",
            "undershoot-pct": "100",
            "static-thresh": "1",
        }
        codec.open()
        return codec


def _joined(packets: Sequence[av.Packet[av.VideoStream]]) -> tuple[bytes, bool]:
    """Their data, and whether there is a key frame in it."""
    return b"".join(bytes(packet) for packet in packets), any(packet.is_keyframe for packet in packets)


class RealtimeOpusEncoder(OpusEncoder):
    """One channel of speech; each packet also holds a rough copy of the one before, for whoever lost that (FEC).

    That is RFC 6716, section 2.1.7: below about 64 kb/s only.
    """

    def __init__(self) -> None:
        super().__init__()
        self.codec = av.CodecContext.create("libopus", "w")
        self.codec.bit_rate = SOUND_BPS
        self.codec.format, self.codec.layout = "s16", "mono"
        self.codec.sample_rate, self.codec.time_base = SAMPLE_RATE, TIME_BASE
        self.codec.options = {"application": "voip", "fec": "1", "packet_loss": "20"}
        self.resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE, frame_size=SAMPLES_PER_FRAME)


class RedundantOpusEncoder(RealtimeOpusEncoder):
    """Each packet carries those before it as they were, instead of a rough copy of one."""

    def __init__(self, red: RTCRtpCodecParameters) -> None:
        super().__init__()
        self.codec.options = {"application": "voip"}
        self.redundancy = Redundancy(red)
        self.report_loss = self.redundancy.report_loss

    def encode(self, frame: Frame, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        payloads, timestamp = super().encode(frame, force_keyframe)  # of 20 ms: one packet, or none yet
        return [self.redundancy.add(payload, timestamp) for payload in payloads], timestamp
