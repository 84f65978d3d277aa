"""Training of one region: crops drawn by the layers, and a step on them."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.core.errors import InputError
from avatar.core.model_files import model_file
from avatar.face.state import BLENDSHAPE_NAMES
from avatar.learning.dataset.pack import PICTURE_SIZE_PX, open_pack, pack_written_to
from avatar.learning.parallel import CPU, to_device
from avatar.learning.region_crops import Crops, RegionCrops, draw_crops
from avatar.learning.region_objective import RegionObjective, RegionOptions
from avatar.learning.region_run import begin_with_shipped
from avatar.learning.region_samples import RegionSamples
from avatar.model.embedder import load_embedder
from avatar.model.layered_generator import EYE, FACE, MOUTH, Region, RegionGenerator, load_region
from avatar.render.layered_network import TRAINED
from tests.clips import astronaut_avatar
from tests.portraits import resized

COUNT = 4


@cache
def face() -> tuple[np.ndarray, np.ndarray]:
    avatar = astronaut_avatar()
    return resized(avatar.portraits[0], 0.5), avatar.landmarks[0]


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One still, and a clip whose mouth opens."""
    folder = tmp_path_factory.mktemp("pack")
    picture, landmarks = face()
    opened = landmarks.copy()
    opened[[14, 87, 178, 88, 317, 402, 318], 1] += 0.02
    scores = np.zeros((2, len(BLENDSHAPE_NAMES)), np.float32)
    with pack_written_to(folder, ["a", "b"]) as writer:
        writer.add("a", False, [picture], landmarks[None], scores[:1])
        writer.add("b", True, [picture, picture], np.stack([landmarks, opened]), scores)
    return folder


@pytest.fixture(scope="module")
def crops(pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("crops")
    embedder = load_embedder(model_file("fast-3/embedder.safetensors"))
    draw_crops(Crops(pack, MOUTH, COUNT, 1), folder, embedder, say=lambda line: None)
    yield folder


@pytest.mark.parametrize("region", [MOUTH, EYE], ids=lambda region: region.name)
def test_a_sample_is_the_same_every_time_and_shows_the_region(pack: Path, region: Region) -> None:
    samples = RegionSamples(open_pack(pack), region, 1)
    for index in range(6):
        one, again = samples.draw(index), samples.draw(index)
        np.testing.assert_array_equal(one.picture, again.picture)
        assert one.picture.shape == one.target.shape == (*region.size, 3)
        assert one.hints.shape == (*region.size, region.hints)
        # what the layers draw is near to what there is
        assert np.abs(one.picture.astype(int) - one.target).mean() < 30


def test_crops_are_read_as_they_were_drawn(pack: Path, crops: Path) -> None:
    sample = to_device({k: v[None] for k, v in RegionCrops(crops, 1, plain=True)[2].items()}, CPU)
    drawn = RegionSamples(open_pack(pack), MOUTH, 1).draw(2)
    np.testing.assert_allclose(sample["target"][0].permute(1, 2, 0).numpy() * 255, drawn.target, atol=1e-3)
    assert sample["embedding"].abs().sum() > 1


def test_light_and_mirror_change_picture_and_target_alike(crops: Path) -> None:
    differences = []
    for index in range(12):
        sample = to_device(RegionCrops(crops, 5)[index], CPU)
        differences.append(float((sample["picture"] - sample["target"]).abs().mean()))
    assert max(differences) < 0.15


def test_an_incomplete_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no complete crops"):
        RegionCrops(tmp_path, 1)


def test_steps_bring_the_drawn_nearer_to_the_true(crops: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    objective = RegionObjective(MOUTH, RegionOptions(adversarial_from_step=6, ema=0.5))
    loader = torch.utils.data.DataLoader(RegionCrops(crops, 1, plain=True), batch_size=COUNT, sampler=range(COUNT))
    batch = to_device(next(iter(loader)), CPU)
    before = objective.validate(batch)
    figures = [objective.step([batch], number, 1.0) for number in range(8)]
    after = objective.validate(batch)
    assert after["l1_inside"] < before["l1_inside"]
    assert after["features_of_the_layers"] == before["features_of_the_layers"]
    assert "adversarial" not in figures[5] and {"adversarial", "discriminator"} <= figures[6].keys()
    objective.save_sheet(tmp_path / "sheet.png", batch)
    again = RegionObjective(MOUTH, RegionOptions())
    again.load_state_dict(objective.state_dict())
    torch.testing.assert_close(again.validate(batch)["l1"], after["l1"])


def test_it_goes_on_from_nets_that_saw_less(crops: Path) -> None:
    trained = RegionGenerator(replace(MOUTH, hints=1))
    objective = RegionObjective(MOUTH, RegionOptions())
    objective.start_from(trained.net.state_dict(), trained.projection.state_dict())
    stem = objective.generator.net.stem.weight
    torch.testing.assert_close(stem[:, :24], trained.net.stem.weight[:, :24])
    assert stem[:, 24:].abs().max() == 0
    torch.testing.assert_close(objective.generator.projection.weight, trained.projection.weight)


def test_a_new_run_begins_with_what_is_shipped() -> None:
    objective = RegionObjective(MOUTH, RegionOptions())
    begin_with_shipped(objective)
    shipped = load_region(model_file(TRAINED)).state_dict()
    assert all(torch.equal(value, shipped[name]) for name, value in objective.averaged.state_dict().items())


def test_the_whole_picture_is_learned_where_the_layers_know_little(pack: Path, tmp_path: Path) -> None:
    embedder = load_embedder(model_file("fast-3/embedder.safetensors"))
    count = 2
    draw_crops(Crops(pack, FACE, count, 1), tmp_path, embedder, say=lambda line: None)
    crops = RegionCrops(tmp_path, 1, plain=True)
    loader = torch.utils.data.DataLoader(crops, batch_size=count, sampler=range(count))
    batch = to_device(next(iter(loader)), CPU)
    assert batch["picture"].shape == batch["target"].shape == (count, 3, PICTURE_SIZE_PX, PICTURE_SIZE_PX)
    # the background is as drawn, and so is nothing to be learned
    behind = torch.nn.functional.max_pool2d(batch["hints"][:, 2:3], 9, 1, 4) == 0
    apart = torch.nn.functional.avg_pool2d((batch["picture"] - batch["target"]).abs(), 2).mean(1, keepdim=True)
    assert behind.any() and apart[behind].mean() < 0.01 < apart[~behind].mean()
    torch.manual_seed(1)
    objective = RegionObjective(FACE, RegionOptions(adversarial_from_step=3, ema=0.5))
    figures = [objective.step([batch], number, 1.0) for number in range(4)]
    assert figures[3]["paint"] < figures[0]["paint"]
    assert {"adversarial", "discriminator"} <= figures[3].keys()


def test_the_pack_has_the_size_that_the_networks_see() -> None:
    assert face()[0].shape == (PICTURE_SIZE_PX, PICTURE_SIZE_PX, 3)
