"""The seam to aiortc: every private member that we use is there, is used in one room alone, and is replaced once."""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiortc import RTCIceGatherer, RTCRtpReceiver, RTCRtpSender
from aiortc.rtcrtpreceiver import RemoteStreamTrack

from avatar.webrtc import aiortc_patches
from avatar.webrtc.aiortc_patches.receiver import patch_receiver
from avatar.webrtc.aiortc_patches.sender import PatchedSender

AVATAR = Path(aiortc_patches.__file__).parents[2]
ROOM = AVATAR / "webrtc" / "aiortc_patches"

# "module:Class.member", or "module:name" of a module that we change. Of methods also their arguments: ours stand in
# their place, or call them.
MEMBERS: dict[str, list[str] | None] = {
    "aioice.ice:CONSENT_INTERVAL": None,
    "aioice.ice:Connection._check_list": None,
    "aioice.ice:Connection.check_state": ["pair", "state"],
    "aiortc.codecs:CODECS": None,
    "aiortc.codecs:HEADER_EXTENSIONS": None,
    "aiortc.codecs.h264:H264Encoder._encode_frame": ["frame", "force_keyframe"],
    "aiortc.codecs.h264:H264Encoder._split_bitstream": ["buf"],
    "aiortc.codecs.vpx:Vp8Encoder._packetize": ["buffer", "picture_id"],
    "aiortc.codecs.vpx:Vp8Encoder.picture_id": None,
    "aiortc.codecs.opus:OpusEncoder.resampler": None,
    "aiortc.rtcicetransport:RTCIceTransport._connection": None,
    "aiortc.rtcpeerconnection:find_common_codecs": ["local_codecs", "remote_codecs"],
    "aiortc.rtcrtpreceiver:get_decoder": ["codec"],
    "aiortc.rtcrtpreceiver:RTCRtpReceiver._handle_rtp_packet": ["packet", "arrival_time_ms"],
    "aiortc.rtcrtpreceiver:RTCRtpReceiver._RTCRtpReceiver__codecs": None,
    "aiortc.rtcrtpreceiver:RTCRtpReceiver._RTCRtpReceiver__decoder_error": None,
    "aiortc.rtcrtpreceiver:RTCRtpReceiver._RTCRtpReceiver__decoder_queue": None,
    "aiortc.rtcrtpreceiver:RTCRtpReceiver._RTCRtpReceiver__decoder_thread": None,
    "aiortc.rtcrtpreceiver:RTCRtpReceiver._RTCRtpReceiver__jitter_buffer": None,
    "aiortc.rtcrtpreceiver:RTCRtpReceiver._RTCRtpReceiver__nack_generator": None,
    "aiortc.rtcrtpreceiver:RTCRtpReceiver._RTCRtpReceiver__timestamp_mapper": None,
    "aiortc.rtcrtpreceiver:RemoteStreamTrack._queue": None,
    "aiortc.rtcrtpsender:RTP_HISTORY_SIZE": None,
    "aiortc.rtcrtpsender:get_encoder": ["codec"],
    "aiortc.rtcrtpsender:RTCRtpSender._handle_rtcp_packet": ["packet"],
    "aiortc.rtcrtpsender:RTCRtpSender._next_encoded_frame": ["codec"],
    "aiortc.rtcrtpsender:RTCRtpSender._retransmit": ["sequence_number"],
    "aiortc.rtcrtpsender:RTCRtpSender._send_keyframe": [],
    "aiortc.rtcrtpsender:RTCRtpSender._ssrc": None,
    "aiortc.rtcrtpsender:RTCRtpSender._RTCRtpSender__encoder": None,
    "aiortc.rtcrtpsender:RTCRtpSender._RTCRtpSender__rtp_header_extensions_map": None,
    "aiortc.rtcrtpsender:RTCRtpSender._RTCRtpSender__rtp_history": None,
}
SET_WHILE_RECEIVING = "_data"  # of an RtpPacket, by the receiver alone


