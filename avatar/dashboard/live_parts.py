"""The parts of a run that a page exchanges while it goes on: avatar, camera, size, background, publishers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import replace
from typing import Any

from avatar.core.errors import UsageError, VisavisError
from avatar.core.file_name import Version, version
from avatar.dashboard.avatars import existing
from avatar.dashboard.live_choices import PICTURE, VIRTUAL_CAMERA, LiveChoices, Wish
from avatar.dashboard.recordings import Recordings
from avatar.identity.bundle import named_avatar
from avatar.identity.mattes import open_avatar
from avatar.live.outputs import open_publisher
from avatar.live.session import Session
from avatar.publish.publisher import Publisher
from engines import EngineFailure, Say

LOOK = ("size", "background")
PARTS = ("avatar", "camera", *LOOK, "virtual_camera", "recording")  # of a Wish
DRAWN_S = 10.0  # until a change is drawn; later where the engine has failed, and the picture is held


class LiveParts:
    """Of one run. `wish` tells what holds now, but for the avatar. From any thread: changes of one kind wait for each
    other, and a background not for a camera."""

    def __init__(self, session: Session, choices: LiveChoices, recordings: Recordings, wish: Wish, say: Say) -> None:
        self.wish = replace(wish, recording=False)
        self._session, self._choices, self._recordings, self._say = session, choices, recordings, say
        self._virtual_camera: Publisher | None = None
        camera, look, publishers = threading.Lock(), threading.Lock(), threading.Lock()
        self._locks = {"camera": camera, "virtual_camera": publishers, "recording": publishers}
        self._locks |= dict.fromkeys(("avatar", *LOOK), look)
        self._wishing = threading.Lock()
        self._asked_for = wish.avatar  # last
        self._shown = _version(wish.avatar)  # of the file: it is shown anew where that has changed

    def changes(self, wanted: dict[str, Any]) -> Callable[[], None]:
        """What makes those changes, each while the picture goes on; the first that fails is raised, and the rest left.

        wanted: some of PARTS, as of a Wish. Raises UsageError for what cannot be chosen, NotThereError without the
        avatar. What is returned raises UsageError, InputError, DeviceError; then that part is as it was.
        """
        wish = self.wish.changed(wanted)
        self._choices.check(wish)
        if "camera" in wanted:
            self._choices.camera(wish)
        if "avatar" in wanted:
            existing(wish.avatar)
            self._asked_for = wish.avatar

        def change() -> None:
            for part in sorted(wanted, key=lambda part: self._order(part, wanted[part])):
                with self._locks[part]:
                    self._change(part, wanted)

        return change

    def go_on_without_camera(self) -> None:
        """When it ends, as a video does, or fails, the avatar idles; without this, that is the end of the run."""

        def ended(told: str) -> None:
            self._now(camera="")
            self._say(told)

        self._session.camera.at_end = ended

    def publish_virtually(self, camera: Publisher) -> None:
        """By a virtual camera that `open_publisher` gave."""
        self._session.add(camera)
        self._virtual_camera = camera
        self._now(virtual_camera=True)

    def record(self) -> None:
        recorder = self._recordings.begin(self._session.avatar.name)
        try:
            self._session.add(recorder)
        except BaseException:
            self._recordings.ended()
            raise
        self._now(recording=True)
        self._say(f"Recording into {recorder.path}")

    def _order(self, part: str, value: object) -> int:
        """What keeps the size is switched off before it changes, and on after that."""
        return {False: 0, True: 2}[value] if isinstance(value, bool) else 1

    def _change(self, part: str, wanted: dict[str, Any]) -> None:
        value = wanted[part]
        if part == "avatar":
            self._show(value)
            return
        if value == getattr(self.wish, part) and value != PICTURE:  # that may be another one
            return
        if part == "camera":
            self._session.drive_by(self._choices.camera(replace(self.wish, camera=value)).open(self._say))
            self._now(camera=value)
        elif part in LOOK:
            wish = self.wish.changed({name: wanted[name] for name in LOOK if name in wanted})  # both at once
            options = self._choices.options(wish)
            _wait(self._session.look(options.size, options.background))
            self._now(**{name: getattr(wish, name) for name in LOOK if name in wanted})
        elif part == "virtual_camera":
            self._switch_virtual_camera(value)
        elif value:
            self.record()
        else:
            self._end_recording()

    def _now(self, **parts: Any) -> None:
        with self._wishing:
            self.wish = replace(self.wish, **parts)

    def _show(self, name: str) -> None:
        if name != self._asked_for:  # somebody clicked on, while this one waited
            return
        now = _version(name)
        if (name, now) == (self._session.avatar.name, self._shown):
            return
        try:
            _wait(self._session.show(open_avatar(existing(name))))
        except EngineFailure as failure:
            raise VisavisError(str(failure)) from failure
        self._shown = now

    def _switch_virtual_camera(self, on: bool) -> None:
        if on:
            self.publish_virtually(open_publisher(VIRTUAL_CAMERA, self._say))
        elif (camera := self._virtual_camera) is not None:
            self._virtual_camera = None
            self._now(virtual_camera=False)  # whatever it says at its end
            self._session.remove(camera)

    def _end_recording(self) -> None:
        if (now := self._recordings.now) is None:
            return
        self._now(recording=False)
        try:
            self._session.remove(now.recorder)
        finally:
            self._recordings.ended()


def _version(name: str) -> Version | None:
    """Of the avatar's file; None of one that lies elsewhere."""
    path = named_avatar(name)
    return None if path is None else version(path)


def _wait(drawn: Future[None]) -> None:
    """Raises VisavisError where it cannot be drawn."""
    with suppress(TimeoutError):
        try:
            drawn.result(DRAWN_S)
        except CancelledError:
            raise UsageError("That was overtaken by another choice, or by the end of the run.") from None
