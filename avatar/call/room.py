"""The built-in room: passes offers, answers and candidates on between up to four members. No media passes here.

A member's messages are JSON objects. `to` names another member, `link` is the sender's own name for a one-way link:

    to the room      offer, answer, candidate, bye, refuse (to, link, …); state (muted, camera_on)
    from the room    welcome (you, members), joined (member), left (id), state (from, …), error (reason)
                     and the others' messages with `from` in the place of `to`
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from avatar.call.allowance import Allowance
from avatar.call.peers import LARGEST_SDP
from avatar.errors import VisavisError

Message = dict[str, Any]
Send = Callable[[Message], None]

MOST_MEMBERS = 4  # a mesh of more costs each member an upload per other: use a server (WHIP) then
LONGEST_NAME, LONGEST_LINK, LONGEST_TEXT = 40, 64, 2000
PER_SECOND, BURST = 30.0, 90.0
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
    """Somebody in the room. `kind`: "avatar" (runs visavis) or "browser"."""

    send: Send
    name: str
    kind: str
    id: str = field(default_factory=lambda: secrets.token_urlsafe(8))
    muted: bool = False
    camera_on: bool = True
    allowance: Allowance = field(default_factory=lambda: Allowance(PER_SECOND, BURST))

    def card(self) -> Message:
        return {
            "id": self.id,
            "name": self.name,
            "kind": self.kind,
            "muted": self.muted,
            "camera_on": self.camera_on,
        }


class Room:
    """Who is there. `send` of a member must not block; it is called on the thread that calls the room."""

    def __init__(self, most: int = MOST_MEMBERS) -> None:
        self._most = most
        self._members: dict[str, Member] = {}

    def __len__(self) -> int:
        return len(self._members)

    def join(self, send: Send, name: object, kind: object) -> Member:
        """A new member, who is welcomed, and told to the others. Raises RoomError."""
        if len(self._members) >= self._most:
            raise RoomError(f"The room is full: {self._most} people. For more, publish to a server with --to whip:URL.")
        if kind not in ("avatar", "browser"):
            raise RoomError('kind is "avatar" or "browser".')
        member = Member(send, _clean_name(name), str(kind))
        others = [other.card() for other in self._members.values()]
        self._members[member.id] = member
        member.send({"type": "welcome", "you": member.id, "members": others, "most": self._most})
        self._tell_others(member, {"type": "joined", "member": member.card()})
        return member

    def leave(self, member: Member) -> None:
        """Safe to call twice."""
        if self._members.pop(member.id, None) is not None:
            self._tell_others(member, {"type": "left", "id": member.id})

    def receive(self, member: Member, message: object) -> None:
        """Act on a member's message. Raises RoomError for one that is not allowed; the member had better leave then."""
        if not member.allowance.take():
            raise RoomError("Too many messages.")
        if not isinstance(message, dict):
            raise RoomError("A message is a JSON object.")
        kind = message.get("type")
        if kind == "state":
            member.muted, member.camera_on = _flag(message, "muted"), _flag(message, "camera_on")
            state = {"type": "state", "from": member.id, "muted": member.muted, "camera_on": member.camera_on}
            self._tell_others(member, state)
        elif kind in _RELAYED:
            relayed = {"type": kind, "from": member.id, "link": _text(message, "link", LONGEST_LINK)}
            relayed |= {name: _text(message, name, longest) for name, longest in _RELAYED[kind].items()}
            other = self._members.get(_text(message, "to", LONGEST_LINK))
            if other is None or other is member:  # has just left: nothing to be cross about
                member.send({"type": "bye", "from": message["to"], "link": relayed["link"]})
            else:
                other.send(relayed)
        else:
            raise RoomError(f"Unknown type {str(kind)[:40]!r}.")

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


def _clean_name(name: object) -> str:
    text = "".join(letter for letter in str(name or "") if letter.isprintable()).strip()
    return text[:LONGEST_NAME] or "Guest"
