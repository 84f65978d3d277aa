"""The nets of `fast-3`: untrained they leave the picture all but as it is; one graph holds those of all regions."""

from pathlib import Path

import pytest
import torch

from avatar.core.errors import InputError
from avatar.learning.projected_discriminator import ProjectedDiscriminator, augmented
from avatar.model.layered_generator import EYE, FACE, MOUTH, LayeredGenerator, RegionGenerator, load_region, save_region
from avatar.model.refinement import Changes, Drawn


def seen(batch: int = 2) -> Drawn:
    torch.manual_seed(1)
    height, width = MOUTH.size
    smooth = torch.linspace(0, 1, width).repeat(batch, 3, height, 1)
    return Drawn(smooth, torch.rand(batch, 3, height, width), torch.zeros(batch, 4, height, width))


def changes(network: RegionGenerator, drawn: Drawn) -> Changes:
    with torch.no_grad():
        return Changes(*network(torch.randn(len(drawn.picture), 512), drawn))


def test_outside_of_what_is_hinted_an_untrained_net_keeps_the_picture() -> None:
    drawn = seen()
    result = changes(RegionGenerator(MOUTH), drawn)
    assert result.keep.min() > 0.93
    assert (result.applied(drawn.picture) - drawn.picture).abs().mean() < 0.05


def test_where_it_is_hinted_half_is_painted_at_first() -> None:
    drawn = seen()
    drawn.hints[:, 0] = 1
    assert changes(RegionGenerator(MOUTH), drawn).keep.mean() == pytest.approx(0.5, abs=0.05)


def test_no_change_leaves_the_picture_to_the_bit() -> None:
    picture = seen().picture
    none = Changes(torch.zeros(2, 2, 32, 48), torch.ones(2, 1, 64, 96), torch.zeros(2, 3, 64, 96), picture)
    torch.testing.assert_close(none.applied(picture), picture, atol=1e-5, rtol=0)


def test_an_offset_looks_to_the_right() -> None:
    picture = torch.linspace(0, 1, 96).repeat(1, 3, 64, 1)
    right = torch.zeros(1, 2, 32, 48)
    right[:, 0] = 4 / 48  # four of 96 pixels
    moved = Changes(right, torch.ones(1, 1, 64, 96), torch.zeros(1, 3, 64, 96), picture).applied(picture)
    torch.testing.assert_close(moved[..., :90], picture[..., 4:94], atol=1e-4, rtol=0)


def test_a_confined_net_changes_nothing_beyond_its_reach() -> None:
    torch.manual_seed(1)
    picture, hints = torch.rand(1, 3, 256, 256), torch.rand(1, FACE.hints, 128, 128)
    hints[:, 1] = 0
    hints[:, 1, 40:60, 20:80] = 1
    drawn = Drawn(torch.nn.functional.avg_pool2d(picture, 2), torch.rand(1, 3, 128, 128), hints)
    result = changes(RegionGenerator(FACE), drawn).applied(picture)  # a picture twice as large as what it saw
    changed = (result - picture).abs().amax(1)[0] > 1e-4
    assert changed[80:120, 40:160].float().mean() > 0.9
    changed[76:124, 36:164] = False
    assert not changed.any()


def test_saved_and_read_again(tmp_path: Path) -> None:
    network = RegionGenerator(MOUTH)
    save_region(tmp_path / "mouth.safetensors", network, {"step": 3})
    again = load_region(tmp_path / "mouth.safetensors")
    assert again.region == MOUTH
    for one, other in zip(network.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-2)  # halves


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "mouth.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"mouth\.safetensors holds no region"):
        load_region(tmp_path / "mouth.safetensors")


def test_one_graph_of_all_regions_has_flat_names() -> None:
    generator = LayeredGenerator([RegionGenerator(MOUTH), RegionGenerator(EYE)])
    given = generator.example()
    regions = ("mouth_picture", "mouth_drawing", "mouth_hints", "eye_picture", "eye_drawing", "eye_hints")
    assert list(given) == generator.inputs == ["embedding", *regions]
    with torch.no_grad():
        result = generator(*given.values())
    assert dict(zip(generator.outputs, (tuple(part.shape) for part in result), strict=True)) == {
        "mouth_offset": (1, 2, 32, 48), "mouth_keep": (1, 1, 64, 96), "mouth_added": (1, 3, 64, 96),
        "eye_offset": (1, 2, 2, 16, 24), "eye_keep": (1, 2, 1, 32, 48), "eye_added": (1, 2, 3, 32, 48),
    }  # fmt: skip


def test_the_discriminator_learns_what_the_frozen_projections_show() -> None:
    torch.manual_seed(1)
    discriminator = ProjectedDiscriminator([24, 40])
    features = [torch.rand(2, 24, 16, 24), torch.rand(2, 40, 8, 12)]
    assert discriminator(features, torch.rand(2, 3, 64, 96)).shape == (2, 16 * 24 + 8 * 12)
    learned = {name for name, value in discriminator.named_parameters() if value.requires_grad}
    assert learned and not any("projections" in name for name in learned)


def test_augmenting_moves_picture_and_drawing_alike() -> None:
    torch.manual_seed(1)
    picture = torch.zeros(1, 3, 64, 96)
    picture[..., 30:34, 46:50] = 1
    lit, drawing = augmented(picture, picture.clone())
    bright = (lit[0, 0] > lit[0, 0].mean() + 0.3).nonzero().float().mean(0)
    torch.testing.assert_close(bright, (drawing[0, 0] > 0.5).nonzero().float().mean(0), atol=0.6, rtol=0)
