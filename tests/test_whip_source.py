"""A source by WHIP (RFC 9725) as the camera: real connections over loopback, and what becomes of the others."""

from __future__ import annotations

import asyncio
import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import av
import numpy as np
import pytest
from aiortc.rtcrtpreceiver import RemoteStreamTrack

from avatar.call.hosting import CallOptions, host_call
from avatar.cli.live import _open_source
from avatar.core.errors import DeviceError, UsageError
from avatar.core.frame import Frame, NoPicture
from avatar.http.allowance import Allowance
from avatar.sources.camera import open_camera
from avatar.webrtc import whip_source
from avatar.webrtc.aiortc_patches.codecs import set_video_rates
from avatar.webrtc.aiortc_patches.decoder_queue import MOST_WAITING, DecoderQueue
from avatar.webrtc.avatar_track import AvatarVideo
from avatar.webrtc.congestion import BitRates
from avatar.webrtc.descriptions import LARGEST_SDP
from avatar.webrtc.ice import Ice
from avatar.webrtc.media_thread import MediaThread
from avatar.webrtc.peers import Peer, Peers
from avatar.webrtc.remote_camera import RemoteCamera
from avatar.webrtc.sound import CHUNK, RATE, Sound
from avatar.webrtc.whip import WhipPublisher
from avatar.webrtc.whip_camera import WhipCamera, whip_port
from avatar.webrtc.whip_target import WhipTarget

pytestmark = pytest.mark.realtime

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}
CANDIDATE = "a=candidate:1 1 udp 2130706431 127.0.0.1 50000 typ host\r\n"
Reply = tuple[int, dict[str, str], str]


def ask(url: str, method: str, path: str, token: str | None = None, body: str | None = None, **headers: str) -> Reply:
    """One request to the server at `url`."""
    connection = http.client.HTTPConnection(url.split("/")[2], timeout=30)
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    reply = response.status, {name.lower(): value for name, value in response.getheaders()}, response.read().decode()
    connection.close()
    return reply


