"""The pictures of an evaluation on disk, so that anybody can recompute every figure."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from avatar.errors import UsageError
from avatar.evaluation.self_reenactment import SIZE_PX, SYSTEMS, ClipRun

SHEET_COLUMNS = 8
FRAMES_FILE = "frames.json"


def save_run(run: ClipRun, folder: Path) -> Path:
    """Write `folder`/CLIP: frame_%05d.png (the prediction for that frame of the clip), frames.json and sheet.png.

    Written beside and renamed at the end. An earlier run of the same name is replaced; any other folder is left alone.
    """
    final = folder / run.clip
    if final.exists() and not (final / FRAMES_FILE).is_file():
        raise UsageError(f"{final} exists and is not an earlier evaluation. Give another folder to --save.")
    part = folder / f".{run.clip}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for number, picture in zip(run.target_frames, run.predictions["visavis"], strict=True):
        Image.fromarray(picture).save(part / f"frame_{number:05d}.png")
    Image.fromarray(contact_sheet(run)).save(part / "sheet.png")
    about = {
        "clip": run.path.name,
        "size_px": SIZE_PX,
        "source_frames": run.source_frames,
        "target_frames": run.target_frames,
        "crop": asdict(run.crop),
    }
    (part / FRAMES_FILE).write_text(json.dumps(about, indent=2) + "\n")
    if final.exists():
        shutil.rmtree(final)
    part.rename(final)
    return final


def contact_sheet(run: ClipRun) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """One column a frame; rows from the top: source, driver (the real picture), unmoved, landmark warp, visavis."""
    columns = np.unique(np.linspace(0, len(run.targets) - 1, SHEET_COLUMNS).round().astype(int))
    rows = [np.stack([run.source] * len(columns)), run.targets[columns]]
    rows += [run.predictions[system][columns] for system in SYSTEMS]
    return np.concatenate([np.concatenate(list(row), axis=1) for row in rows], axis=0)
