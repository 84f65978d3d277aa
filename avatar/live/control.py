"""What may be changed while a session runs, from a key or from a page. Every method may be called from any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from avatar.identity.bundle import find_avatar
from avatar.identity.mattes import open_shown
from avatar.live.animator import reason
from avatar.live.governor import FULL
from avatar.live.session import Session
from avatar.retarget.gains import GAIN_REGIONS, MOST
from avatar.retarget.retargeter import Retargeter

GAIN_STEP = 0.1


class Control:
    """Turns what a person asks for into settings of the session."""

    def __init__(self, session: Session, avatars: Sequence[str], say: Callable[[str], None]) -> None:
        """avatars: the names among which `next_avatar` goes round, that of the avatar shown now among them."""
        self._session, self._avatars, self._say = session, list(avatars), say
        self.region = GAIN_REGIONS[0]  # whose gain `raise_gain` and `lower_gain` change
        self._loading: threading.Thread | None = None

    def recalibrate(self) -> None:
        self._retargeter.recalibrate()
        self._say("Calibrating: look straight ahead, mouth closed.")

    def toggle_freeze(self) -> None:
        self._retargeter.frozen = not self._retargeter.frozen

    def toggle_pause(self) -> None:
        self._retargeter.idle_only = not self._retargeter.idle_only

    def toggle_mirror(self) -> None:
        self._retargeter.mirror = not self._retargeter.mirror

    def toggle_follow(self) -> None:
        self._retargeter.follow = not self._retargeter.follow

    def next_region(self) -> None:
        self.region = GAIN_REGIONS[(GAIN_REGIONS.index(self.region) + 1) % len(GAIN_REGIONS)]

    def raise_gain(self) -> None:
        self.set_gain(self.region, self.gain(self.region) + GAIN_STEP)

    def lower_gain(self) -> None:
        self.set_gain(self.region, self.gain(self.region) - GAIN_STEP)

    def gain(self, region: str) -> float:
        return float(getattr(self._retargeter.gains, region))

    def set_gain(self, region: str, gain: float) -> None:
        """gain: of one of GAIN_REGIONS; 1 is as the driver moves. Brought into 0 … MOST."""
        self.set_gains({region: gain})

    def set_gains(self, gains: Mapping[str, float]) -> None:
        bounded = {region: round(min(max(gain, 0.0), MOST), 2) for region, gain in gains.items()}
        self._retargeter.gains = replace(self._retargeter.gains, **bounded)

    def next_avatar(self) -> None:
        """Show the next of the avatars. Loading it takes a moment, in which the present one goes on."""
        now = self._session.avatar.name
        others = [name for name in self._avatars if name != now]
        if not others:
            self._say("There is no other avatar. Enrol one: visavis enroll PHOTO… --name NAME")
            return
        following = [name for name in others if name > now]
        self.show((following or others)[0])

    def show(self, name: str) -> None:
        """Show the avatar of that name; what is wrong with it is said, and the present one stays."""
        if self._loading is not None and self._loading.is_alive():
            return

        def load() -> None:
            try:
                self._session.show(open_shown(find_avatar(name)))
            except Exception as failure:  # of whatever kind: nothing that is chosen ends the run
                self._say(f"{name} cannot be shown: {reason(failure)}.")

        self._loading = threading.Thread(target=load, name="visavis-load", daemon=True)
        self._loading.start()

    def quit(self) -> None:
        self._session.loop.stop()

    @property
    def state(self) -> str:
        """What is not as usual, in a few words: "mirrored, mouth 1.2"."""
        retargeter = self._retargeter
        words = [word for word, on in (
            ("paused", retargeter.idle_only), ("frozen", retargeter.frozen), ("mirrored", retargeter.mirror),
            ("followed", retargeter.follow), ("your own face", retargeter.absolute),
            (f"calibrating {retargeter.calibrated:.0%}", retargeter.calibrated < 1),
        ) if on]  # fmt: skip
        words += [f"{region} {self.gain(region):.1f}" for region in GAIN_REGIONS if self.gain(region) != 1.0]
        if self._session.level != FULL:
            words.append(self._session.animator.governor.words)
        return ", ".join(words)

    @property
    def _retargeter(self) -> Retargeter:
        return self._session.retargeter
