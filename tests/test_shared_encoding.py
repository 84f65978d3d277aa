"""Viewers who can be sent the same share one encoder, and none of them notices the others."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, cast

import av
import numpy as np
import pytest
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from av.video.codeccontext import VideoCodecContext

from avatar.core.frame import Frame
from avatar.webrtc import shared_encoding
from avatar.webrtc.aiortc_patches.encoders import RealtimeH264Encoder, RealtimeVp8Encoder
from avatar.webrtc.avatar_track import AvatarVideo
from avatar.webrtc.congestion import BitRates
from avatar.webrtc.shared_encoding import KEPT, SharedVideo, ViewerTrack

pytestmark = pytest.mark.realtime

FRAME_NS = 33_333_333
H264 = RTCRtpCodecParameters("video/H264", 90_000, payloadType=102)
VP8 = RTCRtpCodecParameters("video/VP8", 90_000, payloadType=97)


class Room:
    """An avatar that moves when it is told to, and its viewers."""

    def __init__(self) -> None:
        self.encoders: list[RealtimeH264Encoder | RealtimeVp8Encoder] = []
        self.rates_bps: dict[ViewerTrack, int] = {}
        self._video = AvatarVideo(asyncio.get_running_loop())
        self._shared = SharedVideo(self._video, self._encoder)
        self._index = 0

    def enter(self, rate_bps: int = 1_000_000, codec: RTCRtpCodecParameters = H264) -> ViewerTrack:
        track = self._shared.track()
        self.rates_bps[track] = rate_bps
        track.send_as(codec, lambda: self.rates_bps[track])
        return track

    def move(self) -> None:
        picture = np.random.default_rng(self._index).integers(60, 190, (64, 64, 3), np.uint8)
        self._video.put(Frame(picture, self._index * FRAME_NS, self._index))
        self._index += 1

    async def next(self, *tracks: ViewerTrack) -> list[av.Packet[Any]]:
        """What each of them is sent of the avatar's next picture."""
        waiting = [asyncio.ensure_future(track.recv()) for track in tracks]
        await asyncio.sleep(0.01)
        self.move()
        return await asyncio.wait_for(asyncio.gather(*waiting), 10)

    def _encoder(self, codec: RTCRtpCodecParameters) -> RealtimeH264Encoder | RealtimeVp8Encoder:
        made = (RealtimeH264Encoder if codec is H264 else RealtimeVp8Encoder)(BitRates(), 30)
        self.encoders.append(made)
        return made


def decoded(packets: list[av.Packet[Any]], name: str = "h264") -> int:
    """How many pictures come out of a new decoder."""
    decoder = cast(VideoCodecContext, av.CodecContext.create(name, "r"))
    return sum(len(decoder.decode(av.Packet(bytes(packet)))) for packet in packets)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


@pytest.mark.parametrize("codec", [H264, VP8])
def test_all_viewers_of_a_codec_are_sent_what_one_encoder_made(codec: RTCRtpCodecParameters) -> None:
    async def call() -> None:
        room = Room()
        first, second = room.enter(codec=codec), room.enter(codec=codec)
        sent = [await room.next(first, second) for _ in range(6)]
        assert len(room.encoders) == 1 and first.sent == second.sent == 6
        for one, other in sent:
            assert bytes(one) == bytes(other) and one.pts == other.pts
        assert [one.pts for one, _ in sent] == [index * FRAME_NS * 90_000 // 10**9 for index in range(6)]
        assert decoded([one for one, _ in sent], codec.name.lower()) == 6

    run(call())


def test_who_comes_later_begins_with_a_key_frame() -> None:
    async def call() -> None:
        room = Room()
        first = room.enter()
        for _ in range(KEPT + 2):  # so that its first key frame is no longer kept
            await room.next(first)
        second, got = room.enter(), []
        waiting = asyncio.ensure_future(second.recv())
        while not waiting.done():
            await room.next(first)
        got.append(await waiting)
        got += [(await room.next(first, second))[1] for _ in range(3)]
        assert decoded(got) == 4 and second.key_frames == 1 and first.key_frames == 2
        assert len(room.encoders) == 1

    run(call())


def test_who_was_busy_for_a_moment_gets_all_and_for_longer_a_key_frame() -> None:
    async def call() -> None:
        room = Room()
        quick, busy = room.enter(), room.enter()
        got = [(await room.next(quick, busy))[1]]
        for _ in range(3):
            await room.next(quick)
        got += [await busy.recv() for _ in range(3)]
        assert decoded(got) == 4 and busy.skipped == 0
        for _ in range(KEPT + 3):
            await room.next(quick)
        waiting = asyncio.ensure_future(busy.recv())
        while not waiting.done():
            await room.next(quick)
        assert decoded([await waiting]) == 1  # without what came before
        assert busy.skipped >= KEPT + 3 - 1

    run(call())


def test_the_bit_rate_is_that_of_the_slower_viewer_unless_that_one_is_much_slower(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared_encoding, "STAYS_S", 0.0)

    async def call() -> None:
        room = Room()
        fast, slow = room.enter(2_000_000), room.enter(1_200_000)
        await room.next(fast, slow)
        (both,) = room.encoders
        assert both.codec is not None and both.codec.bit_rate == 1_200_000
        room.rates_bps[slow] = 300_000
        waiting = asyncio.ensure_future(slow.recv())
        while not waiting.done():
            await room.next(fast)
        before_pts, own = (await waiting).pts, room.encoders[-1]
        assert (len(room.encoders), slow.slow, fast.slow) == (2, True, False)
        await room.next(fast, slow)
        assert own.codec is not None and own.codec.bit_rate == 300_000
        assert both.codec.bit_rate == 2_000_000
        room.rates_bps[slow] = 1_900_000
        waiting = asyncio.ensure_future(slow.recv())
        while not waiting.done():
            await room.next(fast)
        assert (len(room.encoders), slow.slow, fast.slow) == (2, False, False)
        assert decoded([await waiting]) == 1
        later_pts = (await waiting).pts
        assert before_pts is not None and later_pts is not None and later_pts > before_pts

    run(call())


def test_an_encoder_ends_with_its_last_viewer() -> None:
    async def call() -> None:
        room = Room()
        first, second = room.enter(), room.enter()
        await room.next(first, second)
        first.stop()
        await room.next(second)
        second.stop()
        await asyncio.sleep(0.05)
        assert len(asyncio.all_tasks()) <= 2  # this one, and who waits for it
        third = room.enter()
        (packet,) = await room.next(third)
        assert decoded([packet]) == 1 and len(room.encoders) == 2

    run(call())


def test_what_an_encoder_fails_at_reaches_each_viewer() -> None:
    async def call() -> None:
        room = Room()
        tracks = room.enter(), room.enter()
        await room.next(*tracks)

        def fail(frame: av.VideoFrame, force_keyframe: bool) -> tuple[bytes, bool]:
            raise ValueError("the encoder fails")

        room.encoders[0].compress = fail  # type: ignore[method-assign]
        waiting = [asyncio.ensure_future(track.recv()) for track in tracks]
        await asyncio.sleep(0.01)
        room.move()
        for one in waiting:
            with pytest.raises(ValueError, match="the encoder fails"):
                await one

    run(call())
