"""The avatar as LiveKit's video generator, with LiveKit's own packages; no server, so no room is joined."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

from tests.clips import GREEN, astronaut_avatar, face_clip, green_share, moving_face, painted

pytest.importorskip("livekit.agents", reason="needs LiveKit: pip install 'visavis[livekit]'")

from livekit import rtc
from livekit.agents.voice.avatar import AudioSegmentEnd, AvatarRunner, QueueAudioOutput

from avatar.core.errors import DeviceError
from avatar.core.frame import Frame
from avatar.live.livekit import LiveKitGenerator, StampedFrame, driven_generator
from avatar.live.options import LiveOptions
from avatar.live.record_motion import record_motion
from avatar.sources.camera import CameraOrMotion, PlayedFile, open_camera_or_motion
from avatar.sources.motion import write_motion
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model

pytestmark = pytest.mark.realtime

RATE = 24_000
SMALL = LiveOptions(size=(256, 256))
MS = 1_000_000
Item: TypeAlias = rtc.VideoFrame | rtc.AudioFrame | AudioSegmentEnd


def within(work: Coroutine[object, object, None], seconds: float = 250.0) -> None:
    """Run on a loop of its own. Generous: the machine may be busy."""
    asyncio.run(asyncio.wait_for(work, seconds))


def picture(index: int, grey: int = 0, age_ms: float = 0.0) -> Frame:
    return Frame(np.full((64, 96, 3), grey, np.uint8), time.monotonic_ns() - round(age_ms * MS), index)


def opened(fps: float = 1000.0) -> LiveKitGenerator:
    generator = LiveKitGenerator()
    generator.open(96, 64, fps)
    return generator


def speech(ms: int, start: int = 1) -> rtc.AudioFrame:
    """Samples that count up, so that each can be told from all others."""
    samples = np.arange(start, start + RATE * ms // 1000).astype(np.int16)
    return rtc.AudioFrame(samples.tobytes(), RATE, 1, len(samples))


def samples_of(items: list[Item]) -> list[int]:
    return [int(sample) for item in items if isinstance(item, rtc.AudioFrame) for sample in item.data]


def rgb_of(frame: rtc.VideoFrame) -> np.ndarray:
    rgb = frame if frame.type == rtc.VideoBufferType.RGB24 else frame.convert(rtc.VideoBufferType.RGB24)
    return np.frombuffer(rgb.data, np.uint8).reshape(rgb.height, rgb.width, 3)


async def next_shown(pictures: rtc.VideoStream) -> np.ndarray:
    """LiveKit's source itself gives black ones before its first."""
    while not (rgb := rgb_of((await anext(pictures)).frame)).std():
        pass
    return rgb


async def until_end(stream: AsyncIterator[Item]) -> list[Item]:
    items = []
    async for item in stream:
        items.append(item)
        if isinstance(item, AudioSegmentEnd):
            break
    return items


def test_a_slow_room_gets_the_newest_picture_and_never_a_queue() -> None:
    async def call() -> None:
        generator = opened()
        stream = aiter(generator)
        frames = [picture(index, grey=20 * index) for index in range(10)]
        for frame in frames:
            generator.send(frame)
        newest = await anext(stream)
        assert isinstance(newest, StampedFrame) and (newest.width, newest.height) == (96, 64)
        assert abs(rgb_of(newest).mean() - 180) < 4
        assert newest.capture_ns == frames[-1].capture_ns and generator.dropped == 9

    within(call())


