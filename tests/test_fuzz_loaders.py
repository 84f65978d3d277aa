"""Files that anybody may have written: each loads and is drawn, or is refused in one line. Nothing else happens."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load, save

from avatar.core.avatar import Avatar
from avatar.core.errors import InputError
from avatar.core.model_files import MODEL_ID, model_file
from avatar.face.face_model import face_model
from avatar.face.state import FaceState, no_face
from avatar.identity.bundle import load_avatar, save_avatar
from avatar.identity.bundle_members import MANIFEST, PARAMETERS
from avatar.identity.thumbnail import THUMBNAIL
from avatar.render.engine_options import EngineOptions
from avatar.render.layered_network import NETWORK, network_name
from avatar.render.own_weights import weight_count
from avatar.render.painter import open_painter
from avatar.retarget.retargeter import Mode, Retargeter
from avatar.sources.motion import MotionRecorder, read_motion, write_motion
from engines.engine import Engine
from engines.selection.choice import FILE_NAME, FORMAT, Choice, remembered
from tests.clips import astronaut_avatar

Arrays = dict[str, NDArray[Any]]
SIZE_PX = 64
MODES: st.SearchStrategy[Mode] = st.sampled_from(["relative", "absolute"])

NUMBERS = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e-30, 1e30, float("inf"), float("-inf"), float("nan"), 0.5, 2.0, 19.0]),
    st.floats(width=32),
)
WORDS = st.one_of(st.text(max_size=40), st.sampled_from(["", "\x1b[2J", "a\nb", "\ud800", "9" * 400, MODEL_ID]))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.just(10**400), st.floats(), WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(WORDS, inner, max_size=4)),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def network() -> Iterator[Engine]:
    engine = EngineOptions("onnxruntime", "fp32").open(astronaut_avatar())
    yield engine
    engine.close()


def refused(error: InputError, path: Path) -> None:
    assert str(error).startswith(str(path))
    assert str(error).isprintable(), str(error)
    assert len(str(error)) < 500 + len(str(path))


def drawn(avatar: Avatar, states: list[FaceState], engine: Engine, mode: Mode) -> None:
    """As live and drive do it: finite numbers throughout."""
    painter = open_painter(avatar, engine, SIZE_PX)
    retargeter = Retargeter(avatar, mode)
    for state in states:
        driving = retargeter.drive(state)
        assert np.isfinite(driving.landmarks).all()
        assert painter.render(driving).shape == (SIZE_PX, SIZE_PX, 3)


def moving_face(index: int) -> FaceState:
    capture_ns = index * 40_000_000
    if index == 2:
        return no_face(capture_ns)
    landmarks = 90 * face_model().mean_shape + np.array([160 + 3 * index, 120, 0], np.float32)
    return FaceState(landmarks, np.full(52, 0.2, np.float32), np.eye(4, dtype=np.float32), 0.9, capture_ns, 1)


STATES = [moving_face(index) for index in range(1, 4)]


# What may be done to data


@st.composite
def poked(draw: st.DrawFn, array: NDArray[Any]) -> NDArray[Any]:
    """A few values replaced, all of them scaled, another type, another length."""
    with np.errstate(all="ignore"):
        array = array.copy()
        for place, value in draw(st.lists(st.tuples(st.integers(0, 1 << 20), NUMBERS), max_size=3)):
            if array.size:
                array.flat[place % array.size] = np.float64(value).astype(array.dtype)
        if draw(st.booleans()):
            array = (array * draw(NUMBERS)).astype(array.dtype)
        if draw(st.integers(0, 5)) == 5:
            array = array.astype(draw(st.sampled_from([np.float32, np.float16, np.float64, np.uint8, np.int64])))
        if draw(st.integers(0, 5)) == 5:
            array = array[: draw(st.integers(0, 3))]
    return array


@st.composite
def bent(draw: st.DrawFn, points: NDArray[np.float32]) -> NDArray[np.float32]:
    """(…, 478, 3) about their middle by any matrix, moved, with noise: faces, and what is none any more."""
    some = st.floats(-3, 3, width=32)
    matrix = np.array(draw(st.lists(some, min_size=9, max_size=9)), np.float32).reshape(3, 3)
    matrix = np.eye(3, dtype=np.float32) + matrix * np.float32(draw(st.sampled_from([0, 0.03, 0.1, 1])))
    middle = points.mean(-2, keepdims=True)
    noise = np.random.default_rng(draw(st.integers(0, 9))).normal(
        0, draw(st.sampled_from([0, 0.02, 0.3])), points.shape
    )
    size = np.ptp(points[..., 0])
    return np.asarray((points - middle) @ matrix + middle * draw(some) + noise * size, np.float32)


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes changed, left out, doubled or cut off, most of them near either end: there the structure is."""
    for _ in range(draw(st.integers(1, 4))):
        near = draw(st.one_of(st.integers(0, 1500), st.integers(-1500, -1), st.integers(0, 1 << 24)))
        at = near % max(len(data), 1)
        piece = draw(st.binary(max_size=9))
        kind = draw(st.sampled_from(["set", "insert", "delete", "double", "cut"]))
        if kind == "set":
            data = data[:at] + piece + data[at + len(piece) :]
        elif kind == "insert":
            data = data[:at] + piece + data[at:]
        elif kind == "delete":
            data = data[:at] + data[at + len(piece) :]
        elif kind == "double":
            data = data[:at] + data[max(0, at - 40) : at] + data[at:]
        else:
            data = data[:at]
    return data


