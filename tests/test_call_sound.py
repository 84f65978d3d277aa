"""The microphone is delayed by the picture's measured latency, so that lips and sound arrive together."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from avatar.webrtc.sound import AHEAD_NS, CHUNK, RATE, Sound

pytestmark = pytest.mark.realtime

MS = 1_000_000
EARLIEST_MS, LATEST_MS = -45, 125  # ITU-R BT.1359


def click_offset_ms(picture_ms: float, microphone_ms: float) -> float:
    """When a click is sent, against the picture of the same moment, in ms; positive: the sound is late.

    The picture takes `picture_ms` from capture to sending; a chunk of 20 ms arrives `microphone_ms` after its end.
    """
    sound = Sound(lambda: round(picture_ms * MS))
    start_ns, click_ns = 10**12, 10**12 + 2000 * MS
    position = None
    for chunk in range(200):
        captured_ns = start_ns + chunk * 20 * MS
        arrives_ns = captured_ns + round((20 + microphone_ms) * MS)
        samples = np.zeros(CHUNK, np.int16)
        if captured_ns == click_ns:
            samples[0] = 20_000
        sound.put(samples, captured_ns, now_ns=arrives_ns)
        wanted = sound.due(arrives_ns)
        if position is None or abs(wanted - position) > RATE * 0.025:
            position = wanted
        heard = np.flatnonzero(sound.read(position))
        if heard.size:
            return (arrives_ns + (int(heard[0]) - CHUNK) / RATE * 1e9 - click_ns) / MS - picture_ms
        position += CHUNK
    raise AssertionError("the click was lost")


def test_sound_waits_for_the_picture() -> None:
    for picture_ms in (20, 45, 76, 150, 400):
        for microphone_ms in (3, 20, 80):
            offset_ms = click_offset_ms(picture_ms, microphone_ms)
            assert EARLIEST_MS < offset_ms < LATEST_MS, (picture_ms, microphone_ms, offset_ms)


def test_sound_is_never_held_longer_than_needed() -> None:
    ahead_ms = AHEAD_NS / MS
    assert abs(click_offset_ms(picture_ms=200, microphone_ms=5) + ahead_ms) < 30


def test_a_hiccup_of_the_microphone_does_not_part_sound_and_lips() -> None:
    sound = Sound(lambda: 80 * MS)
    for chunk in range(100):
        captured_ns = 10**12 + chunk * 20 * MS
        late_ms = 400 if chunk in (40, 41, 42) else 30
        sound.put(np.zeros(CHUNK, np.int16), captured_ns, now_ns=captured_ns + late_ms * MS)
    assert EARLIEST_MS < sound.lip_offset_ms < 30


def test_a_computer_that_has_run_for_years_is_heard() -> None:
    """A ring that is wrapped by subtracting its length again and again would take minutes for each chunk then."""
    sound, captured_ns = Sound(), 20 * 365 * 24 * 3600 * 10**9
    for chunk in range(10):
        sound.put(np.full(CHUNK, 100 + chunk, np.int16), captured_ns + chunk * 20 * MS, now_ns=captured_ns + 200 * MS)
    start = captured_ns * RATE // 10**9
    for chunk in range(10):
        assert (sound.read(start + chunk * CHUNK) == 100 + chunk).all()


def test_a_muted_or_missing_microphone_is_silence() -> None:
    async def call() -> None:
        sound = Sound()
        track = sound.track()
        assert not (await track.recv()).to_ndarray().any()
        before, now_ns = sound.live, time.monotonic_ns()
        sound.put(np.full(RATE, 1000, np.int16), now_ns - 1000 * MS)
        assert (before, sound.live) == (False, True)
        await asyncio.sleep(0.1)
        sound.muted = True
        assert not (await track.recv()).to_ndarray().any()

    asyncio.run(call())


def test_chunks_come_every_20_ms_in_step_with_the_clock() -> None:
    async def call() -> None:
        track = Sound().track()
        start_s = time.monotonic()
        frames = [await track.recv() for _ in range(11)]
        assert 0.18 < time.monotonic() - start_s < 1.0
        assert [frame.pts for frame in frames] == [CHUNK * i for i in range(11)]

    asyncio.run(call())


def test_a_busy_computer_tears_no_hole_into_the_sound() -> None:
    async def call() -> None:
        sound, now_ns = Sound(lambda: 500 * MS), time.monotonic_ns()
        sound.put((np.arange(3 * RATE // 2) // 10 % 30_000).astype(np.int16), now_ns - 1000 * MS, now_ns=now_ns)
        track, heard = sound.track(), []
        for hiccup_s in (0, 0, 0.07, 0, 0, 0, 0.05, 0.11, 0, 0, 0, 0):
            time.sleep(hiccup_s)
            heard.append((await track.recv()).to_ndarray().ravel())
        assert track.skips == 0
        assert set(np.diff(np.concatenate(heard).astype(int))) == {0, 1}

    asyncio.run(call())


def test_after_a_pause_of_the_computer_the_time_of_the_sound_is_that_of_the_clock() -> None:
    async def call() -> None:
        track = Sound().track()
        first = (await track.recv()).pts
        time.sleep(1.5)
        later = (await track.recv()).pts
        assert first is not None and later is not None
        assert later - first >= 1.4 * RATE  # and the viewer does not hear it later from then on

    asyncio.run(call())


def test_a_gap_in_the_microphone_becomes_silence_and_not_old_sound() -> None:
    sound = Sound()
    sound.put(np.full(CHUNK, 500, np.int16), 10**12, now_ns=10**12 + 25 * MS)
    sound.put(np.full(CHUNK, 900, np.int16), 10**12 + 500 * MS, now_ns=10**12 + 525 * MS)
    middle = sound.read((10**12 + 250 * MS) * RATE // 10**9)
    assert not middle.any()
    assert (sound.read((10**12 + 500 * MS) * RATE // 10**9) == 900).all()
