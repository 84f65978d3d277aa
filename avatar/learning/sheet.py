"""Contact sheets: a metric that improves while the face gets worse is a broken metric."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from avatar.model.blocks import sample, upsample
from avatar.model.embedder import Embedder
from avatar.model.generator import Generator

GENERATOR_INPUTS = (
    "face_flow", "face_drawing", "mouth_flow", "mouth_drawing", "mouth_paste", "eyes_flow", "eyes_drawing",
    "eyes_paste",
)  # fmt: skip


@torch.no_grad()
def save_sheet(path: Path, generator: Generator, embedder: Embedder, batch: dict[str, Tensor], rows: int = 8) -> None:
    """One row per sample: source, landmark warp, output, target, and the mouth twice as large: warp, output, target."""
    batch = {name: value[:rows] for name, value in batch.items()}
    psi = embedder.psi(embedder.embed(batch["source"], batch["source_drawing"]))
    output = generator(batch["source"], psi, **{name: batch[name] for name in GENERATOR_INPUTS})
    warped = sample(batch["source"], upsample(batch["face_flow"], 4))
    columns = [batch["source"], warped, output, batch["target"]]
    sheet = torch.cat(columns, dim=3)  # (B, 3, 256, 4·256)
    picture = torch.cat(list(sheet), dim=1).permute(1, 2, 0).clamp(0, 1)
    Image.fromarray((picture.numpy() * 255).round().astype(np.uint8)).save(path)
