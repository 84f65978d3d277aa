"""Says whose face drives, once each time that this changes how it is read."""

from __future__ import annotations

from collections.abc import Callable

from avatar.retarget.retargeter import Retargeter

OWN_FACE = "This is your own face: {name} shows your expression as it is."
LOCKED = "{name} moves for its own person alone, and this face is not known as that person's: it idles."
UNLOCKED = "{name} knows its own person again."
OTHER_FACE = "This is another face than {name}'s own: from here on its changes drive the avatar, not its shape."


def lock_words(name: str, retargeter: Retargeter) -> str | None:
    """Why the avatar `name` does not move for whoever is there; None where it may."""
    return LOCKED.format(name=name) if retargeter.locked else None


class WhoseFace:
    """Follows the avatar that is shown."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._told: tuple[str, bool] | None = None
        self._locked = False

    def tell(self, name: str, retargeter: Retargeter) -> None:
        """After each frame that drives the avatar `name`."""
        if retargeter.locked != self._locked:
            self._locked = retargeter.locked
            self._say((LOCKED if self._locked else UNLOCKED).format(name=name))
        now = name, retargeter.whose == "own" and retargeter.absolute
        if now == self._told:
            return
        before, self._told = self._told, now
        if now[1]:
            self._say(OWN_FACE.format(name=name))
        elif before == (name, True):
            self._say(OTHER_FACE.format(name=name))
