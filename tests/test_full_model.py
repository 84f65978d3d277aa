"""Size `full`: the paper's sizes, and the promises of its networks' parts."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn.utils import parametrize

from avatar.core.errors import InputError, UsageError
from avatar.learning.summary import SIZES, SummaryRow, summarise, summarise_all, summary_table
from avatar.model.full.blocks import SelfAttention, without_spectral_norm
from avatar.model.full.checkpoint import FullNetworks, load_full, save_full
from avatar.model.full.config import FullConfig
from avatar.model.full.discriminator import FullPersonVectors

SMALL = FullConfig.at(32, channels_min=8, channels_max=24, embedding=24, down_blocks=2, residual_blocks=2)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def rows() -> dict[tuple[str, str], SummaryRow]:
    return {(row.size, row.network.split()[0].rstrip(",")): row for size in SIZES for row in summarise(size)}


@pytest.fixture
def small() -> FullNetworks:
    networks = FullNetworks.build(SMALL)
    for network in networks.parts().values():
        network.eval()
    return networks


def inputs(batch: int = 2) -> tuple[Tensor, Tensor]:
    return torch.rand(batch, 3, 32, 32), torch.rand(batch, 3, 32, 32)


def test_the_networks_have_the_papers_sizes(rows: dict[tuple[str, str], SummaryRow]) -> None:
    """§4: 15 million parameters in E, 38 in G, 20 in the convolutional part of D."""
    for network, millions in (("embedder", 15), ("generator", 38), ("discriminator", 20)):
        assert round(rows["full", network].parameters / 1e6) == millions


def test_summary_counts_what_a_frame_costs(rows: dict[tuple[str, str], SummaryRow]) -> None:
    assert rows["fast", "generator"].gflop < 3
    assert 55 < rows["full", "generator"].gflop < 65
    assert rows["full-128", "generator"].gflop == pytest.approx(rows["full", "generator"].gflop / 4, rel=0.02)


def test_summary_counts_a_convolution_by_hand() -> None:
    from avatar.learning.summary import _row

    layer = nn.Conv2d(4, 6, 3, padding=1)
    row = _row("x", "x", "x", layer, lambda: layer(torch.zeros(2, 4, 10, 10, device="meta")))
    assert row.gflop * 1e9 == pytest.approx(2 * 2 * 100 * 4 * 6 * 9) and row.parameters == 4 * 6 * 9 + 6


def test_the_summary_is_a_table_of_all_sizes() -> None:
    rows = summarise_all()
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(summary_table(rows))
    text = console.export_text()
    assert {row.size for row in rows} == set(SIZES)
    assert "37.95 M" in text and "61.28" in text
    with pytest.raises(UsageError, match="no size 'huge'"):
        summarise("huge")


def test_every_layer_is_spectrally_normalised() -> None:
    networks = FullNetworks.build(SMALL)
    pictures, drawings = inputs()
    for _ in range(30):  # one power iteration each
        networks.generator(drawings, networks.generator.psi(networks.embedder(pictures, drawings)))
        networks.discriminator(pictures, drawings, torch.zeros(2, 24))
    for network in networks.parts().values():
        network.eval()
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        assert len(layers) > 10
        for layer in layers:
            largest = torch.linalg.matrix_norm(layer.weight.flatten(1), 2)
            assert largest.item() == pytest.approx(1.0, abs=0.05)


def test_without_spectral_norm_the_picture_is_the_same(small: FullNetworks) -> None:
    _, drawings = inputs()
    psi = torch.randn(2, small.generator.psi_size)
    with torch.no_grad():
        before = small.generator(drawings, psi)
        without_spectral_norm(small.generator)
        assert torch.allclose(small.generator(drawings, psi), before, atol=1e-6)
    assert not any(parametrize.is_parametrized(m) for m in small.generator.modules())


def test_the_embedding_is_the_mean_over_the_photos(small: FullNetworks) -> None:
    pictures, drawings = inputs(3)
    with torch.no_grad():
        each = small.embedder(pictures, drawings)
        mean = small.embedder.embed(pictures[None], drawings[None])
    assert each.shape == (3, 24) and each.min() >= 0 and each.max() > 0
    assert torch.allclose(mean[0], each.mean(0), atol=1e-6)


def test_the_person_enters_by_psi_alone(small: FullNetworks) -> None:
    pictures, drawings = inputs()
    with torch.no_grad():
        psi = small.generator.psi(small.embedder(pictures, drawings))
        one, other = small.generator(drawings[:1].repeat(2, 1, 1, 1), psi)
        again = small.generator(drawings[:1], psi[:1])
    assert one.shape == (3, 32, 32) and one.min() >= 0 and one.max() <= 1
    assert (one - other).abs().max() > 1e-3
    assert torch.allclose(one, again[0], atol=1e-5)  # rows of a batch do not touch each other


def test_self_attention_begins_local_and_then_looks_everywhere() -> None:
    attention = SelfAttention(16).eval()
    x = torch.rand(1, 16, 8, 8)
    changed = x.clone()
    changed[..., 6:, 6:] += 3
    with torch.no_grad():
        assert torch.equal(attention(x), x)
        attention.share.fill_(1.0)
        assert (attention(changed) - attention(x))[..., :2, :2].abs().max() > 1e-4


def test_the_discriminator_knows_whom_it_sees(small: FullNetworks) -> None:
    table = FullPersonVectors(2, SMALL)
    table.meet(torch.tensor([0, 1]), torch.rand(2, 24))
    people = table(torch.tensor([0, 1]))
    picture, drawing = inputs(1)
    both = picture.repeat(2, 1, 1, 1), drawing.repeat(2, 1, 1, 1)
    with torch.no_grad():
        scores, features = small.discriminator(*both, people)
        own, _ = small.discriminator.score(*both, people + small.discriminator.w0)
    assert scores.shape == (2,) and not torch.allclose(scores[0], scores[1])
    assert torch.equal(scores, own)
    assert [f.shape[-1] for f in features] == [16, 8, 4, 4]  # after each residual block


def test_a_persons_vector_starts_at_the_first_embedding() -> None:
    people = FullPersonVectors(3, SMALL)
    first, later = torch.rand(2, 24), torch.rand(2, 24)
    people.meet(torch.tensor([0, 2]), first)
    people.meet(torch.tensor([2, 1]), later)
    assert torch.equal(people(torch.tensor([0, 2, 1])), torch.stack([first[0], first[1], later[1]]))


def test_weights_come_back_from_their_file(small: FullNetworks, tmp_path: Path) -> None:
    save_full(tmp_path / "full.safetensors", small, {"step": 7})
    back, about = load_full(tmp_path / "full.safetensors")
    pictures, drawings = inputs()
    with torch.no_grad():
        psi = small.generator.psi(small.embedder(pictures, drawings))
        wanted = small.generator(drawings, psi)
        got = back.generator(drawings, back.generator.psi(back.embedder(pictures, drawings)))
    assert about == {"step": 7} and back.generator.config == SMALL
    assert (got - wanted).abs().max() < 0.01  # half precision


def test_a_file_of_something_else_is_refused_by_name(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    for name in ("other", "text", "gone"):
        with pytest.raises(InputError, match=rf"{name}\.safetensors holds no `full` networks"):
            load_full(tmp_path / f"{name}.safetensors")


def test_the_configuration_survives_json_and_names_what_does_not_fit() -> None:
    assert FullConfig.from_dict(json.loads(json.dumps(SMALL.to_dict()))) == SMALL
    assert FullConfig.at(256) == FullConfig()
    with pytest.raises(UsageError, match="power of two"):
        FullConfig.at(100)
    with pytest.raises(UsageError, match="Self-attention at 48"):
        FullConfig(attention_down_px=48)
