"""A live run in figures, second by second, as the page draws them."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import numpy as np

from avatar.dashboard.preview import PagePreview
from avatar.live.live_report import CAPTURE_TO_PUBLISHED, LiveReport
from avatar.live.session import Session

SECONDS_KEPT = 120


class LiveFigures:
    """Of one run."""

    def __init__(self, preview: PagePreview) -> None:
        self._preview = preview
        self.seconds: deque[dict[str, Any]] = deque(maxlen=SECONDS_KEPT)
        self.latency_ms: float | None = None  # capture → published, of the last second
        self.report: LiveReport | None = None  # as it stands now, or at the end

    def add(self, session: Session, now: LiveReport) -> dict[str, Any]:
        """The figures of the second that has passed."""
        newest = session.latency.newest(CAPTURE_TO_PUBLISHED, max(1, round(now.fps)))
        self.latency_ms = float(np.median(newest)) if newest.size else None
        second = self._preview.second()
        before, self.report = self.report, now
        tracked = now.tracked - (before.tracked if before else 0)
        faceless = now.faceless - (before.faceless if before else 0)
        figures = {
            "fps": second.fps,
            "p50_ms": second.p50_ms,
            "p99_ms": second.p99_ms,
            "drops": sum(now.drops.values()) - (sum(before.drops.values()) if before else 0),
            "dropped": now.drops,
            "faceless": 0 < tracked == faceless,
            "idle": tracked == 0,
            "level": now.work,
            "short": now.short,
            "backend": session.engine.backend,
            "calibrated": round(session.retargeter.calibrated, 2),
            "at_s": round(time.time(), 1),
        }
        self.seconds.append(figures)
        return figures
