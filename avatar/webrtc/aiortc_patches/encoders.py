"""Encoders for live pictures and speech: H.264 and VP8 that follow the network without storms of key frames, and Opus.

aiortc's own rebuild the encoder, and so send a key frame, at every change of the bit rate above 10 %, and run x264 at
its medium preset, which takes four times as long. Its Opus takes 96 kb/s, and what is lost of it is lost.
`use_realtime_encoders` is the one place where they are exchanged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import av.video.frame
from aiortc import rtcrtpsender
from aiortc.codecs import get_encoder
from aiortc.codecs.base import Encoder
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.opus import SAMPLE_RATE, SAMPLES_PER_FRAME, TIME_BASE, OpusEncoder
from aiortc.codecs.vpx import Vp8Encoder
from aiortc.mediastreams import VIDEO_TIME_BASE, convert_timebase
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from av.frame import Frame
from av.video.codeccontext import VideoCodecContext

from avatar.core.errors import UsageError
from avatar.webrtc.aiortc_patches.redundancy import Redundancy, is_red

KEY_FRAME_GAP_S = 0.5  # a storm of picture-loss reports gets two key frames a second, no more
REBUILD_GAP_S = 4.0  # VP8 cannot change its rate in flight: how often it may be rebuilt, each time with a key frame
REBUILD_CHANGE = 0.25
LOWEST_BPS, HIGHEST_BPS = 50_000, 50_000_000
RISE = 1.15  # a second, once nothing is lost: the receiver's estimate still holds it back where the network is full
STILL_LOST = 0.03  # the share of packets that may be lost with all their copies
MOST_COPIES = 2
MANY_LOST = 0.08  # from here on, the picture makes room for the copies
CALMER = 0.6  # a second: how fast loss is forgotten
SOUND_BPS = 40_000


@dataclass(frozen=True, slots=True)
class BitRates:
    """What one viewer's video may take, in bits per second; that viewer's REMB moves it between floor and ceiling."""

    floor_bps: int = 150_000
    start_bps: int = 1_000_000
    ceiling_bps: int = 4_000_000

    def __post_init__(self) -> None:
        if not LOWEST_BPS <= self.floor_bps <= self.start_bps <= self.ceiling_bps <= HIGHEST_BPS:
            raise UsageError(
                f"Bit rates must rise from floor ({self.floor_bps}) over start ({self.start_bps}) to ceiling "
                f"({self.ceiling_bps} b/s), all between {LOWEST_BPS} and {HIGHEST_BPS}."
            )

    @classmethod
    def between(cls, floor_kbps: int, ceiling_kbps: int) -> BitRates:
        """From the two flags in kb/s; starts at 1 Mb/s where they allow it."""
        floor_bps, ceiling_bps = floor_kbps * 1000, ceiling_kbps * 1000
        return cls(floor_bps, max(floor_bps, min(cls().start_bps, ceiling_bps)), ceiling_bps)

    def clamp(self, bit_rate_bps: int) -> int:
        return max(self.floor_bps, min(bit_rate_bps, self.ceiling_bps))


class RateControl:
    """The bit rate: what the receiver estimates (REMB), less where packets are lost, between floor and ceiling.

    Where many are lost, each is sent once or twice more, unasked: there is the less room for the picture.
    """

    def __init__(self, rates: BitRates, clock: Callable[[], float] = time.monotonic) -> None:
        self.estimate_bps = rates.start_bps  # the receiver's
        self._rates, self._loss_bps = rates, rates.ceiling_bps
        self._clock, self._loss, self._then_s = clock, 0.0, clock()

    @property
    def target_bps(self) -> int:
        times = 1 + self._copies_wanted if self._loss > MANY_LOST else 1
        return self._rates.clamp(self._all_bps // times)

    @property
    def copies(self) -> int:
        """How often each packet is to be sent beyond the first time: as often as is of use, and there is room for."""
        return max(0, min(self._copies_wanted, self.estimate_bps // self.target_bps - 1))

    def report_loss(self, share: float) -> None:
        """The loss-based controller of Google's congestion control (draft-ietf-rmcat-gcc-02, 6); RISE is ours."""
        if share > 0.1:
            self._loss_bps = self._rates.clamp(round(self._all_bps * (1 - 0.5 * share)))
        elif share < 0.02:
            self._loss_bps = self._rates.clamp(round(self._loss_bps * RISE))
        now_s = self._clock()
        self._loss = max(share, self._loss * CALMER ** (now_s - self._then_s))
        self._then_s = now_s

    @property
    def _all_bps(self) -> int:
        """Of the picture and its copies."""
        return min(self.estimate_bps, self._loss_bps)

    @property
    def _copies_wanted(self) -> int:
        return next((n for n in range(MOST_COPIES) if self._loss ** (n + 1) <= STILL_LOST), MOST_COPIES)


