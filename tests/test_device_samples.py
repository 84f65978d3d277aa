"""Samples made on the device that trains are those that processors make."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from avatar.learning import few_shot_dataset
from avatar.learning import pair_dataset as dataset
from avatar.learning.dataset.pack import Pack
from avatar.learning.face_identity_net import align
from avatar.learning.fast_losses import region_targets
from avatar.learning.few_shot_dataset import FewShotDataset
from avatar.learning.gpu.device_samples import FewShotSamples, PairSamples, Samples
from avatar.learning.gpu.device_warp import DeviceWarp, grid, spline_points
from avatar.learning.gpu.picture_store import build_store
from avatar.learning.objective import Batch
from avatar.learning.pair_dataset import PairDataset
from avatar.learning.parallel import CPU
from avatar.render.warp import LandmarkWarp, pixel_grid
from tests.test_trainer import make_pack

COUNT = 12


@pytest.fixture(scope="module")
def pack() -> Pack:
    return make_pack()


def stacked(samples: list[Batch]) -> Batch:
    return {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}


def in_two_steps(samples: Samples, pack: Pack, variants: int) -> Batch:
    store = build_store(pack, variants, CPU, threads=1)
    plans = samples.plans(pack, store.slots, seed=5)
    return samples.batch(stacked([plans[i] for i in range(COUNT)]), store)


def assert_same(found: Batch, wanted: Batch) -> None:
    """Pictures to a few levels of 256 (OpenCV counts in 32nds of a pixel), numbers closely, lines exactly."""
    assert set(found) == set(wanted)
    for name, expected in wanted.items():
        expected = expected.float() / 255 if expected.dtype == torch.uint8 else expected.float()
        assert found[name].shape == expected.shape, name
        apart = (found[name].float() - expected).abs()
        if "drawing" in name:
            assert apart.max() < 1e-6, name
        elif "flow" in name or "paste" in name or name in ("identity", "landmarks"):
            assert apart.max() < 1e-4, name
        else:
            assert apart.max() < 8 / 255 and apart.mean() < 0.3 / 255, name


def test_pairs_are_those_of_the_processor(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "DEGRADE_CHANCE", 0.0)  # degraded stills are made beforehand: others
    wanted = PairDataset(pack, 5)
    assert_same(in_two_steps(PairSamples(), pack, 0), stacked([wanted[i] for i in range(COUNT)]))


@pytest.mark.parametrize("size_px", [64, 256])
def test_few_shot_samples_are_those_of_the_processor(pack: Pack, monkeypatch: pytest.MonkeyPatch, size_px: int) -> None:
    monkeypatch.setattr(few_shot_dataset, "DEGRADE_CHANCE", 0.0)
    wanted = FewShotDataset(pack, size_px, 2, 5)
    found = in_two_steps(FewShotSamples(size_px, 2), pack, 0)
    assert_same(found, stacked([wanted[i] for i in range(COUNT)]))


def test_degraded_stills_are_made_once_and_used(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "DEGRADE_CHANCE", 1.0)
    store = build_store(pack, 2, CPU, threads=1)
    (still,) = np.flatnonzero(pack.clip < 0).tolist()
    assert store.slots.variants == 2 and len(store.pictures) >= len(pack) + 2
    assert not torch.equal(store.pictures[still], store.pictures[store.slots.of(still, 1)])
    plans = PairSamples().plans(pack, store.slots, seed=5)
    used = {int(slot) for i in range(30) for slot in plans[i]["slots"]}
    degraded = {store.slots.of(still, variant, filled) for variant in (1, 2) for filled in (False, True)}
    assert used & degraded and still not in used


def test_a_batch_of_warps_is_the_single_ones(pack: Pack) -> None:
    sources = np.stack([pack.landmarks[[i, i + 1]] for i in range(3)])
    driving = pack.landmarks[3:6]
    points = [spline_points(list(several), one) for several, one in zip(sources, driving, strict=True)]
    warps = DeviceWarp(torch.from_numpy(np.stack(points)))
    places = grid(16, 24, torch.zeros(1)).expand(3, -1, -1)
    for source in (0, 1):
        found = warps.at(places, source).numpy()
        for i in range(3):
            single = LandmarkWarp(list(sources[i]), driving[i]).at(pixel_grid(16, 24).reshape(-1, 2), source)
            assert np.abs(found[i] - single).max() < 1e-5


def test_brief_numbers_move_no_crop(pack: Pack) -> None:
    """In bf16, coordinates would be off by half a pixel: crops of mouth, eyes and aligned faces are cut in full."""
    batch = in_two_steps(PairSamples(), pack, 0)
    landmarks = torch.from_numpy(pack.landmarks[:COUNT])
    exact = [*region_targets(batch), align(batch["target"], landmarks)]
    with torch.autocast("cpu", torch.bfloat16):
        brief = [*region_targets(batch), align(batch["target"], landmarks)]
    assert all(torch.equal(a, b) for a, b in zip(exact, brief, strict=True))
