"""The live loop's way into a call."""

from __future__ import annotations

from avatar.core.frame import Frame
from avatar.publish.publisher import Publisher
from avatar.webrtc.aiortc_patches.codecs import set_video_rates
from avatar.webrtc.avatar_track import AvatarVideo
from avatar.webrtc.congestion import BitRates


class CallPublisher(Publisher):
    """Hands every frame to the viewers of `video`, who come and go. The call goes on after the loop has ended."""

    def __init__(self, video: AvatarVideo, rates: BitRates) -> None:
        self._video, self._rates = video, rates
        self._size = 0, 0

    @property
    def dropped(self) -> int:  # type: ignore[override]
        return self._video.dropped

    @property
    def watched(self) -> bool:  # type: ignore[override]
        return self._video.watched

    def open(self, width: int, height: int, fps: float) -> None:
        set_video_rates(self._rates, fps)
        self._size = width, height

    def send(self, frame: Frame) -> None:
        self._size = frame.rgb.shape[1], frame.rgb.shape[0]
        self._video.put(frame)

    def close(self) -> None:
        """Viewers see a dark card, not the last picture."""
        if all(self._size):
            self._video.put_card(*self._size)
