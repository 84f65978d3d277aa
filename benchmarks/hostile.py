"""Inputs that mean harm, for benchmarks/attacks.py and the tests: descriptions, messages, pictures, names, files."""

from __future__ import annotations

import io
import pickle
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from aiortc import RTCPeerConnection
from safetensors.numpy import save

from avatar.core.avatar import Avatar
from avatar.core.model_files import MODEL_ID
from avatar.face.face_model import face_model
from avatar.identity.bundle import save_avatar
from avatar.webrtc.ice import Ice

BAD_NAMES = ("../out", "..\\out", "/etc/passwd", "a/b", "", ".", "..", "-rf", "x" * 65, "gnp\u202etxt", "CON\0")


# Of the room
MESSAGES = {
    "no JSON": "no json",
    "no object": "[]",
    "unknown type": '{"type": "dance"}',
    "nothing in it": '{"type": "offer"}',
    "a number for a word": '{"type": "state", "muted": 1}',
    "a list for a type": '{"type": []}',
    "a number beyond all numbers": '{"type": "state", "muted": 1e999}',
    "half a letter": '{"type": "bye", "to": "\\ud800", "link": "1"}',
    "deep": "[" * 50_000,
    "a long name of a link": '{"type": "offer", "to": "x", "link": "' + "y" * 1000 + '", "sdp": ""}',
}


async def offer(connection: RTCPeerConnection, kinds: tuple[str, ...] = ("video",)) -> str:
    for kind in kinds:
        connection.addTransceiver(kind, "recvonly")
    await connection.setLocalDescription(await connection.createOffer())
    return str(connection.localDescription.sdp)


async def good_offer(kinds: tuple[str, ...] = ("video", "audio")) -> str:
    connection = RTCPeerConnection(Ice().configuration())
    try:
        return await offer(connection, kinds)
    finally:
        await connection.close()


def bad_descriptions(good: str) -> dict[str, str]:
    """What is wrong, and the description."""
    return {
        "nothing": "",
        "no SDP": "hello",
        "binary": "v=0\r\n" + "\x00\xff" * 500,
        "no media": "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n",
        "truncated": good[: len(good) // 3],
        "no ICE": "\r\n".join(line for line in good.split("\r\n") if "ice-" not in line),
        "no fingerprint": "\r\n".join(line for line in good.split("\r\n") if "fingerprint" not in line),
        "sends": good.replace("recvonly", "sendonly"),
        "unknown codec": good.replace("VP8", "XX8").replace("H264", "YY4"),
        "data channel": good.replace("m=audio", "m=application"),
        "bad port": good.replace("m=audio ", "m=audio x"),
        "huge": good + "a=x:" + "y" * 100_000,
        "many sections": good + "m=video 9 UDP/TLS/RTP/SAVPF 97\r\n" * 10,
        "many candidates": good + "a=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\n" * 1000,
        "candidates after other line ends": good + "a=candidate:1 1 udp 1 192.0.2.1 1 typ host\x0b" * 1000,
        "feedback for each of many codecs": good + "a=rtpmap:9 x/1\r\n" * 100 + "a=rtcp-fb:* x\r\n" * 1000,
        "a bundle of what is not there": good.replace("a=group:BUNDLE 0", "a=group:BUNDLE 7"),
        "two sections of one name": good.replace("a=mid:1", "a=mid:0"),
        "many codecs": good + "a=rtpmap:9 x/1\r\n" * 1000,
        "many lines": good + "a=x\r\n" * 5000,
        "a candidate's port of 99999": good + "a=candidate:1 1 udp 1 192.0.2.1 99999 typ host\r\n",
        "a priority of 400 digits": good + f"a=candidate:1 1 udp {'9' * 400} 192.0.2.1 9 typ host\r\n",
        "a payload type of 999": good.replace("a=rtpmap:97 ", "a=rtpmap:999 "),
        "a name of 1,000 letters": good.replace("a=mid:0", "a=mid:" + "m" * 1000),
    }


def picture_bomb() -> bytes:
    """A PNG of 100,000 x 100,000 pixels in a few kilobytes."""
    row_block = zlib.compress(bytes(100_000), 9)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = (100_000).to_bytes(4, "big") * 2 + bytes([1, 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", row_block) + chunk(b"IEND", b"")


def packed_picture() -> bytes:
    """A whole WebP of 7,990 x 7,990 pixels in 38 bytes, which takes 1.2 GB to decode."""
    return bytes.fromhex("52494646 1e000000 57454250 5650384c 11000000 2f355fcd 1707d084 2634a180 8188e87f 0000")


def zip_bomb() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", bytes(50_000_000))
    return data.getvalue()


def made_up_avatar() -> Avatar:
    """Whole, and nobody."""
    rng = np.random.default_rng(0)
    return Avatar(
        name="anna",
        model_id=MODEL_ID,
        portraits=rng.integers(0, 255, (1, 512, 512, 3)).astype(np.uint8),
        landmarks=0.5 + 0.25 * face_model().mean_shape[None],
        blendshapes=rng.random((1, 52), np.float32),
        embedding=rng.standard_normal(512).astype(np.float32),
        provenance={"photos": [{"file": "ännä.jpg", "sha256": "0" * 64}], "made_by": "visavis 0"},
        consent={"statement": "I agree", "given": True, "at": "2026-01-01T00:00:00+00:00"},
    )


class Exploit:
    """Unpickled, it makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.marker,)


def pickled(folder: Path) -> bytes:
    return pickle.dumps(Exploit(folder / "was-here"))


def bundle_bomb(folder: Path) -> bytes:
    """300 MB of spaces where the manifest is."""
    whole, data = folder / "whole", io.BytesIO()
    save_avatar(made_up_avatar(), whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as bomb:
        for place, name in enumerate(source.namelist()):
            with bomb.open(name, "w") as member:
                for _ in range(300 if place == 0 else 0):
                    member.write(b" " * (1 << 20))
                if place:
                    member.write(source.read(name))
    whole.unlink()
    return data.getvalue()


def climbing_members(_folder: Path) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in ("../../evil", "/etc/evil", "C:\\evil"):
            archive.writestr(name, b"x")
    return data.getvalue()


def cut_off(folder: Path) -> bytes:
    whole = folder / "whole"
    save_avatar(made_up_avatar(), whole)
    data = whole.read_bytes()
    whole.unlink()
    return data[: len(data) * 9 // 10]


def motion_without_end(_folder: Path) -> bytes:
    """A header that says it is larger than any file."""
    return (2**63).to_bytes(8, "little") + bytes(100)


def motion_of_something_else(_folder: Path) -> bytes:
    return save({"picture": np.zeros((64, 64, 3), np.uint8)}, {"format": "visavis-motion", "format_version": "1"})
