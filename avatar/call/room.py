"""The built-in room: passes offers, answers and candidates on between up to four members. No media passes here.

A member's messages are JSON objects. `to` names another member, `link` is the sender's own name for a one-way link:

    to the room      offer, answer, candidate, bye, refuse (to, link, …); state (muted, camera_on, name?,
                     showing?)
    from the room    welcome (you, members), joined (member), left (id), state (from, …), error (reason)
                     and the others' messages with `from` instead of `to`
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from avatar.core.errors import VisavisError
from avatar.core.plain_text import plain_text
from avatar.http.allowance import Allowance, Allowances
from avatar.webrtc.descriptions import LARGEST_SDP

Message = dict[str, Any]
Send = Callable[[Message], None]

SHOWING = ("moving", "idle", "nothing")  # what a member's picture is; an idle avatar moves, but nobody moves it
MOST_MEMBERS = 4  # a mesh of more costs each member an upload per other: use a server (WHIP) then
LONGEST_NAME, LONGEST_LINK, LONGEST_TEXT = 40, 64, 2000
PER_SECOND, BURST = 30.0, 90.0  # messages of a member, and of an address for each member that there may be
OFFERS_PER_SECOND, OFFERS_BURST = 0.5, 8.0  # of an address to a member; each costs a connection
# what a message may carry, and how long it may be
_RELAYED: dict[str, dict[str, int]] = {
    "offer": {"sdp": LARGEST_SDP},
    "answer": {"sdp": LARGEST_SDP},
    "candidate": {"candidate": LONGEST_TEXT},  # the JSON of an RTCIceCandidate, as text
    "refuse": {"reason": LONGEST_TEXT},
    "bye": {},
}


class RoomError(VisavisError):
    """A message or a member that the room cannot take."""


@dataclass(eq=False)
class Member:
    """Somebody in the room. `kind`: "avatar" (runs visavis) or "browser". `origin`: the address, of `origin_of`."""

    send: Send
    name: str
    kind: str
    origin: str
    id: str = field(default_factory=lambda: secrets.token_urlsafe(8))
    muted: bool = False
    camera_on: bool = True
    showing: str = SHOWING[0]
    allowance: Allowance = field(default_factory=lambda: Allowance(PER_SECOND, BURST))

    def card(self) -> Message:
        return {"id": self.id, "kind": self.kind, **self.state()}

    def state(self) -> Message:
        return {"name": self.name, "muted": self.muted, "camera_on": self.camera_on, "showing": self.showing}


class Room:
    """Who is there. `send` of a member must not block; it is called on the thread that calls the room."""

    def __init__(self, most: int = MOST_MEMBERS) -> None:
        self.most = most
        self._members: dict[str, Member] = {}
        self._messages = Allowances(most * PER_SECOND, most * BURST)
        self._offers = Allowances(OFFERS_PER_SECOND, OFFERS_BURST)

    def __len__(self) -> int:
        return len(self._members)

    def join(self, send: Send, name: object, kind: object, origin: str = "") -> Member:
        """A new member, who is welcomed, and told to the others. Coming again from `origin` renews no allowance.

        Raises RoomError.
        """
        if len(self._members) >= self.most:
            raise RoomError(f"The room is full: {self.most} people. For more, publish to a server with --to whip:URL.")
        if kind not in ("avatar", "browser"):
            raise RoomError('kind is "avatar" or "browser".')
        member = Member(send, plain_text(name or "", LONGEST_NAME) or "Guest", str(kind), origin)
        others = [other.card() for other in self._members.values()]
        self._members[member.id] = member
        member.send({"type": "welcome", "you": member.id, "members": others, "most": self.most})
        self._tell_others(member, {"type": "joined", "member": member.card()})
        return member

    def leave(self, member: Member) -> None:
        """Safe to call twice."""
        if self._members.pop(member.id, None) is not None:
            self._tell_others(member, {"type": "left", "id": member.id})

    def receive(self, member: Member, message: object) -> None:
        """Act on a member's message. Raises RoomError for one that is not allowed; the member had better leave then."""
        if not (member.allowance.take() and self._messages.take(member.origin)):
            raise RoomError("Too many messages.")
        if not isinstance(message, dict):
            raise RoomError("A message is a JSON object.")
        kind = message.get("type")
        if not isinstance(kind, str):
            raise RoomError("type must be text.")
        if kind == "state":
            told = _state(message)
            member.muted, member.camera_on = told["muted"], told["camera_on"]
            member.name, member.showing = told.get("name") or member.name, told.get("showing", member.showing)
            self._tell_others(member, {"type": "state", "from": member.id, **member.state()})
        elif kind in _RELAYED:
            relayed = {"type": kind, "from": member.id, **_relayed(message, kind)}
            other = self._members.get(_text(message, "to", LONGEST_LINK))
            if other is None or other is member:  # has just left, which is nobody's fault
                member.send({"type": "bye", "from": message["to"], "link": relayed["link"]})
            elif kind == "offer" and not self._offers.take(f"{member.origin} {other.id}"):
                reason = "Too many offers: wait a little."
                member.send({"type": "refuse", "from": other.id, "link": relayed["link"], "reason": reason})
            else:
                other.send(relayed)
        else:
            raise RoomError(f"Unknown type {kind[:40]!r}.")

    def _tell_others(self, member: Member, message: Message) -> None:
        for other in list(self._members.values()):
            if other is not member:
                other.send(message)


