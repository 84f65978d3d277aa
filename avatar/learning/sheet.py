"""Contact sheets: a metric that improves while the face gets worse is a broken metric."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from avatar.model.blocks import sample, upsample
from avatar.model.embedder import Embedder
from avatar.model.generator import Conditioning, Generator
from avatar.render.assemble import assemble, to_bytes


@torch.no_grad()
def save_sheet(path: Path, generator: Generator, embedder: Embedder, batch: dict[str, Tensor], rows: int = 8) -> None:
    """One row per sample: source, the mouth's source, landmark warp, output, target."""
    batch = {name: value[:rows] for name, value in batch.items()}
    psi = embedder.psi(embedder.embed(batch["source"], batch["source_drawing"]))
    face, mouth, eyes = generator(psi, Conditioning.of(batch))
    warped = sample(batch["source"], upsample(batch["face_flow"], 4)).cpu()
    face, mouth, eyes = (region.cpu() for region in (face, mouth, eyes))
    batch = {name: value.cpu() for name, value in batch.items()}
    lines = []
    for i in range(len(psi)):
        drawn = {"face": face[i].numpy(), "mouth": mouth[i].numpy(), "eyes": eyes[i].numpy()}
        output = assemble(drawn, {name: batch[name][i].numpy() for name in ("mouth_paste", "eyes_paste")})
        pictures = [batch["source"][i], batch["mouth_source"][i], warped[i], batch["target"][i]]
        columns = [to_bytes(picture.clamp(0, 1).numpy()) for picture in pictures]
        lines.append(np.concatenate([*columns[:3], output, columns[3]], axis=1))
    Image.fromarray(np.concatenate(lines, axis=0)).save(path)
