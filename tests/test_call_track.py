"""The avatar's video track: the newest frame always, pts from the capture, nothing queued."""

from __future__ import annotations

import asyncio
import threading
import time

import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from avatar.core.frame import Frame
from avatar.webrtc import avatar_track
from avatar.webrtc.avatar_track import AvatarVideo
from avatar.webrtc.congestion import BitRates
from avatar.webrtc.publisher import CallPublisher

pytestmark = pytest.mark.realtime


def picture(index: int, capture_ns: int, grey: int = 0) -> Frame:
    return Frame(np.full((64, 64, 3), grey, np.uint8), capture_ns, index)


async def settle() -> None:
    await asyncio.sleep(0.01)


async def next_pts(track: MediaStreamTrack) -> int:
    pts = (await track.recv()).pts
    assert pts is not None
    return pts


def test_a_slow_viewer_gets_the_newest_frame_and_never_a_queue() -> None:
    async def call() -> None:
        video = AvatarVideo(asyncio.get_running_loop())
        track = video.track()
        for index in range(10):
            video.put(picture(index, index * 40_000_000, grey=20 * index))
            await settle()
        frame = await track.recv()
        assert abs(frame.to_ndarray(format="rgb24").mean() - 180) < 4
        video.put(picture(10, 400_000_000))
        video.put(picture(14, 560_000_000))
        await track.recv()
        assert track.sent == 2 and track.skipped == 4 and video.dropped == 1

    asyncio.run(call())


def test_it_is_watched_while_a_track_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    async def call() -> None:
        video = AvatarVideo(asyncio.get_running_loop())
        publisher = CallPublisher(video, BitRates())
        watched = [publisher.watched]
        video.put(picture(0, 0))
        await video.track().recv()
        watched.append(publisher.watched)
        monkeypatch.setattr(avatar_track, "REPEAT_S", 0.0)  # so long ago is long ago
        assert [*watched, publisher.watched] == [False, True, False]

    asyncio.run(call())


def test_pts_are_those_of_the_capture_at_90_khz() -> None:
    async def call() -> None:
        video = AvatarVideo(asyncio.get_running_loop())
        track = video.track()
        pts = []
        for index, capture_ms in enumerate((1000, 1040, 1107)):
            video.put(picture(index, capture_ms * 1_000_000))
            pts.append(await next_pts(track))
        assert pts == [0, 3600, 9630]

    asyncio.run(call())


def test_frames_come_from_another_thread_and_wake_every_viewer() -> None:
    async def call() -> None:
        video = AvatarVideo(asyncio.get_running_loop())
        tracks = [video.track() for _ in range(3)]
        waiting = [asyncio.ensure_future(track.recv()) for track in tracks]
        await settle()
        thread = threading.Thread(target=lambda: video.put(picture(0, time.monotonic_ns() - 50_000_000)))
        thread.start()
        frames = await asyncio.wait_for(asyncio.gather(*waiting), 5)
        thread.join()
        assert len(frames) == 3
        assert 50 <= video.latency_ns / 1e6 < 1000

    asyncio.run(call())


def test_a_picture_that_stands_still_is_repeated_with_rising_pts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avatar_track, "REPEAT_S", 0.05)

    async def call() -> None:
        video = AvatarVideo(asyncio.get_running_loop())
        track = video.track()
        video.put(picture(0, 0))
        pts = [await next_pts(track) for _ in range(4)]
        assert pts == sorted(set(pts)) and pts[-1] >= 3 * 0.05 * 90_000 * 0.9
        video.put(picture(1, 1))  # captured before the repeats: still no step back
        assert await next_pts(track) > pts[-1]

    asyncio.run(call())


def test_camera_off_shows_a_card_and_no_frame_gets_through() -> None:
    async def call() -> None:
        video = AvatarVideo(asyncio.get_running_loop())
        track = video.track()
        video.put(picture(0, 0, grey=200))
        await track.recv()
        video.camera_on = False
        card = (await track.recv()).to_ndarray(format="rgb24")
        assert np.median(card) < 40
        video.put(picture(1, 40_000_000, grey=200))
        await settle()
        assert np.median((await asyncio.wait_for(track.recv(), 5)).to_ndarray(format="rgb24")) < 40
        video.camera_on = True
        video.put(picture(2, 80_000_000, grey=200))
        assert np.median((await track.recv()).to_ndarray(format="rgb24")) > 180

    asyncio.run(call())


def test_after_the_session_viewers_do_not_see_the_last_picture() -> None:
    async def call() -> None:
        video = AvatarVideo(asyncio.get_running_loop())
        publisher = CallPublisher(video, BitRates())
        publisher.open(64, 64, 30)
        publisher.send(picture(0, time.monotonic_ns(), 200))
        await settle()
        track = video.track()
        assert (await track.recv()).to_ndarray(format="rgb24").min() > 150
        publisher.send(picture(1, time.monotonic_ns(), 200))
        publisher.close()
        await settle()
        assert (await track.recv()).to_ndarray(format="rgb24").mean() < 60

    asyncio.run(call())


def test_a_stopped_track_ends() -> None:
    async def call() -> None:
        track = AvatarVideo(asyncio.get_running_loop()).track()
        track.stop()
        with pytest.raises(MediaStreamError):
            await track.recv()

    asyncio.run(call())
