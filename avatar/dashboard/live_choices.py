"""What the page may choose for a live run. Never a path: an id or a number that is checked against what there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from avatar.core.arrays import Picture
from avatar.core.errors import UsageError, VisavisError
from avatar.dashboard.cut_off_recordings import cut_off_recordings
from avatar.dashboard.recordings import recordings_folder
from avatar.live.background import Background, parse_background
from avatar.live.framing import parse_size
from avatar.live.options import LiveOptions
from avatar.live.outputs import open_publisher
from avatar.publish.publisher import Publisher
from avatar.render.engine_options import EngineOptions
from avatar.retarget.retargeter import expression_mode
from avatar.sources.camera import CameraOrMotion, open_camera_or_motion
from avatar.sources.nobody import Nobody
from avatar.sources.v4l2 import video_devices
from avatar.trust.label import LabelStyle
from engines import Say, available_backends
from engines.backends import LABELS

SMALLEST = "512x512"
SIZES = (SMALLEST, "640x480", "1280x720", "1920x1080")
VIRTUAL_CAMERA = "virtual-camera"
PICTURE = "picture"  # the background that a page has sent


@dataclass(frozen=True, slots=True)
class CameraChoice:
    """A camera that the page may choose by `id`. Its path, if it has one, never comes from the page."""

    id: str
    name: str
    open: Callable[[Say], CameraOrMotion]
    listed: bool = True  # else it is there for whoever knows the id


@dataclass(frozen=True, slots=True)
class Wish:
    """What the page asks to run."""

    avatar: str
    camera: str  # an id; "": none, so that the avatar idles
    engine: str = "auto"
    virtual_camera: bool = False
    size: str = "512x512"
    background: str = "portrait"  # or "blur", "#rrggbb", or PICTURE
    mirror: bool = False
    recording: bool = False  # into the folder of recordings
    follow: bool = False
    expression: str = "auto"
    remember: bool = False  # the person at the page agrees that what is learnt of the face is kept
    label: LabelStyle = field(default_factory=LabelStyle)

    @classmethod
    def of(cls, wanted: dict[str, Any]) -> Wish:
        """Raises UsageError for what lacks a part, has one too many, or one of another kind."""
        label = {"label": LabelStyle.from_json(wanted["label"])} if "label" in wanted else {}
        try:
            wish = cls(**wanted | label)
        except TypeError:
            raise UsageError("A live session needs an avatar and a camera.") from None
        texts = (wish.avatar, wish.camera, wish.engine, wish.size, wish.background, wish.expression)
        switches = (wish.virtual_camera, wish.recording, wish.mirror, wish.follow, wish.remember)
        if not all(isinstance(text, str) for text in texts) or not all(isinstance(on, bool) for on in switches):
            raise UsageError(
                "avatar, camera, engine, size, background and expression are texts; the others true or false."
            )
        return wish

    def changed(self, wanted: dict[str, Any]) -> Wish:
        """With some parts in place of its own. Raises UsageError as `of` does."""
        own = {part: getattr(self, part) for part in asdict(self) if part != "label"}
        return replace(Wish.of(own | wanted), label=self.label)

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"label": self.label.as_json()}


def _silent(line: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Given:
    """What the program gives its page beside what this computer has."""

    cameras: Sequence[CameraChoice] = ()  # before the webcams that there are
    publishers: Callable[[], Sequence[Publisher]] = tuple  # that always get the avatar, such as a call; for each run
    engine: EngineOptions = field(default_factory=EngineOptions)  # but for the backend, which the page chooses
    sign_with: Path | None = None  # as of LiveOptions
    say: Say = _silent  # is told what the page is told


class LiveChoices:
    """What there is to choose from, and what a wish comes to."""

    def __init__(self, given: Given) -> None:
        self._given = given
        self._sizes = list(SIZES)
        self.picture: Picture | None = None  # of the background PICTURE

    def table(self) -> dict[str, Any]:
        """What can be chosen on this computer, now. Looks at the devices: not for an event loop."""
        backends = available_backends().items()
        return {
            "cameras": [{"id": choice.id, "name": choice.name} for choice in self._cameras() if choice.listed],
            "virtual_camera": _virtual_camera(),
            "engines": [
                {"id": "auto", "name": "The fastest", "problem": None},
                *({"id": name, "name": LABELS[name], "problem": problem} for name, problem in backends),
            ],
            "sizes": list(self._sizes),
            "picture": self.picture is not None,
            "recordings": str(recordings_folder()),
            "cut_off": cut_off_recordings(),
        }

    def check(self, wish: Wish) -> None:
        """Raises UsageError for what a page cannot choose, whichever avatar and camera it is."""
        if wish.size not in self._sizes:
            raise UsageError(f"The size {wish.size} is not one of {', '.join(self._sizes)}.")
        if wish.engine != "auto" and wish.engine not in LABELS:
            raise UsageError(f"There is no engine {wish.engine}.")
        self._background(wish.background)
        expression_mode(wish.expression)

    def allow_size(self, size: str) -> None:
        """The page may choose it too: the command line has."""
        if size not in self._sizes:
            self._sizes.append(size)

    def camera(self, wish: Wish) -> CameraChoice:
        """Raises UsageError when it is not there."""
        if not wish.camera:
            return CameraChoice("", Nobody.name, lambda say: Nobody())
        camera = next((choice for choice in self._cameras() if choice.id == wish.camera), None)
        if camera is None:
            raise UsageError("That camera is not there. Plug it in, then look for cameras again.")
        return camera

    def options(self, wish: Wish) -> LiveOptions:
        """Raises UsageError."""
        return LiveOptions(
            size=parse_size(wish.size),
            background=self._background(wish.background),
            expression=expression_mode(wish.expression),
            mirror=wish.mirror,
            follow=wish.follow,
            remember=wish.remember,
            engine=replace(self._given.engine, backend=wish.engine, measured_later=True),
            label=wish.label,
            sign_with=self._given.sign_with,
        )

    def _background(self, text: str) -> Background:
        """Raises UsageError."""
        if text == PICTURE and self.picture is not None:
            return Background("picture", self.picture)
        if text not in ("portrait", "blur") and not (text.startswith("#") and len(text) == 7):
            raise UsageError("The background is portrait, blur, a colour such as #203040, or a picture that was sent.")
        return parse_background(text)

    def _cameras(self) -> list[CameraChoice]:
        devices = [device for device in video_devices() if device.captures and not device.loopback]
        names = camera_names([device.card for device in devices])
        webcams = [
            CameraChoice(device.path, name, _opener(device.path)) for device, name in zip(devices, names, strict=True)
        ]
        return [*webcams, *self._given.cameras]


def camera_names(cards: Sequence[str]) -> list[str]:
    """What drivers call cameras, as people do: without what they repeat; those of one name are numbered.

    >>> camera_names(["Integrated Camera: Integrated C", "Webcam", "Webcam"])
    ['Integrated Camera', 'Webcam', 'Webcam 2']
    """
    names: list[str] = []
    for card in cards:
        name, _, rest = card.replace("_", " ").partition(": ")
        whole = name if rest and name.startswith(rest) else card.replace("_", " ")
        count = sum(other == whole or other.rpartition(" ")[0] == whole for other in names)
        names.append(f"{whole} {count + 1}" if count else whole)
    return names


def _opener(path: str) -> Callable[[Say], CameraOrMotion]:
    return lambda say: open_camera_or_motion(path, say=say)


def _virtual_camera() -> dict[str, Any]:
    """`problem`: why there is none, and how to have one; `name`: which it will be."""
    lines: list[str] = []
    try:
        open_publisher(VIRTUAL_CAMERA, lines.append)
    except VisavisError as error:
        return {"name": "", "problem": str(error)}
    return {"name": " ".join(lines), "problem": None}
