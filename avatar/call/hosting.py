"""A call on this computer, from its parts: the server in a network thread of its own, and the links to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from aioice.ice import get_host_addresses

from avatar.call.call import Call
from avatar.call.room import Message, Room
from avatar.call.room_client import LOOPBACK_NAMES, RoomClient, RoomLink
from avatar.call.server import CallServer
from avatar.core.errors import UsageError
from avatar.core.paths import home
from avatar.dashboard.dashboard import Studio
from avatar.http.listener import LOOPBACK
from avatar.http.safety import Gate, Tokens
from avatar.http.tls import context, digest_of, own_certificate
from avatar.webrtc.avatar_track import AvatarVideo
from avatar.webrtc.ice import Ice
from avatar.webrtc.media_thread import MediaThread
from avatar.webrtc.microphone import open_microphone
from avatar.webrtc.peers import Peers
from avatar.webrtc.remote_camera import RemoteCamera
from avatar.webrtc.sound import Sound
from avatar.webrtc.whip_source import source_token
from engines import Say, on_stderr

EVERYWHERE = ("0.0.0.0", "::")


@dataclass(frozen=True, slots=True)
class Hosting:
    """What `visavis call` was told about its server."""

    name: str  # as the others see it
    port: int = 0  # on loopback, for this computer's own page
    listen: tuple[str, int] | None = None  # for others, by TLS
    certificate: tuple[Path, Path | None] | None = None  # PEM files; else one of our own making
    public_url: str | None = None  # of a reverse proxy that passes requests on to the loopback port
    join: RoomLink | None = None  # somebody else's room
    microphone: str | None = None  # of this computer; else the page's
    whip_sound: bool = True  # a source by WHIP is heard too
    ice: Ice = field(default_factory=Ice)
    codec: str | None = None


@dataclass(eq=False)
class HostedCall:
    """A call that runs. `page_link` is for this person alone, `invitation` for the others."""

    call: Call
    page_link: str
    invitation: str
    tokens: Tokens
    camera: RemoteCamera | None = None  # where a page's camera drives
    whip_camera: RemoteCamera | None = None  # where a source by WHIP drives
    addresses: list[str] = field(default_factory=list)  # of the server: "http://127.0.0.1:8080/" first
    figures: Message = field(default_factory=dict)  # the live loop's, as the page shows them


@contextmanager
def host_call(
    hosting: Hosting, camera: RemoteCamera | None = None, studio: Studio | None = None, say: Say = on_stderr
) -> Iterator[HostedCall]:
    """Start everything; at the end everybody is hung up on. Raises DeviceError, InputError or UsageError.

    camera: where a page's camera drives; may be set later. studio: what the page does beside calling. say: is told
    when a room that was joined is lost.
    """
    with ExitStack() as parts:
        thread = MediaThread()
        parts.callback(thread.close)
        hosted, server, client = thread.wait(_start(hosting, camera, studio, say, thread))
        parts.callback(lambda: thread.wait(server.stop(), 15))
        if client is not None:
            parts.callback(lambda: thread.wait(client.close(), 5))
            thread.wait(client.open())
        if hosting.microphone is not None:
            parts.callback(open_microphone(hosting.microphone, hosted.call.sound).close)
        yield hosted


async def _start(
    hosting: Hosting, camera: RemoteCamera | None, studio: Studio | None, say: Say, thread: MediaThread
) -> tuple[HostedCall, CallServer, RoomClient | None]:
    video = AvatarVideo(thread.loop)
    call = Call(video, Sound(lambda: video.latency_ns), Peers(hosting.ice, hosting.codec))
    tokens, room = Tokens(source=source_token()), Room()
    gate = Gate(tokens)
    hosted = HostedCall(call, "", "", tokens, camera)
    server = CallServer(
        call,
        room,
        gate,
        hosting.ice,
        hosting.name,
        lambda: hosted.camera,
        lambda: hosted.whip_camera,
        hosting.whip_sound,
        invitation=lambda: hosted.invitation,
        figures=lambda: hosted.figures,
        studio=studio,
    )
    try:
        port = await server.start(LOOPBACK, hosting.port)
        gate.allow({f"http://{LOOPBACK}:{port}", f"http://localhost:{port}"})
        hosted.addresses = [f"http://{LOOPBACK}:{port}/"]
        hosted.page_link = f"{hosted.addresses[0]}#owner={tokens.owner}"
        hosted.invitation = f"{hosted.addresses[0]}#room={tokens.guest}"
        if hosting.listen is not None:
            hosted.invitation = await _listen(hosting, server, gate, tokens)
            hosted.addresses.append(hosted.invitation.partition("#")[0])
        if hosting.public_url is not None:
            gate.allow({_origin(hosting.public_url)})
            hosted.addresses.append(f"{hosting.public_url.rstrip('/')}/")
            hosted.invitation = f"{hosted.addresses[-1]}#room={tokens.guest}"
        client = None
        if hosting.join is None:
            call.join(room, hosting.name)
        else:
            client = RoomClient(hosting.join, hosting.name, call.from_room, say)
            call.use_room(client.send)
            hosted.invitation = str(hosting.join)
    except BaseException:
        await server.stop()
        raise
    return hosted, server, client


async def _listen(hosting: Hosting, server: CallServer, gate: Gate, tokens: Tokens) -> str:
    """Serve others by TLS. Returns their link."""
    assert hosting.listen is not None
    host, wanted_port = hosting.listen
    hosts = _own_addresses(host) if host in EVERYWHERE else [_spelled(host)]
    if hosting.certificate is None:
        path, digest = own_certificate(home(), hosts)
        tls = context(path)
    else:
        path, key = hosting.certificate
        tls, digest = context(path, key), digest_of(path)
    port = await server.listen(host, wanted_port, tls)
    gate.allow({f"https://{_in_url(name)}:{port}" for name in [*hosts, "localhost"]})
    return f"https://{_in_url(hosts[0])}:{port}/#room={tokens.guest}&cert={digest.hex()}"


def _own_addresses(everywhere: str) -> list[str]:
    """By which this computer is reached where it listens to "0.0.0.0", or to "::", which is IPv6 alone."""
    six = everywhere == "::"
    return [*get_host_addresses(use_ipv4=not six, use_ipv6=six), "::1" if six else LOOPBACK]


def _spelled(host: str) -> str:
    """An address as browsers send it (RFC 5952), where it is one."""
    try:
        return str(ip_address(host))
    except ValueError:
        return host


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _origin(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
        raise UsageError(f"--public-url {url} is not like https://calls.example.org: no path, one name.")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK_NAMES:
        raise UsageError(
            f"--public-url {url} is not encrypted: whoever stands between could read the link, and browsers give no "
            f"webcam there. Let the proxy speak TLS, and say https://{parts.netloc}."
        )
    return f"{parts.scheme}://{parts.netloc}"
