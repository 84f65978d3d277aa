"""WebRTC connections of this process: who is sent the avatar, within limits, and freed when they end."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field

from aiortc import InvalidStateError, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.exceptions import OperationError
from aiortc.mediastreams import MediaStreamTrack
from aiortc.rtcrtpparameters import RTCRtpCodecCapability

from avatar.core.errors import VisavisError
from avatar.core.plain_text import plain_text
from avatar.webrtc import aiortc_patches
from avatar.webrtc.aiortc_patches.codecs import picture_encoder
from avatar.webrtc.aiortc_patches.decoder_queue import DecoderQueue
from avatar.webrtc.aiortc_patches.ice import retry_failed_pairs
from avatar.webrtc.aiortc_patches.receiver import patch_receiver
from avatar.webrtc.aiortc_patches.sender import PatchedSender
from avatar.webrtc.avatar_track import AvatarVideo
from avatar.webrtc.descriptions import MOST_CANDIDATES, DescriptionError, check_description, parse_candidate
from avatar.webrtc.ice import Ice
from avatar.webrtc.red import is_red
from avatar.webrtc.shared_encoding import SharedVideo, ViewerTrack
from avatar.webrtc.sound import Sound, SoundTrack

CONNECT_S = 20.0  # a description that leads to no connection is forgotten after that
BY_HAND_S, CHECK_AGAIN_S = 900.0, 5.0  # the same where people pass the descriptions on, and how often it is tried
LONGEST_S = 12 * 3600.0
GUESTS = ("room", "whep")  # kinds of connections that strangers ask for
KEPT_FREE = 4  # connections that guests cannot take from the others
CODECS = ("h264", "vp8")  # the first that the other side knows is taken: H.264 follows the network without key frames

logger = logging.getLogger(__name__)


class TooManyPeersError(VisavisError):
    """No room for one more."""


@dataclass(eq=False)
class Peer:
    """One connection. `id` cannot be guessed."""

    kind: str
    connection: RTCPeerConnection
    by_hand: bool = False
    candidates: int = 0  # that came after the description
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    started_s: float = field(default_factory=time.monotonic)
    tracks: list[MediaStreamTrack] = field(default_factory=list)
    senders: list[PatchedSender] = field(default_factory=list)
    undecoded: list[DecoderQueue] = field(default_factory=list)
    guard: asyncio.Task[None] | None = None
    on_end: Callable[[], None] | None = None

    @property
    def state(self) -> str:
        return self.connection.connectionState

    def figures(self) -> dict[str, object]:
        """For the page: state, age, what was sent, and what came but was not decoded."""
        figures: dict[str, object] = {
            "kind": self.kind,
            "state": self.state,
            "seconds": round(time.monotonic() - self.started_s, 1),
        }
        for track in self.tracks:
            if isinstance(track, ViewerTrack):
                figures |= {"frames": track.sent, "skipped": track.skipped}
            elif isinstance(track, SoundTrack):
                figures["sound_skips"] = track.skips
        for waiting in self.undecoded:
            figures["undecoded"] = waiting.skipped
        return figures


class Peers:
    """All connections, at most `most` at once. Everything here runs on one asyncio loop.

    A connection ends, and is forgotten, when its peer hangs up or vanishes (known within some 20 s), when it does not
    come about within CONNECT_S, after LONGEST_S, or by `close`. `by_hand`: people pass the descriptions on, and may
    take BY_HAND_S.
    """

    def __init__(self, ice: Ice, codec: str | None = None, most: int = 16) -> None:
        """`codec`: "h264" or "vp8" forces that one; None takes the first of CODECS that the other side knows."""
        self._configuration = ice.configuration()
        self._codecs = (codec,) if codec else CODECS
        self._most = most
        self._peers: dict[str, Peer] = {}
        self._shared: dict[AvatarVideo, SharedVideo] = {}

    def __len__(self) -> int:
        return len(self._peers)

    def get(self, peer_id: str) -> Peer | None:
        return self._peers.get(peer_id)

    def figures(self) -> list[dict[str, object]]:
        return [peer.figures() for peer in self._peers.values()]

    async def answer_viewer(
        self, offer: str, video: AvatarVideo, sound: Sound | None, kind: str = "view", by_hand: bool = False
    ) -> tuple[Peer, str]:
        """Send the avatar to whoever made `offer` (recvonly). Returns the connection and the SDP answer.

        Raises DescriptionError or TooManyPeersError.
        """
        kinds = check_description(offer, receives=True)
        peer = self._new(kind, by_hand)
        if by_hand:  # as if more could come: else ICE fails while the answer is on its way
            offer = "".join(line for line in offer.splitlines(keepends=True) if "a=end-of-candidates" not in line)
        try:
            if "video" in kinds:
                self._add(peer, self._shared_video(video).track())
            if "audio" in kinds and sound is not None:
                self._add(peer, sound.track())
            return peer, await self._answer(peer, offer)
        except BaseException:
            await self.close(peer)
            raise

    async def offer_viewer(
        self, video: AvatarVideo, sound: Sound | None, kind: str = "view", by_hand: bool = False
    ) -> tuple[Peer, str]:
        """Offer the avatar (sendonly); `accept` takes the answer. Returns the connection and the SDP offer."""
        peer = self._new(kind, by_hand)
        try:
            self._add(peer, self._shared_video(video).track())
            if sound is not None:
                self._add(peer, sound.track())
            for transceiver in peer.connection.getTransceivers():
                transceiver.direction = "sendonly"
            await peer.connection.setLocalDescription(await peer.connection.createOffer())
            return peer, peer.connection.localDescription.sdp
        except BaseException:
            await self.close(peer)
            raise

    async def answer_sender(
        self,
        offer: str,
        on_track: Callable[[MediaStreamTrack], Awaitable[None]],
        kind: str = "drive",
        takes: Collection[str] = ("video", "audio"),
    ) -> tuple[Peer, str]:
        """Take what whoever made `offer` (sendonly) sends. `on_track` runs for each track until it ends.

        Of other kinds than `takes`, nothing is taken, nor decoded. Raises DescriptionError or TooManyPeersError.
        """
        check_description(offer, receives=False)
        peer = self._new(kind)
        work: set[asyncio.Task[None]] = set()

        def start(track: MediaStreamTrack) -> None:
            if track.kind not in takes:
                return
            receiver = next(each for each in peer.connection.getReceivers() if each.track is track)
            if (decoder_queue := patch_receiver(receiver)) is not None:
                peer.undecoded.append(decoder_queue)
            task = asyncio.ensure_future(_consume(track, on_track))
            work.add(task)
            task.add_done_callback(work.discard)

        peer.connection.on("track", start)
        try:
            return peer, await self._answer(peer, offer, takes)
        except BaseException:
            await self.close(peer)
            raise

    async def accept(self, peer: Peer, answer: str) -> None:
        """The answer to an offer of ours. Raises DescriptionError."""
        check_description(answer, receives=True, only=True)
        await _describe(peer.connection, answer, "answer")

    async def add_candidate(self, peer: Peer, text: str) -> None:
        """One more way to the other side, "candidate:…", without that word too. Raises DescriptionError."""
        peer.candidates += 1
        if peer.candidates > MOST_CANDIDATES:  # each is knocked at for half a minute, wherever it is
            raise DescriptionError(f"More than {MOST_CANDIDATES} candidates.")
        candidate = parse_candidate(text)
        candidate.sdpMLineIndex = 0  # all media share one transport
        try:
            await peer.connection.addIceCandidate(candidate)
        except (ValueError, InvalidStateError) as error:
            raise DescriptionError(f"Not a candidate: {text[:80]!r}") from error

    async def close(self, peer: Peer) -> None:
        """End and forget a connection. Safe to call twice."""
        if self._peers.pop(peer.id, None) is None:
            return
        if peer.guard is not None and peer.guard is not asyncio.current_task():
            peer.guard.cancel()
        for track in peer.tracks:
            track.stop()
        try:
            await peer.connection.close()
        finally:
            if peer.on_end is not None:
                peer.on_end()

    async def close_all(self) -> None:
        await asyncio.gather(*(self.close(peer) for peer in list(self._peers.values())))

    def _new(self, kind: str, by_hand: bool = False) -> Peer:
        most = self._most - KEPT_FREE if kind in GUESTS else self._most
        if len(self._peers) >= most:
            raise TooManyPeersError(f"{most} connections are open, and that is the limit. Close one first.")
        aiortc_patches.install()
        peer = Peer(kind, RTCPeerConnection(self._configuration), by_hand)
        self._peers[peer.id] = peer
        peer.guard = asyncio.ensure_future(self._guard(peer))
        return peer

    def _shared_video(self, video: AvatarVideo) -> SharedVideo:
        return self._shared.setdefault(video, SharedVideo(video, picture_encoder))

    def _add(self, peer: Peer, track: MediaStreamTrack) -> None:
        peer.tracks.append(track)
        sender = peer.connection.addTrack(track)
        transceiver = next(t for t in peer.connection.getTransceivers() if t.sender is sender)
        patched = PatchedSender(sender)
        if track.kind == "video":
            transceiver.setCodecPreferences(_preferences(self._codecs))
        else:
            for video in (each for each in peer.senders if each.kind == "video"):
                patched.yield_to(video)
            if peer.kind == "whip":  # a server may hand it on to viewers who do not know it
                known = RTCRtpSender.getCapabilities("audio").codecs
                transceiver.setCodecPreferences([codec for codec in known if not is_red(codec)])
        peer.senders.append(patched)

    async def _answer(self, peer: Peer, offer: str, takes: Collection[str] = ()) -> str:
        # aiortc as DTLS client knows only ECDSA certificates, as server any: so let the other side be the client
        await _describe(peer.connection, offer.replace("a=setup:actpass", "a=setup:active"), "offer")
        for transceiver in peer.connection.getTransceivers():
            # nothing else: aiortc would decode what a viewer sends into a queue that nobody reads
            receives = "recvonly" if transceiver.kind in takes else "inactive"
            transceiver.direction = "sendonly" if transceiver.sender.track in peer.tracks else receives
        try:
            await peer.connection.setLocalDescription(await peer.connection.createAnswer())
        except ValueError as error:
            raise DescriptionError(f"The session description cannot be answered: {plain_text(error)}.") from error
        return peer.connection.localDescription.sdp

    async def _guard(self, peer: Peer) -> None:
        """Ends the connection when it is over, or never was."""
        changed = asyncio.Event()
        peer.connection.on("connectionstatechange", changed.set)
        was_connected = False
        while peer.state not in ("failed", "closed"):
            changed.clear()
            was_connected = was_connected or peer.state == "connected"
            patience_s = LONGEST_S if was_connected else BY_HAND_S if peer.by_hand else CONNECT_S
            left_s = peer.started_s + patience_s - time.monotonic()
            again_s = CHECK_AGAIN_S if peer.by_hand and not was_connected else left_s
            try:
                await asyncio.wait_for(changed.wait(), min(left_s, again_s))
            except TimeoutError:
                if left_s <= again_s:
                    break
                retry_failed_pairs(peer.connection)
        await self.close(peer)


async def _describe(connection: RTCPeerConnection, text: str, kind: str) -> None:
    try:
        await connection.setRemoteDescription(RTCSessionDescription(text, kind))
    except OperationError as error:
        raise DescriptionError(
            "The session description has no codec in common with this side: use VP8 or H.264 (constrained baseline) "
            "for video, Opus for sound."
        ) from error
    except Exception as error:  # any kind of exception for a bad description
        raise DescriptionError(f"The session description cannot be used: {plain_text(error)}.") from error


async def _consume(track: MediaStreamTrack, on_track: Callable[[MediaStreamTrack], Awaitable[None]]) -> None:
    try:
        await on_track(track)
    finally:
        track.stop()


def _preferences(codecs: tuple[str, ...]) -> list[RTCRtpCodecCapability]:
    known = RTCRtpSender.getCapabilities("video").codecs
    chosen = [codec for name in codecs for codec in known if codec.mimeType.lower() == f"video/{name}"]
    return chosen + [codec for codec in known if codec.mimeType.lower() == "video/rtx"]