def _text(message: Message, name: str, longest: int) -> str:
    value = message.get(name)
    if not isinstance(value, str) or len(value) > longest:
        raise RoomError(f"{message.get('type')}: {name} must be text of at most {longest} characters.")
    return value


def _flag(message: Message, name: str) -> bool:
    value = message.get(name)
    if not isinstance(value, bool):
        raise RoomError(f"{message.get('type')}: {name} must be true or false.")
    return value


def checked(message: Message) -> Message | None:
    """What a room that somebody else keeps may tell its members, and nothing beside it; None for an unknown type.

    Raises RoomError.
    """
    kind = message.get("type")
    if kind == "welcome":
        members = message.get("members")
        if not isinstance(members, list) or len(members) > MOST_MEMBERS:
            raise RoomError(f"welcome: members must be a list of at most {MOST_MEMBERS}.")
        cards = [_card(member) for member in members]
        return {"type": kind, "you": _text(message, "you", LONGEST_LINK), "members": cards}
    if kind == "joined":
        return {"type": kind, "member": _card(message.get("member"))}
    if kind == "left":
        return {"type": kind, "id": _text(message, "id", LONGEST_LINK)}
    if kind == "error":
        return {"type": kind, "reason": plain_text(message.get("reason") or "it does not say why")}
    if not isinstance(kind, str) or kind not in ("state", *_RELAYED):
        return None
    said = {"type": kind, "from": _text(message, "from", LONGEST_LINK)}
    if kind == "state":
        return said | _state(message)
    return said | _relayed(message, kind)


def _state(message: Message) -> Message:
    """What a member says of itself; name and showing only where it says them. Raises RoomError."""
    state: Message = {"muted": _flag(message, "muted"), "camera_on": _flag(message, "camera_on")}
    if "name" in message:
        state["name"] = plain_text(message["name"] or "", LONGEST_NAME)
    if "showing" in message:
        state["showing"] = _showing(message)
    return state


def _showing(message: Message) -> str:
    if (showing := message.get("showing", SHOWING[0])) not in SHOWING:
        raise RoomError(f"{message.get('type')}: showing is one of {', '.join(SHOWING)}.")
    return str(showing)


def _relayed(message: Message, kind: str) -> Message:
    relayed: Message = {"link": _text(message, "link", LONGEST_LINK)}
    for name, longest in _RELAYED[kind].items():
        text = _text(message, name, longest)
        relayed[name] = plain_text(text) if name == "reason" else text
    return relayed


def _card(member: object) -> Message:
    if not isinstance(member, dict):
        raise RoomError("A member is a JSON object.")
    return {
        "id": _text(member, "id", LONGEST_LINK),
        "name": plain_text(member.get("name") or "", LONGEST_NAME),
        "kind": "avatar" if member.get("kind") == "avatar" else "browser",
        "muted": _flag(member, "muted"),
        "camera_on": _flag(member, "camera_on"),
        "showing": _showing(member),
    }
