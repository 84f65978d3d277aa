"""The networks: budgets, and the promises of their parts."""

from __future__ import annotations

import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from avatar.model.blocks import AdaIN, sample
from avatar.model.config import EmbedderConfig
from avatar.model.embedder import Embedder
from avatar.model.layered_generator import REGIONS, LayeredGenerator, RegionGenerator


def test_a_frame_costs_less_than_three_gflop() -> None:
    generator = LayeredGenerator([RegionGenerator(region) for region in REGIONS])
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        generator(*generator.example().values())
    assert counter.get_total_flops() < 3e9


def test_rows_of_a_batch_do_not_touch_each_other() -> None:
    generator = LayeredGenerator([RegionGenerator(region) for region in REGIONS]).eval()
    given = [torch.cat([value, value.flip(-1)]) for value in generator.example().values()]
    with torch.no_grad():
        both, second = generator(*given), generator(*(value[1:] for value in given))
    assert all(torch.allclose(a[1:], b, atol=1e-5) for a, b in zip(both, second, strict=True))


def test_an_embedding_is_of_the_picture_and_of_its_landmarks() -> None:
    torch.manual_seed(0)
    embedder = Embedder(EmbedderConfig((8, 16)))
    picture, drawing = torch.rand(1, 3, 256, 256), torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        first = embedder(picture, drawing)
        assert first.shape == (1, 512)
        assert not torch.allclose(first, embedder(1 - picture, drawing))
        assert not torch.allclose(first, embedder(picture, 1 - drawing))


def test_adain_sets_mean_and_spread() -> None:
    x = torch.randn(2, 3, 8, 8) * 5 + 2
    psi = torch.tensor([[1.0, 0.0, -0.5, 4.0, 5.0, 6.0]] * 2)  # scale − 1, then shift
    y = AdaIN(3)(x, psi)
    assert torch.allclose(y.mean((2, 3)), psi[:, 3:], atol=1e-4)
    assert torch.allclose(y.std((2, 3), correction=0), 1 + psi[:, :3], atol=1e-3)


def test_sampling_beyond_the_border_repeats_it() -> None:
    picture, places = torch.rand(1, 3, 16, 24), torch.rand(1, 2, 9, 9) * 4 - 2
    wanted = F.grid_sample(picture, places.permute(0, 2, 3, 1), padding_mode="border", align_corners=False)
    assert torch.allclose(sample(picture, places), wanted, atol=1e-5)
