"""Fine-tuning one person: what it learns from, when it is kept, and what it leaves alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from avatar.core.avatar import Avatar
from avatar.core.errors import VisavisError
from avatar.face.driving import Driving
from avatar.identity.bundle import load_avatar, save_avatar
from avatar.learning import finetune as module
from avatar.learning.drawn_regions import KINDS
from avatar.learning.finetune import advice_after, finetune, held_out_photos, verdict
from avatar.learning.losses import ContentNet
from avatar.learning.person_crops import PersonCrops, lit_faces
from avatar.learning.person_examination import Examination, PersonExamination
from avatar.learning.person_nets import PersonNets
from avatar.render import own_mouths
from avatar.render.engine_options import EngineOptions
from avatar.render.layered_network import network_name, open_layered_network
from avatar.render.painter import open_painter
from tests.clips import astronaut_avatar

PHOTOS = 8


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@lru_cache(maxsize=1)
def several() -> Avatar:
    """The astronaut's portrait, rolled and enlarged step by step."""
    avatar = astronaut_avatar()
    portraits, landmarks = [], []
    size = avatar.portraits.shape[1]
    for i in range(PHOTOS):
        turn = cv2.getRotationMatrix2D((size / 2, size / 2), 2.0 * i - 7, 1 + 0.01 * i)
        moved = avatar.landmarks[0].copy()
        moved[:, :2] = ((moved[:, :2] * size - 0.5) @ turn[:, :2].T + turn[:, 2] + 0.5) / size
        portraits.append(cv2.warpAffine(avatar.portraits[0], turn, (size, size), borderMode=cv2.BORDER_REPLICATE))
        landmarks.append(moved.astype(np.float32))
    return replace(
        avatar,
        portraits=np.stack(portraits),
        landmarks=np.stack(landmarks),
        blendshapes=np.repeat(avatar.blendshapes[:1], PHOTOS, axis=0),
    )


@pytest.mark.parametrize(("count", "wanted"), [(5, 1), (8, 2), (12, 3), (32, 6)])
def test_a_quarter_is_held_out_and_never_the_first(count: int, wanted: int) -> None:
    held_out = held_out_photos(count)
    assert len(set(held_out)) == len(held_out) == wanted
    assert min(held_out) > 0 and max(held_out) < count