def instance(kind: type) -> Any:
    """One as aiortc makes it; must run on a loop."""
    transport = SimpleNamespace(state="new")
    arguments: dict[str, list[object]] = {
        "RTCRtpSender": ["video", transport],
        "RTCRtpReceiver": ["video", transport],
        "RTCIceTransport": [RTCIceGatherer([])],
        "RemoteStreamTrack": ["video"],
        "Connection": [True],
    }
    return kind(*arguments.get(kind.__name__, []))


def complaint(member: str, arguments: list[str] | None) -> str | None:
    """What an update has done to it."""

    async def look() -> str | None:
        module, _, path = member.partition(":")
        owner: Any = importlib.import_module(module)
        *class_name, name = path.split(".")
        if class_name:
            owner = getattr(owner, class_name[0])
            if name not in vars(owner):
                owner = instance(owner)
        if not hasattr(owner, name):
            return f"{member} is gone"
        if arguments is not None:
            there = [name for name in inspect.signature(getattr(owner, name)).parameters if name not in ("self", "cls")]
            if there != arguments:
                return f"{member} takes {there}, not {arguments}"
        return None

    return asyncio.run(look())


@pytest.mark.parametrize("member", MEMBERS)
def test_aiortc_still_has(member: str) -> None:
    assert complaint(member, MEMBERS[member]) is None


def test_the_receiver_still_sets_what_the_jitter_buffers_read() -> None:
    assert f"packet.{SET_WHILE_RECEIVING} =" in inspect.getsource(RTCRtpReceiver._handle_rtp_packet)


def test_a_member_that_an_update_removes_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(RTCRtpSender, "_retransmit")
    member = "aiortc.rtcrtpsender:RTCRtpSender._retransmit"
    assert complaint(member, MEMBERS[member]) == f"{member} is gone"
    monkeypatch.setattr(RemoteStreamTrack, "__init__", lambda self, kind: None)
    member = "aiortc.rtcrtpreceiver:RemoteStreamTrack._queue"
    assert complaint(member, MEMBERS[member]) == f"{member} is gone"
    monkeypatch.setattr(RTCRtpSender, "_handle_rtcp_packet", lambda self, packet, arrival_ms: None)
    member = "aiortc.rtcrtpsender:RTCRtpSender._handle_rtcp_packet"
    assert complaint(member, MEMBERS[member]) == f"{member} takes ['packet', 'arrival_ms'], not ['packet']"


def private_names(tree: ast.Module) -> set[str]:
    """Attributes with an underscore of anything but `self`, and such of `self` as the module itself does not set."""
    found, own = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            own.add(node.name)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_self(node.value):
            own.add(node.attr)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):  # of a dataclass
            own.add(node.target.id)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            if node.attr not in own:
                found.add(node.attr)
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("getattr", "setattr", "hasattr", "delattr")
            and isinstance(node.args[1], ast.Constant)
            and str(node.args[1].value).startswith("_")
        ):
            found.add(str(node.args[1].value))
    return found


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def outside() -> Iterator[tuple[str, ast.Module]]:
    """Of all of avatar/ but the room, whatever may hold something of aiortc's."""
    for path in sorted(AVATAR.rglob("*.py")):
        text = path.read_text()
        if ROOM not in path.parents and ("aiortc" in text or "aioice" in text or "webrtc" in text):
            yield str(path.relative_to(AVATAR)), ast.parse(text)


def test_nobody_else_touches_a_private_member() -> None:
    assert {name: found for name, tree in outside() if (found := private_names(tree))} == {}


def test_nobody_else_changes_a_module_of_aiortcs() -> None:
    changed = []
    for name, tree in outside():
        imported = {
            alias.asname or alias.name.partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom | ast.Import)
            and (getattr(node, "module", None) or node.names[0].name).partition(".")[0] in ("aiortc", "aioice")
            for alias in node.names
        }
        changed += [f"{name} imports {each}" for each in imported & {"CODECS", "HEADER_EXTENSIONS"}]
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _root(node) in imported:
                changed.append(f"{name}:{node.lineno} sets {ast.unparse(node)}")
    assert changed == []


