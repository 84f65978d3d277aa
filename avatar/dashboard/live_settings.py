"""How an avatar moves and is labelled in a run, as a page sets it: at once, whichever avatar is shown by then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from avatar.core.errors import UsageError
from avatar.core.plain_text import plain_text
from avatar.dashboard.avatars import existing
from avatar.dashboard.live_choices import Wish
from avatar.identity.bundle import all_names
from avatar.identity.consent import unlocked
from avatar.live.control import Control
from avatar.live.session import Session
from avatar.retarget.gains import GAIN_REGIONS
from avatar.retarget.retargeter import expression_mode
from avatar.trust.label import LabelStyle
from engines import Say

SWITCHES = {"mirror": "mirror", "follow": "follow", "paused": "idle_only", "frozen": "frozen"}  # the retargeter's names


class LiveSettings:
    """Of one run. From any thread."""

    def __init__(self, session: Session, files: dict[str, Path], say: Say) -> None:
        """files: by name, of avatars that are not among the enrolled ones."""
        self._session, self._files = session, files
        self._control = Control(session, all_names(), say)

    def report(self) -> dict[str, Any]:
        """As a page shows them."""
        retargeter = self._session.retargeter
        return {
            **{name: getattr(retargeter, attribute) for name, attribute in SWITCHES.items()},
            "expression": retargeter.expression,
            "remember": self._session.memory.on,
            "label": self._session.animator.rig.label.style.as_json(),
            "gains": {region: float(getattr(retargeter.gains, region)) for region in GAIN_REGIONS},
        }

    def in_wish(self, wish: Wish) -> Wish:
        """With what holds now in place of what was wished for."""
        session, now = self._session, self._session.retargeter
        return replace(
            wish,
            avatar=session.avatar.name,
            mirror=now.mirror,
            follow=now.follow,
            expression=now.expression,
            remember=session.memory.on,
            label=session.animator.rig.label.style,
        )

    def change(self, name: str, value: object) -> Callable[[], None]:
        """What changes it, once all is known to be right. Raises UsageError, InputError."""
        session, control = self._session, self._control
        if name in SWITCHES and isinstance(value, bool):
            return lambda: setattr(session.retargeter, SWITCHES[name], value)
        if name == "expression":
            mode = expression_mode(value)
            return lambda: setattr(session.retargeter, "expression", mode)
        if name == "remember" and value is True:
            return session.memory.agree
        if name == "gains" and isinstance(value, dict):
            for region, gain in value.items():
                if region not in GAIN_REGIONS or isinstance(gain, bool) or not isinstance(gain, int | float):
                    raise UsageError(f"gains are numbers for {', '.join(GAIN_REGIONS)}.")
            return lambda: control.set_gains({region: float(gain) for region, gain in value.items()})
        if name == "label":
            style = LabelStyle.from_json(value)
            return lambda: session.label_as(style)
        if name == "unlock" and isinstance(value, str):
            rig = session.animator.rig  # which may not be shown any more when it is done
            unlocked(rig.avatar, value)  # so that nothing is done where this is refused
            path = self._files.get(rig.avatar.name) or existing(rig.avatar.name)
            return lambda: session.unlock(rig, path, value)
        if name == "calibrate" and value is True:
            return control.recalibrate
        raise UsageError(f"{plain_text(name, 40)} cannot be changed to {plain_text(repr(value), 80)}.")
