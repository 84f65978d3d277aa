"""Contact sheets of a region's crops."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from avatar.render.network_answer import to_bytes

SIZE = 2  # pixels of the sheet for one of a crop
COLUMNS = 3  # samples side by side


def save_region_sheet(path: Path, pictures: Sequence[Tensor], most: int = 24) -> None:
    """`pictures`: (B, 3, h, w) in [0, 1] each, which stand side by side for every sample."""
    columns = min(COLUMNS, len(pictures[0]))
    tiles = [
        np.concatenate([to_bytes(picture[i].clamp(0, 1).float().cpu().numpy()) for picture in pictures], axis=1)
        for i in range(min(most, len(pictures[0])) // columns * columns)
    ]
    lines = [np.concatenate(tiles[i : i + columns], axis=1) for i in range(0, len(tiles), columns)]
    sheet = Image.fromarray(np.concatenate(lines, axis=0))
    sheet.resize((sheet.width * SIZE, sheet.height * SIZE), Image.Resampling.BICUBIC).save(path)
