"""A call on this computer, from its parts: the server in a network thread of its own, and the links to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from avatar.call.call import Call
from avatar.call.hosted_call import HostedCall
from avatar.call.room_client import RoomClient, RoomLink
from avatar.call.server import CallServer
from avatar.core.errors import DeviceError, UsageError
from avatar.core.paths import home
from avatar.dashboard.dashboard import Dashboard
from avatar.http.listener import LOOPBACK, LOOPBACK_NAMES
from avatar.http.safety import Tokens
from avatar.http.tls import context, digest_of, own_certificate
from avatar.webrtc.avatar_track import AvatarVideo
from avatar.webrtc.congestion import BitRates
from avatar.webrtc.ice import Ice, own_addresses
from avatar.webrtc.media_thread import MediaThread
from avatar.webrtc.microphone import open_microphone
from avatar.webrtc.peers import Peers
from avatar.webrtc.remote_camera import RemoteCamera
from avatar.webrtc.sound import Sound
from avatar.webrtc.whip_source import source_token
from engines import Say, on_stderr

EVERYWHERE = ("0.0.0.0", "::")
LISTEN_PORT = 8443  # of a page that lets the network in; another where it is taken


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What `visavis call` was told about its server, and the way to the others."""

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
    rates: BitRates = field(default_factory=BitRates)


@contextmanager
def host_call(
    options: CallOptions, camera: RemoteCamera | None = None, dashboard: Dashboard | None = None, say: Say = on_stderr
) -> Iterator[HostedCall]:
    """Start everything; at the end everybody is hung up on. Raises DeviceError, InputError or UsageError.

    camera: where a page's camera drives; may be set later. dashboard: what the page does beside calling. say: is told
    when a room that was joined is lost.
    """
    with ExitStack() as parts:
        thread = MediaThread()
        parts.callback(thread.close)
        hosted = _call_from(options, camera, thread)
        server = CallServer(hosted, dashboard)
        parts.callback(lambda: thread.wait(server.stop(), 15))
        thread.wait(_serve(options, hosted, server))
        if options.join is not None:
            client = RoomClient(options.join, options.name, hosted.call.from_room, say)
            hosted.call.use_room(client.send)
            hosted.joined, hosted.reach, hosted.let_network_in = str(options.join), "elsewhere", None
            parts.callback(lambda: thread.wait(client.close(), 5))
            thread.wait(client.open())
        if options.microphone is not None:
            parts.callback(open_microphone(options.microphone, hosted.call.sound).close)
        yield hosted


def _call_from(options: CallOptions, camera: RemoteCamera | None, thread: MediaThread) -> HostedCall:
    video = AvatarVideo(thread.loop)
    call = Call(video, Sound(lambda: video.latency_ns), Peers(options.ice, options.codec))
    tokens = Tokens(source=source_token())
    return HostedCall(call, options.name, options.ice, tokens, options.whip_sound, browser_camera=camera)


async def _serve(options: CallOptions, hosted: HostedCall, server: CallServer) -> None:
    """Listen at each address that was asked for. The others are invited to the last one."""
    port = await server.start(LOOPBACK, options.port)
    server.gate.allow({f"http://{LOOPBACK}:{port}", f"http://localhost:{port}"})
    hosted.addresses = [f"http://{LOOPBACK}:{port}/"]
    hosted.invited_to = hosted.addresses[0]
    if options.listen is not None:
        await _listen(*options.listen, options, hosted, server)
    else:
        hosted.let_network_in = lambda: _let_network_in(options, hosted, server)
    if options.public_url is not None:
        server.gate.allow({_origin(options.public_url)})
        hosted.addresses.append(f"{options.public_url.rstrip('/')}/")
        hosted.invited_to, hosted.digest = hosted.addresses[-1], ""
        hosted.reach, hosted.fingerprint, hosted.let_network_in = "elsewhere", "", None
    if options.join is None:
        hosted.call.join(server.room, hosted.name)


async def _let_network_in(options: CallOptions, hosted: HostedCall, server: CallServer) -> None:
    """As by --listen, while the call goes on. Raises DeviceError."""
    before = hosted.let_network_in
    if not own_addresses(six=False):
        raise DeviceError("This computer is in no network now. Connect it, then try again.")
    try:
        port = await _listen("0.0.0.0", LISTEN_PORT, options, hosted, server)
    except DeviceError:
        port = await _listen("0.0.0.0", 0, options, hosted, server)

    async def shut_network_out() -> None:
        await server.stop_listening(port)
        del hosted.addresses[1:]
        hosted.invited_to, hosted.reach = hosted.addresses[0], "this computer"
        hosted.digest = hosted.fingerprint = ""
        hosted.let_network_in, hosted.shut_network_out = before, None

    hosted.let_network_in, hosted.shut_network_out = None, shut_network_out


async def _listen(host: str, wanted_port: int, options: CallOptions, hosted: HostedCall, server: CallServer) -> int:
    """Serve others by TLS, and invite them there. Returns the port. Raises DeviceError or InputError."""
    hosts = _own_addresses(host) if host in EVERYWHERE else [_spelled(host)]
    if options.certificate is None:
        path, digest = own_certificate(home(), hosts)
        tls = context(path)
    else:
        path, key = options.certificate
        tls, digest = context(path, key), digest_of(path)
    port = await server.listen(host, wanted_port, tls)
    server.gate.allow({f"https://{_in_url(name)}:{port}" for name in [*hosts, "localhost"]})
    address = f"https://{_in_url(hosts[0])}:{port}/"
    hosted.addresses.append(address)
    hosted.invited_to, hosted.digest = address, digest.hex()
    hosted.reach = "this computer" if hosts[0] in LOOPBACK_NAMES else "network"
    if options.certificate is None:
        hosted.fingerprint = digest.hex(":").upper()
    return port


def _own_addresses(everywhere: str) -> list[str]:
    """The addresses that reach this computer when it listens to "0.0.0.0", or to "::", which is IPv6 alone."""
    six = everywhere == "::"
    return [*own_addresses(six), "::1" if six else LOOPBACK]


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
