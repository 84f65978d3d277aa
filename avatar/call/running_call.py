"""A call that runs with its page and the live session whose picture the others see: what `visavis call` is made of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from avatar.call.cameras import CallCameras
from avatar.call.hosted_call import HostedCall
from avatar.call.hosting import CallOptions, host_call
from avatar.dashboard.dashboard import Dashboard
from avatar.dashboard.live_choices import Given, Wish
from avatar.dashboard.live_run import LiveRun
from avatar.publish.publisher import Publisher
from avatar.render.engine_options import EngineOptions
from avatar.tracking.model_asset import tracker_model
from avatar.trust.label import LabelStyle
from avatar.webrtc.publisher import CallPublisher
from engines import Say


class RunningCall:
    """`start` shows an avatar without anybody's choosing it on the page; `stop` ends whatever is shown then."""

    def __init__(self, hosted: HostedCall, live: LiveRun, camera: str, backend: str) -> None:
        self.hosted, self.live = hosted, live
        self.sent_ms = self.lips_ms = 0.0  # capture → encoder, and sound after picture, as they were at the end
        self._camera, self._backend = camera, backend

    def start(self, avatar: str, bundle: Path, size: str, label: LabelStyle) -> None:
        """avatar: the name that is stored in `bundle`."""
        self.live.start(Wish(avatar, self._camera, self._backend, size=size, label=label), bundle)

    def stop(self) -> None:
        self.live.close()
        self.sent_ms = self.hosted.call.video.latency_ns / 1e6
        self.lips_ms = self.hosted.call.sound.lip_offset_ms

    @property
    def viewers(self) -> int:
        return sum(peer["state"] == "connected" for peer in self.hosted.call.peers.figures())

    def show_figures(self) -> None:
        """Give the page the figures of this moment, while an avatar is shown."""
        now, latency_ms = self.live.figures.report, self.live.figures.latency_ms
        if now is not None and self.live.shows is not None:
            self.hosted.figures = {
                "fps": round(now.fps, 1),
                "latency_ms": None if latency_ms is None else round(latency_ms, 1),
                "drops": now.drops,
                "faceless": now.faceless,
            }


@contextmanager
def run_call(
    options: CallOptions, cameras: CallCameras, engine: EngineOptions, say: Say, sign_with: Path | None = None
) -> Iterator[RunningCall]:
    """Host a call and its page. engine: what draws the avatar. sign_with: as of LiveOptions. Raises as `host_call`."""

    def publishers() -> list[Publisher]:
        return [CallPublisher(cameras.hosted.call.video, options.rates)]

    dashboard = Dashboard(tracker_model, Given(cameras.choices, publishers, engine, sign_with, say))
    with host_call(options, dashboard=dashboard, say=say) as hosted:
        cameras.hosted = hosted
        yield RunningCall(hosted, dashboard.live, cameras.first, engine.backend)


def ended_by_itself(live: LiveRun) -> bool:
    """Whether the command's own session has ended by itself. One that the page started later ends no call."""
    return live.ended_by_itself and live.starts == 1
