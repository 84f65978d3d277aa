"""Session descriptions (SDP) and candidates of strangers: what is hostile or useless never reaches aiortc."""

from __future__ import annotations

import re

from aiortc import RTCIceCandidate, sdp

from avatar.core.errors import VisavisError
from avatar.core.plain_text import plain_text

LARGEST_SDP = 64 * 1024
MOST_LINES = 1500  # browsers need a few hundred; aiortc's parser takes seconds for what else fits into LARGEST_SDP
MOST_MEDIA, MOST_CANDIDATES = 4, 64
MOST_CODECS = 128  # of one kind of media: there are no more payload types (RFC 3551, section 3)
MOST_FOR_ALL = 32  # kinds of feedback (RFC 4585) for each of the codecs
LONGEST_CANDIDATE = 500

_NUMBER_BITS = {"payload type": 7, "port": 16, "component": 8, "priority": 32, "ssrc": 32, "header extension": 8}
_ICE_TEXT = re.compile(r"[!-~]{4,256}")  # RFC 8839, section 5.4; browsers keep to fewer characters
_NAME = re.compile(r"[!-~]{1,64}")


class DescriptionError(VisavisError):
    """A session description or candidate that cannot be used. The message says why."""


def check_description(text: str, receives: bool, only: bool = False) -> set[str]:
    """The kinds of media in an SDP that are worth answering. Raises DescriptionError for what is hostile or useless.

    `receives`: whether the other side must want to receive (True) or to send (False). `only`: and not send as well.
    """
    if len(text) > LARGEST_SDP:
        raise DescriptionError(f"The session description has {len(text)} characters; {LARGEST_SDP} is the limit.")
    if not text.startswith("v=0"):
        raise DescriptionError("That is not a session description: it does not start with v=0.")
    lines = text.splitlines()  # as aiortc does, by more than line feeds
    if len(lines) > MOST_LINES:
        raise DescriptionError(f"The session description has {len(lines)} lines; {MOST_LINES} is the limit.")
    if _count(lines, "m=") > MOST_MEDIA or _count(lines, "a=candidate:") > MOST_CANDIDATES:
        raise DescriptionError(f"More than {MOST_MEDIA} media sections or {MOST_CANDIDATES} candidates.")
    if _most_codecs(lines) > MOST_CODECS or _count(lines, "a=rtcp-fb:*") > MOST_FOR_ALL:
        raise DescriptionError(f"More than {MOST_CODECS} codecs, or {MOST_FOR_ALL} kinds of feedback for all.")
    try:
        description = sdp.SessionDescription.parse(text)
    except Exception as error:  # aiortc's parser raises whatever its indexing and converting runs into
        raise DescriptionError(f"The session description cannot be read: {plain_text(repr(error))}.") from error
    if strange := {media.kind for media in description.media} - {"audio", "video"}:
        raise DescriptionError(f"Only video and audio are taken, not {plain_text(', '.join(sorted(strange)))}.")
    if only and any(media.direction in ("sendonly", "sendrecv") for media in description.media):
        raise DescriptionError("The session description sends, where it was to receive only.")
    for media in description.media:
        _check_media(media)
    _check_groups(description)
    wanted = ("recvonly", "sendrecv") if receives else ("sendonly", "sendrecv")
    kinds = {media.kind for media in description.media if media.direction in wanted} & {"audio", "video"}
    if not kinds:
        verb = "receive" if receives else "send"
        raise DescriptionError(f"The session description offers to {verb} neither video nor audio.")
    return kinds


def parse_candidate(text: str) -> RTCIceCandidate:
    """Of "candidate:…", without that word too. Raises DescriptionError."""
    try:
        if len(text) > LONGEST_CANDIDATE:
            raise ValueError("too long")
        candidate = sdp.candidate_from_sdp(text.removeprefix("candidate:"))
    except (ValueError, AssertionError, IndexError) as error:
        raise DescriptionError(f"Not a candidate: {text[:80]!r}") from error
    _check_candidate(candidate)
    return candidate


def _check_media(media: sdp.MediaDescription) -> None:
    """Numbers that do not fit into the packets which they are meant for fail much later, and elsewhere."""
    if media.dtls is None or not media.dtls.fingerprints:
        raise DescriptionError("The session description has no fingerprint: it would not be known who answers.")
    assert media.ice is not None  # as the parser leaves it
    for text in (media.ice.usernameFragment, media.ice.password):
        if text is None or not _ICE_TEXT.fullmatch(text):
            raise DescriptionError("The session description has no ICE name and password, or none that can be sent.")
    if media.rtp.muxId and not _NAME.fullmatch(media.rtp.muxId):
        raise DescriptionError(
            "A media section has a name of more than 64 characters, or of characters that names lack."
        )
    for codec in media.rtp.codecs:
        _check_number("payload type", codec.payloadType)
    for extension in media.rtp.headerExtensions:
        _check_number("header extension", extension.id, lowest=1)
    for source in media.ssrc:
        _check_number("ssrc", source.ssrc)
    for candidate in media.ice_candidates:
        _check_candidate(candidate)


def _check_groups(description: sdp.SessionDescription) -> None:
    """aiortc can neither answer nor close what is bundled with a section that is not there."""
    names = [media.rtp.muxId for media in description.media if media.rtp.muxId]
    bundles = [group for group in description.group if group.semantic == "BUNDLE"]
    if len(set(names)) < len(names) or len(bundles) > 1:
        raise DescriptionError("Two media sections have one name, or there are several bundles of them.")
    if any(set(group.items) - set(names) for group in bundles):
        raise DescriptionError("A media section is bundled with one that is not there.")


def _check_candidate(candidate: RTCIceCandidate) -> None:
    if not _NAME.fullmatch(candidate.foundation):
        raise DescriptionError("A candidate's foundation has more than 64 characters, or none.")
    _check_number("component", candidate.component, lowest=1)
    _check_number("priority", candidate.priority)
    _check_number("port", candidate.port)
    if candidate.relatedPort is not None:
        _check_number("port", candidate.relatedPort)


def _check_number(what: str, number: int | None, lowest: int = 0) -> None:
    if number is None or not lowest <= number < 1 << _NUMBER_BITS[what]:
        raise DescriptionError(f"A {what} of {plain_text(number, 20)} does not fit into {_NUMBER_BITS[what]} bits.")


def _count(lines: list[str], start: str) -> int:
    return sum(line.startswith(start) for line in lines)


def _most_codecs(lines: list[str]) -> int:
    """Of one media section."""
    most = count = 0
    for line in lines:
        count = 0 if line.startswith("m=") else count + line.startswith("a=rtpmap:")
        most = max(most, count)
    return most
