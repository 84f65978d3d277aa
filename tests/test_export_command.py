"""`visavis export`: what it takes, what it writes where, and what it says when it cannot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image
from skimage.data import astronaut

import engines
from avatar.cli.command_app import flat
from avatar.cli.export import export as export_command
from avatar.cli.faces import frames_from
from avatar.core.avatar import Avatar
from avatar.core.errors import InputError, UsageError, VisavisError
from avatar.core.model_files import model_file
from avatar.identity.bundle import save_avatar
from avatar.render.layered_network import NETWORK, TRAINED, network_name
from avatar.render.own_weights import weight_names, with_weights
from avatar.render.real_frame import ACTS
from avatar.tracking.model_asset import tracker_model
from export.networks import load_networks
from tests.clips import astronaut_avatar, face_clip

GENERATOR = model_file(NETWORK)
export = flat(export_command)


def fine_tuned() -> Avatar:
    state = load_networks(model_file(TRAINED)).generator.state_dict()
    own = np.concatenate([state[name].numpy().ravel() for name in weight_names(GENERATOR)]) * np.float32(1.02)
    return replace(astronaut_avatar(), name="ada", weights=own, network=network_name())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


# ---- avatars


def test_what_an_avatar_has_learned_is_baked_in_and_stays_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VISAVIS_CACHE", str(tmp_path / "cache"))
    save_avatar(fine_tuned(), tmp_path / "ada.avatar")
    export(model="ada.avatar", as_json=True)
    out = tmp_path / "ada-onnx"
    report = json.loads(capsys.readouterr().out)
    assert [Path(file["path"]).name for file in report["files"]] == ["generator.onnx"]
    assert set(contents(out)) == {"generator.onnx", "generator.layout.json"}
    baked = {t.name: numpy_helper.to_array(t) for t in onnx.load(out / "generator.onnx").graph.initializer}
    patched = onnx.load_model_from_string(with_weights(GENERATOR, fine_tuned().weights))
    for tensor in patched.graph.initializer:
        if tensor.name in weight_names(GENERATOR):
            assert (baked[tensor.name] == numpy_helper.to_array(tensor)).all()
    assert all(path.stat().st_mode & 0o077 == 0 for path in (out, *out.iterdir()))
    assert not list(tmp_path.rglob("cache/**/*.onnx"))


def test_an_avatar_without_weights_of_its_own_has_the_network_that_all_share(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_avatar(astronaut_avatar(), tmp_path / "ada.avatar")
    export(model=str(tmp_path / "ada.avatar"), out=tmp_path / "out")
    assert "astronaut has no weights of its own" in capsys.readouterr().err
    learned = weight_names(GENERATOR)  # constants are numbered by the exporter
    own, shared = (
        {t.name: t.raw_data for t in onnx.load(path).graph.initializer if t.name in learned}
        for path in (tmp_path / "out/generator.onnx", GENERATOR)
    )
    assert len(own) == len(learned)
    assert own == shared


# ---- faces


def test_photos_and_clips_become_frames_and_others_are_left_out(tmp_path: Path) -> None:
    Image.fromarray(astronaut()).save(tmp_path / "ada.png")
    Image.new("RGB", (300, 300), "grey").save(tmp_path / "wall.png")
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "notes.txt").write_text("no picture")
    face_clip(tmp_path / "clip.mp4", frames=40)
    frames, left_out = frames_from([tmp_path], tracker_model())
    people = [frame.person for frame in frames]
    assert people.count(str(tmp_path / "ada.png")) == len(ACTS)
    assert people.count(str(tmp_path / "clip.mp4")) == 4  # one of nine, but for the first, which is the portrait
    assert sorted(line.split(" ")[0] for line in left_out) == [str(tmp_path / "cut.jpg"), str(tmp_path / "wall.png")]
    moved = np.abs(frames[0].driving - frames[0].landmarks).max()
    assert moved < 1e-3 < np.abs(frames[1].driving - frames[1].landmarks).max()
    with pytest.raises(InputError, match=r"There is no face in .*wall\.png"):
        frames_from([tmp_path / "wall.png"], tracker_model())
    with pytest.raises(InputError, match=r"nobody\.png does not exist"):
        frames_from([tmp_path / "nobody.png"], tracker_model())


@pytest.mark.e2e
def test_the_command_shows_its_table(tmp_path: Path) -> None:
    """In a process of its own, which gives up its network before it looks at faces."""
    command = [sys.executable, "-m", "avatar.cli.main", "export", "fast", "--precision", "fp16", "--check"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path)],
        cwd=Path(engines.__file__).parents[1],
        env=os.environ | {"COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    assert "kept in float32" in done.stdout and "ONNX Runtime, cpu" in done.stdout
    assert "fp16 as a GPU rounds:" in done.stdout
    assert {"generator.onnx", "generator.fp16.onnx", "embedder.onnx"} <= set(contents(tmp_path))


# ---- what it cannot do


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"model": "full"}, UsageError, "The weights of `full` do not come with visavis"),
        ({"model": "fast", "untrained": True}, UsageError, "--untrained is for `full`"),
        ({"model": "fast", "precision": "fp32,fp7"}, UsageError, "no precision 'fp7'. Choose from fp32, fp16, int8"),
        ({"model": "fast", "size": 300}, UsageError, "leave the size out"),
        ({"model": "full", "untrained": True, "batch": 65}, UsageError, "more than networks are built for"),
        ({"model": "full", "untrained": True, "size": 300}, UsageError, "power of two"),
        ({"model": "fast", "faces": [Path("x")]}, UsageError, "--faces is for --check"),
        ({"model": "fast", "capability": "89"}, UsageError, "add --engine tensorrt"),
        ({"model": "full", "untrained": True, "engine": "tensorrt"}, UsageError, "--engine is for"),
        ({"model": "nobody-here"}, InputError, "There is no avatar 'nobody-here'"),
        ({"model": "missing.safetensors"}, InputError, r"missing\.safetensors is no visavis checkpoint"),
    ],
)
def test_bad_use_writes_nothing(
    given: dict[str, object], error: type[VisavisError], words: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        export(**given, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def truncated(path: Path) -> bytes:
    return path.read_bytes()[: path.stat().st_size // 2]


def unknown_field(path: Path) -> bytes:
    return path.read_bytes().replace(b"residual_blocks", b"residual_bloCKs", 1)


def enormous(path: Path) -> bytes:
    return path.read_bytes().replace(b"[48, 96, 128]", b"[9999999, 99]", 1)


@pytest.mark.parametrize(
    "damage", [truncated, unknown_field, enormous, lambda path: b"", lambda path: b"PK\x03\x04" * 99]
)
def test_a_damaged_checkpoint_or_avatar_is_named(damage: Callable[[Path], bytes], tmp_path: Path) -> None:
    save_avatar(astronaut_avatar(), tmp_path / "whole.avatar")
    (tmp_path / "bad.safetensors").write_bytes(damage(model_file(TRAINED)))
    (tmp_path / "bad.avatar").write_bytes(damage(tmp_path / "whole.avatar"))
    for name in ("bad.safetensors", "bad.avatar"):
        if (tmp_path / name).read_bytes() == (tmp_path / "whole.avatar").read_bytes():
            continue  # a damage that only a checkpoint can have
        with pytest.raises(InputError, match=name.replace(".", r"\.")):
            export(model=str(tmp_path / name), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_engine_of_a_precision_that_is_not_there_asks_for_it(tmp_path: Path) -> None:
    (tmp_path / "my.safetensors").write_bytes(model_file(TRAINED).read_bytes())
    with pytest.raises(UsageError, match=r"generator\.fp16\.onnx does not exist. Write it first: .* --precision fp16"):
        export(model=str(tmp_path / "my.safetensors"), engine="tensorrt", capability="89", precision="fp16")


def test_an_output_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(VisavisError, match=r"file cannot be written: .* --out"):
        export(model="fast", out=tmp_path / "file")
    assert contents(tmp_path) == {"file": b"in the way"}


@pytest.mark.skipif(sys.platform == "win32", reason="resource limits are POSIX's")
def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    """A limit on the size of files fails a write as a full disk does: half-way."""
    (tmp_path / "generator.onnx").write_bytes(b"the older one")
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))\n"
        "from avatar.cli.main import main\n"
        f"sys.argv = ['visavis', 'export', 'fast', '--out', {str(tmp_path)!r}]\n"
        "sys.exit(main())\n"
    )
    root = Path(engines.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    assert f"{tmp_path} cannot be written: " in done.stderr and "Traceback" not in done.stderr
    assert contents(tmp_path) == {"generator.onnx": b"the older one"}
