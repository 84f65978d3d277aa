"""The pictures of an evaluation on disk, so that anybody can recompute every figure."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from avatar.core.errors import UsageError
from avatar.evaluation.clip import SIZE_PX, Clip, Pictures
from avatar.evaluation.contact_sheet import Sheet
from avatar.evaluation.cross_reenactment import CrossRun
from avatar.evaluation.person import BASELINES

FRAMES_FILE = "frames.json"
OWN_NAMES = rf"{re.escape(FRAMES_FILE)}|shots_[0-9]+"


def check_folder(folder: Path, names: list[str]) -> None:
    """Can results of these names be written there? Asked before the work. Raises UsageError."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file. Give a folder to --save.")
    for name in names:
        _check_replaceable(folder / name)
    _check_writable(folder, "--save")


def check_file(path: Path, option: str) -> None:
    """Can this file be written? Asked before the work. Raises UsageError."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder. Give a file to {option}.")
    _check_writable(path.absolute().parent, option)


def save_run(
    folder: Path, clip: Clip, drawn: Mapping[int, Mapping[str, Pictures]], sheets: Mapping[int, Sheet]
) -> Path:
    """Write `folder`/CLIP: frames.json, and for each number of shots its sheet and SYSTEM/frame_%05d.png of ours.

    Written beside and renamed at the end. An earlier run of the same name is replaced; any other folder is left alone.
    """
    about = {
        "clip": clip.path.name,
        "size_px": SIZE_PX,
        "source_frames": {str(shots): clip.sources[shots] for shots in drawn},
        "target_frames": clip.target_frames,
        "crop": asdict(clip.crop),
    }

    def fill(part: Path) -> None:
        for shots, by_system in drawn.items():
            _save_pictures(part / f"shots_{shots}", by_system, clip.target_frames, sheets[shots])

    return _write(folder / clip.name, about, fill)


def save_cross(folder: Path, runs: Mapping[int, CrossRun], sheets: Mapping[int, Sheet]) -> Path:
    """As `save_run`, for one person driven by another, by number of shots."""
    run = next(iter(runs.values()))
    about = {
        "clip": run.person.clip.path.name,
        "driver": run.driver.path.name,
        "size_px": SIZE_PX,
        "source_frames": {str(shots): one.person.clip.sources[shots] for shots, one in runs.items()},
        "target_frames": run.driver.target_frames,
        "crop": asdict(run.person.clip.crop),
    }

    def fill(part: Path) -> None:
        for shots, one in runs.items():
            _save_pictures(part / f"shots_{shots}", one.pictures, run.driver.target_frames, sheets[shots])

    return _write(folder / run.name, about, fill)


def _save_pictures(folder: Path, drawn: Mapping[str, Pictures], frames: tuple[int, ...], sheet: Sheet) -> None:
    for system, pictures in drawn.items():
        if system in BASELINES:  # they follow from clip, crop and frame numbers
            continue
        (folder / system).mkdir(parents=True)
        for number, picture in zip(frames, pictures, strict=True):
            Image.fromarray(picture).save(folder / system / f"frame_{number:05d}.png")
    Image.fromarray(sheet.picture).save(folder / "sheet.png")


def _write(final: Path, about: dict[str, Any], fill: Callable[[Path], None]) -> Path:
    _check_replaceable(final)
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{final.name}.", suffix=".part", dir=final.parent) as beside:
        part = Path(beside) / final.name
        part.mkdir()
        fill(part)
        (part / FRAMES_FILE).write_text(json.dumps(about, indent=2) + "\n")
        if final.exists():
            final.rename(Path(beside) / "earlier")
        part.rename(final)
    return final


def _check_replaceable(final: Path) -> None:
    """Raises UsageError for what is no folder of ours, or holds something else too: all of it would be deleted."""
    another = "Give another folder to --save."
    if final.is_symlink():
        raise UsageError(f"{final} is a link. {another}")
    if not final.exists():
        return
    if not (final / FRAMES_FILE).is_file():
        raise UsageError(f"{final} exists and is not an earlier evaluation. {another}")
    if strangers := sorted(path.name for path in final.iterdir() if not re.fullmatch(OWN_NAMES, path.name)):
        raise UsageError(
            f"{final} holds {strangers[0]}, which no evaluation wrote and a new one would delete. {another}"
        )


def _check_writable(folder: Path, option: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made: {error.strerror}. Give another place to {option}.") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{folder} cannot be written to. Give another place to {option}.")
