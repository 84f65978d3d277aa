"""Publish to a WebRTC server by WHIP: a session that is made anew whenever it breaks."""

from __future__ import annotations

import asyncio
import logging

import aiohttp

from avatar.core.frame import Frame
from avatar.http.peer_text import CLIENT
from avatar.publish.publisher import Publisher
from avatar.webrtc.aiortc_patches.codecs import set_video_rates
from avatar.webrtc.avatar_track import AvatarVideo
from avatar.webrtc.congestion import BitRates
from avatar.webrtc.ice import Ice
from avatar.webrtc.media_thread import MediaThread
from avatar.webrtc.peers import Peers
from avatar.webrtc.sound import Sound
from avatar.webrtc.whip_session import WhipError, WhipSession
from avatar.webrtc.whip_target import WhipTarget
from engines import Say, on_stderr

REQUEST_S = 10.0
BACK_OFF_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)

logger = logging.getLogger(__name__)


class WhipPublisher(Publisher):
    """`--to whip:URL`. Connects in `open`, and again by itself, with growing pauses, whenever the connection breaks.

    A process that publishes by it must keep its network.
    """

    def __init__(
        self,
        target: WhipTarget,
        *,
        ice: Ice | None = None,
        codec: str | None = None,
        rates: BitRates | None = None,
        say: Say = on_stderr,
    ) -> None:
        self._target, self._ice, self._codec = target, ice or Ice(), codec
        self._rates, self._say = rates or BitRates(), say
        self.sound = Sound(lambda: self._video.latency_ns if self._video else 0)  # for a microphone's samples
        self.connects = self._dropped_before = 0
        self._thread: MediaThread | None = None
        self._video: AvatarVideo | None = None
        self._keeping: asyncio.Task[None] | None = None

    @property
    def dropped(self) -> int:  # type: ignore[override]
        return self._dropped_before + (self._video.dropped if self._video else 0)

    def open(self, width: int, height: int, fps: float) -> None:
        self._thread = MediaThread("visavis-whip")
        self._video = AvatarVideo(self._thread.loop)
        set_video_rates(self._rates, fps)
        if self._target.token and self._target.exposed:
            self._say(f"The token travels unencrypted to {self._target.url}: use https outside of your own network.")
        self._thread.wait(self._start(self._video))

    def send(self, frame: Frame) -> None:
        assert self._video is not None, "open comes first"
        self._video.put(frame)

    def close(self) -> None:
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._dropped_before, self._video = self.dropped, None
        try:
            thread.wait(self._stop(), REQUEST_S * 2)
        except TimeoutError:
            self._say(f"{self._target.url} did not confirm the end of the session.")
        finally:
            thread.close()

    async def _start(self, video: AvatarVideo) -> None:
        """Returns after the first connection; raises WhipError when that fails for good or twice."""
        first = asyncio.get_running_loop().create_future()
        self._keeping = asyncio.ensure_future(self._keep(video, first))
        self._keeping.add_done_callback(lambda keeping: _ended(keeping, first))
        await first

    async def _stop(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])

    async def _keep(self, video: AvatarVideo, first: asyncio.Future[None]) -> None:
        """Hold one session at the server until cancelled."""
        failures, ice = 0, self._ice
        timeout = aiohttp.ClientTimeout(total=REQUEST_S)
        async with aiohttp.ClientSession(timeout=timeout, headers=CLIENT) as http:
            while True:
                session = WhipSession(self._target, Peers(ice, self._codec), http)
                try:
                    peer = await session.start(video, self.sound)
                    self.connects, failures = self.connects + 1, 0
                    if not first.done():
                        first.set_result(None)
                    assert peer.guard is not None
                    await asyncio.wait([peer.guard])
                    self._say(f"The connection to {self._target.url} broke; connecting again.")
                except Exception as error:
                    failures += 1
                    if isinstance(error, WhipError):
                        refusal = error
                    else:
                        logger.exception("publishing failed")
                        refusal = WhipError(f"Publishing to {self._target.url} failed: {error!r}.")
                    if not first.done() and (refusal.lasting or failures > 1):
                        first.set_exception(refusal)
                        return
                    self._say(f"{refusal} Trying again.")
                finally:
                    await asyncio.shield(session.end())
                ice = self._ice.completed(session.learned)
                await asyncio.sleep(BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)])


def _ended(keeping: asyncio.Task[None], first: asyncio.Future[None]) -> None:
    """Nobody waits for ever, and no end is silent."""
    error = None if keeping.cancelled() else keeping.exception()
    if error is None:
        first.cancel()
    elif first.done():
        logger.error("publishing ended", exc_info=error)
    else:
        first.set_exception(error)
