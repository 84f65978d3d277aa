"""`visavis enroll`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from avatar.cli.offline import tracker_model_then_offline
from avatar.errors import InputError, UsageError
from avatar.identity.bundle import avatar_path, save_avatar
from avatar.identity.enrolment import CONSENT_NOTICE, MAX_PHOTOS, EnrolmentReport, PhotoReport, consent_record
from avatar.identity.enrolment import enroll as make_avatar
from avatar.model_files import MODEL_ID, model_file
from avatar.sources.photo import SUFFIXES
from engines import open_engine


def enroll(
    photos: Annotated[
        list[Path],
        typer.Argument(help=f"1 to {MAX_PHOTOS} photos of one person, or folders of them.", metavar="PHOTO"),
    ],
    name: Annotated[str, typer.Option(help="The avatar's name, for `visavis live NAME`.")],
    force: Annotated[bool, typer.Option("--force", help="Replace an avatar of this name.")] = False,
    consent: Annotated[
        str | None,
        typer.Option(help="The shown person's statement, kept in the avatar: who agreed to what.", metavar="TEXT"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what became of each photo as JSON.")] = False,
) -> None:
    """Make an avatar from photos: sharp, well lit, facing the camera, mouth closed. More photos help the likeness.

    Each photo is checked; the unfit ones are left out, with the reason. The best one becomes the portrait.

    Example: visavis enroll anna1.jpg anna2.jpg --name anna
    """
    path = avatar_path(name)
    if path.exists() and not force:
        raise UsageError(
            f"There is already an avatar {name!r} ({path}). Choose another --name, or add --force to replace it."
        )
    files = _pictures(photos)
    consent_record(consent)  # a bad statement is refused before the work, not after it
    # figures go to stdout, everything else beside them
    messages = Console(stderr=True, highlight=False, soft_wrap=True)
    if consent is None:
        messages.print(f"{CONSENT_NOTICE} Record it with --consent TEXT; none was given, and the avatar says so.")
    model, network = tracker_model_then_offline(messages), model_file("fast/embedder.onnx")
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=messages, transient=True) as bar:
        task = bar.add_task("starting", total=len(files) + 2)
        engine = open_engine(network)
        try:
            report = make_avatar(
                files,
                name,
                tracker_model=model,
                embedder=engine,
                model_id=MODEL_ID,
                consent=consent,
                progress=lambda line: bar.update(task, description=line, advance=1),
            )
        finally:
            engine.close()
    save_avatar(report.avatar, path)
    if as_json:
        print(json.dumps(_as_json(report, path), indent=2))
        return
    _print_table(report, Console(highlight=False))
    print(f"Wrote {path}\nNext: visavis live {name} --camera 0 --to preview")


def _pictures(given: list[Path]) -> list[Path]:
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


def _print_table(report: EnrolmentReport, console: Console) -> None:
    table = Table("", "face", "sharp", "turned", "light", "score", "photo", box=None, padding=(0, 2, 0, 0))
    for number, photo in enumerate((*report.used, *report.rejected)):
        if photo.reason is not None:
            verdict = Text("left out", style="red")
        else:
            verdict = Text("portrait" if number == 0 else "used", style="green")
        table.add_row(verdict, *_figures(photo), Text(photo.file_name, overflow="fold"))
    console.print(table)
    for photo in (*report.used, *report.rejected):
        remarks = [photo.reason] if photo.reason else photo.check.warnings if photo.check else ()
        for remark in remarks:
            # unwrapped, so that a long one stays one line of a log
            console.print(Text(f"{photo.file_name}: {remark}"), soft_wrap=True)


def _figures(photo: PhotoReport) -> list[str]:
    check = photo.check
    if check is None or check.face_px == 0:
        return [""] * 5
    turned = max(abs(check.yaw_deg), abs(check.pitch_deg))
    score = "" if photo.reason else f"{check.score:.2f}"
    return [f"{check.face_px:.0f} px", f"{check.sharpness:.2f}", f"{turned:.0f}°", f"{check.luma:.0f}", score]


def _as_json(report: EnrolmentReport, path: Path) -> dict[str, Any]:
    def photo_json(photo: PhotoReport) -> dict[str, Any]:
        return {
            "photo": photo.file_name,
            "sha256": photo.sha256,
            "used": photo.reason is None,
            "reason": photo.reason,
            "check": asdict(photo.check) if photo.check else None,
        }

    return {
        "avatar": str(path),
        "name": report.avatar.name,
        "model_id": report.avatar.model_id,
        "portrait": report.used[0].file_name,
        "photos": [photo_json(photo) for photo in (*report.used, *report.rejected)],
        "consent": report.avatar.consent,
    }
