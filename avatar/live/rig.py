"""One avatar with all that moves and draws it."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field

from avatar.core.avatar import Avatar
from avatar.live.canvas import Canvas
from avatar.live.latency import LatencyRecorder
from avatar.live.timed_engine import TimedEngine
from avatar.render.painter import Painter, open_painter
from avatar.retarget.retargeter import Retargeter
from avatar.trust.embedding import Marker
from avatar.trust.label import Label
from avatar.trust.mark_message import MarkMessage
from engines.engine import Engine


@dataclass
class Rig:
    """On one canvas: for another one there is another rig, which may share the rest."""

    avatar: Avatar
    canvas: Canvas
    retargeter: Retargeter
    engine: Engine
    latency: LatencyRecorder
    label: Label = field(default_factory=Label)
    drawn: Future[None] = field(default_factory=Future)  # once it is shown; or why it cannot be
    renderers: dict[int, Painter] = field(default_factory=dict)  # by the side of the picture that they draw
    marker: Marker = field(init=False)

    def __post_init__(self) -> None:
        self.marker = Marker(MarkMessage.of(self.avatar), self.canvas.width, self.canvas.height)

    def renderer(self, side_px: int) -> Painter:
        if side_px not in self.renderers:
            self.renderers[side_px] = self._opened(side_px, next(iter(self.renderers.values()), None))
        return self.renderers[side_px]

    def placed(self, canvas: Canvas, sides_px: Iterable[int]) -> Rig:
        """The same avatar, which goes on moving, in another picture. sides_px: at which it will be drawn."""
        rig = Rig(self.avatar, canvas, self.retargeter, self.engine, self.latency, self.label)
        before = dict(self.renderers)
        for side_px in sides_px:
            same = before.get(side_px)
            rig.renderers[side_px] = same or self._opened(side_px, next(iter(before.values()), None))
        return rig

    @property
    def shares_engine(self) -> bool:
        """Whether the network is that of all avatars, which take it over from each other."""
        return not self.avatar.fine_tuned

    def draws_with(self, other: Rig) -> bool:
        """Whether one engine draws both: that of all avatars, or that of one that both show."""
        return self.avatar is other.avatar or (self.shares_engine and other.shares_engine)

    def take_engine(self, engine: Engine) -> None:
        """Draw with another engine from here on."""
        if engine is not self.engine:
            self.engine = engine
            self.renderers = {side_px: self._opened(side_px, before) for side_px, before in self.renderers.items()}

    def _opened(self, side_px: int, beside: Painter | None) -> Painter:
        return open_painter(self.avatar, TimedEngine(self.engine, self.latency), side_px, beside=beside)
