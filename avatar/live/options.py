"""What a live run looks like, whoever starts it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from avatar.live.background import Background
from avatar.render.engine_options import EngineOptions
from avatar.retarget.retargeter import ExpressionMode, Mode
from avatar.trust.label import LabelStyle


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """size: width and height of the published picture in pixels. background: the portrait's own where None.

    mode: whether the avatar takes the driver's head as it is ("absolute") or as it has moved since rest ("relative").
    expression: the same of the driver's face; "auto" takes that of the avatar's own person as it is.
    follow: the head stays in the middle of the picture, gently, as a camera operator keeps it.
    unlocked: name of an avatar that anybody may drive, though it is locked to its own person.
    label: of the visible one, which says that the picture is made by AI.
    sign_with: a PEM file with key and certificates that sign recordings; else a key of this computer.
    remember: the driver agrees that what is learnt of the face is kept for the next run, as of `driver_memory`.
    """

    size: tuple[int, int] = (512, 512)
    background: Background | None = None
    mode: Mode = "relative"
    expression: ExpressionMode = "auto"
    mirror: bool = False
    remember: bool = False
    follow: bool = False
    unlocked: str = ""
    engine: EngineOptions = field(default_factory=EngineOptions)
    label: LabelStyle = field(default_factory=LabelStyle)
    sign_with: Path | None = None