# .avatar


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("whole") / "ada.avatar"
    save_avatar(astronaut_avatar(), path)
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def packed(members: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return data.getvalue()


def vouched(members: dict[str, bytes], changes: dict[str, Any] | None = None) -> dict[str, bytes]:
    """With a manifest that says of the other members what they are."""
    manifest = json.loads(members[MANIFEST])
    for name in (PARAMETERS, THUMBNAIL):
        content = members[name]
        manifest["members"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    try:
        tensors = load(members[PARAMETERS])
        manifest["arrays"] = {name: {"dtype": str(a.dtype), "shape": list(a.shape)} for name, a in tensors.items()}
    except Exception:  # the header is what was damaged
        pass
    return {**members, MANIFEST: json.dumps({**manifest, **(changes or {})}).encode()}


def loads_or_is_refused(data: bytes, folder: Path, engine: Engine, mode: Mode) -> None:
    path = folder / "any.avatar"
    path.write_bytes(data)
    try:
        avatar = load_avatar(path)
    except InputError as error:
        refused(error, path)
        return
    own = EngineOptions("onnxruntime", "fp32").open(avatar) if avatar.fine_tuned else None
    try:
        drawn(avatar, STATES, own or engine, mode)
    except InputError as error:  # weights in their range may still add up to numbers without end
        assert own is not None
        assert "gives no picture" in str(error)
    finally:
        if own is not None:
            own.close()


@given(data=st.data())
def test_an_avatar_of_other_numbers(
    data: st.DataObject, members: dict[str, bytes], tmp_path: Path, network: Engine
) -> None:
    arrays: Arrays = dict(load(members[PARAMETERS]))
    arrays["landmarks"] = data.draw(bent(arrays["landmarks"]))
    for name in data.draw(st.sets(st.sampled_from(["landmarks", "blendshapes", "embedding"]), max_size=2)):
        arrays[name] = data.draw(poked(arrays[name]))
    count = data.draw(st.sampled_from([0] * 20 + [1, 7, weight_count(model_file(NETWORK))]))
    scale = data.draw(st.sampled_from([0.02, 0.5, 20.0, 21.0]))
    arrays["weights"] = (scale * np.sin(np.arange(count))).astype(np.float32)
    sealed = vouched(
        {**members, PARAMETERS: save(arrays)}, {"network": data.draw(st.sampled_from(["", network_name()]))}
    )
    loads_or_is_refused(packed(sealed), tmp_path, network, data.draw(MODES))


@given(data=st.data())
def test_an_avatar_with_another_manifest(
    data: st.DataObject, members: dict[str, bytes], tmp_path: Path, network: Engine
) -> None:
    keys = st.one_of(st.sampled_from(list(json.loads(members[MANIFEST]))), WORDS)
    changes = data.draw(st.dictionaries(keys, JSON, min_size=1, max_size=3))
    loads_or_is_refused(packed(vouched(members, changes)), tmp_path, network, data.draw(MODES))


@given(data=st.data())
def test_a_damaged_avatar(data: st.DataObject, members: dict[str, bytes], tmp_path: Path, network: Engine) -> None:
    """Of the whole file, or of one member in a file that vouches for it."""
    name = data.draw(st.sampled_from([None, MANIFEST, PARAMETERS, THUMBNAIL]))
    if name is None:
        file = data.draw(damaged(packed(members)))
    else:
        changed = {**members, name: data.draw(damaged(members[name]))}
        file = packed(changed if name == MANIFEST else vouched(changed))
    loads_or_is_refused(file, tmp_path, network, data.draw(MODES))


# .motion


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    recorder = MotionRecorder()
    for state in STATES:
        recorder.add(state)
    path = tmp_path_factory.mktemp("whole") / "talk.motion"
    write_motion(recorder.motion(320, 240), path)
    return path.read_bytes()


def plays_or_is_refused(data: bytes, folder: Path, engine: Engine, mode: Mode) -> None:
    path = folder / "any.motion"
    path.write_bytes(data)
    try:
        motion = read_motion(path)
    except InputError as error:
        refused(error, path)
        return
    drawn(astronaut_avatar(), list(motion.states())[:4], engine, mode)


@given(data=st.data())
def test_motion_of_other_numbers(data: st.DataObject, recorded: bytes, tmp_path: Path, network: Engine) -> None:
    arrays: Arrays = dict(load(recorded))
    steps = data.draw(bent(arrays["landmarks"].astype(np.float32)))
    arrays["landmarks"] = np.clip(steps, -32_767, 32_767).astype(np.int16)
    for name in data.draw(st.sets(st.sampled_from(list(arrays)), max_size=2)):
        arrays[name] = data.draw(poked(arrays[name]))
    header = {"format": "visavis-motion", "format_version": "1", "width": "320", "height": "240", "fps": "25.0"}
    header |= data.draw(st.dictionaries(st.sampled_from(list(header)), st.one_of(NUMBERS.map(str), WORDS), max_size=1))
    header = {name: text.encode(errors="replace").decode() for name, text in header.items()}
    plays_or_is_refused(save(arrays, header), tmp_path, network, data.draw(MODES))


@given(data=st.data())
def test_damaged_motion(data: st.DataObject, recorded: bytes, tmp_path: Path, network: Engine) -> None:
    plays_or_is_refused(data.draw(damaged(recorded)), tmp_path, network, data.draw(MODES))


# choice.json: what is remembered of the engines

KNOWN = {
    "format": FORMAT,
    "choices": [
        {
            "key": {"cores": 2},
            "model": "generator.onnx",
            "measured": "2026-11-24T10:00:00+00:00",
            "results": [
                {
                    "candidate": {"backend": "onnxruntime", "device": "cpu", "precision": "fp32"},
                    "ms": 10.5, "reason": "", "load_ms": 100.0,
                }
            ],
            "unusable": {"tensorrt": "not installed"},
        }
    ],
}  # fmt: skip


@st.composite
def altered(draw: st.DrawFn, value: Any) -> Any:
    """JSON with something else in a place of it."""
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 6)) == 0:
        return draw(JSON)
    if isinstance(value, list):
        return [draw(altered(value[0])), *value[1:]]
    key = draw(st.sampled_from(list(value)))
    return {**value, key: draw(altered(value[key]))}


