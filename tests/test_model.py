"""The networks: shapes, budgets, and the promises of their parts."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from avatar.model.blocks import AdaIN, sample
from avatar.model.checkpoint import build_networks
from avatar.model.config import ModelConfig
from avatar.model.discriminator import Discriminator, PersonVectors
from avatar.model.generator import Conditioning
from avatar.render.assemble import paste
from export.example import example_inputs

CONFIG = ModelConfig()


def generator_inputs(batch: int = 1) -> Conditioning:
    each = Conditioning.of(example_inputs(CONFIG))
    return Conditioning(*(value.repeat(batch, *[1] * (value.dim() - 1)) for value in each))


def test_a_frame_costs_less_than_three_gflop() -> None:
    generator, _ = build_networks(CONFIG)
    inputs = generator_inputs()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        generator(torch.zeros(1, generator.psi_size), inputs)
    assert counter.get_total_flops() < 3e9


def test_an_untrained_generator_is_the_landmark_warp_outside_mouth_and_eyes() -> None:
    torch.manual_seed(0)
    generator, _ = build_networks(CONFIG)
    inputs = generator_inputs()
    with torch.no_grad():
        face, *_ = generator.regions(torch.zeros(1, generator.psi_size), inputs)
        flow = F.interpolate(inputs.face_flow, scale_factor=4, mode="bilinear")
        assert (face.picture - sample(inputs.source, flow)).abs().mean() < 0.03


def test_the_persons_parameters_change_the_picture() -> None:
    generator, embedder = build_networks(CONFIG)
    inputs = generator_inputs()
    with torch.no_grad():
        embedding, psi = embedder(inputs.source, inputs.face_drawing)
        assert embedding.shape == (1, CONFIG.embedding) and psi.shape == (1, generator.psi_size)
        one = generator(psi, inputs)
        other = generator(psi + torch.randn_like(psi), inputs)
    assert [tuple(part.shape[1:]) for part in one] == [(3, 256, 256), (3, 64, 96), (2, 3, 32, 48)]
    for part, changed in zip(one, other, strict=True):
        assert (part - changed).abs().max() > 1e-3 and part.min() >= 0 and part.max() <= 1


def test_twice_the_output_is_the_same_picture_at_twice_the_size() -> None:
    torch.manual_seed(0)
    generator, _ = build_networks(CONFIG)
    inputs, psi = generator_inputs(), torch.zeros(1, generator.psi_size)
    with torch.no_grad():
        small = generator(psi, inputs)
        generator.output_px = 512
        large = generator(psi, inputs)
    for one, other in zip(small, large, strict=True):
        assert other.shape[-1] == 2 * one.shape[-1]
        halved = F.avg_pool2d(other.flatten(0, -4), 2).view_as(one)
        assert (halved - one).abs().mean() < 0.01


def test_mouth_and_eyes_come_from_their_own_portraits() -> None:
    generator, _ = build_networks(CONFIG)
    inputs, psi = generator_inputs(), torch.zeros(1, generator.psi_size)
    with torch.no_grad():
        before = generator(psi, inputs)
        after = generator(psi, inputs._replace(mouth_source=1 - inputs.mouth_source))
    changed = [float((a - b).abs().max()) for a, b in zip(before, after, strict=True)]
    assert changed[0] == 0 and changed[1] > 0.1 and changed[2] == 0


def test_rows_of_a_batch_do_not_touch_each_other() -> None:
    generator, _ = build_networks(CONFIG)
    generator.eval()
    inputs = generator_inputs(2)
    psi = torch.randn(2, generator.psi_size) * 0.1
    with torch.no_grad():
        both = generator(psi, inputs)
        second = generator(psi[1:], Conditioning(*(value[1:] for value in inputs)))
    assert all(torch.allclose(a[1:], b, atol=1e-5) for a, b in zip(both, second, strict=True))


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


def test_pasting_leaves_no_seam_and_touches_nothing_outside() -> None:
    picture, crop = np.zeros((64, 64, 3), np.uint8), np.full((16, 24, 3), 255, np.uint8)
    to_crop = np.array([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]], np.float32)  # the middle half of the picture
    paste(picture, crop, to_crop)
    result = picture[..., 0].astype(int)
    assert result[32, 32] == 255
    assert max(np.abs(result - result[::-1]).max(), np.abs(result - result[:, ::-1]).max()) <= 12  # centred
    assert result[:15].max() == 0 and result[:, :15].max() == 0
    assert np.abs(np.diff(result, axis=0)).max() < 100


def test_a_crop_outside_of_the_picture_changes_nothing() -> None:
    picture = np.zeros((32, 32, 3), np.uint8)
    paste(picture, np.full((8, 8, 3), 255, np.uint8), np.array([[2.0, 0.0, 9.0], [0.0, 2.0, 0.0]], np.float32))
    assert picture.max() == 0


def test_the_discriminator_knows_whom_it_sees() -> None:
    """Projection (paper, §3.1): the same picture scores differently for different people."""
    torch.manual_seed(0)
    discriminator, people = Discriminator(CONFIG), PersonVectors(3, CONFIG)
    picture, drawing = torch.rand(2, 3, 64, 96), torch.rand(2, 3, 64, 96)
    scores, features = discriminator(
        picture[:1].repeat(2, 1, 1, 1), drawing[:1].repeat(2, 1, 1, 1), people(torch.tensor([0, 1]))
    )
    assert scores.shape[0] == 2 and len(features) == len(CONFIG.discriminator_channels)
    assert not torch.allclose(scores[0], scores[1])


def test_the_configuration_survives_json() -> None:
    import json

    assert ModelConfig.from_dict(json.loads(json.dumps(CONFIG.to_dict()))) == CONFIG
    assert np.isfinite(sum(p.abs().sum().item() for p in build_networks(CONFIG)[0].parameters()))