def shown(picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The mouth of a face as a crop has it, (3, 64, 96) in [0, 1]."""
    region = KINDS["mouth"](landmarks, np.random.default_rng(0))
    return region.view().cut(picture).transpose(2, 0, 1) / np.float32(255)


def test_held_out_photos_are_not_learned() -> None:
    crops = PersonCrops(several(), (2, 5), seed=1)
    mouths = [shown(*face) for face in crops.faces]
    learned = set()
    for number in range(6):
        batch = crops.batch(number, 2)
        assert batch["mouth"]["target"].shape == (2, 3, 64, 96) and batch["eye"]["hints"].shape == (4, 2, 32, 48)
        for target in batch["mouth"]["target"].numpy():
            learned.add(int(np.argmin([np.abs(target - mouth).max() for mouth in mouths])))
    assert learned and not learned & {2, 5}


def test_batch_number_i_is_always_the_same() -> None:
    one, two = (PersonCrops(several(), (2,), seed=3).batch(4, 2) for _ in range(2))
    assert all(torch.equal(one[region][name], two[region][name]) for region in one for name in one[region])


GOOD = Examination(content=0.20, identity=0.30, sharpness=0.90)


@pytest.mark.parametrize(
    ("after", "says"),
    [
        (replace(GOOD, content=0.19), None),
        (replace(GOOD, content=0.1999), "did not fall"),
        (replace(GOOD, content=0.21), "did not fall"),
        (replace(GOOD, content=0.19, identity=0.32), "likeness fell"),
        (replace(GOOD, content=0.19, sharpness=0.75), "lost sharpness"),
        (replace(GOOD, content=float("nan")), "did not fall"),
    ],
)
def test_it_is_kept_only_if_better(after: Examination, says: str | None) -> None:
    found = verdict(GOOD, after)
    assert found is None if says is None else found is not None and says in found


def test_few_photos_are_left_alone() -> None:
    report = finetune(astronaut_avatar())
    assert not report.kept and report.steps == 0 and "fewer than 5 photos" in report.reason
    assert report.avatar is astronaut_avatar() and report.feed_forward is None
    assert "5 photos" in report.advice


def test_what_may_help_depends_on_why_nothing_was_kept() -> None:
    assert "still learning" in advice_after(out_of_time=True, photos=32)
    assert "More photos" in advice_after(out_of_time=False, photos=6)
    assert "as good without it" in advice_after(out_of_time=False, photos=32)


@pytest.mark.timeout(240)
def test_it_learns_and_the_avatar_carries_what_was_learned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECK_EVERY", 4)
    monkeypatch.setattr(module, "BATCH", 2)
    monkeypatch.setattr(module, "PATIENCE", 3)
    # these photos are one photo in other light: own mouths would show what is held out, and leave nothing to learn
    monkeypatch.setattr(own_mouths, "NEAR", -1.0)
    monkeypatch.setattr(own_mouths, "FAR", 0.0)
    monkeypatch.setitem(module.MAY_LOSE, "identity", 0.03)  # after four steps
    seconds = itertools.count()  # of a clock by which each step takes one: as many steps on a busy computer as on any
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: float(next(seconds))))
    lines: list[str] = []
    report = finetune(several(), minutes=0.15, progress=lambda share, line: lines.append(line))
    assert report.held_out_photos == 2 and report.steps == 8 and lines[0].startswith("step 4: distance on held-out")
    assert report.feed_forward and report.fine_tuned
    assert report.fine_tuned.content <= report.feed_forward.content
    assert report.kept, report.reason
    tuned = report.avatar
    assert tuned.fine_tuned and tuned.network == network_name()
    assert tuned.provenance["fine_tuned"]["steps"] == report.steps

    save_avatar(tuned, tmp_path / "ada.avatar")
    loaded = load_avatar(tmp_path / "ada.avatar")
    pictures = []
    for avatar in (several(), tuned, loaded):
        options = EngineOptions(threads=1)
        engine = options.open(options.person(avatar))
        painter = open_painter(avatar, engine, patient=True)
        pictures.append(painter.render(Driving(several().landmarks[2], 0)).astype(int))
        engine.close()
    assert np.array_equal(pictures[1], pictures[2])
    assert 0.002 < np.abs(pictures[0] - pictures[1]).mean() < 2  # another network, the same person


def test_what_is_kept_draws_what_torch_draws() -> None:
    """`PersonNets.weights` and the byte layout of the ONNX file agree, tensor by tensor."""
    nets = PersonNets()
    with torch.no_grad():
        for parameter in nets.averaged.parameters():
            parameter.mul_(1.02)
    avatar = replace(several(), weights=nets.weights(nets.snapshot()), network=network_name())
    fed = nets.averaged.example()
    with torch.no_grad():
        wanted = nets.averaged(*fed.values())
    engine = open_layered_network(avatar, "onnxruntime", threads=1)  # which has all digits
    found = engine.infer({name: value.numpy() for name, value in fed.items()})
    engine.close()
    for name, layer in zip(nets.averaged.outputs, wanted, strict=True):
        assert np.abs(found[name] - layer.numpy()).max() < 2e-3


def test_the_examination_draws_what_the_engine_draws() -> None:
    avatar, nets = several(), PersonNets()
    found = PersonExamination(avatar, lit_faces(avatar), (2, 5), nets.averaged).result()
    engine = open_layered_network(backend="onnxruntime", threads=1)
    kept = [0, 1, 3, 4, 6, 7]
    others = replace(avatar, portraits=avatar.portraits[kept], landmarks=avatar.landmarks[kept])
    painter = open_painter(others, engine, patient=True)
    (portrait, landmarks), content = PersonCrops(avatar, (), 1).faces[2], ContentNet()
    for now in (0, 10**9):
        drawn = painter.render(Driving(landmarks, now))
    engine.close()
    mouth, real = (torch.from_numpy(shown(picture, landmarks))[None] for picture in (drawn, portrait))
    assert 0 < float(content(mouth, real)) < 3 * found.content
    assert found.identity < 0.3 and found.sharpness > 0.5


def test_a_loss_that_is_no_number_says_that_the_avatar_is_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = replace(several(), embedding=np.full(512, np.inf, np.float32))
    monkeypatch.setattr(module, "PersonExamination", lambda *given: SimpleNamespace(result=lambda: GOOD))
    with pytest.raises(VisavisError, match=r"step 1: a loss.*is no number.*unchanged"):
        finetune(broken)


def test_the_command_says_what_it_found(tmp_path: Path) -> None:
    from avatar.cli.commands import app

    path = tmp_path / "ada.avatar"
    save_avatar(astronaut_avatar(), path)
    before = path.read_bytes()
    done = CliRunner().invoke(app, ["finetune", str(path), "--json"])
    assert done.exit_code == 0, done.output
    assert '"kept": false' in done.output and '"feed_forward": null' in done.output
    assert path.read_bytes() == before
