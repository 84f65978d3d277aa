"""What a run learns from: the packs of those to train on and of those held out, made ready where they are not yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from avatar.core.errors import UsageError
from avatar.learning.dataset.built_dataset import DATASET_FILE, has_split
from avatar.learning.dataset.pack import Pack, open_pack
from avatar.learning.dataset.pack_building import build_pack
from avatar.learning.dataset.source_layouts import manifest_sources
from avatar.learning.dataset.split import TRAIN, VAL
from avatar.learning.dataset.unpacking import open_shards
from avatar.learning.parallel import Parallel
from avatar.tracking.model_asset import tracker_model


def training_packs(
    data: Path, folder: Path, hold_out: Sequence[str], group: Parallel, say: Callable[[str], None]
) -> tuple[Pack, Pack | None]:
    """The pack to train on and the one of those held out, or None. The first process of `group` makes them ready.

    `data`: a built data set, or a folder with a manifest, of which packs are kept in `folder`. Raises InputError where
    it cannot be learned from, UsageError where `hold_out` contradicts `data` or the packs that are there already.
    """
    if (data / DATASET_FILE).is_file():
        if hold_out:
            raise UsageError("Shards have their people held out when they are built: leave --hold-out out.")
        return _of_shards(data, folder, group)
    return _of_manifest(data, folder, hold_out, group, say)


def _of_shards(data: Path, folder: Path, group: Parallel) -> tuple[Pack, Pack | None]:
    splits = [split for split in (TRAIN, VAL) if has_split(data, split)]
    if group.first:
        for split in splits:
            open_shards(data, folder, split)
    group.wait()
    packs = [open_shards(data, folder, split) for split in splits]
    return packs[0], packs[1] if len(packs) > 1 else None


def _of_manifest(
    data: Path, folder: Path, hold_out: Sequence[str], group: Parallel, say: Callable[[str], None]
) -> tuple[Pack, Pack | None]:
    sources = manifest_sources(data)
    by_split = sources.by_split(hold_out)
    folders = {TRAIN: folder} | ({VAL: folder / "validation"} if by_split[VAL] else {})
    if group.first:
        for split, out in folders.items():
            if (out / "pictures.raw").exists():
                continue
            say(f"cropping and tracking {data} into {out} (once)")
            left_out = [f"{file.name}: {reason}" for file, reason in sources.refused if split == TRAIN]
            for line in left_out + build_pack(sources, by_split[split], out, tracker_model()):
                say(f"left out: {line}")
    group.wait()
    training = open_pack(folder)
    if held_out := sorted({file.identity for file in by_split[VAL]}.intersection(training.identities)):
        raise UsageError(
            f"{folder} was made to train on {held_out[0]}, who is held out now. Delete it, or give another --out."
        )
    return training, open_pack(folders[VAL]) if VAL in folders else None