def _root(node: ast.expr) -> str | None:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def test_the_list_is_complete() -> None:
    used = set().union(*(private_names(ast.parse(path.read_text())) for path in ROOM.glob("*.py")))
    assert used - {SET_WHILE_RECEIVING} <= {member.rpartition(":")[2].rpartition(".")[2] for member in MEMBERS}


CHANGES_NOTHING = """
import importlib, pathlib, pkgutil, sys
import aioice.ice, aiortc
from aiortc import codecs, rtcpeerconnection, rtcrtpreceiver, rtcrtpsender
from aiortc.codecs import h264, opus, vpx

def state():
    owners = [aioice.ice, aiortc, codecs, rtcpeerconnection, rtcrtpreceiver, rtcrtpsender, h264, opus, vpx]
    owners += [one for module in list(owners) for one in vars(module).values() if isinstance(one, type)]
    found = {(repr(owner), name): id(value) for owner in owners for name, value in list(vars(owner).items())}
    return found, repr(codecs.CODECS), repr(codecs.HEADER_EXTENSIONS)

before = state()
import avatar.webrtc, avatar.call
for package in (avatar.webrtc, avatar.call):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
assert state() == before, "importing"

import asyncio
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from avatar.call.call import Call
from avatar.webrtc.aiortc_patches import install
from avatar.webrtc.aiortc_patches.encoders import *
from avatar.webrtc.avatar_track import AvatarVideo
from avatar.webrtc.congestion import BitRates
from avatar.webrtc.ice import Ice
from avatar.webrtc.peers import Peers
from avatar.webrtc.publisher import CallPublisher
from avatar.webrtc.sound import Sound
from avatar.webrtc.whip import WhipPublisher
from avatar.webrtc.whip_target import WhipTarget

async def construct():
    video, rates = AvatarVideo(asyncio.get_running_loop()), BitRates()
    Call(video, Sound(), Peers(Ice()))
    video.track(), Sound().track()
    RealtimeH264Encoder(rates, 30), RealtimeVp8Encoder(rates, 30), RealtimeOpusEncoder()
    RedundantOpusEncoder(RTCRtpCodecParameters("audio/red", 48_000, 2, 104, parameters={"96/96": None}))
    CallPublisher(video, rates)
    WhipPublisher(WhipTarget("http://127.0.0.1:9/whip"))

asyncio.run(construct())
assert state() == before, "constructing"
install()
installed = state()
assert installed != before
install()
assert state() == installed, "installing twice"
"""


def test_neither_importing_nor_constructing_changes_aiortc_and_installing_twice_is_as_once() -> None:
    subprocess.run([sys.executable, "-c", CHANGES_NOTHING], check=True, timeout=120)


def test_each_method_of_a_sender_is_replaced_once() -> None:
    async def patch() -> None:
        video, sound = instance(RTCRtpSender), RTCRtpSender("audio", SimpleNamespace(state="new"))  # type: ignore[arg-type]
        aiortcs = {name: getattr(video, name) for name in ("_retransmit", "_next_encoded_frame", "_handle_rtcp_packet")}
        patched = PatchedSender(video)
        PatchedSender(sound).yield_to(patched)
        for name, method in aiortcs.items():
            assert getattr(video, name).__self__ is patched  # and no wrapper of it
            assert method in vars(patched).values()
        assert sound._retransmit.__self__ is sound  # type: ignore[attr-defined]

    asyncio.run(patch())


def test_the_receivers_buffers_are_ours() -> None:
    async def patch() -> None:
        receiver = instance(RTCRtpReceiver)
        receiver._track = RemoteStreamTrack("video")
        waiting = patch_receiver(receiver)
        assert waiting is receiver._RTCRtpReceiver__decoder_queue is not None
        for name in ("jitter_buffer", "nack_generator", "decoder_queue"):
            assert type(getattr(receiver, f"_RTCRtpReceiver__{name}")).__module__.startswith(aiortc_patches.__name__)

    asyncio.run(patch())