def remembered_or_said(data: bytes, folder: Path) -> None:
    said: list[str] = []
    (folder / FILE_NAME).write_bytes(data)
    (folder / FILE_NAME).chmod(0o600)
    choices = remembered(folder, said.append)
    assert all(isinstance(choice, Choice) and choice.usable and choice.date for choice in choices)
    assert len(said) <= 1


@given(data=st.data())
def test_what_is_remembered_of_the_engines(data: st.DataObject, tmp_path: Path) -> None:
    whole = json.dumps(KNOWN).encode()
    either: Callable[[], bytes] = data.draw(
        st.sampled_from([lambda: json.dumps(data.draw(altered(KNOWN))).encode(), lambda: data.draw(damaged(whole))])
    )
    remembered_or_said(either(), tmp_path)


# Checkpoints


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    pytest.importorskip("torch", reason="checkpoints need torch: pip install 'visavis[train]'")
    from avatar.model.config import RegionConfig
    from avatar.model.layered_generator import Region, RegionGenerator, save_region

    region = Region("mouth", (8, 8), RegionConfig((2, 2), 1), 1, (-3.0, 0.0), embedding=2)
    path = tmp_path_factory.mktemp("whole") / "small.safetensors"
    save_region(path, RegionGenerator(region), {"steps": 1})
    return path.read_bytes()


@given(data=st.data())
def test_a_checkpoint_of_other_numbers(data: st.DataObject, checkpoint: bytes, tmp_path: Path) -> None:
    from avatar.model.layered_generator import load_region

    arrays = dict(load(checkpoint))
    length = int.from_bytes(checkpoint[:8], "little")
    header: dict[str, str] = json.loads(checkpoint[8 : 8 + length])["__metadata__"]
    key = data.draw(st.sampled_from(list(header)))
    header[key] = json.dumps(data.draw(altered(json.loads(header[key]))))
    for name in data.draw(st.sets(st.sampled_from(list(arrays)), max_size=2)):
        arrays[name] = data.draw(poked(arrays[name]))
    path = tmp_path / "any.safetensors"
    file = save(arrays, header)
    path.write_bytes(data.draw(st.one_of(st.just(file), damaged(file))))
    try:
        network = load_region(path)
    except InputError as error:
        refused(error, path)
        return
    assert all(bool(tensor.isfinite().all()) for tensor in network.state_dict().values())
