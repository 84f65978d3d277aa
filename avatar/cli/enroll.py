"""`visavis enroll`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress, TimeElapsedColumn

from avatar.cli.enroll_options import (
    CAMERA_S,
    FINETUNE_MINUTES,
    FineTuning,
    Source,
    checked_name,
    clip_by_its_name,
    pictures,
)
from avatar.cli.enroll_report import SEEN, clip_json, photos_json, print_clip, print_photos
from avatar.cli.liveness import lock_to_who_is_there
from avatar.cli.offline import tracker_model_then_offline
from avatar.cli.statement import NOTHING_SAID, Stated
from avatar.cli.terminal import Terminal, print_json
from avatar.core.avatar import Avatar
from avatar.core.avatar_name import avatar_name
from avatar.core.errors import UsageError
from avatar.core.frame import Frame, NoPicture
from avatar.identity.bundle import avatar_path
from avatar.identity.clip_enrolment import MAX_CLIP_S, ClipReport, SelfieClip, enroll_clip
from avatar.identity.clip_turn import turn_upright
from avatar.identity.enrolment import enroll as enroll_photos
from avatar.identity.enrolment_steps import EnrolmentOptions
from avatar.identity.ready_faces import refuse_hiding
from avatar.identity.selfie import SelfieReader
from avatar.live.avatar_file import keep_avatar
from avatar.sources.camera import Camera, PlayedFile, check_camera, open_camera
from avatar.sources.video_file import VideoFile

HINT_S = 1.0  # a hint stays at least this long


def enroll(
    source: Source,
    tuning: FineTuning,
    stated: Stated,
    name: Annotated[
        str | None, typer.Option(help="The avatar's name, for `visavis live NAME`: anna, 'Anna Smith', 张三.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an avatar of this name.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also print what was measured of photos.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what became of each photo or frame as JSON.")] = False,
) -> None:
    """Make an avatar from photos or a selfie clip: sharp, well lit, facing the camera. More of them help the likeness.

    Photos are checked; the unfit ones are left out, with the reason. The best one becomes the portrait. Of a clip, up
    to 32 frames are taken that differ: look straight, turn your head, talk, laugh, blink. Who enrols oneself before a
    camera is then asked for a few gestures, and the avatar moves for that person alone.

    Example: visavis enroll anna1.jpg anna2.jpg --name anna

    Example: visavis enroll selfie.mp4 --name anna --shows oneself

    Example: visavis enroll --camera 0 --seconds 20 --name anna --shows oneself
    """
    source = clip_by_its_name(source)
    name = checked_name(name, source, tuning, as_json)
    if stated.liveness is not None and source.camera is None:
        raise UsageError("--liveness and --no-liveness belong to --camera: a photo or a clip cannot do what is asked.")
    path, name = avatar_path(name), avatar_name(name)
    if path.exists() and not force:
        raise UsageError(
            f"There is already an avatar {name!r} ({path}). Choose another --name, or add --force to replace it."
        )
    refuse_hiding(name, path)
    # figures go to stdout, everything else beside them
    messages = Terminal(stderr=True)
    files = pictures(source.photos or [])
    clip = VideoFile(source.video) if source.video is not None else None
    if source.camera is not None:
        check_camera(source.camera)
    consent = stated.statement(messages, asks=not as_json)
    model = tracker_model_then_offline(messages, source.camera)
    making = _Making(name, model, EnrolmentOptions(consent, source.same_person, messages.note), messages, verbose)
    if clip is not None:
        seen = making.from_clip(clip, source.seconds or MAX_CLIP_S)
    elif source.camera is not None:
        challenged = stated.asks_for_gestures(consent, webcam=not Path(source.camera).is_file())
        seen = making.from_camera(open_camera(source.camera), source.seconds or CAMERA_S, challenged)
    else:
        seen = making.from_photos(files)
    avatar, as_figures, show = seen
    # None: another `enroll` may have been quicker
    keep_avatar(avatar, path, "any" if force else None, say=messages.note)
    if consent is None:
        messages.say(NOTHING_SAID)
    if as_json:
        print_json(as_figures(path))
        return
    out = Terminal()
    show(out)
    out.say(f"Wrote {path}")
    if tuning.finetune:
        from avatar.cli.finetune import finetune as finetune_command

        finetune_command(name, minutes=tuning.minutes or FINETUNE_MINUTES, as_json=False)
    else:
        out.say(f"Next: visavis live {path.stem}")


_Outcome = tuple[Avatar, Callable[[Path], dict[str, Any]], Callable[[Terminal], None]]


@dataclass(frozen=True)
class _Making:
    """The ways to an avatar, each with its bar and its messages."""

    name: str
    tracker_model: Path
    options: EnrolmentOptions
    messages: Terminal
    verbose: bool

    def from_photos(self, files: list[Path]) -> _Outcome:
        with self._bar() as bar:
            task = bar.add_task("starting", total=len(files) + 2)
            report = enroll_photos(
                files,
                self.name,
                self.tracker_model,
                self.options,
                lambda line: bar.update(task, description=line, advance=1),
            )
        return (
            report.avatar,
            lambda path: photos_json(report, path),
            lambda out: print_photos(report, out, self.verbose),
        )

    def from_clip(self, clip: VideoFile, seconds: float) -> _Outcome:
        self._turn(clip)
        with self._bar() as bar:
            task = bar.add_task(clip.path.name, total=min(clip.duration_s, seconds) or None)
            report = enroll_clip(
                SelfieClip(clip, str(clip.path), seconds=seconds),
                self.name,
                self.tracker_model,
                self.options,
                lambda done_s, reader: bar.update(task, completed=done_s),
            )
        return self._of_clip(report, clip)

    def from_camera(self, camera: Camera, seconds: float, challenged: bool) -> _Outcome:
        """Films until everything was seen, saying what was seen as it comes, and what to do next.

        challenged: then the person is asked for gestures, and the avatar is locked to who did them.
        """
        played = camera.video if isinstance(camera, PlayedFile) else None
        if played:
            self._turn(played)
        told: set[str] = set()
        hint, hinted_s = "", -HINT_S
        try:
            with self._bar() as bar:
                task = bar.add_task("filming", total=seconds)

                def progress(done_s: float, reader: SelfieReader) -> None:
                    nonlocal hint, hinted_s
                    for what, count in reader.coverage().shown.items():
                        if count and what not in told:
                            told.add(what)
                            self.messages.say(f"{done_s:4.1f} s  seen: {SEEN[what]}")
                    if reader.hint() != hint and done_s - hinted_s >= HINT_S:
                        hint, hinted_s = reader.hint(), done_s
                        self.messages.say(f"{done_s:4.1f} s  Now: {hint}")
                    bar.update(task, completed=done_s)

                clip = SelfieClip(_frames(camera), camera.name, live=True, seconds=seconds)
                report = enroll_clip(clip, self.name, self.tracker_model, self.options, progress)
            if challenged:
                avatar = lock_to_who_is_there(report.avatar, _frames(camera), self.tracker_model, self.messages)
                report = replace(report, avatar=avatar)
        finally:
            camera.close()
        return self._of_clip(report, played)

    def _turn(self, clip: VideoFile) -> None:
        if turned := turn_upright(clip, self.tracker_model):
            self.messages.note(f"Note: {turned}")

    def _of_clip(self, report: ClipReport, file: VideoFile | None) -> _Outcome:
        if file and file.damage:
            self.messages.note(f"Note: {file.damage}")
        return report.avatar, lambda path: clip_json(report, path), lambda out: print_clip(report, out)

    def _bar(self) -> Progress:
        return self.messages.progress(TimeElapsedColumn())


def _frames(camera: Camera) -> Iterator[Frame]:
    while (frame := camera.read()) is not None:
        if not isinstance(frame, NoPicture):
            yield frame