class KeyFrames:
    """Grants requests for key frames, the next one at the earliest after KEY_FRAME_GAP_S; none is forgotten."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.count = 0
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
        self.count += 1


class RealtimeH264Encoder(H264Encoder):
    """x264 veryfast, zero latency, one slice of one thread; the bit rate changes in flight, without a key frame."""

    def __init__(self, rates: BitRates, fps: float) -> None:
        super().__init__()
        self._rates, self._fps = rates, fps
        self.rate_control = RateControl(rates)
        self.key_frames = KeyFrames()
        self.report_loss = self.rate_control.report_loss

    @property
    def target_bitrate(self) -> int:
        return self.rate_control.target_bps

    @target_bitrate.setter
    def target_bitrate(self, bitrate: int) -> None:
        self.rate_control.estimate_bps = bitrate

    def _encode_frame(self, frame: av.VideoFrame, force_keyframe: bool) -> Iterator[bytes]:
        if self.codec is None or (frame.width, frame.height) != (self.codec.width, self.codec.height):
            self.codec = self._open(frame.width, frame.height)
            self.key_frames.sent()
        key = self.key_frames.due(force_keyframe)
        frame.pict_type = av.video.frame.PictureType.I if key else av.video.frame.PictureType.NONE
        self.codec.bit_rate = self.rate_control.target_bps
        data = b"".join(bytes(packet) for packet in self.codec.encode(frame))
        yield from self._split_bitstream(data)

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
        self._fps = fps
        self.rate_control = RateControl(rates)
        self._target_bps = self.rate_control.target_bps  # of the encoder as it was built
        self.key_frames = KeyFrames()
        self._built_s = 0.0
        self.report_loss = self.rate_control.report_loss

    @property
    def target_bitrate(self) -> int:
        return self._target_bps

    @target_bitrate.setter
    def target_bitrate(self, bitrate: int) -> None:
        self.rate_control.estimate_bps = bitrate

    def encode(self, frame: Frame, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        assert isinstance(frame, av.VideoFrame)
        if self.codec is None or self._rebuild_due(frame):
            self._target_bps = self.rate_control.target_bps
            self.codec = self._open(frame.width, frame.height)
            self._built_s = time.monotonic()
            self.key_frames.sent()
        key = self.key_frames.due(force_keyframe)
        frame.pict_type = av.video.frame.PictureType.I if key else av.video.frame.PictureType.NONE
        data = b"".join(bytes(packet) for packet in self.codec.encode(frame))
        payloads = self._packetize(data, self.picture_id)
        self.picture_id = (self.picture_id + 1) % (1 << 15)
        assert frame.pts is not None and frame.time_base is not None
        return payloads, convert_timebase(frame.pts, frame.time_base, VIDEO_TIME_BASE)

    def _rebuild_due(self, frame: av.VideoFrame) -> bool:
        assert self.codec is not None
        if (frame.width, frame.height) != (self.codec.width, self.codec.height):
            return True
        change = abs(self.rate_control.target_bps - self._target_bps) / self._target_bps
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


class RealtimeOpusEncoder(OpusEncoder):
    """One channel of speech; each packet also holds a rough copy of the one before, for who lost that (FEC).

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
        self._redundancy = Redundancy(red)
        self.report_loss, self.make_room = self._redundancy.report_loss, self._redundancy.make_room

    def encode(self, frame: Frame, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        payloads, timestamp = super().encode(frame, force_keyframe)  # of 20 ms: one packet, or none yet
        return [self._redundancy.add(payload, timestamp) for payload in payloads], timestamp


def use_realtime_encoders(rates: BitRates | None = None, fps: float | None = None) -> None:
    """From now on, every sender of this process that starts encodes with the classes above.

    rates, fps: of video; None: as before. aiortc offers no hook for it: its sender asks the function `get_encoder` of
    its own module, which is replaced here.
    """
    global _rates, _fps
    _rates, _fps = rates or _rates, fps or _fps
    rtcrtpsender.get_encoder = _choose  # type: ignore[attr-defined]


_rates, _fps = BitRates(), 30.0


def _choose(codec: RTCRtpCodecParameters) -> Encoder:
    if codec.mimeType.lower() == "video/h264":
        return RealtimeH264Encoder(_rates, _fps)
    if codec.mimeType.lower() == "video/vp8":
        return RealtimeVp8Encoder(_rates, _fps)
    if codec.mimeType.lower() == "audio/opus":
        return RealtimeOpusEncoder()
    if is_red(codec):
        return RedundantOpusEncoder(codec)
    return get_encoder(codec)
