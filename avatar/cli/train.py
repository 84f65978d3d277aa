"""`visavis train`: meta-learning from a folder of stills and clips."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from avatar.errors import UsageError, VisavisError


def train(
    data: Annotated[Path, typer.Option(help="Folder with manifest.csv (columns file,identity), stills and clips.")],
    out: Annotated[Path, typer.Option(help="Folder of the run: checkpoints, log.jsonl, sample sheets.")],
    hold_out: Annotated[
        list[str] | None, typer.Option(help="Identity kept for validation (repeatable; a final * is a prefix).")
    ] = None,
    set_option: Annotated[
        list[str] | None, typer.Option("--set", help="A training option, such as steps=8000 (repeatable).")
    ] = None,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads of torch (0: its own choice).")] = 0,
    dry_run: Annotated[bool, typer.Option(help="Print the whole configuration and stop.")] = False,
) -> None:
    """Meta-train the `fast` networks. Run the same command again to go on from the last checkpoint.

    Example: visavis train --data faces --out runs/1 --hold-out 'val_*' --set steps=8000
    """
    try:
        import torch

        from avatar.learning.pack import build_pack, open_pack
        from avatar.learning.trainer import Trainer, TrainingOptions
    except ImportError as error:
        raise VisavisError(f"Training needs torch ({error.name} is missing): pip install 'visavis[train]'") from error
    from avatar.model.config import ModelConfig
    from avatar.tracking.model_asset import tracker_model

    changes: dict[str, Any] = _parse(set_option or [], {f.name: f.type for f in fields(TrainingOptions)})
    options = replace(TrainingOptions(), **changes)
    config = ModelConfig()
    if dry_run:
        print(json.dumps({"options": options.__dict__, "model": config.to_dict()}, indent=2))
        return
    if threads:
        torch.set_num_threads(threads)
    pack_folder = out / "pack"
    if not (pack_folder / "pictures.raw").exists():
        print(f"cropping and tracking {data} into {pack_folder} (once)")
        for line in build_pack(data, pack_folder, tracker_model(), hold_out or []):
            print(f"left out: {line}")
    Trainer(open_pack(pack_folder), out, config, options).run()
    print(f"weights: {out / 'fast.safetensors'}. Next: visavis export {out / 'fast.safetensors'} --out {out}")


def _parse(settings: list[str], kinds: dict[str, object]) -> dict[str, Any]:
    parsed: dict[str, Any] = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        if name not in kinds:
            raise UsageError(f"There is no training option '{name}'. Choose from: {', '.join(kinds)}.")
        try:
            parsed[name] = int(value) if kinds[name] == "int" else float(value)
        except ValueError:
            raise UsageError(f"--set {setting}: '{value}' is not a number.") from None
        if not 0 <= parsed[name] < math.inf:
            raise UsageError(f"--set {setting}: give a number that is not negative.")
    return parsed
