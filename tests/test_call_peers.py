"""Connections: real ones over loopback, and what becomes of bad, many and vanishing ones."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest
from aioice import stun as aioice_stun
from aiortc import RTCPeerConnection, RTCSessionDescription, rtcrtpsender
from aiortc.codecs import get_encoder
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from avatar.call.call import Call
from avatar.call.room import Message, Room
from avatar.core.errors import UsageError
from avatar.core.frame import Frame
from avatar.webrtc import aiortc_patches
from avatar.webrtc import peers as peers_module
from avatar.webrtc.aiortc_patches import ice as ice_patches
from avatar.webrtc.aiortc_patches.codecs import set_video_rates
from avatar.webrtc.avatar_track import AvatarVideo
from avatar.webrtc.congestion import BitRates
from avatar.webrtc.descriptions import DescriptionError, check_description
from avatar.webrtc.ice import Ice
from avatar.webrtc.peers import Peers, TooManyPeersError
from avatar.webrtc.sound import Sound
from benchmarks.hostile import bad_descriptions, good_offer

pytestmark = pytest.mark.realtime


@asynccontextmanager
async def moving_avatar(fps: float = 30) -> AsyncIterator[AvatarVideo]:
    """A picture whose grey value counts up, 40 ms old when it is published."""
    aiortc_patches.install()  # also for the viewers, which are aiortc's own
    set_video_rates(BitRates(), fps)
    video = AvatarVideo(asyncio.get_running_loop())

    async def feed() -> None:
        index = 0
        while True:
            grey = 40 + 4 * (index % 40)
            video.put(Frame(np.full((128, 128, 3), grey, np.uint8), time.monotonic_ns() - 40_000_000, index))
            index += 1
            await asyncio.sleep(1 / fps)

    feeding = asyncio.ensure_future(feed())
    try:
        yield video
    finally:
        feeding.cancel()


class Viewer:
    """A remote party: receives, and counts."""

    def __init__(self) -> None:
        self.connection = RTCPeerConnection(Ice().configuration())
        self.frames: dict[str, int] = {"video": 0, "audio": 0}
        self.codecs: list[str] = []
        self.connection.on("track", lambda track: asyncio.ensure_future(self._count(track)))

    async def offer(self, kinds: tuple[str, ...] = ("video", "audio")) -> str:
        for kind in kinds:
            self.connection.addTransceiver(kind, "recvonly")
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return str(self.connection.localDescription.sdp)

    async def accept(self, answer: str) -> None:
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def _count(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                await track.recv()
            except MediaStreamError:
                return
            self.frames[track.kind] += 1


async def until(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, "it never came about"
        await asyncio.sleep(0.02)


def run(call: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await call()

    asyncio.run(whole())


@pytest.mark.parametrize("codec", [None, "h264", "vp8"])
def test_a_viewer_gets_picture_and_sound_in_the_codec_asked_for(codec: str | None) -> None:
    async def call() -> None:
        async with moving_avatar() as video:
            peers, viewer = Peers(Ice(), codec), Viewer()
            _, answer = await peers.answer_viewer(await viewer.offer(), video, Sound())
            assert answer.index("H264" if codec != "vp8" else "VP8") > 0
            assert ("VP8" in answer) == (codec != "h264")
            await viewer.accept(answer)
            await until(lambda: viewer.frames["video"] > 10 and viewer.frames["audio"] > 10)
            await viewer.connection.close()
            await until(lambda: len(peers) == 0)

    run(call)


def test_sound_goes_to_who_comes_before_the_first_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtcrtpsender, "get_encoder", get_encoder)  # as in a process that has sent nothing yet

    async def call() -> None:
        peers, viewer = Peers(Ice()), Viewer()
        video = AvatarVideo(asyncio.get_running_loop())
        _, answer = await peers.answer_viewer(await viewer.offer(), video, Sound())
        await viewer.accept(answer)
        await until(lambda: viewer.frames["audio"] > 10)
        await viewer.connection.close()
        await peers.close_all()

    run(call)


def test_an_offer_of_ours_is_answered_by_the_other_side() -> None:
    async def call() -> None:
        async with moving_avatar() as video:
            peers, viewer = Peers(Ice()), Viewer()
            peer, offer = await peers.offer_viewer(video, Sound())
            assert "a=sendonly" in offer and "a=recvonly" not in offer
            await viewer.connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            await viewer.connection.setLocalDescription(await viewer.connection.createAnswer())
            await peers.accept(peer, viewer.connection.localDescription.sdp)
            await until(lambda: viewer.frames["video"] > 5)
            await peers.close(peer)
            await viewer.connection.close()

    run(call)


def test_a_driver_sends_its_camera() -> None:
    async def call() -> None:
        async with moving_avatar() as video:
            sender, receiver = Peers(Ice()), Peers(Ice())
            taken = {"video": 0, "audio": 0}

            async def take(track: MediaStreamTrack) -> None:
                while True:
                    await track.recv()
                    taken[track.kind] += 1

            outgoing, offer = await sender.offer_viewer(video, Sound())
            _, answer = await receiver.answer_sender(offer, take)
            await sender.accept(outgoing, answer)
            await until(lambda: min(taken.values()) > 5)
            await sender.close_all()
            await until(lambda: len(receiver) == 0)

    run(call)


def test_what_a_viewer_sends_is_neither_taken_nor_decoded() -> None:
    async def call() -> None:
        async with moving_avatar() as video:
            peers, viewer = Peers(Ice()), Viewer()
            for track in (video.track(), Sound().track(), video.track()):
                viewer.connection.addTransceiver(track, "sendrecv")
            peer, answer = await peers.answer_viewer(await viewer.offer(()), video, Sound())
            assert answer.count("a=sendonly") == 2 and answer.count("a=inactive") == 1
            await viewer.accept(answer)
            await until(lambda: viewer.frames["video"] > 5 and viewer.frames["audio"] > 5)
            for receiver in peer.connection.getReceivers():
                assert receiver.track is None or receiver.track._queue.empty()  # type: ignore[attr-defined]
                assert receiver._RTCRtpReceiver__decoder_thread is None  # type: ignore[attr-defined]
            await viewer.connection.close()
            await peers.close_all()

    run(call)


def test_an_answer_that_sends_to_an_offer_that_sends_is_refused() -> None:
    async def call() -> None:
        async with moving_avatar() as video:
            peers, viewer = Peers(Ice()), Viewer()
            peer, offer = await peers.offer_viewer(video, None)
            await viewer.connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            await viewer.connection.setLocalDescription(await viewer.connection.createAnswer())
            answer = viewer.connection.localDescription.sdp
            for sends in ("sendonly", "sendrecv"):
                with pytest.raises(DescriptionError, match="receive only"):
                    await peers.accept(peer, answer.replace("a=recvonly", f"a={sends}"))
            await viewer.connection.close()
            await peers.close_all()

    run(call)


def test_bad_descriptions_are_refused_with_a_reason_and_leave_nothing() -> None:
    async def call() -> None:
        video, peers, good = AvatarVideo(asyncio.get_running_loop()), Peers(Ice()), await good_offer()
        for name, description in bad_descriptions(good).items():
            with pytest.raises(DescriptionError):
                await peers.answer_viewer(description, video, Sound())
                pytest.fail(name)
            assert len(peers) == 0, name

    run(call)


def test_random_damage_never_does_more_than_being_refused() -> None:
    async def call() -> None:
        good, random = await good_offer(), np.random.default_rng(5)
        for _ in range(150):
            lines = good.split("\r\n")
            for _ in range(3):
                index = int(random.integers(len(lines)))
                lines[index] = lines[index][: int(random.integers(len(lines[index]) + 1))]
            try:
                check_description("\r\n".join(lines), receives=True)
            except DescriptionError:
                continue

    run(call)


def test_there_is_a_limit_and_it_is_told() -> None:
    async def call() -> None:
        video, peers = AvatarVideo(asyncio.get_running_loop()), Peers(Ice(), most=2)
        for _ in range(2):
            await peers.answer_viewer(await good_offer(), video, None)
        with pytest.raises(TooManyPeersError, match="limit"):
            await peers.answer_viewer(await good_offer(), video, None)
        await peers.close_all()
        assert len(peers) == 0

    run(call)


def test_guests_leave_connections_for_the_owner() -> None:
    async def call() -> None:
        video, peers = AvatarVideo(asyncio.get_running_loop()), Peers(Ice(), most=peers_module.KEPT_FREE + 1)
        await peers.answer_viewer(await good_offer(), video, None, kind="room")
        with pytest.raises(TooManyPeersError, match="limit"):
            await peers.answer_viewer(await good_offer(), video, None, kind="whep")
        await peers.answer_viewer(await good_offer(), video, None)
        await peers.close_all()

    run(call)


def test_a_guest_who_leaves_stops_watching_however_it_asked() -> None:
    """Several offers at once, all by the same name of a link."""

    async def call() -> None:
        async with moving_avatar() as video:
            peers, room = Peers(Ice()), Room()
            got: list[Message] = []
            avatar = Call(video, Sound(), peers)
            avatar.join(room, "Ada")
            guest, viewers = room.join(got.append, "Eve", "browser"), [Viewer() for _ in range(3)]
            to = got[0]["members"][0]["id"]
            for offer in [await viewer.offer() for viewer in viewers]:
                room.receive(guest, {"type": "offer", "to": to, "link": "same", "sdp": offer})
            await until(lambda: any(message["type"] == "answer" for message in got))
            await until(lambda: len(peers) == 1)
            room.receive(guest, {"type": "offer", "to": to, "link": "hasty", "sdp": await good_offer()})
            room.receive(guest, {"type": "bye", "to": to, "link": "hasty"})
            await asyncio.sleep(0.2)
            await until(lambda: len(peers) == 0, 10)
            room.receive(guest, {"type": "offer", "to": to, "link": "last", "sdp": await good_offer()})
            await until(lambda: len(peers) == 1)
            room.leave(guest)
            await until(lambda: len(peers) == 0)
            await avatar.close()
            await asyncio.gather(*(viewer.connection.close() for viewer in viewers))

    run(call)


def test_a_room_cannot_speak_for_this_person_or_for_nobody() -> None:
    async def call() -> None:
        video, peers = AvatarVideo(asyncio.get_running_loop()), Peers(Ice())
        avatar, told = Call(video, Sound(), peers), list[Message]()
        avatar.add_page(told.append)
        own, other = ({"id": name, "name": name, "kind": "browser"} for name in ("me", "bob"))
        avatar.from_room({"type": "welcome", "you": "me", "members": [own, other]})
        assert [member["id"] for member in told.pop()["members"]] == ["bob"]
        for sender in ("me", "", "nobody"):
            avatar.from_room({"type": "state", "from": sender, "muted": True, "camera_on": False})
            avatar.from_room({"type": "offer", "from": sender, "link": "1", "sdp": await good_offer()})
        avatar.from_room({"type": "candidate", "from": "bob"})
        await asyncio.sleep(0.05)
        assert [message for message in told if message["type"] == "state"] == [] and len(peers) == 0
        avatar.from_room({"type": "state", "from": "bob", "muted": True, "camera_on": False})
        assert told[-1]["from"] == "bob"
        await avatar.close()

    run(call)


def test_an_offer_that_leads_nowhere_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers_module, "CONNECT_S", 0.3)

    async def call() -> None:
        peers = Peers(Ice())
        await peers.answer_viewer(await good_offer(), AvatarVideo(asyncio.get_running_loop()), None)
        assert len(peers) == 1
        await until(lambda: len(peers) == 0)

    run(call)


@pytest.mark.parametrize("by_hand", [True, False])
def test_who_passes_descriptions_on_by_hand_may_take_longer(by_hand: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers_module, "CONNECT_S", 0.5)
    monkeypatch.setattr(peers_module, "CHECK_AGAIN_S", 0.1)
    monkeypatch.setattr(aioice_stun, "RETRY_MAX", 1)
    monkeypatch.setattr(aioice_stun, "RETRY_RTO", 0.05)

    async def call() -> None:
        async with moving_avatar() as video:
            peers, viewer = Peers(Ice()), Viewer()
            offer = await viewer.offer(("video",))
            ice = viewer.connection.getTransceivers()[0].receiver.transport.transport._connection
            ice.request_received = lambda *_: None  # type: ignore[method-assign]  # as behind a router: nobody answers yet
            _, answer = await peers.answer_viewer(offer, video, None, by_hand=by_hand)
            await peers.offer_viewer(video, None, by_hand=by_hand)
            await asyncio.sleep(1.5)
            assert len(peers) == (2 if by_hand else 0)
            if by_hand:
                del ice.request_received
                await viewer.accept(answer)
                await until(lambda: viewer.frames["video"] > 5)
            await viewer.connection.close()
            await peers.close_all()

    run(call)


def test_a_peer_that_vanishes_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ice_patches, "CONSENT_S", 0.2)

    async def call() -> None:
        async with moving_avatar() as video:
            peers, viewer = Peers(Ice()), Viewer()
            ended: list[bool] = []
            peer, answer = await peers.answer_viewer(await viewer.offer(("video",)), video, None)
            peer.on_end = lambda: ended.append(True)
            await viewer.accept(answer)
            await until(lambda: viewer.frames["video"] > 3)
            ice = viewer.connection.getTransceivers()[0].receiver.transport.transport
            await ice._connection.close()  # the cable is pulled: no goodbye of DTLS or RTCP
            await until(lambda: len(peers) == 0 and ended == [True])
            assert all(track.readyState == "ended" for track in peer.tracks)
            await viewer.connection.close()

    run(call)


def test_fifty_viewers_one_after_the_other_leave_nothing_behind() -> None:
    async def call() -> None:
        async with moving_avatar() as video:
            peers = Peers(Ice(), most=4)
            await connect_and_leave(peers, video)
            gc.collect()
            connections, threads = count(RTCPeerConnection), threading.active_count()
            for _ in range(49):
                await connect_and_leave(peers, video)
            await until(lambda: len(peers) == 0)
            await asyncio.sleep(0.1)
            gc.collect()
            assert count(RTCPeerConnection) <= connections + 1
            assert threading.active_count() <= threads + 16  # the pool of asyncio may have grown

    run(call)


async def connect_and_leave(peers: Peers, video: AvatarVideo) -> None:
    viewer = Viewer()
    _, answer = await peers.answer_viewer(await viewer.offer(("video",)), video, None)
    await viewer.accept(answer)
    await until(lambda: viewer.frames["video"] > 0)
    await viewer.connection.close()
    await until(lambda: len(peers) == 0)


def count(kind: type) -> int:
    return sum(isinstance(thing, kind) for thing in gc.get_objects())


def test_relay_only_gives_no_address_away() -> None:
    async def call() -> None:
        ice = Ice(turn=("turn:192.0.2.9:3478",), username="ada", credential="secret", relay_only=True)
        assert ice.for_page(owner=True)["iceTransportPolicy"] == "relay"
        assert ice.for_page(owner=True)["iceServers"][0]["credential"] == "secret"
        assert "secret" not in str(ice.for_page(owner=False))
        connection = RTCPeerConnection(Ice().configuration())
        connection.addTransceiver("video", "recvonly")
        await connection.setLocalDescription(await connection.createOffer())
        assert "typ host" in connection.localDescription.sdp
        assert "typ srflx" not in connection.localDescription.sdp
        await connection.close()

    run(call)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stun": ("stun.example.org",)}, "not like stun:HOST"),
        ({"stun": ("turn:h:1",)}, "does not start with stun:"),
        ({"turn": ("turn:h:1",)}, "credentials"),
        ({"relay_only": True}, "needs a relay"),
    ],
)
def test_ice_flags_that_cannot_work_say_why(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Ice(**arguments)  # type: ignore[arg-type]
