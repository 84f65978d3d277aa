"""Crops of a region, drawn once: drawing one takes longer than learning from it.

A folder holds `crops.raw`, (N, h, w, channels) uint8 (picture, target, drawing, hints), `sources.npy`, (N,) the row of
the pack that each was drawn from, and `embeddings.npy`, (rows of the pack, 512) of E, zero where no crop needs it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from avatar.core.errors import InputError
from avatar.learning.dataset.pack import Pack, open_pack
from avatar.learning.face_samples import FaceSamples
from avatar.learning.objective import Batch
from avatar.learning.pair_choice import Augmentation
from avatar.learning.region_samples import RegionSamples
from avatar.model.embedder import Embedder
from avatar.model.layered_generator import FACE, Region
from avatar.render.conditioning import draw_face

CHUNK = 512  # crops that one process draws at a time
PICTURES, DRAWING = 6, 3  # channels of picture and target, and of the drawing
NO_HINTS_CHANCE = 0.2
EMBEDDED_AT_ONCE = 32


class RegionCrops(Dataset[Batch]):
    """Sample number i is always the same; crops come again and again, each time with other light and colours."""

    def __init__(self, folder: Path, seed: int, plain: bool = False) -> None:
        """`plain`: crop number i as it was drawn. Raises InputError where the folder is not complete."""
        try:
            about = json.loads((folder / "crops.json").read_text())
            self.sources = np.load(folder / "sources.npy")
            self.embeddings = np.load(folder / "embeddings.npy")
            self.detail, self.confined = about.get("detail", 1), about.get("confined", False)
            self.crops = np.memmap(folder / "crops.raw", np.uint8, "r", shape=tuple(about["shape"]))
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{folder} holds no complete crops ({error}). Draw them again.") from error
        self.seed, self.plain = seed, plain

    def __len__(self) -> int:
        return 1 << 40

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.seed, index])
        row = index % len(self.crops) if self.plain else int(rng.integers(len(self.crops)))
        crop = np.asarray(self.crops[row])
        split = PICTURES * self.detail**2
        pictures, drawing, hints = crop[..., :split], crop[..., split : split + DRAWING], crop[..., split + DRAWING :]
        pictures = _unpacked(pictures, self.detail)
        if not self.plain:
            how = Augmentation.random(rng)
            pictures = _lit(pictures, how)
            hints = hints * np.uint8(self.confined or rng.random() >= NO_HINTS_CHANCE)
            if how.mirrored:
                pictures, drawing, hints = pictures[:, ::-1], drawing[:, ::-1], hints[:, ::-1]
        layers = {"picture": pictures[..., :3], "target": pictures[..., 3:], "drawing": drawing, "hints": hints}
        sample = {name: _to_tensor(layer) for name, layer in layers.items()}
        sample["embedding"] = torch.from_numpy(self.embeddings[self.sources[row]].astype(np.float32))
        return sample


@dataclass(frozen=True)
class Crops:
    """What is drawn: `count` crops of a region from the pack in a folder."""

    pack: Path
    region: Region
    count: int
    seed: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        pictures = PICTURES * self.region.detail**2
        return self.count, *self.region.size, pictures + DRAWING + self.region.hints


def draw_crops(
    crops: Crops, folder: Path, embedder: Embedder, workers: int = 1, say: Callable[[str], None] = print
) -> None:
    """Draw them into `folder`, or what is missing of them."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "crops.json").exists():
        return
    raw, whole = folder / "crops.raw", math.prod(crops.shape)
    if not raw.exists() or raw.stat().st_size != whole:
        with raw.open("wb") as file:
            file.truncate(whole)
    starts = range(0, crops.count, CHUNK)
    todo = [start for start in starts if not _part(folder, start).exists()]
    for number, _ in enumerate(_drawn(crops, folder, todo, workers), 1):
        say(f"{number * CHUNK} of {len(todo) * CHUNK} crops")
    sources = np.concatenate([np.load(_part(folder, start)) for start in starts])
    np.save(folder / "sources.npy", sources)
    np.save(folder / "embeddings.npy", _embeddings(open_pack(crops.pack), sources, embedder))
    region = crops.region
    about = {"shape": crops.shape, "seed": crops.seed, "detail": region.detail, "confined": region.confined}
    (folder / "crops.json").write_text(json.dumps(about))
    for start in starts:
        _part(folder, start).unlink()


def _drawn(crops: Crops, folder: Path, starts: list[int], workers: int) -> Iterator[None]:
    """Chunk by chunk; one worker is this process."""
    if workers == 1:
        threads = cv2.getNumThreads()
        for start in starts:
            _draw_chunk(crops, folder, start)
            yield
        cv2.setNumThreads(threads)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(_draw_chunk, crops, folder, start) for start in starts]
        for job in as_completed(jobs):
            job.result()
            yield


def _part(folder: Path, start: int) -> Path:
    return folder / f"part-{start:08d}.npy"


def _draw_chunk(crops: Crops, folder: Path, start: int) -> None:
    cv2.setNumThreads(1)
    pack = open_pack(crops.pack)
    whole = crops.region.name == FACE.name
    samples = FaceSamples(pack, crops.seed) if whole else RegionSamples(pack, crops.region, crops.seed)
    drawn = np.memmap(folder / "crops.raw", np.uint8, "r+", shape=crops.shape)
    rows = []
    numbers = range(start, min(start + CHUNK, crops.count))
    for i, sample in zip(numbers, samples.draw_all(numbers), strict=True):
        drawn[i] = np.concatenate([sample.picture, sample.target, sample.drawing, sample.hints], axis=2)
        rows.append(sample.source)
    drawn.flush()
    np.save(_part(folder, start), np.array(rows, np.int64))


@torch.no_grad()
def _embeddings(pack: Pack, rows: NDArray[np.int64], embedder: Embedder) -> NDArray[np.float16]:
    result = np.zeros((len(pack), embedder.head.out_features), np.float16)
    wanted = np.unique(rows)
    for part in np.array_split(wanted, max(1, len(wanted) // EMBEDDED_AT_ONCE)):
        pictures = torch.from_numpy(pack.pictures[part].transpose(0, 3, 1, 2).astype(np.float32) / 255)
        drawings = torch.from_numpy(np.stack([draw_face(face) for face in pack.landmarks[part]]))
        result[part] = embedder(pictures, drawings).half().numpy()
    return result


def _lit(pictures: NDArray[np.uint8], how: Augmentation) -> NDArray[np.uint8]:
    """(h, w, 6): two pictures in the same light."""
    parts = (np.ascontiguousarray(part) for part in (pictures[..., :3], pictures[..., 3:]))
    both = [np.asarray(cv2.LUT(part, how.table)) for part in parts]
    if how.grey:
        both = [np.repeat(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2) for part in both]
    return np.concatenate(both, axis=2)


def _unpacked(pictures: NDArray[np.uint8], detail: int) -> NDArray[np.uint8]:
    """(h, w, 2·3·n²) to (n·h, n·w, 6): picture and target, in which a cell's n·n pixels were channels."""
    if detail == 1:
        return pictures
    height, width = pictures.shape[:2]
    cells = pictures.reshape(height, width, 2, detail, detail, 3).transpose(0, 3, 1, 4, 2, 5)
    return np.ascontiguousarray(cells).reshape(height * detail, width * detail, PICTURES)


def _to_tensor(layer: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(layer.transpose(2, 0, 1)))
