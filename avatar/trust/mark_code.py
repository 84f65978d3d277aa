"""64 bits as 384 signs that survive errors: CRC-24, scrambled by it, convolutional code of rate 1/4.

A change of one bit changes about half of all signs: the CRC seeds what the message is scrambled with, so that two
messages look like strangers, and averaging the videos of different days does not strengthen what they have in common.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array

MESSAGE_BITS, CRC_BITS = 64, 24
CONSTRAINT = 9  # bits that a coded sign depends on
# The best of rate 1/4 and constraint length 9: free distance 24 (Proakis, Digital Communications, table 8.2-3)
GENERATORS = (0o463, 0o535, 0o733, 0o745)
SIGNS = (MESSAGE_BITS + CRC_BITS + CONSTRAINT - 1) * len(GENERATORS)

_CRC_POLYNOMIAL, _CRC_START = 0x864CFB, 0xB704CE  # of OpenPGP, RFC 9580, 6.1
_STATES = 1 << (CONSTRAINT - 1)

Bits = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Decoded:
    """The likeliest message. agrees: with its CRC. strength: its correlation with what was received, in standard
    deviations of noise.
    """

    message: int
    agrees: bool
    strength: float


def encode(message: int) -> Array:
    """(384,) of -1 and 1."""
    crc = _crc24(message)
    bits = np.concatenate([_bits(crc, CRC_BITS), _bits(message, MESSAGE_BITS) ^ _scrambler(crc)])
    return _convolved(np.concatenate([bits, np.zeros(CONSTRAINT - 1, np.uint8)]))


def decode(received: Array) -> Decoded:
    """The likeliest message of (384,) soft signs, whose noise has a standard deviation of about 1."""
    bits = _viterbi(received.reshape(-1, len(GENERATORS)).astype(np.float64))
    crc = _number(bits[:CRC_BITS])
    message = _number(bits[CRC_BITS : CRC_BITS + MESSAGE_BITS] ^ _scrambler(crc))
    strength = float(_convolved(bits) @ received) / math.sqrt(SIGNS)
    return Decoded(message, _crc24(message) == crc, strength)


def _viterbi(received: NDArray[np.float64]) -> Bits:
    """The bits of the best path from state 0 to state 0 through (steps, 4) soft signs: Viterbi's algorithm."""
    gains = np.full(_STATES, -1e9)
    gains[0] = 0.0
    second_wins = np.zeros((len(received), _STATES), bool)
    for step, signs in enumerate(received):
        by_first, by_second = (gains[before] + into @ signs for before, into in zip(_BEFORE, _INTO, strict=True))
        second_wins[step] = by_second > by_first
        gains = np.maximum(by_first, by_second)
    state, bits = 0, np.zeros(len(received), np.uint8)
    for step in reversed(range(len(received))):
        bits[step] = state >> (CONSTRAINT - 2)
        state = int(_BEFORE[int(second_wins[step, state])][state])
    return bits


def _convolved(bits: Bits) -> Array:
    register, signs = 0, []
    for bit in bits:
        register = (int(bit) << (CONSTRAINT - 1)) | (register >> 1)
        signs += _signs_of(register)
    return np.array(signs, np.float32)


def _signs_of(register: int) -> list[int]:
    return [1 - 2 * ((register & generator).bit_count() & 1) for generator in GENERATORS]


def _trellis() -> tuple[tuple[NDArray[np.int64], ...], tuple[NDArray[np.float64], ...]]:
    """For the two ways into each state: the state before, and the signs on the way, (256, 4)."""
    states = np.arange(_STATES)
    newest = states >> (CONSTRAINT - 2)
    before = tuple(((states << 1) & (_STATES - 1)) | oldest for oldest in (0, 1))
    into = tuple(
        np.array(
            [_signs_of((int(bit) << (CONSTRAINT - 1)) | int(state)) for bit, state in zip(newest, way, strict=True)]
        )
        for way in before
    )
    return before, tuple(signs.astype(np.float64) for signs in into)


def _crc24(message: int) -> int:
    crc = _CRC_START
    for byte in message.to_bytes(MESSAGE_BITS // 8, "big"):
        crc ^= byte << 16
        for _ in range(8):
            crc = (crc << 1) ^ (_CRC_POLYNOMIAL if crc & 0x800000 else 0)
    return crc & 0xFFFFFF


def _scrambler(crc: int) -> Bits:
    """64 bits by xorshift, which gives the same in every version of every library."""
    state, bits = (crc << 40 | 0x9E3779B97F) & 0xFFFFFFFFFFFFFFFF, []
    for _ in range(4):
        for shift in (13, -7, 17):
            state ^= (state << shift if shift > 0 else state >> -shift) & 0xFFFFFFFFFFFFFFFF
        bits.append(state >> 48)
    return _bits(int.from_bytes(b"".join(word.to_bytes(2, "big") for word in bits), "big"), MESSAGE_BITS)


def _bits(number: int, count: int) -> Bits:
    return np.array([number >> (count - 1 - i) & 1 for i in range(count)], np.uint8)


def _number(bits: Bits) -> int:
    return int("".join(map(str, bits)), 2)


_BEFORE, _INTO = _trellis()
