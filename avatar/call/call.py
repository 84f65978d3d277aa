"""One person in a call: answers everybody who wants to see the avatar, and keeps that person's own page informed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from avatar.call.room import MOST_MEMBERS, OFFERS_BURST, OFFERS_PER_SECOND, Message, Room, RoomError, Send
from avatar.http.allowance import Allowance
from avatar.webrtc.avatar_track import AvatarVideo
from avatar.webrtc.descriptions import DescriptionError
from avatar.webrtc.ice import Ice
from avatar.webrtc.peers import Peer, Peers, TooManyPeersError
from avatar.webrtc.sound import Sound

MOST_PAGE_PEERS = 4  # a page has two: microphone and camera

logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Attempt:
    """One offer that is answered. `link` is the sender's own text, which may be the same twice: no identity."""

    link: str


class Call:
    """The member that stands for the avatar. Everything runs on one asyncio loop.

    The room's messages come in by `from_room`; those of a stranger's room as `room.checked` gives them. Offers are
    answered here, with the avatar's picture and sound; all else goes to the page, which receives the others' media
    itself, and whose messages come in by `from_page`.
    """

    def __init__(self, video: AvatarVideo, sound: Sound, peers: Peers) -> None:
        self.video, self.sound, self.peers = video, sound, peers
        self.name = ""  # as the others see it; "": as the room was told at first
        self.idle = False  # nobody moves the avatar that is shown
        video.on_live = self._tell_state
        self.page_peers = Peers(Ice(), most=MOST_PAGE_PEERS)  # of this computer's browser: no relay between
        self._to_room: Send = lambda message: None
        self._pages: set[Send] = set()
        self._you = ""
        self._members: dict[str, Message] = {}
        self._viewers: dict[str, Peer] = {}  # by member
        self._newest: dict[str, _Attempt] = {}  # by member: the one that counts, and the only that is or was answered
        # of all members together: each as a room of visavis lets through, but a stranger's may make up members
        self._offers = Allowance(MOST_MEMBERS * OFFERS_PER_SECOND, MOST_MEMBERS * OFFERS_BURST)
        self._work: set[asyncio.Task[None]] = set()

    def use_room(self, to_room: Send) -> None:
        """`to_room` sends as this person. To be called before the room's first message."""
        self._to_room = to_room

    def join(self, room: Room, name: str) -> Callable[[], None]:
        """Become a member of this computer's own room. Returns what leaves it."""
        member = room.join(self.from_room, name, "avatar")

        def to_room(message: Message) -> None:
            try:
                room.receive(member, message)
            except RoomError as error:
                self._to_pages({"type": "error", "reason": str(error)})

        self.use_room(to_room)
        self._tell_state()  # its welcome came before
        return lambda: room.leave(member)

    @property
    def state(self) -> Message:
        showing = "nothing" if not self.video.live else "idle" if self.idle else "moving"
        state = {"muted": self.sound.muted, "camera_on": self.video.camera_on, "showing": showing}
        return state | {"name": self.name} if self.name else state

    def set_state(self, muted: bool | None = None, camera_on: bool | None = None, name: str | None = None) -> None:
        """Mute, take the avatar off the screen, or call oneself so; all is told to the others."""
        if muted is not None:
            self.sound.muted = muted
        if camera_on is not None:
            self.video.camera_on = camera_on
        if name is not None:
            self.name = name
        self._tell_state()

    def set_idle(self, idle: bool) -> None:
        if idle != self.idle:
            self.idle = idle
            self._tell_state()

    def add_page(self, send: Send) -> None:
        self._pages.add(send)
        if self._you:
            send(self._welcome())

    def remove_page(self, send: Send) -> None:
        self._pages.discard(send)

    def from_page(self, message: Message) -> None:
        """What the person's own page says to the room. Raises RoomError."""
        if message.get("type") == "state":
            muted, camera_on = message.get("muted"), message.get("camera_on")
            if not isinstance(muted, bool) or not isinstance(camera_on, bool):
                raise RoomError("state: muted and camera_on must be true or false.")
            self.set_state(muted, camera_on)
        else:
            self._to_room(message)

    def from_room(self, message: Message) -> None:
        kind, sender = message.get("type"), str(message.get("from", ""))
        if kind in ("offer", "state") and sender not in self._members:
            return  # somebody else's room could say anything: even that this person is muted
        if kind == "offer":
            self._forget(sender)  # a second offer is a reconnect
            attempt = self._newest[sender] = _Attempt(str(message.get("link")))
            self._start(self._answer(sender, attempt, str(message.get("sdp"))))
            return
        if kind == "bye" and sender in self._newest and self._newest[sender].link == message.get("link"):
            self._forget(sender)
            return
        if kind == "candidate" and sender in self._viewers and self._newest[sender].link == message.get("link"):
            self._start(self._add_candidate(self._viewers[sender], str(message.get("candidate"))))
            return
        self._keep_list(message)
        self._to_pages(self._welcome() if kind == "welcome" else message)

    async def close(self) -> None:
        for task in self._work:
            task.cancel()
        await asyncio.gather(self.peers.close_all(), self.page_peers.close_all())

    def _tell_state(self) -> None:
        self._to_room({"type": "state", **self.state})
        self._to_pages({"type": "state", "from": self._you, **self.state})

    def _keep_list(self, message: Message) -> None:
        kind = message.get("type")
        if kind == "welcome":  # also after a reconnect: all begins anew
            for member in list(self._viewers):
                self._forget(member)
            self._you = str(message["you"])
            others = [member for member in message["members"] if str(member["id"]) != self._you]
            self._members = {str(member["id"]): member for member in others[:MOST_MEMBERS]}
            self._to_room({"type": "state", **self.state})
        elif kind == "joined":
            member = str(message["member"]["id"])
            if member == self._you or len(self._members) >= MOST_MEMBERS:
                raise ValueError(f"{member} cannot join")
            self._members[member] = message["member"]
        elif kind == "left":
            self._members.pop(str(message["id"]), None)
            self._forget(str(message["id"]))
        elif kind == "state" and str(message["from"]) in self._members:
            changes = {key: value for key, value in message.items() if key not in ("type", "from")}
            self._members[str(message["from"])] |= changes

    def _welcome(self) -> Message:
        return {"type": "welcome", "you": self._you, "members": list(self._members.values()), **self.state}

    async def _answer(self, sender: str, attempt: _Attempt, offer: str) -> None:
        link = attempt.link
        try:
            if not self._offers.take():
                raise TooManyPeersError("Too many offers: wait a little.")
            peer, answer = await self.peers.answer_viewer(offer, self.video, self.sound, kind="room")
        except (DescriptionError, TooManyPeersError) as error:
            self._to_room({"type": "refuse", "to": sender, "link": link, "reason": str(error)})
            return
        if self._newest.get(sender) is not attempt:  # another offer came, or the member left, in the meantime
            await self.peers.close(peer)
            return
        self._viewers[sender] = peer

        def ended() -> None:
            if self._viewers.get(sender) is peer:
                del self._viewers[sender]

        peer.on_end = ended
        self._to_room({"type": "answer", "to": sender, "link": link, "sdp": answer})

    async def _add_candidate(self, peer: Peer, text: str) -> None:
        try:
            await self.peers.add_candidate(peer, text)
        except DescriptionError as error:
            logger.info("%s", error)

    def _forget(self, member: str) -> None:
        self._newest.pop(member, None)
        if member in self._viewers:
            self._start(self.peers.close(self._viewers.pop(member)))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    def _to_pages(self, message: Message) -> None:
        for send in list(self._pages):
            send(message)
