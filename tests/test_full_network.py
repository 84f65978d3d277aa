"""Size `full` in use: a small one with random weights, exported, drives and plays live."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avatar.cli.evaluate import parse_systems
from avatar.cli.live import has_accelerator
from avatar.cli.options import named_network
from avatar.core.avatar import Avatar
from avatar.core.errors import InputError, UsageError
from avatar.core.model_files import WEIGHTS
from avatar.face.driving import Driving
from avatar.identity.bundle import save_avatar
from avatar.live.options import LiveOptions
from avatar.live.session import open_session
from avatar.profiling.profile import Memory
from avatar.render.engine_options import EngineOptions
from avatar.render.full_network import FULL, FullNetwork
from avatar.render.landmark_image import draw_landmarks
from avatar.render.painter import open_painter
from avatar.sources.camera import PlayedFile
from avatar.sources.video_file import VideoFile
from avatar.tracking.model_asset import tracker_model
from engines import EngineFailure
from tests.clips import astronaut_avatar, face_clip

torch = pytest.importorskip("torch", reason="needs visavis[train]")
small = pytest.importorskip("tests.small_full")


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    return Path(small.small_full().name) / "full.safetensors"


@pytest.fixture(scope="module")
def folder(checkpoint: Path) -> Path:
    """What `visavis export` makes of it."""
    return checkpoint.parent / "onnx"


def visavis(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "avatar.cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def several() -> Avatar:
    """Two photos: as it is, and mirrored in colour, so that their embeddings differ."""
    one = astronaut_avatar()
    portraits = np.concatenate([one.portraits, 255 - one.portraits])
    return replace(
        one,
        portraits=portraits,
        landmarks=np.repeat(one.landmarks, 2, axis=0),
        blendshapes=np.repeat(one.blendshapes, 2, axis=0),
    )


def test_the_picture_is_that_of_the_trained_networks(checkpoint: Path, folder: Path) -> None:
    """By torch, with the code that trains: the mean embedding of the photos, and the landmark image of the frame."""
    from avatar.learning.full_personalise import feed_forward, photo_batch
    from avatar.model.full.checkpoint import load_full

    avatar = several()
    photos = photo_batch(list(avatar.portraits), list(avatar.landmarks), small.SIDE_PX)
    wanted = feed_forward(load_full(checkpoint)[0], photos)
    driving = Driving(avatar.landmarks[0] + np.float32(0.05), 0)
    drawing = torch.from_numpy(draw_landmarks(driving.landmarks, small.SIDE_PX)).float()[None] / 255
    right = wanted.picture(drawing)[0].permute(1, 2, 0).numpy() * 255

    network = FullNetwork(folder)
    person = network.person(replace(avatar, weights=np.ones(3, np.float32)))
    assert person.psi == pytest.approx(wanted.psi[0].numpy(), abs=1e-4)
    assert (person.model_id, person.fine_tuned) == (FULL, False)  # what was fine-tuned is another network's
    engine = network.open(person, "onnxruntime")
    try:
        drawn = open_painter(person, engine, small.SIDE_PX).render(driving)
        large = open_painter(replace(person, mattes=np.full((2, 64, 64), 255, np.uint8)), engine, 64)
        assert large.render(driving).shape == (64, 64, 3)
        matte = large.matte()
        assert matte is not None and matte.shape == (64, 64) and matte.min() == 255
    finally:
        engine.close()
    assert np.abs(drawn - right).max() < 1


@pytest.mark.e2e
def test_it_drives_a_video_and_says_how_slow_it_is(folder: Path, tmp_path: Path) -> None:
    save_avatar(astronaut_avatar(), tmp_path / "astronaut.avatar")
    clip = face_clip(tmp_path / "in.mp4", frames=5)
    where: list[str | Path] = ["--input", clip, "--output", tmp_path / "out.mp4", "--size", "128"]
    done = visavis("drive", tmp_path / "astronaut.avatar", *where, "--network", "full", "--weights", folder)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stderr.split())
    assert "full is slow on a processor" in said and "frames a second here, so 5 take about" in said
    pictures = [frame.rgb for frame in VideoFile(tmp_path / "out.mp4")]
    assert [picture.shape for picture in pictures] == [(128, 128, 3)] * 5
    assert np.abs(pictures[0].astype(int) - pictures[-1]).mean() > 1  # it moves


@pytest.mark.e2e
def test_it_is_live_on_a_processor_by_explicit_wish_alone(folder: Path, tmp_path: Path) -> None:
    save_avatar(astronaut_avatar(), tmp_path / "astronaut.avatar")
    clip = face_clip(tmp_path / "in.mp4", frames=25, fps=20)
    command: list[str | Path] = ["live", tmp_path / "astronaut.avatar", "--camera", clip, "--seconds", "1"]
    command += ["--to", tmp_path / "out.mp4", "--network", "full", "--weights", folder, "--size", "160x90", "--json"]
    done = visavis(*command, "--engine", "onnxruntime")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["published"] >= 3 and report["engine"]["model"] == "generator.onnx"
    assert next(iter(VideoFile(tmp_path / "out.mp4"))).rgb.shape == (90, 160, 3)
    if not has_accelerator():
        refused = visavis(*command)
        assert refused.returncode == 2 and "full is live on GPUs" in refused.stderr


def test_the_next_avatar_live_is_drawn_by_it_too(folder: Path, tmp_path: Path) -> None:
    one = astronaut_avatar()
    other = replace(one, name="other", weights=np.ones(3, np.float32))  # which are of no use here
    clip, memory = PlayedFile(face_clip(tmp_path / "in.mp4", frames=8)), Memory()
    network = FullNetwork(folder)
    options = LiveOptions(size=(64, 64), engine=EngineOptions("onnxruntime", full=network))
    with open_session(one, tracker_model(), clip, [memory], options) as session:
        engine = session.animator.rig.engine
        session.show(other)
        session.loop.run()
        rig = session.animator.rig
        assert (rig.avatar.name, rig.avatar.model_id, rig.engine) == ("other", FULL, engine)
        assert session.animator.held == 0 and not session.animator.broken


def test_what_is_no_full_network_is_refused(checkpoint: Path, folder: Path, tmp_path: Path) -> None:
    avatar = astronaut_avatar()
    with pytest.raises(InputError, match=r"holds no embedder\.onnx.*visavis export RUN/full\.safetensors"):
        FullNetwork(tmp_path).person(avatar)
    with pytest.raises(InputError, match=r"fast-3/embedder\.onnx is no embedder of size `full`"):
        FullNetwork(WEIGHTS / "fast-3").person(avatar)
    person = FullNetwork(folder).person(avatar)
    shutil.copy(folder / "embedder.onnx", tmp_path)
    with pytest.raises(InputError, match=r"holds no generator\.onnx"):
        FullNetwork(tmp_path).open(person)
    with pytest.raises(InputError, match=r"generator\.onnx is no generator of size `full`"):
        FullNetwork(WEIGHTS / "fast-3").open(person, "onnxruntime")
    shutil.copy(
        small.exported(small.save_small(tmp_path / "narrow.safetensors", 12), tmp_path / "narrow", embedder=False),
        tmp_path,
    )
    with pytest.raises(InputError, match=rf"embedder\.onnx beside it gives {person.psi.size}: export both again"):
        FullNetwork(tmp_path).open(person, "onnxruntime")
    (tmp_path / "embedder.onnx").write_bytes((folder / "embedder.onnx").read_bytes()[:5000])
    with pytest.raises(InputError, match=r"embedder\.onnx.* could not be loaded .*docs/TRAINING\.md"):
        FullNetwork(tmp_path).person(avatar)
    with pytest.raises(EngineFailure, match="no engine 'torch'"):
        FullNetwork(folder).open(person, "torch")


def test_networks_are_named_with_their_weights(folder: Path) -> None:
    assert named_network("fast", None) is None
    assert named_network("full", folder) == FullNetwork(folder)
    for network, weights, said in (
        ("full", None, "docs/TRAINING.md"),
        ("fast", folder, "--weights is for full"),
        ("huge", None, "fast or full"),
    ):
        with pytest.raises(UsageError, match=said):
            named_network(network, weights)
    assert parse_systems("ff,full") == ["ff", "full"]
    with pytest.raises(UsageError, match="--systems full"):
        parse_systems("full")
