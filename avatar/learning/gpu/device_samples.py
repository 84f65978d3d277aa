"""Training samples in two steps: processors choose and draw lines, the device that trains makes the pictures.

A plan holds numbers alone: which stored pictures, where their faces are and shall be, how light and mirror change them.
Its choices are those of `PairDataset` and `FewShotDataset`; warps, colours and flows are made for a batch at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from avatar.core.arrays import Array
from avatar.learning.dataset.pack import Pack
from avatar.learning.few_shot_dataset import TARGET, FewShotDataset
from avatar.learning.gpu.device_warp import DeviceWarp, enlarged, grid, spline_points, warped
from avatar.learning.gpu.picture_store import PictureStore, Slots, build_store
from avatar.learning.objective import Batch
from avatar.learning.pair_dataset import Augmentation, Chosen, PairDataset, mirror
from avatar.learning.pseudo_pairs import pseudo_landmarks
from avatar.learning.trainer import Feed
from avatar.render.conditioning import EYE_SIZE, FACE_SIZE, MOUTH_SIZE, draw_face, drawings, region_frames
from avatar.render.landmark_image import draw_landmarks
from avatar.render.warp import smoothing

GREY = (0.299, 0.587, 0.114)  # of red, green and blue, as OpenCV has it
ROLES = ("source", "mouth", "eyes", TARGET)
PICTURES = ("source", "mouth_source", "eyes_source", "target")


class Samples(Protocol):
    """A training data set in two steps."""

    def plans(self, pack: Pack, slots: Slots, seed: int) -> Dataset[Batch]:
        """Sample number i, without its pictures, is the same in every run with the same seed."""

    def batch(self, plans: Batch, store: PictureStore) -> Batch:
        """The batch that the objective takes, on the store's device."""


