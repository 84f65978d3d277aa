"""The discriminator of one region: it is kept beside the net, so that fine-tuning need not begin anew."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file

from avatar.learning.efficientnet_lite import BLOCKS
from avatar.learning.losses import FEATURE_BLOCKS
from avatar.learning.projected_discriminator import ProjectedDiscriminator
from avatar.model.checkpoint import read_tensors, reading

SCALES = (1, 2, 3)  # of the content net's features


def region_judge() -> ProjectedDiscriminator:
    return ProjectedDiscriminator([BLOCKS[FEATURE_BLOCKS[i]][-1] for i in SCALES])


def judge_name(region: str) -> str:
    """Its file beside the region's weights."""
    return f"{region}_judge.safetensors"


def save_judge(path: Path, judge: ProjectedDiscriminator) -> None:
    """Write it as a safetensors file, in half precision."""
    beside = path.with_name(path.name + ".part")
    save_file({name: value.half().contiguous() for name, value in judge.state_dict().items()}, beside)
    beside.replace(path)


def load_judge(path: Path) -> ProjectedDiscriminator:
    """Read what `save_judge` wrote. Raises InputError naming the file."""
    judge = region_judge()
    with reading(path, "holds no discriminator of a region"):
        judge.load_state_dict(read_tensors(path))
    return judge
