"""What label and invisible mark cost a live run: with and without them in turn, in one run.

    python benchmarks/marking.py NAME --minutes 3 --markdown     # an avatar; its own portrait moves before the camera

Figures are processor time of all threads for each published picture, the tracker's process aside, which sees none of
it and is only added to what the ratios compare. A busy computer disturbs them little: each stretch with is compared
with the ones without beside it. No command of visavis leaves the mark out; this one publishes nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from statistics import median

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from avatar.core.arrays import Picture
from avatar.identity.bundle import find_avatar
from avatar.identity.mattes import open_avatar
from avatar.live.framing import parse_size
from avatar.live.live_report import LiveReport
from avatar.live.options import LiveOptions
from avatar.live.session import Session, open_session
from avatar.profiling.profile import Memory
from avatar.profiling.usage import tree_usage
from avatar.sources.portrait_camera import PortraitCamera
from avatar.tracking.model_asset import tracker_model
from avatar.trust.embedding import Marker
from avatar.trust.label import LabelStyle
from benchmarks.reporting import machine, print_table

STRETCH_S = 6  # its first second is left out
WITH, LABEL_ALONE, WITHOUT = "label and mark", "label alone", "neither"
TURNS = (WITH, WITHOUT, LABEL_ALONE, WITHOUT)


class NoMarker(Marker):
    def mark(self, picture: Picture) -> Picture:
        return picture


@dataclass
class Turns:
    """Changes what is drawn, and adds up what it took. Called once a second."""

    session: Session
    stretches: list[tuple[str, float]] = field(default_factory=list)  # with milliseconds of one core for a picture
    tracker: list[float] = field(default_factory=list)  # the same, of the tracker's process
    _seconds: int = 0
    _before: tuple[float, float, int] = (0.0, 0.0, 0)  # CPU seconds here and in the tracker, pictures

    def __post_init__(self) -> None:
        rig = self.session.animator.rig
        self._marker, self._none = rig.marker, NoMarker(rig.marker.message, rig.canvas.width, rig.canvas.height)

    def second(self, now: LiveReport) -> None:
        rig, at = self.session.animator.rig, self._seconds % STRETCH_S
        here = time.process_time()
        used = here, tree_usage(psutil.Process())[0] - here, now.published
        if at == 1:
            self._before = used
        elif at == 0 and self._seconds:
            here_s, tracker_s, pictures = (after - before for after, before in zip(used, self._before, strict=True))
            self.stretches.append((self._way(-1), 1e3 * here_s / max(1, pictures)))
            self.tracker.append(1e3 * tracker_s / max(1, pictures))
        if at == 0:
            way = self._way(0)
            rig.marker = self._marker if way == WITH else self._none
            rig.label.style = LabelStyle(left_out="a benchmark" if way == WITHOUT else "")
        self._seconds += 1

    def _way(self, off: int) -> str:
        return TURNS[(self._seconds // STRETCH_S + off) % len(TURNS)]

    def rows(self) -> list[list[str]]:
        plain = median(cost for way, cost in self.stretches if way == WITHOUT)
        aside = median(self.tracker)
        rows = [[WITHOUT, f"{plain:.2f} + {aside:.1f}", "", ""]]
        for wanted in (LABEL_ALONE, WITH):
            beside = [
                (cost, (before + after) / 2)
                for (_, before), (way, cost), (_, after) in zip(
                    self.stretches, self.stretches[1:], self.stretches[2:], strict=False
                )
                if way == wanted
            ]
            more = median(cost - without for cost, without in beside)
            share = median((cost + aside) / (without + aside) for cost, without in beside)
            rows.append(
                [wanted, f"{median(cost for cost, _ in beside):.2f} + {aside:.1f}", f"{more:+.2f}", f"{share:.3f}"]
            )
        return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="an avatar")
    parser.add_argument("--size", default="512x512", help="of the published picture")
    parser.add_argument("--fps", type=float, default=10.0, help="few: so a busy computer leaves none out")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--markdown", action="store_true")
    given = parser.parse_args()
    avatar = open_avatar(find_avatar(given.name))
    camera, options = PortraitCamera(avatar.portraits[0], given.fps), LiveOptions(size=parse_size(given.size))
    with open_session(avatar, tracker_model(), camera, [Memory()], options) as session:
        turns = Turns(session)
        report = session.loop.run(60 * given.minutes, each_second=turns.second)
    print(f"{machine()}, {date.today()}; {report.fps:.1f} pictures a second, {len(turns.stretches)} stretches\n")
    columns = ("drawn", "ms of one core for a picture, + tracker", "more", "ratio")
    print_table(columns, [(row, None) for row in turns.rows()], markdown=given.markdown)


if __name__ == "__main__":
    main()