def test_colours_reach_livekits_track_as_they_are() -> None:
    async def call() -> None:
        generator, source = opened(), rtc.VideoSource(96, 64)
        pictures = rtc.VideoStream(rtc.LocalVideoTrack.create_video_track("avatar", source), capacity=1)
        rgb = np.zeros((64, 96, 3), np.uint8)
        rgb[:32, :48], rgb[32:, :48], rgb[:32, 48:] = (220, 30, 30), (30, 200, 30), (40, 40, 220)
        rgb.flags.writeable = False
        generator.send(Frame(rgb, time.monotonic_ns()))
        frame = await anext(aiter(generator))
        assert isinstance(frame, StampedFrame)
        source.capture_frame(frame, timestamp_us=frame.capture_ns // 1000)
        shown = await next_shown(pictures)
        assert np.abs(shown[8:24, 8:40].astype(int) - rgb[0, 0]).max() < 12
        assert np.abs(shown.astype(int) - rgb).mean() < 4
        await pictures.aclose()

    within(call())


def test_pictures_keep_to_the_rate_that_the_runner_was_told() -> None:
    """A faster loop would fill the queue of AVSynchronizer, and every picture would wait in it."""

    async def call() -> None:
        generator = opened(fps=20)
        assert generator.options().video_fps == 20
        stream, start_s = aiter(generator), time.monotonic()
        sending = asyncio.create_task(send_every(generator, 0.005))
        for _ in range(11):
            await anext(stream)
        sending.cancel()
        assert time.monotonic() - start_s > 10 / 20 - 0.01

    within(call())


async def send_every(generator: LiveKitGenerator, seconds: float, age_ms: float = 0.0) -> None:
    index = 0
    while True:
        generator.send(picture(index, age_ms=age_ms))
        index += 1
        await asyncio.sleep(seconds)


def test_sound_comes_out_as_it_went_in_and_in_real_time() -> None:
    async def call() -> None:
        generator = opened()
        start_s = time.monotonic()
        pushing = asyncio.create_task(push_all(generator, speech(100), speech(300, 2401), AudioSegmentEnd()))
        items = await until_end(aiter(generator))
        assert samples_of(items) == list(range(1, 400 * RATE // 1000 + 1))
        assert time.monotonic() - start_s >= 0.399  # the end was told when all was played, not when it was handed over
        await pushing

    within(call())


async def push_all(generator: LiveKitGenerator, *sounds: rtc.AudioFrame | AudioSegmentEnd) -> None:
    for sound in sounds:
        await generator.push_audio(sound)


def test_sound_waits_as_long_as_pictures_take() -> None:
    async def call() -> None:
        generator = opened()
        stream = aiter(generator)
        for index in range(3):
            generator.send(picture(index, age_ms=400))
            await anext(stream)
        assert 400 <= generator.latency_ns / MS < 5000
        start_s = time.monotonic()
        await generator.push_audio(speech(20))
        assert isinstance(await anext(stream), rtc.AudioFrame)
        assert time.monotonic() - start_s >= 0.399

    within(call())


def test_speech_made_faster_than_it_plays_starves_no_picture() -> None:
    async def call() -> None:
        generator = opened()
        sending = asyncio.create_task(send_every(generator, 0.02))
        sounds: list[rtc.AudioFrame | AudioSegmentEnd] = [*(speech(500) for _ in range(4)), AudioSegmentEnd()]
        _, items = await asyncio.gather(push_all(generator, *sounds), until_end(aiter(generator)))
        sending.cancel()
        assert len(samples_of(items)) == 2 * RATE
        kinds = [isinstance(item, rtc.AudioFrame) for item in items]
        assert kinds.count(False) > 5
        longest = max(len(run) for run in "".join("s" if sound else "p" for sound in kinds).split("p"))
        assert longest <= 10  # and pictures come between, however late

    within(call())


def test_a_segment_is_over_before_the_next_one_is_read() -> None:
    async def call() -> None:
        generator = opened()
        stream = aiter(generator)
        await generator.push_audio(speech(40))
        ending = asyncio.create_task(generator.push_audio(AudioSegmentEnd()))
        for _ in range(2):
            assert isinstance(await anext(stream), rtc.AudioFrame)
            assert not ending.done()
        assert isinstance(await anext(stream), AudioSegmentEnd)
        await ending

    within(call())


def test_clearing_stops_the_sound_and_whoever_waits_to_push_more() -> None:
    async def call() -> None:
        generator = opened()
        stream = aiter(generator)
        pushing = asyncio.create_task(push_all(generator, speech(3000), AudioSegmentEnd()))
        assert isinstance(await anext(stream), rtc.AudioFrame)
        assert not pushing.done()
        generator.clear_buffer()
        generator.send(picture(0))
        items = [await anext(stream)]
        assert isinstance(items[0], rtc.VideoFrame)
        items += await until_end(stream)  # the end that was still to come is passed on
        assert not samples_of(items)
        await pushing

    within(call())


def test_the_end_of_the_loop_and_its_failure_reach_the_room() -> None:
    async def call() -> None:
        generator = opened()
        generator.send(picture(0))
        generator.close()
        assert len([item async for item in generator]) == 1
        failing = opened()
        failing.fail(DeviceError("the camera has gone"))
        with pytest.raises(DeviceError, match="the camera has gone"):
            await anext(aiter(failing))

    within(call())


def test_what_keeps_the_loop_from_starting_is_raised(tmp_path: Path) -> None:
    async def call() -> None:
        with pytest.raises(Exception, match=r"no\.task"):
            async with driven_generator(astronaut_avatar(), tmp_path / "no.task", say=lambda _: None):
                pass

    within(call())


class Runner(AvatarRunner):  # type: ignore[misc, unused-ignore]  # Any where LiveKit is not installed
    """Without a server nothing can be published: all of AvatarRunner but that."""

    async def _publish_track(self) -> None:
        self._video_publication = True  # type: ignore[assignment, unused-ignore]


def test_livekits_runner_plays_speech_over_an_idling_avatar() -> None:
    """The agent is told that a speech is over, or was interrupted; LiveKit's own tracks hold picture and sound."""

    async def call() -> None:
        async with driven_generator(astronaut_avatar(), tracker_model(), None, SMALL) as generator:
            output = QueueAudioOutput(sample_rate=RATE)
            finished: asyncio.Queue[tuple[float, bool]] = asyncio.Queue()
            output.on("playback_finished", lambda e: finished.put_nowait((e.playback_position, e.interrupted)))
            runner = Runner(rtc.Room(), audio_recv=output, video_gen=generator, options=generator.options(RATE))
            track = rtc.LocalVideoTrack.create_video_track("avatar", runner._video_source)
            pictures = rtc.VideoStream(track, capacity=1)
            sound = rtc.AudioStream(rtc.LocalAudioTrack.create_audio_track("voice", runner._audio_source), capacity=1)
            await runner.start()
            for ms in (300, 20):  # the second one is read before the first was played
                await output.capture_frame(speech(ms))
                output.flush()
            while not any((await anext(sound)).frame.data):
                pass
            for seconds in (0.3, 0.02):
                position_s, interrupted = await finished.get()
                assert position_s == pytest.approx(seconds) and not interrupted
            await output.capture_frame(speech(5000))
            await asyncio.sleep(0.5)
            output.clear_buffer()
            position_s, interrupted = await finished.get()
            assert interrupted and 0 <= position_s < 5
            first = await next_shown(pictures)
            assert first.shape == (256, 256, 3) and first.std() > 20
            while (await next_shown(pictures) == first).all():  # it idles: it is no still
                pass
            await sound.aclose()
            await pictures.aclose()
            await runner.aclose()

    within(call())


@pytest.mark.parametrize("kind", ["clip", "motion"])
def test_any_driver_moves_it_and_no_pixel_of_it_comes_out(kind: str, tmp_path: Path) -> None:
    spec = clip = face_clip(tmp_path / "in.mp4", frames=25, change=painted)
    if kind == "motion":
        spec = tmp_path / "in.motion"
        with CagedTracker(tracker_model(), "video", patient=True) as tracker:
            recording = record_motion(PlayedFile(clip, real_time=False), tracker, by_media_time=True)
        write_motion(recording.motion, spec)

    async def call(driver: CameraOrMotion) -> None:
        async with driven_generator(astronaut_avatar(), tracker_model(), driver, SMALL) as generator:
            items = [item async for item in generator]
            frames = [item for item in items if isinstance(item, StampedFrame)]
            assert frames and len(frames) == len(items)
            stamps = [frame.capture_ns for frame in frames]
            assert stamps == sorted(stamps)
            assert max(green_share(rgb_of(frame)) for frame in frames) < 0.01

    assert green_share(painted(moving_face(0))) > 0.2 and GREEN[1] == 255
    within(call(open_camera_or_motion(str(spec))))