class PairSamples:
    """Those of `fast`."""

    def plans(self, pack: Pack, slots: Slots, seed: int) -> Dataset[Batch]:
        return _PairPlans(PairDataset(pack, seed), slots)

    def batch(self, plans: Batch, store: PictureStore) -> Batch:
        """See `PairDataset` for what it holds."""
        on = _moved(plans, store)
        pictures = _pictures(plans, on, store)  # (B, 4, 3, H, H)
        made = {name: pictures[:, i] for i, name in enumerate(PICTURES)}
        landmarks = on["landmarks"]
        warp = DeviceWarp(on["warp_points"])
        count = len(landmarks)
        quarter = (FACE_SIZE[0] // 4, FACE_SIZE[1] // 4)
        face = warp.at(grid(*quarter, landmarks).expand(count, -1, -1)).unflatten(1, quarter)
        made["face_flow"] = enlarged(face, (FACE_SIZE[0] // 2, FACE_SIZE[1] // 2))
        small = (MOUTH_SIZE[0] // 2, MOUTH_SIZE[1] // 2)
        places = _in_picture(on["mouth_matrix"], grid(*small, landmarks))
        made["mouth_flow"] = warp.at(places, 1).unflatten(1, small).permute(0, 3, 1, 2)
        small = (EYE_SIZE[0] // 2, EYE_SIZE[1] // 2)
        places = _in_picture(on["eyes_matrix"].flatten(0, 1), grid(*small, landmarks)).unflatten(0, (count, 2))
        eyes = warp.at(places.flatten(1, 2), 2).unflatten(1, (2, *small))
        made["eyes_flow"] = eyes.permute(0, 1, 4, 2, 3)
        for name in ("face_drawing", "mouth_drawing", "eyes_drawing", "source_drawing"):
            made[name] = on[name].float() / 255
        return made | {name: on[name] for name in ("mouth_paste", "eyes_paste", "identity")}


class FewShotSamples:
    """Those of `full`."""

    def __init__(self, size_px: int, k: int) -> None:
        self.size_px, self.k = size_px, k

    def plans(self, pack: Pack, slots: Slots, seed: int) -> Dataset[Batch]:
        return _FewShotPlans(FewShotDataset(pack, self.size_px, self.k, seed), slots)

    def batch(self, plans: Batch, store: PictureStore) -> Batch:
        """See `FewShotDataset` for what it holds."""
        on = _moved(plans, store)
        pictures = _pictures(plans, on, store)
        drawn = on["drawings"].float() / 255
        if pictures.shape[-1] != self.size_px:
            mode = "area" if pictures.shape[-1] > self.size_px else "bicubic"
            small = F.interpolate(pictures.flatten(0, 1), (self.size_px, self.size_px), mode=mode).clamp(0, 1)
            pictures = small.unflatten(0, pictures.shape[:2])
        return {
            "photos": pictures[:, :-1],
            "photo_drawings": drawn[:, :-1],
            "target": pictures[:, -1],
            "drawing": drawn[:, -1],
            "landmarks": on["landmarks"][:, -1],
            "identity": on["identity"],
        }


def device_feed(samples: Samples, device: torch.device, variants: int, threads: int) -> Callable[[Pack, int], Feed]:
    """For `Trainer`: a pack's pictures go into the device's memory, `variants` degraded copies of each still too."""

    def feed(pack: Pack, seed: int) -> Feed:
        store = build_store(pack, variants, device, threads=threads)
        return Feed(samples.plans(pack, store.slots, seed), lambda made: samples.batch(made, store))

    return feed


class _PairPlans(Dataset[Batch]):
    def __init__(self, pairs: PairDataset, slots: Slots) -> None:
        self.pairs, self.slots = pairs, slots

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Batch:
        rng = np.random.default_rng([self.pairs.seed, index])
        chosen = self.pairs.choose(rng)
        plan, landmarks = _plan(self.pairs.pack, self.slots, chosen, ROLES, rng)
        source, driving = landmarks[0], landmarks[3]
        frames = region_frames(driving)
        mouth, right, left = frames
        drawn = drawings(driving, *frames) | {"source_drawing": draw_face(source)}
        for name, array in drawn.items():
            plan[name] = torch.from_numpy(_bytes(array) if name.endswith("drawing") else array)
        plan["warp_points"] = torch.from_numpy(spline_points(list(landmarks[:3]), driving))
        plan["mouth_matrix"] = torch.from_numpy(mouth.matrix)
        plan["eyes_matrix"] = torch.from_numpy(np.stack([right.matrix, left.matrix]))
        return plan


class _FewShotPlans(Dataset[Batch]):
    def __init__(self, samples: FewShotDataset, slots: Slots) -> None:
        self.samples, self.slots = samples, slots

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Batch:
        samples = self.samples
        rng = np.random.default_rng([samples.seed, index])
        chosen = samples.choose(rng)
        roles = (*(f"photo {i}" for i in range(samples.k)), TARGET)
        plan, landmarks = _plan(samples.pack, self.slots, chosen, roles, rng)
        drawn = np.stack([draw_landmarks(face, samples.size_px) for face in landmarks])
        plan["drawings"] = torch.from_numpy(drawn)
        return plan


def _plan(
    pack: Pack, stored: Slots, chosen: Chosen, roles: tuple[str, ...], rng: np.random.Generator
) -> tuple[Batch, Array]:
    """The numbers of a sample's R pictures, and their landmarks (R, 478, 3) as they shall be in the end."""
    variant = int(rng.integers(1, stored.variants + 1)) if chosen.degraded and stored.variants else 0
    target = pack.landmarks[chosen.target]
    slots = {TARGET: stored.of(chosen.target, variant)}
    shall, moves = {TARGET: target}, {}
    for name, row in chosen.real.items():
        slots[name] = stored.of(row)
        shall[name] = pack.landmarks[row]
    for name, (before, after) in chosen.moved.items():
        shall[name], fills = pseudo_landmarks(target, (pack.landmarks[before], pack.landmarks[after]), rng)
        slots[name] = stored.of(chosen.target, variant, fills)
        moves[name] = spline_points([target], shall[name])
    how = Augmentation.random(rng)
    names = [name if name in slots else "source" for name in roles]  # mouth and eyes have pictures of their own or not
    unmoved = np.zeros((2, len(smoothing()), 2), np.float32)
    landmarks = np.stack([mirror(shall[name]) if how.mirrored else shall[name] for name in names])
    plan = {
        "slots": torch.tensor([slots[name] for name in names]),
        "moves": torch.tensor([name in moves for name in names]),
        "points": torch.from_numpy(np.stack([moves.get(name, unmoved) for name in names])),  # (R, 2, n, 2)
        "first": torch.tensor([names.index(name) for name in names]),
        "landmarks": torch.from_numpy(landmarks),
        "table": torch.from_numpy(np.ascontiguousarray(how.table[0].T)),  # (3, 256)
        "grey": torch.tensor(how.grey),
        "mirrored": torch.tensor(how.mirrored),
        "identity": torch.tensor(int(pack.identity[chosen.target])),
    }
    return plan, landmarks


def _moved(plans: Batch, store: PictureStore) -> Batch:
    return {name: value.to(store.pictures.device, non_blocking=True) for name, value in plans.items()}


def _pictures(plans: Batch, on: Batch, store: PictureStore) -> Tensor:
    """(B, R, 3, H, H) in [0, 1]: stored pictures, some of them warped, in the sample's light. `plans`: still on the
    processor, so that it need not wait for the device to know how many are warped."""
    slots, moves = plans["slots"].flatten(), plans["moves"].flatten()
    pictures = store.pictures[slots.to(store.pictures.device)].float()
    # mouth and eyes without a portrait of their own show the source's: warped once
    count = plans["slots"].shape[1]
    first = (plans["first"] + count * torch.arange(len(plans["first"]))[:, None]).flatten()
    which = torch.nonzero(moves & (first == torch.arange(len(first))))[:, 0].to(pictures.device)
    if len(which):
        pictures[which] = warped(pictures[which], on["points"].flatten(0, 1)[which])
        pictures = pictures[first.to(pictures.device)]
    rows = plans["slots"].shape
    pictures = pictures.round().clamp(0, 255).long().unflatten(0, rows)  # (B, R, 3, H, H)
    lit = _looked_up(on["table"], pictures)
    grey = (lit * torch.tensor(GREY, device=lit.device)[:, None, None]).sum(2, keepdim=True).round()
    lit = torch.where(on["grey"][:, None, None, None, None], grey, lit)
    return torch.where(on["mirrored"][:, None, None, None, None], lit.flip(-1), lit) / 255


def _looked_up(tables: Tensor, pictures: Tensor) -> Tensor:
    """(B, R, 3, H, H) levels through each sample's (3, 256) table."""
    batch, count, planes, height, width = pictures.shape
    by_plane = pictures.transpose(1, 2).reshape(batch, planes, -1)
    found = tables.float().gather(2, by_plane)
    return found.view(batch, planes, count, height, width).transpose(1, 2)


def _in_picture(matrix: Tensor, places: Tensor) -> Tensor:
    """(B, 2, 3) crop to picture, places (P, 2) of the crop, to (B, P, 2) of the picture."""
    return places @ matrix[:, :, :2].transpose(1, 2) + matrix[:, None, :, 2]


def _bytes(drawing: Array) -> NDArray[np.uint8]:
    return np.asarray(np.rint(drawing * 255), np.uint8)
