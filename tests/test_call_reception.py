"""Receiving through a bad network: asked for in time, given up in time, and gone on with at a key frame."""

from __future__ import annotations

from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.rtp import RtpPacket

from avatar.webrtc.aiortc_patches.jitter_buffers import (
    PLI_AGAIN_S,
    VIDEO_PATIENCE_S,
    AudioJitterBuffer,
    NackGenerator,
    VideoJitterBuffer,
)
from avatar.webrtc.red import Redundancy

KEY, DELTA = b"\0\0\0\1\x67", b"\0\0\0\1\x41"  # how frames of H.264 begin


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def packet(number: int, data: bytes = DELTA, timestamp: int | None = None, marker: int = 1) -> RtpPacket:
    made = RtpPacket(97, marker, number % 0x10000, number if timestamp is None else timestamp)
    made._data = data  # type: ignore[attr-defined]
    return made


def frames(buffer: VideoJitterBuffer | AudioJitterBuffer, *packets: RtpPacket) -> list[bytes]:
    found = []
    for one in packets:
        _, frame = buffer.add(one)
        found += [frame.data] if frame else []
        found += [more.data for _, more in buffer.complete_frames()]
    return found


def test_a_lost_packet_is_asked_for_again_until_it_comes() -> None:
    clock = Clock()
    nacks = NackGenerator(clock)
    assert [nacks.add(packet(number)) for number in (65534, 65535, 1)] == [False] * 3  # it may only be overtaken
    clock.now_s += 0.03
    assert nacks.add(packet(2)) and nacks.missing == [0]
    assert not nacks.add(packet(3))
    clock.now_s += 0.11
    assert nacks.add(packet(4)) and nacks.missing == [0]  # the first answer was lost too
    clock.now_s += 0.11
    assert not nacks.add(packet(0x10000))
    assert not nacks.add(packet(7))
    clock.now_s += VIDEO_PATIENCE_S + 0.1
    assert not nacks.add(packet(8))  # too late to be of use


def test_a_frame_is_handed_out_with_its_last_packet_and_overtaken_ones_wait() -> None:
    buffer = VideoJitterBuffer(Clock())
    first = [packet(10, KEY, 1, 0), packet(11, b"a", 1, 1)]
    assert frames(buffer, *first) == [KEY + b"a"]
    assert frames(buffer, packet(13, b"c", 2, 1), packet(14, DELTA, 3)) == []
    assert frames(buffer, packet(12, DELTA, 2, 0)) == [DELTA + b"c", DELTA]
    assert frames(buffer, packet(12, DELTA, 2, 0)) == []  # twice


def test_padding_is_no_frame() -> None:
    buffer = VideoJitterBuffer(Clock())
    assert frames(buffer, packet(0, KEY), packet(1, b"", 0, 0), packet(2)) == [KEY, DELTA]


def test_what_does_not_come_is_given_up_for_the_next_key_frame_which_is_asked_for() -> None:
    clock = Clock()
    buffer = VideoJitterBuffer(clock)
    assert frames(buffer, packet(0, KEY)) == [KEY]
    asked, number = 0, 2  # 1 is lost
    while clock.now_s < 101.5:
        asked += buffer.add(packet(number))[0]
        number += 1
        clock.now_s += 1 / 30
    assert 2 <= asked <= (1.5 - VIDEO_PATIENCE_S) / PLI_AGAIN_S + 1
    assert frames(buffer, packet(number, KEY), packet(number + 1)) == [KEY, DELTA]


def test_a_key_frame_that_is_not_whole_is_given_up_too() -> None:
    clock = Clock()
    buffer = VideoJitterBuffer(clock)
    frames(buffer, packet(0, KEY, 1, 0), packet(2, b"b", 1, 1))  # 1 is lost
    clock.now_s += VIDEO_PATIENCE_S + 0.1
    asked = [buffer.add(packet(3))[0]]
    clock.now_s += VIDEO_PATIENCE_S + 0.1
    assert any([*asked, buffer.add(packet(4))[0]])
    assert frames(buffer, packet(5, KEY)) == [KEY]


def test_nothing_is_decoded_before_the_first_key_frame() -> None:
    clock = Clock()
    buffer = VideoJitterBuffer(clock)
    assert frames(buffer, *(packet(number) for number in range(5))) == []
    clock.now_s += 1
    assert buffer.add(packet(5)) == (True, None)
    vp8 = b"\x10\0\0\x9d\x01\x2a\0\0"
    assert frames(buffer, packet(6, vp8)) == [vp8]


def test_sound_goes_on_soon_and_is_not_late_from_then_on() -> None:
    clock = Clock()
    buffer = AudioJitterBuffer(clock=clock)
    assert frames(buffer, packet(0, b"0")) == [b"0"]
    held = []
    for number in range(2, 8):
        clock.now_s += 0.02
        held.append(frames(buffer, packet(number, str(number).encode())))
    assert held[0] == held[1] == []
    assert b"".join(sound for now in held for sound in now) == b"234567" and held[-1] == [b"7"]


def test_where_packets_overtake_each_other_sound_waits_for_them() -> None:
    clock = Clock()
    buffer = AudioJitterBuffer(clock=clock)
    frames(buffer, packet(0, b"0"))
    for number in range(2, 30, 2):  # each second one comes 0.1 s late
        clock.now_s += 0.1
        frames(buffer, packet(number, b"x"), packet(number - 3, b"late"))
    frames(buffer, packet(27, b"late"), packet(29, b"late"))
    assert frames(buffer, packet(31, b"31")) == []
    clock.now_s += 0.15
    assert frames(buffer, packet(30, b"30")) == [b"30", b"31"]


def test_what_the_next_packet_carries_is_not_lost() -> None:
    clock = Clock()
    buffer = AudioJitterBuffer(lambda payload_type: payload_type == 104, clock)
    redundancy = Redundancy(RTCRtpCodecParameters("audio/red", 48_000, 2, 104, parameters={"96/96": None}))
    payloads = [redundancy.add(str(number).encode(), 960 * number) for number in range(10)]
    heard: list[bytes] = []
    for number in (0, 1, 3, 5, 8, 9):  # 2, 4 and 7 were lost with no harm; 6 was lost with what carried it
        clock.now_s += 0.02 if number != 8 else 0.06
        made = RtpPacket(104, 1, 65530 + number if number < 6 else number - 6, 960 * number, payload=payloads[number])
        heard += frames(buffer, made)
    assert heard == [b"0", b"1", b"2", b"3", b"4", b"5"]
    clock.now_s += 0.1
    last = redundancy.add(b"10", 9600)
    buffer.add(RtpPacket(104, 1, 4, 9600, payload=last))
    assert [(kind, frame.data, frame.timestamp) for kind, frame in buffer.complete_frames()] == [
        (96, str(number).encode(), 960 * number) for number in (7, 8, 9, 10)
    ]


def test_damaged_redundancy_is_taken_for_lost() -> None:
    buffer = AudioJitterBuffer(lambda payload_type: True)
    for payload in (b"", b"\x80", b"\xe0\0\0\xff\x60x", b"\xe0\0\0"):
        assert frames(buffer, RtpPacket(104, 1, 7, 0, payload=payload)) == []
    assert frames(buffer, RtpPacket(104, 1, 7, 0, payload=b"\x60x")) == [b"x"]
