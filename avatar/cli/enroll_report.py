"""What `visavis enroll` says of photos and of a clip: tables for people, dictionaries for `--json`."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from avatar.cli.terminal import Terminal
from avatar.core.printable import printable
from avatar.identity.clip_enrolment import ClipReport
from avatar.identity.enrolment import EnrolmentReport, PhotoReport
from avatar.identity.selfie_signs import WANTED

# What a clip holds, by the names of WANTED
SEEN = {
    "neutral": "a straight look, mouth closed",
    "left": "the head turned left",
    "right": "the head turned right",
    "up": "the chin raised",
    "down": "the chin lowered",
    "open": "the mouth wide open",
    "teeth": "teeth",
    "smile": "a smile",
    "round": "round lips",
    "shut": "closed eyes",
    "aside": "a look aside",
}
GROUPS = {
    "head": ("neutral", "left", "right", "up", "down"),
    "mouth": ("open", "smile", "round", "teeth"),
    "eyes": ("shut", "aside"),
}
FEW_FRAMES = 12
CROWDED = 0.2  # share of the frames with more than one face that is worth a word


def print_photos(report: EnrolmentReport, out: Terminal, measured: bool) -> None:
    """What became of each; measured: with the figures by which that was decided."""
    columns = ("face", "sharp", "turned", "light", "score") if measured else ()
    table = Table("", *columns, "photo", box=None, padding=(0, 2, 0, 0))
    for number, photo in enumerate((*report.used, *report.rejected)):
        if photo.reason is not None:
            verdict = Text("left out", style="red")
        else:
            verdict = Text("portrait" if number == 0 else "used", style="green")
        table.add_row(
            verdict, *(_figures(photo) if measured else ()), Text(printable(photo.file_name), overflow="fold")
        )
    out.print(table)
    for photo in (*report.used, *report.rejected):
        remarks = [photo.reason] if photo.reason else photo.check.warnings if photo.check else ()
        for remark in remarks:
            out.say(f"{photo.file_name}: {remark}")


def _figures(photo: PhotoReport) -> list[str]:
    check = photo.check
    if check is None or check.face_px == 0:
        return [""] * 5
    turned = max(abs(check.yaw_deg), abs(check.pitch_deg))
    score = "" if photo.reason else f"{check.score:.2f}"
    return [f"{check.face_px:.0f} px", f"{check.sharpness:.2f}", f"{turned:.0f}°", f"{check.luma:.0f}", score]


def photos_json(report: EnrolmentReport, path: Path) -> dict[str, Any]:
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


def print_clip(report: ClipReport, out: Terminal) -> None:
    """What the kept frames show, what is missing with how to add it, and what is doubtful."""
    coverage, kept = report.coverage, Counter(what for frame in report.frames for what in frame.shows)
    table = Table("", "found", "missing", box=None, padding=(0, 2, 0, 0))
    for group, names in GROUPS.items():
        found = [f"{SEEN[what]} ({kept[what]})" for what in names if kept[what]]
        missing = [SEEN[what] for what in names if not kept[what]]
        table.add_row(group, Text(", ".join(found), style="green"), Text(", ".join(missing), style="yellow"))
    out.print(table)
    yaw, pitch = (f"{round(turn[0])}° to {round(turn[1])}°" for turn in (coverage.yaw_deg, coverage.pitch_deg))
    unused = {"without a face": coverage.without_face, "of somebody else": coverage.of_others, **coverage.refused}
    left_out = "".join(f", {count} {why}" for why, count in unused.items() if count)
    lines = [
        f"{coverage.frames} frames looked at{left_out}; {len(report.frames)} kept. Head turned {yaw}, nodding {pitch}.",
        f"Portrait: the frame at {report.at_s(report.frames[0])} s.",
        *(f"Portrait: {doubt}." for doubt in report.frames[0].check.warnings),
        *_notes(report),
    ]
    if coverage.missing:
        lines.append(f"What nothing shows is made up. To add it, film again: {'; '.join(coverage.missing)}.")
    out.say(*lines)


def clip_json(report: ClipReport, path: Path) -> dict[str, Any]:
    return {
        "avatar": str(path),
        "name": report.avatar.name,
        "model_id": report.avatar.model_id,
        "portrait_at_s": report.at_s(report.frames[0]),
        "frames": [
            {
                "at_s": report.at_s(frame),
                "shows": [what for what in WANTED if what in frame.shows],
                "check": asdict(frame.check),
            }
            for frame in report.frames
        ],
        "coverage": asdict(report.coverage),
        "notes": _notes(report),
        "consent": report.avatar.consent,
    }


def _notes(report: ClipReport) -> list[str]:
    coverage, notes = report.coverage, []
    if len(report.frames) < FEW_FRAMES:
        notes.append(f"Only {len(report.frames)} frames differ enough to be kept: film 20 seconds, and move and talk.")
    if coverage.with_several_faces > CROWDED * coverage.frames:
        notes.append(
            f"{coverage.with_several_faces} frames show somebody else too; the face taken is the largest. "
            "Better film alone."
        )
    return notes