class Source:
    """Publishes a picture of one colour, and a tone, as OBS would."""

    def __init__(self, grey: int = 200, codec: str | None = None, size: tuple[int, int] = (160, 96)) -> None:
        self.thread = MediaThread("source")
        self.peers = Peers(Ice(), codec)
        self.grey, self.size, self.sound = grey, size, Sound()
        self._over = threading.Event()
        self._feeding = threading.Thread(target=self._feed)
        self.peer, self.offer = self.thread.wait(self._make())
        self._feeding.start()

    async def _make(self) -> tuple[Peer, str]:
        set_video_rates(BitRates(), 30)
        self._video = AvatarVideo(asyncio.get_running_loop())
        return await self.peers.offer_viewer(self._video, self.sound)

    def _feed(self) -> None:
        index, tone = 0, (8000 * np.sin(np.arange(CHUNK * 2) / CHUNK * 2 * np.pi * 8)).astype(np.int16)
        while not self._over.wait(1 / 30):
            picture = np.full((self.size[1], self.size[0], 3), self.grey + index % 5, np.uint8)
            self._video.put(Frame(picture, time.monotonic_ns(), index))
            self.sound.put(tone, time.monotonic_ns() - 2 * CHUNK * 1_000_000_000 // RATE)
            index += 1

    def publish(self, camera: WhipCamera, change: Callable[[str], str] = lambda offer: offer) -> Reply:
        """Post the offer; the connection comes about when it was taken."""
        reply = ask(camera.url, "POST", "/whip", camera.tokens.source, change(self.offer), **SDP)
        if reply[0] == 201:
            self.thread.wait(self.peers.accept(self.peer, reply[2].replace("\na=inactive", "\na=recvonly")))
        return reply

    def vanish(self) -> None:
        """Without a goodbye: the cable is pulled."""
        self._over.set()
        transceiver = self.peer.connection.getTransceivers()[0]
        self.thread.wait(transceiver.sender.transport.transport._connection.close())

    def close(self) -> None:
        self._over.set()
        self._feeding.join()
        self.thread.wait(self.peers.close_all())
        self.thread.close()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def camera(said: list[str]) -> Iterator[WhipCamera]:
    with closing(WhipCamera(say=said.append)) as camera:
        yield camera


def an_offer() -> str:
    with closing(Source()) as source:
        return source.offer


def read_until(camera: RemoteCamera, wanted: Callable[[Frame | NoPicture], bool], timeout_s: float = 30) -> Frame:
    end_s, before_ns = time.monotonic() + timeout_s, 0
    while True:
        frame = camera.read()
        assert frame is not None and time.monotonic() < end_s, "it never came about"
        if isinstance(frame, Frame):
            assert frame.capture_ns > before_ns
            before_ns = frame.capture_ns
        if wanted(frame):
            return frame  # type: ignore[return-value]


def bright(frame: Frame | NoPicture) -> bool:
    return isinstance(frame, Frame) and abs(float(frame.rgb.mean()) - 202) < 12


def idle(frame: Frame | NoPicture) -> bool:
    return isinstance(frame, NoPicture)


@pytest.mark.parametrize("codec", ["h264", "vp8"])
def test_a_source_drives_until_it_ends_and_then_the_next_one_does(
    camera: WhipCamera, said: list[str], codec: str
) -> None:
    read_until(camera, idle)
    with closing(Source(codec=codec)) as source:
        status, headers, answer = source.publish(camera)
        assert status == 201 and headers["content-type"] == "application/sdp" and headers["accept-patch"]
        assert "a=recvonly" in answer and "a=sendonly" not in answer
        frame = read_until(camera, bright)
        assert (frame.width, frame.height) == (160, 96)
        assert ask(camera.url, "DELETE", headers["location"], camera.tokens.source)[0] == 200
        read_until(camera, idle)
        assert ask(camera.url, "DELETE", headers["location"], camera.tokens.source)[0] == 404
    with closing(Source(grey=60)) as following:
        assert following.publish(camera)[0] == 201
        read_until(camera, lambda frame: isinstance(frame, Frame) and frame.rgb.mean() < 80)
    read_until(camera, idle)  # it hung up by itself
    assert sum("has come" in line for line in said) == 2
    assert "Its sound goes nowhere" in said[1]
    assert camera.tokens.source in said[0] and camera.url in said[0]


def test_obs_names_no_candidates_and_gets_through(camera: WhipCamera) -> None:
    """libdatachannel posts before it has gathered, and never trickles: it knocks at the candidates of the answer."""

    def without(offer: str) -> str:
        lines = offer.splitlines(keepends=True)
        return "".join(line for line in lines if "a=candidate" not in line and "end-of-candidates" not in line)

    with closing(Source()) as source:
        assert source.publish(camera, without)[0] == 201
        read_until(camera, bright)


def test_a_large_picture_is_made_small_and_nothing_is_queued(camera: WhipCamera) -> None:
    with closing(Source(size=(1280, 720))) as source:
        assert source.publish(camera)[0] == 201
        frame = read_until(camera, bright)
        assert (frame.width, frame.height) == (640, 360)
        source.grey = 60
        time.sleep(3)  # the reader sleeps
        for _ in range(2):  # one frame may have been on its way
            frame = read_until(camera, lambda frame: isinstance(frame, Frame))
        assert frame.rgb.mean() < 80
        assert camera.dropped > 0


def test_while_one_sends_another_is_refused_and_a_silent_one_gives_way(
    camera: WhipCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whip_source, "SILENT_S", 2.0)
    with closing(Source()) as first, closing(Source(grey=60)) as second:
        assert first.publish(camera)[0] == 201
        read_until(camera, bright)
        status, headers, reason = second.publish(camera)
        assert status == 409 and "Another source" in reason and headers["retry-after"]
        read_until(camera, bright)
        first.vanish()
        end_s = time.monotonic() + 30
        while (status := second.publish(camera)[0]) != 201:
            assert status in (409, 429) and time.monotonic() < end_s
            time.sleep(0.5)
        read_until(camera, lambda frame: isinstance(frame, Frame) and frame.rgb.mean() < 80)
        assert len(camera._peers) == 1


def test_its_sound_is_taken_where_it_can_go(said: list[str]) -> None:
    sound = Sound()
    with closing(WhipCamera(0, [sound], said.append)) as camera, closing(Source()) as source:
        answer = source.publish(camera)[2]
        assert answer.count("a=recvonly") == 2
        end_s = time.monotonic() + 30
        while not sound.live or np.abs(sound.read(sound.due(time.monotonic_ns()))).max() < 1000:
            assert time.monotonic() < end_s
            time.sleep(0.05)
        assert not any("sound" in line for line in said[1:])


def test_live_hands_its_sound_on_to_a_server(said: list[str]) -> None:
    publisher = WhipPublisher(WhipTarget("http://127.0.0.1:9/whip"))
    with closing(_open_source("whip", False, [publisher], said.append)) as camera, closing(Source()) as source:
        assert isinstance(camera, WhipCamera) and source.publish(camera)[0] == 201
        end_s = time.monotonic() + 30
        while not publisher.sound.live:
            assert time.monotonic() < end_s
            time.sleep(0.05)


@pytest.mark.parametrize("audio_first", [False, True])
def test_where_it_cannot_its_sound_is_refused_in_the_answer(camera: WhipCamera, audio_first: bool) -> None:
    async def make(peers: Peers) -> tuple[Peer, str]:
        video, sound = AvatarVideo(asyncio.get_running_loop()), Sound()
        peer = peers._new("view", False)
        for track in (sound.track(), video.track()) if audio_first else (video.track(), sound.track()):
            peers._add(peer, track)
        for transceiver in peer.connection.getTransceivers():
            transceiver.direction = "sendonly"
        await peer.connection.setLocalDescription(await peer.connection.createOffer())
        return peer, peer.connection.localDescription.sdp

    thread, peers = MediaThread("source"), Peers(Ice())
    peer, offer = thread.wait(make(peers))
    status, _, answer = ask(camera.url, "POST", "/whip", camera.tokens.source, offer, **SDP)
    assert status == 201
    sections = answer.split("m=")[1:]
    assert {section[:5]: "a=inactive" in section for section in sections} == {"audio": True, "video": False}
    thread.wait(peers.accept(peer, answer))
    end_s = time.monotonic() + 30
    while peer.state != "connected":
        assert time.monotonic() < end_s
        time.sleep(0.05)
    thread.wait(peers.close_all())
    thread.close()


def test_nothing_is_answered_without_the_right_token(camera: WhipCamera) -> None:
    for token in (None, "", "wrong", camera.tokens.source[:-1]):
        for method, path in (("POST", "/whip"), ("PATCH", "/whip/x"), ("DELETE", "/whip/x")):
            status, headers, _ = ask(camera.url, method, path, token, "v=0", **SDP)
            assert status in (401, 429) and ("www-authenticate" in headers or status == 429)
    for token in (camera.tokens.owner, camera.tokens.guest, camera.tokens.player):
        assert ask(camera.url, "POST", "/whip", token, "v=0", **SDP)[0] in (401, 429)
    assert ask(camera.url, "POST", "/whip", camera.tokens.source, "v=0", **SDP)[0] == 400  # not locked out


def test_foreign_names_and_pages_are_refused(camera: WhipCamera) -> None:
    token = camera.tokens.source
    assert ask(camera.url, "POST", "/whip", token, "v=0", Host="evil.example", **SDP)[0] == 421
    assert ask(camera.url, "POST", "/whip", token, "v=0", Origin="https://evil.example", **SDP)[0] == 403
    assert ask(camera.url, "OPTIONS", "/whip", Origin="https://evil.example")[0] == 403
    for path in ("/", "/api/state", "/room", "/whep"):  # nothing but WHIP is served
        assert ask(camera.url, "GET", path, token)[0] == 404


def test_the_methods_are_those_of_the_rfc(camera: WhipCamera) -> None:
    token = camera.tokens.source
    assert ask(camera.url, "OPTIONS", "/whip")[:1] == (200,)
    assert ask(camera.url, "OPTIONS", "/whip")[1]["accept-post"] == "application/sdp"
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE"):
        assert ask(camera.url, method, "/whip", token)[0] == 405
    _, headers, _ = ask(camera.url, "POST", "/whip", token, an_offer(), **SDP)
    session, tag = headers["location"], headers["etag"]
    for method in ("GET", "HEAD", "POST", "PUT"):
        assert ask(camera.url, method, session, token)[0] == 405
    assert ask(camera.url, "PATCH", session, token, CANDIDATE, **FRAGMENT, **{"If-Match": tag})[0] == 204
    assert ask(camera.url, "PATCH", session, token, CANDIDATE, **FRAGMENT, **{"If-Match": '"other"'})[0] == 412
    restart = "a=ice-ufrag:new1\r\na=ice-pwd:0123456789abcdef01234567\r\n"
    assert ask(camera.url, "PATCH", session, token, restart, **FRAGMENT, **{"If-Match": "*"})[0] == 422
    assert ask(camera.url, "PATCH", session, token, CANDIDATE, **SDP)[0] == 415
    assert ask(camera.url, "PATCH", "/whip/other", token, CANDIDATE, **FRAGMENT)[0] == 404
    assert ask(camera.url, "DELETE", session, token)[0] == 200


def test_offers_that_cannot_be_used_get_a_reason_and_leave_nothing(
    camera: WhipCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Allowance, "take", lambda self: True)
    good, token = an_offer(), camera.tokens.source
    head, *sections = good.split("m=")
    video = next("m=" + section for section in sections if section.startswith("video"))
    audio = next("m=" + section for section in sections if section.startswith("audio"))
    bad = {
        "": "v=0",
        "hello": "v=0",
        "v=0\r\n": "no video",
        head + audio: "no video",
        good + video: "several",
        good.replace("a=sendonly", "a=recvonly"): "neither",
        good.replace("VP8", "AV1").replace("H264", "H265"): "H.264",
        good.replace("profile-level-id=42", "profile-level-id=64").replace("VP8", "VP9"): "H.264",
        "\r\n".join(line for line in good.split("\r\n") if "fingerprint" not in line): "fingerprint",
        good + "a=x:" + "y" * LARGEST_SDP: "limit",
        good + CANDIDATE * 100: "candidates",
        good[: len(good) // 3]: "",
    }
    for offer, reason in bad.items():
        status, _, text = ask(camera.url, "POST", "/whip", token, offer, **SDP)
        assert status == 400 and reason in text, (status, reason, text, offer[:300])
        assert len(camera._peers) == 0
    assert ask(camera.url, "POST", "/whip", token, good, **{"Content-Type": "text/plain"})[0] == 415
    assert ask(camera.url, "POST", "/whip", token, "v" * 300_000, **SDP)[0] == 413
    assert len(camera._peers) == 0


def test_offers_in_a_row_are_slowed_down(camera: WhipCamera) -> None:
    statuses = [ask(camera.url, "POST", "/whip", camera.tokens.source, "v=0", **SDP)[0] for _ in range(12)]
    assert statuses[0] == 400 and statuses[-1] == 429


def test_a_camera_that_is_closed_ends_its_source_and_its_reader(said: list[str]) -> None:
    camera = WhipCamera(say=said.append)
    with closing(Source()) as source:
        source.publish(camera)
        read_until(camera, bright)
        camera.close()
        camera.close()
        assert camera.read() is None
        with pytest.raises(OSError):
            ask(camera.url, "POST", "/whip", camera.tokens.source, "v=0", **SDP)
        end_s = time.monotonic() + 30
        while source.peer.state == "connected":
            assert time.monotonic() < end_s
            time.sleep(0.05)


def test_a_token_and_a_port_may_be_kept(said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(whip_source.SOURCE_TOKEN_VARIABLE, "always-the-same-one")
    with closing(WhipCamera(say=said.append)) as camera:
        port = int(camera.url.split(":")[2].split("/")[0])
        assert ask(camera.url, "POST", "/whip", "always-the-same-one", "v=0", **SDP)[0] == 400
        with pytest.raises(DeviceError, match="Try another port"):
            WhipCamera(port, say=said.append)
    with closing(WhipCamera(port, say=said.append)) as again:
        assert again.url == camera.url
    for wrong in ("short", "with a space in it, and long", "ümläute-are-no-tokens"):
        monkeypatch.setenv(whip_source.SOURCE_TOKEN_VARIABLE, wrong)
        with pytest.raises(UsageError, match=whip_source.SOURCE_TOKEN_VARIABLE):
            WhipCamera(say=said.append)


def test_what_is_typed_after_camera() -> None:
    assert (whip_port("whip"), whip_port("whip:8080")) == (0, 8080)
    for wrong in ("whip:0", "whip:99999", "whip:https://h/whip", "whip:a"):
        with pytest.raises(UsageError, match="whip:PORT"):
            whip_port(wrong)
    with pytest.raises(UsageError, match="only `live` and `call`"):
        open_camera("whip")


def test_in_a_call_it_drives_where_it_was_chosen(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path))
    with host_call(CallOptions("Ada")) as hosted:
        url, token = f"{hosted.addresses[0]}whip", hosted.tokens.source
        refused = ask(url, "POST", "/whip", token, an_offer(), **SDP)
        assert refused[0] == 409 and "choose it as the camera" in refused[2]
        assert ask(url, "POST", "/whip", hosted.tokens.guest, "v=0", **SDP)[0] == 401
        assert ask(url, "POST", "/whip", hosted.tokens.player, "v=0", **SDP)[0] == 401
        hosted.whip_camera = RemoteCamera("a source", lambda line: None)
        with closing(Source()) as source:
            status, _, answer = ask(url, "POST", "/whip", token, source.offer, **SDP)
            assert status == 201
            source.thread.wait(source.peers.accept(source.peer, answer))
            read_until(hosted.whip_camera, bright)
            end_s = time.monotonic() + 30
            while not hosted.call.sound.live:
                assert time.monotonic() < end_s
                time.sleep(0.05)
            hosted.whip_camera.close()  # the session has ended, the call goes on
            while len(hosted.call.peers):
                assert time.monotonic() < end_s
                time.sleep(0.05)


def test_of_what_was_decoded_meanwhile_the_newest_is_taken() -> None:
    async def watch() -> None:
        camera, track = RemoteCamera("a source", lambda line: None), RemoteStreamTrack("video")
        for grey in range(0, 250, 50):
            picture = np.full((64, 64, 3), grey, np.uint8)
            track._queue.put_nowait(av.VideoFrame.from_ndarray(picture, format="rgb24"))
        assert isinstance(camera.read(), NoPicture)  # from here on, somebody reads
        watching = asyncio.ensure_future(camera.watch(track))
        await asyncio.sleep(0.05)
        frame = camera.read()
        assert isinstance(frame, Frame) and frame.rgb.mean() == 200 and camera.dropped == 4
        track._queue.put_nowait(None)
        await watching

    asyncio.run(watch())


@pytest.mark.parametrize(
    ("codec", "key", "other"),
    [
        ("VP8", b"\x10\x02", b"\x11\x02"),
        ("H264", b"\x00\x00\x00\x01\x67\x42\x00\x00\x01\x65\x88", b"\x00\x00\x00\x01\x41\x9a"),
    ],
)
def test_what_is_decoded_too_slowly_is_thrown_away_up_to_a_key_frame(codec: str, key: bytes, other: bytes) -> None:
    class Codec:
        name = codec

    class Encoded:
        def __init__(self, data: bytes) -> None:
            self.data = data

    asked = threading.Event()
    waiting = DecoderQueue(asked)
    for data in [key, *[other] * (MOST_WAITING - 1)]:
        waiting.put((Codec, Encoded(data)))
    assert waiting.qsize() == MOST_WAITING and not asked.is_set()
    for _ in range(5):
        waiting.put((Codec, Encoded(other)))
    assert waiting.empty() and asked.is_set() and waiting.skipped == MOST_WAITING + 5
    for data in (key, other):
        waiting.put((Codec, Encoded(data)))
    assert [waiting.get()[1].data for _ in range(2)] == [key, other]
    waiting.put(None)
    assert waiting.get() is None
