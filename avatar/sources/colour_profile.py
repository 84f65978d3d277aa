"""What a picture says about its colours, as an ICC profile: other descriptions are turned into one.

Sources: ICC.1:2022 (profile format), ITU-T H.273 (code points of `cICP` and `nclx`), PNG 3rd edition, 4.3 and 11.3.2
(which of a PNG's descriptions counts), DCF 2.0 and Exif 2.32 (Adobe RGB without a profile).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatar.sources.primaries import ADOBE_RGB, D65, DISPLAY_P3, REC_709, REC_2020, Chromaticities, in_xyz, to_xyz

Curve = tuple[float, ...]  # parametricCurveType: (gamma,), or (gamma, a, b, c, d)

SRGB_CURVE: Curve = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
ADOBE_GAMMA = 563 / 256

HDR = {16: "PQ", 18: "HLG"}  # transfer characteristics, H.273
_WIDE_PRIMARIES = {9: REC_2020, 12: DISPLAY_P3}  # the others are near Rec. 709
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}  # the other transfers are near sRGB's
_D50 = (0.9642, 1.0, 0.8249)  # XYZ of the profile connection space
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


@dataclass(frozen=True, slots=True)
class CodePoints:
    """ITU-T H.273's numbers for the primaries and for the transfer."""

    primaries: int
    transfer: int

    def profile(self) -> bytes | None:
        """None for what is shown as sRGB."""
        primaries, gamma = _WIDE_PRIMARIES.get(self.primaries), _GAMMAS.get(self.transfer)
        if primaries is None and gamma is None:
            return None
        return matrix_profile(primaries or REC_709, SRGB_CURVE if gamma is None else (gamma,))


def code_points(data: bytes, profile: bytes | None) -> CodePoints | None:
    """Of a PNG's cICP chunk, of an AVIF's nclx box, or of a profile's cicp tag. `data`: the file's beginning."""
    if data.startswith(b"\x89PNG"):
        at = 8
        while at + 12 <= len(data) and (kind := data[at + 4 : at + 8]) != b"IDAT":
            if kind == b"cICP":
                return CodePoints(data[at + 8], data[at + 9])
            at += 12 + int.from_bytes(data[at : at + 4], "big")
    elif data[4:8] == b"ftyp" and (at := data.find(b"colrnclx")) >= 0 and at + 12 <= len(data):
        return CodePoints(*struct.unpack_from(">HH", data, at + 8))
    if profile is not None and len(tag := _tag(profile, b"cicp")) >= 12:
        return CodePoints(tag[8], tag[9])
    return None


def implied_profile(info: Mapping[Any, Any], interoperability: str | None) -> bytes | None:
    """Of a picture without a profile: what a PNG's gAMA and cHRM or a camera's R03 say. None: sRGB."""
    if interoperability == "R03":
        return matrix_profile(ADOBE_RGB, (ADOBE_GAMMA,))
    if "srgb" in info or not 0.1 < (gamma := info.get("gamma", 1 / 2.2)) < 2:
        return None
    white, *colours = _pairs(info.get("chromaticity")) or (D65, *REC_709[:3])
    primaries = (*colours, white)
    if abs(1 / gamma - 2.2) < 0.05 and np.allclose(primaries, REC_709, atol=0.005):
        return None  # how sRGB is written in old PNG files
    return matrix_profile(primaries, (1 / gamma,))


def matrix_profile(primaries: Chromaticities, curve: Curve) -> bytes | None:
    """A display profile of three colours and one curve; None for colours that span nothing."""
    colours = _adapted(primaries)
    if colours is None:
        return None
    xyz = [b"XYZ \0\0\0\0" + _fixed(*column) for column in colours.T]
    kind = 0 if len(curve) == 1 else 3
    parametric = b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + _fixed(*curve)
    tags = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), xyz, strict=True)) | dict.fromkeys(
        (b"rTRC", b"gTRC", b"bTRC"), parametric
    )
    tags[b"wtpt"] = b"XYZ \0\0\0\0" + _fixed(*_D50)
    table, body, at = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", at + len(body), len(content))
        body += content
    header = struct.pack(">I4xI4s4s4s12x4s28x", at + len(body), 0x04300000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    header += _fixed(*_D50)
    return header.ljust(128, b"\0") + table + body


def _adapted(primaries: Chromaticities) -> NDArray[np.float64] | None:
    """(3, 3): XYZ of red, green and blue in columns, brought to D50 as Bradford did."""
    if not all(y > 0.001 for _, y in primaries):
        return None
    xyz = in_xyz(primaries)
    if abs(np.linalg.det(xyz[:, :3])) < 1e-3:
        return None
    cone, white = _BRADFORD, xyz[:, 3]
    to_d50 = np.linalg.inv(cone) @ np.diag((cone @ _D50) / (cone @ white)) @ cone
    adapted = to_d50 @ to_xyz(primaries)
    return adapted if np.abs(adapted).max() < 4 else None


def _fixed(*values: float) -> bytes:
    """s15Fixed16Number"""
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def _pairs(values: tuple[float, ...] | None) -> Chromaticities | None:
    return tuple(zip(values[::2], values[1::2], strict=True)) if values is not None and len(values) == 8 else None


def _tag(profile: bytes, name: bytes) -> bytes:
    count = int.from_bytes(profile[128:132], "big")
    for at in range(132, min(132 + 12 * count, len(profile) - 11), 12):
        if profile[at : at + 4] == name:
            start, length = struct.unpack_from(">II", profile, at + 4)
            return profile[start : start + length]
    return b""
