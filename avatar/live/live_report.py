"""What a live run was like: counts, rates, drops, and the latency of each stage."""

from __future__ import annotations

from dataclasses import dataclass

from avatar.live.governor import Short, in_words
from avatar.live.latency import StageLatency

CAPTURE_TO_TRACKED, CAPTURE_TO_PUBLISHED = "capture → tracked", "capture → published"
INTERVAL = "between two published"
STAGES = (
    "track", "retarget", "generator", "render", "compose", "mark", "hold", "publish",
    CAPTURE_TO_TRACKED, CAPTURE_TO_PUBLISHED, INTERVAL,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LiveReport:
    """What happened between the first and the last published frame."""

    captured: int
    tracked: int
    faceless: int  # tracked frames without a face
    published: int
    idled: int  # pictures made without a camera frame
    fps: float  # published frames per second
    seconds: float
    drops: dict[str, int]  # by the hop where frames were lost
    latency: dict[str, StageLatency]
    first_frame_ms: float  # from the start of the loop to the first published frame
    level: str  # of the governor, at the end
    lowest_level: str
    short: Short  # of time, at the end
    level_seconds: dict[str, float]  # how long the loop was at each level
    interrupted: bool

    @property
    def work(self) -> str:
        """How much work a frame is, and why not more: "drawn at half the size (drawing is behind)"."""
        return in_words(self.level, self.short)
