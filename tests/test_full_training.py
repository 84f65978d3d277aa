"""Training of size `full`: samples, losses, one step of all networks, and the person's own stage."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np
import pytest
import torch

from avatar.core.errors import InputError, UsageError
from avatar.face.crop import face_crop
from avatar.learning.content_losses import FullContent
from avatar.learning.dataset.pack import Pack
from avatar.learning.few_shot_dataset import FewShotDataset
from avatar.learning.full_objective import RECIPES, FullObjective, FullOptions, draw
from avatar.learning.full_personalise import feed_forward, personalise, photo_batch
from avatar.learning.objective import Batch
from avatar.model.full.config import FullConfig
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model
from tests.portraits import astronaut

SMALL = FullConfig.at(32, channels_min=8, channels_max=24, embedding=24, down_blocks=2, residual_blocks=1)
QUICK = FullOptions(k=3, rate_makers=2e-3, rate_judges=2e-3)
STILL, MOVING, SEVERAL = 0, 1, 2  # people of the pack


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@lru_cache(maxsize=1)
def face() -> tuple[np.ndarray, np.ndarray]:
    """The astronaut at 256², and her landmarks."""
    rgb = astronaut()
    with CagedTracker(tracker_model(), "image", patient=True) as tracker:
        state = tracker.track(rgb, 0)
    crop = face_crop(state.landmarks, rgb.shape[1], rgb.shape[0])
    return crop.cut(rgb, 256), crop.normalise(state.landmarks)


def moved(index: int) -> tuple[np.ndarray, np.ndarray]:
    """The same face rolled and shifted: frame `index` of a clip."""
    picture, landmarks = face()
    turn = cv2.getRotationMatrix2D((128, 128), 2.0 * index - 9, 1 + 0.01 * index)
    points = landmarks.copy()
    points[:, :2] = ((landmarks[:, :2] * 256 - 0.5) @ turn[:, :2].T + turn[:, 2] + 0.5) / 256
    return cv2.warpAffine(picture, turn, (256, 256), borderMode=cv2.BORDER_REPLICATE), points.astype(np.float32)


@pytest.fixture(scope="module")
def pack() -> Pack:
    """One still of a person, ten frames of another, three stills of a third."""
    frames = [face(), *(moved(i) for i in range(10)), *(moved(i) for i in (1, 5, 8))]
    pictures = np.stack([picture for picture, _ in frames])
    pictures[1:11] = 255 - pictures[1:11]  # the moving person is a negative: told apart at sight
    return Pack(
        pictures,
        np.stack([points for _, points in frames]).astype(np.float32),
        np.zeros((14, 52), np.float32),
        np.array([STILL, *[MOVING] * 10, *[SEVERAL] * 3], np.int32),
        np.array([-1, *[0] * 10, *[-1] * 3], np.int32),
        ["still", "moving", "several"],
    )


@pytest.fixture(scope="module")
def content() -> FullContent:
    return FullContent()


def batch_of(dataset: FewShotDataset, first: int, count: int) -> Batch:
    samples = [dataset[i] for i in range(first, first + count)]
    batch = {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}
    return {name: value.float() / 255 if value.dtype == torch.uint8 else value for name, value in batch.items()}


def test_sample_number_i_is_always_the_same(pack: Pack) -> None:
    for index in range(6):
        one, two = FewShotDataset(pack, 64, 3, 5)[index], FewShotDataset(pack, 64, 3, 5)[index]
        assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(FewShotDataset(pack, 64, 3, 5)[0]["target"], FewShotDataset(pack, 64, 3, 6)[0]["target"])


@pytest.mark.parametrize(("size_px", "k"), [(32, 1), (64, 8), (256, 16)])
def test_a_sample_holds_k_photos_and_a_target_of_one_person(pack: Pack, size_px: int, k: int) -> None:
    dataset = FewShotDataset(pack, size_px, k)
    for index in range(4):
        sample = dataset[index]
        assert sample["photos"].shape == sample["photo_drawings"].shape == (k, 3, size_px, size_px)
        assert sample["target"].shape == sample["drawing"].shape == (3, size_px, size_px)
        assert sample["landmarks"].shape == (478, 3)
        assert sample["drawing"].max() > 100 and sample["photo_drawings"].flatten(1).max(1).values.min() > 100


def test_the_people_of_a_sample_can_be_chosen(pack: Pack) -> None:
    for identity in (STILL, MOVING, SEVERAL):
        dataset = FewShotDataset(pack, 32, 2, identities=[identity])
        assert {int(dataset[i]["identity"]) for i in range(5)} == {identity}
    with pytest.raises(ValueError, match="nobody is left"):
        FewShotDataset(pack, 32, 2, identities=[])


def test_photos_of_a_person_with_one_still_show_other_poses(pack: Pack) -> None:
    sample = FewShotDataset(pack, 64, 4, identities=[STILL])[0]
    shown = [*sample["photo_drawings"], sample["drawing"]]
    for i in range(5):
        for j in range(i):
            assert (shown[i].float() - shown[j].float()).abs().mean() > 1, (i, j)


def test_photos_of_a_clip_are_other_frames_of_it(pack: Pack) -> None:
    dataset = FewShotDataset(pack, 64, 9, identities=[MOVING])
    for index in range(3):
        sample = dataset[index]
        everything = torch.cat([sample["photos"], sample["target"][None]]).flatten(1)
        assert len(torch.unique(everything, dim=0)) == 10


def test_content_is_nothing_for_the_same_picture_and_grows_with_the_difference(
    pack: Pack, content: FullContent
) -> None:
    batch = batch_of(FewShotDataset(pack, 64, 1), 0, 3)
    target = batch["target"]
    assert all(float(v) == 0 for v in content(target, target, batch["landmarks"]).values())
    soft = torch.nn.functional.avg_pool2d(target, 3, 1, 1)
    grey = torch.full_like(target, 0.5).requires_grad_()
    near, far = content(soft, target, batch["landmarks"]), content(grey, target, batch["landmarks"])
    for name in ("pixels", "imagenet", "identity"):
        assert 0 < float(near[name]) < float(far[name].detach())
        (gradient,) = torch.autograd.grad(far[name], grey, retain_graph=True)
        assert torch.isfinite(gradient).all() and gradient.abs().max() > 0


def test_recipes_stand_to_each_other_as_in_the_papers_versions() -> None:
    """VGG19 1e-2 to 1.5e-1, VGGFace 2e-3 to 2.5e-2, match 80 to 10; feature matching 10 in both."""
    one, two = RECIPES["paper_v1"], RECIPES["paper_v2"]
    assert two.imagenet / one.imagenet == pytest.approx(15) == pytest.approx(two.pixels / one.pixels)
    assert two.identity / one.identity == pytest.approx(12.5)
    assert (one.match, two.match, one.feature_matching, two.feature_matching) == (80, 10, 10, 10)
    with pytest.raises(UsageError, match=r"no recipe 'v3'.*paper_v1, paper_v2"):
        _ = FullOptions(recipe="v3").weights


def test_a_step_trains_every_network_and_no_frozen_one(pack: Pack) -> None:
    objective = FullObjective(SMALL, QUICK, 3)
    parts = {**objective.networks.parts(), "people": objective.people, "content": objective.content}
    before = {name: deepcopy(network.state_dict()) for name, network in parts.items()}
    figures = objective.step([batch_of(FewShotDataset(pack, 32, 3), 0, 2)], 0)
    wanted = {"imagenet", "pixels", "identity", "feature_matching", "adversarial", "match", "discriminator"}
    assert set(figures) == wanted and all(np.isfinite(value) for value in figures.values())
    for name, network in parts.items():
        pairs = [(before[name][k], v) for k, v in network.state_dict().items() if v.is_floating_point()]
        changed = sum(not torch.equal(a, b) for a, b in pairs) / len(pairs)
        assert changed == 0 if name == "content" else changed > 0.8, (name, changed)


def test_training_makes_the_picture_of_the_right_person(pack: Pack) -> None:
    """A few steps on two people who differ at sight: the content loss falls, and so does the L1 for each."""
    objective = FullObjective(SMALL, replace(QUICK, ema=0.0), 3)
    batches = [batch_of(FewShotDataset(pack, 32, 3, identities=[who]), 0, 2) for who in (STILL, MOVING)]
    together = {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
    with torch.no_grad():
        before = (draw(objective.networks, together)[1] - together["target"]).abs().mean()
    figures = [objective.step([together], number) for number in range(45)]
    assert figures[-1]["imagenet"] < 0.8 * figures[0]["imagenet"]
    with torch.no_grad():
        pictures = draw(objective.networks, together)[1]
    assert (pictures - together["target"]).abs().mean() < 0.65 * before
    assert (pictures - together["target"]).abs().mean() < (pictures - together["target"].roll(2, 0)).abs().mean()


def test_a_resumed_run_goes_on_with_the_same_losses(pack: Pack) -> None:
    batches = [batch_of(FewShotDataset(pack, 32, 3), 2 * i, 2) for i in range(3)]
    whole = FullObjective(SMALL, QUICK, 3)
    whole.step(batches[:1], 0)
    kept = deepcopy(whole.state_dict())
    resumed = FullObjective(SMALL, QUICK, 3)
    resumed.load_state_dict(kept)
    for number in (1, 2):
        wanted = whole.step([batches[number]], number)
        assert resumed.step([batches[number]], number) == pytest.approx(wanted, rel=1e-3, abs=1e-5)


def test_averaged_networks_stay_normalised(pack: Pack) -> None:
    """The averaged weights need singular vectors that are theirs, or pictures fall apart at evaluation."""
    objective = FullObjective(SMALL, replace(QUICK, ema=0.5), 3)
    batch = batch_of(FewShotDataset(pack, 32, 3), 0, 2)
    for number in range(12):
        objective.step([batch], number)
    pictures = []
    for networks in (objective.networks, objective.averaged):
        for network in networks.parts().values():
            network.eval()
        with torch.no_grad():
            pictures.append(draw(networks, batch)[1])
    assert (pictures[0] - pictures[1]).abs().mean() < 0.05


def test_a_persons_own_stage_learns_the_photos_and_leaves_the_networks_alone(pack: Pack, content: FullContent) -> None:
    networks = FullObjective(SMALL, QUICK, 3).networks
    frames = [moved(i) for i in (0, 3, 6)]
    pictures, landmarks = [p for p, _ in frames], [points for _, points in frames]
    before = deepcopy({name: network.state_dict() for name, network in networks.parts().items()})
    lines: list[str] = []
    person = personalise(
        networks, pictures, landmarks, options=QUICK, epochs=30, content=content,
        progress=lambda share, line: lines.append(line),
    )  # fmt: skip
    for name, network in networks.parts().items():
        assert all(torch.equal(before[name][k], v) for k, v in network.state_dict().items()), name
    photos = photo_batch(pictures, landmarks, 32)
    start = feed_forward(networks, photos)
    assert start.psi.shape == (1, networks.generator.psi_size) and torch.allclose(
        start.w - networks.discriminator.w0, networks.embedder.embed(photos["target"][None], photos["drawing"][None])
    )
    errors = [(p.picture(photos["drawing"]) - photos["target"]).abs().mean() for p in (start, person)]
    assert errors[1] < 0.6 * errors[0] and len(lines) == len(person.losses) == 30
    assert not torch.equal(person.psi, start.psi) and not torch.equal(person.w, start.w)


def test_no_epochs_is_feed_forward(content: FullContent) -> None:
    networks = FullObjective(SMALL, QUICK, 3).networks
    picture, landmarks = face()
    person = personalise(networks, [picture], [landmarks], options=QUICK, epochs=0, content=content)
    drawings = photo_batch([picture], [landmarks], 32)["drawing"]
    wanted = feed_forward(networks, photo_batch([picture], [landmarks], 32)).picture(drawings)
    assert torch.equal(person.picture(drawings), wanted)
    with pytest.raises(InputError, match="0 photos"):
        personalise(networks, [], [], content=content)
