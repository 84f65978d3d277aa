"""`visavis finetune`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from avatar.cli.options import AvatarName


def finetune(
    name: AvatarName,
    minutes: Annotated[float, typer.Option(help="Stop after so many minutes at the latest.", min=0.1, max=600.0)] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Make `fast-3` the person's own, by adversarial steps on the enrolled photos; keep it only if it is better.

    The more photos or frames were enrolled, the more there is to learn: `visavis enroll --video SELFIE.mp4`.

    Example: visavis finetune ada --minutes 5
    """
    from rich.progress import TimeElapsedColumn

    from avatar.cli.terminal import Terminal, print_json
    from avatar.core.errors import UsageError
    from avatar.core.extras import without_torch
    from avatar.core.file_name import version
    from avatar.identity.bundle import find_avatar, load_avatar
    from avatar.identity.ready_faces import refuse_ready_face
    from avatar.live.avatar_file import keep_changed
    from avatar.sandbox.no_network import refuse_network

    try:
        from avatar.learning.finetune import finetune as tune
        from avatar.learning.finetune import leave_a_core
    except ModuleNotFoundError as error:
        raise without_torch("Fine-tuning", error) from error
    path = find_avatar(name)
    refuse_ready_face(path)
    before = version(path)
    avatar = load_avatar(path)
    if avatar.fine_tuned:
        raise UsageError(f"{path} is fine-tuned already. Enrol the photos again first: `visavis enroll … --force`.")
    refuse_network()
    leave_a_core()
    with Terminal(stderr=True).progress(TimeElapsedColumn()) as bar:
        task = bar.add_task("starting", total=1.0)
        report = tune(
            avatar,
            minutes=minutes,
            progress=lambda share, line: bar.update(task, completed=share, description=line),
        )
    if report.kept:
        keep_changed(report.avatar, path, path, before)  # enrolled anew or deleted in these minutes: then not
    figures = {key: value for key, value in asdict(report).items() if key != "avatar"}
    if as_json:
        print_json({"avatar": path, **figures})
        return
    out = Terminal()
    if report.feed_forward and report.fine_tuned:
        out.say(f"{report.steps} steps in {report.seconds:.0f} s; examined on {report.held_out_photos} photos held out")
        for label, before, after in zip(
            ("feature distance", "identity distance", "sharpness, of the real picture's"),
            asdict(report.feed_forward).values(),
            asdict(report.fine_tuned).values(),
            strict=True,
        ):
            out.say(f"  {label}: {before:.4f} feed-forward, {after:.4f} fine-tuned")
    if report.kept:
        out.say(f"Kept: {report.reason}. Wrote {path}", f"Next: visavis live {path.stem}")
    else:
        longer = f" `visavis finetune {path.stem} --minutes {report.longer_minutes}`" if report.longer_minutes else ""
        out.say(f"Not kept: {report.reason}. {path} stays as it was. {report.advice}{longer}")
