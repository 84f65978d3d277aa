"""TensorRT engines are built without a GPU, once, kept safely, and never loaded when they are not what was written."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import engines
from avatar.core.model_files import model_file
from avatar.render.layered_network import NETWORK
from engines import EngineFailure, available_backends, open_engine
from engines.tensorrt.build import Library, Target, build, library
from engines.tensorrt.cache import LENGTH, MAGIC, EngineKey, StoredEngine, stored_engine
from engines.tensorrt.engine import TensorRtEngine, present_capability

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason="tensorrt-rtx is an extra: pip install 'visavis[tensorrt]'",
)
CAPABILITY = 89


def has_gpu() -> bool:
    try:
        return bool(present_capability())
    except EngineFailure:
        return False


HAS_GPU = has_gpu()


@pytest.fixture(scope="module")
def rtx() -> Library:
    return library(CAPABILITY)


def tiny(path: Path, nodes: list[onnx.NodeProto] | None = None, row: int = 4) -> Path:
    """A convolution and a fully connected layer: (1, 3, 8, 8) and (1, row) to (1, 5)."""
    rng = np.random.default_rng(1)
    weights = {
        "conv.weight": rng.standard_normal((2, 3, 3, 3)).astype(np.float32),
        "head.weight": rng.standard_normal((5, row)).astype(np.float32),
        "head.bias": rng.standard_normal(5).astype(np.float32),
    }
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes
        or [
            helper.make_node("Conv", ["x", "conv.weight"], ["features"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["features"], ["picture"]),
            helper.make_node("Gemm", ["row", "head.weight", "head.bias"], ["logits"], transB=1),
            helper.make_node("Relu", ["logits"], ["scores"]),
        ],
        "tiny",
        [info("x", TensorProto.FLOAT, [1, 3, 8, 8]), info("row", TensorProto.FLOAT, [1, row])],
        [info("picture", TensorProto.FLOAT, [1, 2, 8, 8]), info("scores", TensorProto.FLOAT, [1, 5])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return tiny(tmp_path / "tiny.onnx")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "engines"


def kept(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.engine"))


# ---- building


def test_the_shipped_generator_builds_without_a_gpu(rtx: Library, folder: Path) -> None:
    stored = stored_engine(rtx, model_file(NETWORK), Target(CAPABILITY), folder)
    reference = open_engine(model_file(NETWORK), "onnxruntime")
    assert {name: spec.shape for name, spec in stored.inputs.items()} == reference.inputs
    assert {name: spec.shape for name, spec in stored.outputs.items()} == reference.outputs
    weights = model_file(NETWORK).stat().st_size
    assert len(stored.plan) > weights / 2
    again = stored_engine(rtx, model_file(NETWORK), Target(CAPABILITY), folder)
    assert again.cached and not stored.cached
    assert (again.plan, again.inputs, again.outputs) == (stored.plan, stored.inputs, stored.outputs)


@pytest.mark.parametrize("capability", [75, 80, 86, 89, 120])
@pytest.mark.parametrize("name", ["generator.onnx", "generator.fp16.onnx", "embedder.onnx"])
def test_the_shipped_networks_build_for_five_generations_of_gpus(name: str, capability: int, rtx: Library) -> None:
    built = build(rtx, model_file(f"fast-3/{name}").read_bytes(), name, Target(capability))
    assert built.plan and built.inputs and built.outputs


def test_a_capability_that_is_not_known_is_refused_with_those_that_are(rtx: Library, network: Path) -> None:
    with pytest.raises(EngineFailure, match=r"does not build for compute capability 61: it knows 75, 80, 86, 89, 120"):
        build(rtx, network.read_bytes(), "tiny.onnx", Target(61))


@pytest.mark.parametrize("content", [b"hello, this is no network\n" * 20, bytes(4096)])
def test_what_is_no_network_is_refused_in_one_line(
    content: bytes, rtx: Library, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "foreign.onnx"
    path.write_bytes(content)
    with pytest.raises(EngineFailure, match=r"foreign\.onnx could not be loaded by TensorRT for RTX: ") as caught:
        stored_engine(rtx, path, Target(CAPABILITY), tmp_path / "engines")
    assert "\n" not in str(caught.value)
    assert "visavis export fast" in str(caught.value)
    assert not kept(tmp_path / "engines")
    printed = capfd.readouterr()
    assert printed.out + printed.err == ""


def test_an_operator_of_others_is_refused_by_name(rtx: Library, tmp_path: Path) -> None:
    path = tiny(tmp_path / "custom.onnx", [helper.make_node("Foo", ["x"], ["picture"])])
    with pytest.raises(EngineFailure, match="Foo"):
        build(rtx, path.read_bytes(), path.name, Target(CAPABILITY))


@pytest.mark.parametrize("location", ["secret.bin", "./secret.bin", "../here/secret.bin", "/etc/passwd"])
def test_weights_outside_the_file_are_not_read(
    location: str, rtx: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "secret.bin").write_bytes(bytes(216))
    monkeypatch.chdir(here)
    model = onnx.load(tiny(here / "hostile.onnx"))
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("length", "216"), ("offset", "0")):
        weight.external_data.add(key=key, value=value)
    with pytest.raises(EngineFailure, match=r"hostile\.onnx could not be loaded by TensorRT for RTX"):
        build(rtx, model.SerializeToString(), "hostile.onnx", Target(CAPABILITY))


def test_a_failure_that_is_kept_does_not_stop_the_next_build(network: Path) -> None:
    """TensorRT's objects in it would be freed wherever the garbage collector runs: inside TensorRT, that never ends."""
    collects = """
        import gc, sys
        from pathlib import Path
        from engines import EngineFailure
        from engines.tensorrt.build import Library, Target, build, library

        class Collecting(Library):
            def logger(self):
                base = type(super().logger())
                class Problems(base):
                    def log(self, severity, message):
                        gc.collect()
                        base.log(self, severity, message)
                return Problems()

        gc.disable()
        rtx, onnx = Collecting("rtx", library(89).module), Path(sys.argv[1]).read_bytes()
        try:
            build(rtx, onnx, "tiny.onnx", Target(61))
        except EngineFailure as failure:
            failure.itself = failure
        print(len(build(rtx, onnx, "tiny.onnx", Target(89)).plan) > 0)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(collects), str(network)],
        cwd=Path(engines.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "True\n", done.stderr


def test_the_weights_to_replace_are_those_of_the_layout(rtx: Library) -> None:
    """Every name that a bundle's weights have is known to TensorRT; an invented one is not.

    Such an engine needs a GPU to be built: without one the refusal comes after the names have been checked.
    """
    path = model_file(NETWORK)
    names = [name for name, _, _ in json.loads(path.with_suffix(".layout.json").read_text())]
    assert len(names) > 20
    with pytest.raises(EngineFailure, match="has no weights 'invented' that"):
        build(rtx, path.read_bytes(), path.name, Target(CAPABILITY, refit=[*names, "invented"]))
    with pytest.raises(EngineFailure, match="is built only on a GPU"):
        build(rtx, path.read_bytes(), path.name, Target(CAPABILITY, refit=names))


# ---- the cache


def test_everything_that_an_engine_depends_on_is_in_its_name() -> None:
    key = EngineKey("a" * 64, "rtx", "1.7", 89, "fp32")
    changes = {
        "onnx_sha256": "b" * 64,
        "flavour": "classic",
        "version": "1.8",
        "capability": 86,
        "precision": "tf32",
        "refit": ("w",),
    }
    assert changes.keys() == asdict(key).keys()
    names = {replace(key, **{name: value}).file_name for name, value in changes.items()}  # type: ignore[arg-type]
    assert len(names | {key.file_name}) == 7


def test_precision_and_network_make_their_own_files(rtx: Library, network: Path, folder: Path, tmp_path: Path) -> None:
    stored_engine(rtx, network, Target(CAPABILITY), folder)
    stored_engine(rtx, network, Target(CAPABILITY, precision="tf32"), folder)
    assert not stored_engine(rtx, tiny(tmp_path / "other.onnx", row=6), Target(CAPABILITY), folder).cached
    assert len(kept(folder)) == 3
    assert not list(folder.glob("*.part"))
    with pytest.raises(EngineFailure, match="no precision 'fp7' in TensorRT: choose fp32 or tf32"):
        stored_engine(rtx, network, Target(CAPABILITY, precision="fp7"), folder)


def test_without_a_folder_nothing_is_written(rtx: Library, network: Path, tmp_path: Path) -> None:
    stored = stored_engine(rtx, network, Target(CAPABILITY), None)
    assert stored.path is None and stored.plan
    assert list(tmp_path.iterdir()) == [network]


def foreign_header(whole: bytes, **changes: object) -> bytes:
    """The engine file with other entries in the header's key, as another installation would have written it."""
    start = len(MAGIC) + LENGTH.size
    (length,) = LENGTH.unpack(whole[len(MAGIC) : start])
    header = json.loads(whole[start : start + length])
    header["key"] |= changes
    text = json.dumps(header).encode()
    return MAGIC + LENGTH.pack(len(text)) + text + whole[start + length :]


DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut off": (lambda whole: whole[:-100], r"it has \d+ of \d+ bytes"),
    "cut off in the header": (lambda whole: whole[:40], "its header is cut off"),
    "cut off in the length": (lambda whole: whole[: len(MAGIC) + 2], "its header is cut off"),
    "empty": (lambda whole: b"", "no engine file of this version"),
    "an engine of somebody else": (lambda whole: b"vtrt" + bytes(5000), "no engine file of this version"),
    "a flipped bit": (lambda whole: whole[:-9] + bytes([whole[-9] ^ 4]) + whole[-8:], "not those that were written"),
    "longer": (lambda whole: whole + b"more", r"it has \d+ of \d+ bytes"),
    "a header that asks for all memory": (lambda whole: MAGIC + b"\xff\xff\xff\xff" + whole[16:], "header is cut off"),
    "a header that is no JSON": (lambda whole: MAGIC + LENGTH.pack(9) + b"{" * 9, "its header is damaged"),
    "a header that is a deep nest": (
        lambda whole: MAGIC + LENGTH.pack(200_000) + b"[" * 200_000,
        "its header is damaged",
    ),
    "a header without entries": (lambda whole: MAGIC + LENGTH.pack(2) + b"[]", "its header is damaged"),
    "another version": (lambda whole: foreign_header(whole, version="9.9"), "built for version '9.9', not 1"),
    "another GPU": (lambda whole: foreign_header(whole, capability=120), "built for capability '120', not 89"),
    "another network": (lambda whole: foreign_header(whole, onnx_sha256="0" * 64), "built of another network"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_not_what_was_written_is_built_again_with_one_line(
    damage: str, rtx: Library, network: Path, folder: Path
) -> None:
    first = stored_engine(rtx, network, Target(CAPABILITY), folder)
    assert first.path is not None
    whole = first.path.read_bytes()
    change, reason = DAMAGES[damage]
    first.path.write_bytes(change(whole))
    lines: list[str] = []
    again = stored_engine(rtx, network, Target(CAPABILITY), folder, say=lines.append)
    assert not again.cached
    assert len(lines) == 1 and re.search(reason, lines[0]) and lines[0].endswith("built again"), lines
    assert stored_engine(rtx, network, Target(CAPABILITY), folder, say=lines.append).cached
    assert len(lines) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions, links and pipes")
@pytest.mark.parametrize("kind", ["writable by all", "a link", "a pipe"])
def test_a_file_that_somebody_else_may_have_put_there_is_not_loaded(
    kind: str, rtx: Library, network: Path, folder: Path, tmp_path: Path
) -> None:
    path = stored_engine(rtx, network, Target(CAPABILITY), folder).path
    assert path is not None
    if kind == "writable by all":
        path.chmod(0o666)
    else:
        elsewhere = path.rename(tmp_path / "elsewhere")
        if kind == "a link":
            path.symlink_to(elsewhere)
        else:
            os.mkfifo(path)
    lines: list[str] = []
    assert not stored_engine(rtx, network, Target(CAPABILITY), folder, say=lines.append).cached
    assert len(lines) == 1
    assert path.is_file() and not path.is_symlink() and path.stat().st_mode & 0o777 == 0o600


def test_engines_of_an_older_version_are_replaced(rtx: Library, network: Path, folder: Path) -> None:
    new = stored_engine(rtx, network, Target(CAPABILITY), folder)
    assert new.path is not None
    old = folder / replace(new.key, version="1.0").file_name
    old.write_bytes(foreign_header(new.path.read_bytes(), version="1.0"))
    old.chmod(0o600)
    new.path.unlink()
    lines: list[str] = []
    assert not stored_engine(rtx, network, Target(CAPABILITY), folder, say=lines.append).cached
    assert len(lines) == 1 and f"was built by TensorRT for RTX 1.0, here is {rtx.version}" in lines[0]
    assert kept(folder) == [new.path]


CHILD = """
    import sys
    from pathlib import Path
    from engines.tensorrt.build import Target, library
    from engines.tensorrt.cache import stored_engine
    print("ready", flush=True)
    sys.stdin.readline()
    stored = stored_engine(library(89), Path(sys.argv[1]), Target(89), Path(sys.argv[2]), say=print)
    print("cached" if stored.cached else "built", len(stored.plan), stored.path is not None)
"""


def child(network: Path, folder: Path, code: str = CHILD) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(network), str(folder)],
        cwd=Path(engines.__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_of_two_processes_at_once_one_builds_and_one_waits(folder: Path) -> None:
    pair = [child(model_file(NETWORK), folder) for _ in range(2)]
    for process in pair:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in pair:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=120) for process in pair]
    assert all(process.returncode == 0 for process in pair), answers
    said = sorted(out.splitlines()[-1].split()[0] for out, _ in answers)
    assert said == ["built", "cached"], answers
    waited = next(out for out, _ in answers if "cached" in out)
    assert "another process is building the engine of generator.onnx for compute capability 89: waiting" in waited
    assert len({out.splitlines()[-1].split()[1] for out, _ in answers}) == 1
    assert len(kept(folder)) == 1


def test_whoever_dies_while_building_leaves_no_lock(rtx: Library, network: Path, folder: Path) -> None:
    holder = child(
        network,
        folder,
        """
        import os, sys
        from pathlib import Path
        from engines.tensorrt import cache as tensorrt_cache
        tensorrt_cache.build = lambda *given, **named: (print("building", flush=True), sys.stdin.readline())
        tensorrt_cache.stored_engine(tensorrt_cache.Library("rtx", __import__("tensorrt_rtx")), Path(sys.argv[1]),
                                     tensorrt_cache.Target(89), Path(sys.argv[2]))
        """,
    )
    assert holder.stdout is not None and holder.stdout.readline() == "building\n"
    holder.kill()
    holder.communicate()
    started = time.monotonic()
    assert not stored_engine(rtx, network, Target(CAPABILITY), folder).cached
    assert time.monotonic() - started < 30


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files as POSIX does")
def test_where_the_file_cannot_be_written_the_engine_is_used_from_memory(
    rtx: Library, network: Path, folder: Path
) -> None:
    import resource

    lines: list[str] = []
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # the kernel refuses what goes beyond, as a full disk does
    try:
        stored = stored_engine(rtx, network, Target(CAPABILITY), folder, say=lines.append)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert stored.plan and stored.path is None
    assert len(lines) == 1 and "could not be written (File too large): the engine is used from memory" in lines[0]
    assert not kept(folder) and not list(folder.glob("*.part"))


def test_a_folder_that_cannot_be_made_is_said_once(rtx: Library, network: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    lines: list[str] = []
    stored = stored_engine(rtx, network, Target(CAPABILITY), tmp_path / "file" / "engines", say=lines.append)
    assert stored.plan and stored.path is None
    assert len(lines) == 1 and "the engine is used from memory" in lines[0]


def test_what_is_read_is_what_was_built(rtx: Library, network: Path, folder: Path) -> None:
    first: StoredEngine = stored_engine(rtx, network, Target(CAPABILITY), folder)
    assert first.path is not None
    whole = first.path.read_bytes()
    assert whole.startswith(MAGIC) and whole.endswith(first.plan)
    assert hashlib.sha256(first.plan).hexdigest().encode() in whole[:4096]
    assert first.key.onnx_sha256 == hashlib.sha256(network.read_bytes()).hexdigest()


# ---- the command


def export(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "avatar.cli.main", "export", "fast", *options],
        cwd=Path(engines.__file__).parents[1],
        env=os.environ | {"COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_command_builds_then_finds_them_again(folder: Path) -> None:
    options = ("--engine", "tensorrt", "--capability", "8.9", "--out", str(folder))
    first = export(*options)
    assert first.returncode == 0, first.stderr
    assert len(re.findall(r"│ 89 +│ fp32 .*│ built ", first.stdout)) == 2
    assert re.search(r"generator\.onnx │ in +│ embedding +│ 1×\d+ +│ float32", first.stdout)
    again = export(*options)
    assert len(re.findall(r"│ 89 +│ fp32 .*│ cached ", again.stdout)) == 2
    report = json.loads(export(*options, "--json").stdout)
    assert [(r["network"], r["capability"], r["cached"]) for r in report] == [
        ("generator.onnx", 89, True),
        ("embedder.onnx", 89, True),
    ]
    assert {Path(r["path"]) for r in report} == set(kept(folder))


def test_the_command_builds_the_generators_own_file_of_a_precision(folder: Path) -> None:
    done = export("--engine", "tensorrt", "--capability", "89", "--precision", "fp16", "--out", str(folder))
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"generator\.fp16\.onnx │ 89 +│ fp16 .*│ built ", done.stdout)) == 1
    assert re.search(r"generator\.fp16\.onnx │ in +│ embedding +│ 1×\d+ +│ float32", done.stdout)


@pytest.mark.parametrize(
    ("options", "words", "code"),
    [
        (["--capability", "89"], "add --engine tensorrt", 2),
        (["--engine", "magic"], "There is no engine 'magic'", 2),
        (["--engine", "tensorrt", "--capability", "many"], "'many' is no list of compute capabilities", 2),
        (["--engine", "tensorrt", "--capability", "89", "--precision", "fp7"], "Choose fp32, tf32, fp16, int8", 2),
        (["--engine", "tensorrt", "--capability", "61"], "2 of 2 engines could not be built", 1),
    ],
)
def test_the_command_says_what_it_cannot_do(options: list[str], words: str, code: int, folder: Path) -> None:
    done = export(*options, "--out", str(folder))
    assert done.returncode == code
    assert words in done.stderr
    assert not folder.exists() or not kept(folder)


@pytest.mark.skipif(HAS_GPU, reason="there is a GPU")
def test_without_a_gpu_the_command_asks_for_capabilities(folder: Path) -> None:
    done = export("--engine", "tensorrt", "--out", str(folder))
    assert done.returncode == 1
    assert "no NVIDIA GPU was found" in done.stderr and "--capability 75,80,86,89,120" in done.stderr


# ---- running


@pytest.mark.skipif(HAS_GPU, reason="there is a GPU")
def test_without_a_gpu_it_says_so(network: Path) -> None:
    with pytest.raises(EngineFailure, match="no NVIDIA GPU was found"):
        TensorRtEngine(network)
    with pytest.raises(EngineFailure, match="TensorRT: no NVIDIA GPU was found"):
        open_engine(network, "tensorrt")
    assert "no NVIDIA GPU was found" in str(available_backends()["tensorrt"])


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("cc") is None, reason="compiles a driver")
def test_a_driver_that_is_too_old_is_named_with_what_to_do(network: Path, folder: Path, tmp_path: Path) -> None:
    """TensorRT itself refuses this driver, which says that it knows CUDA 12.2 and has one GPU."""
    source, driver = tmp_path / "driver.c", tmp_path / "libcuda.so.1"
    source.write_text(DRIVER_OF_2023)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", driver, source], check=True)
    code = """
        import sys
        from pathlib import Path
        from engines import EngineFailure, EngineFolder, explain, open_engine
        path, folder = map(Path, sys.argv[1:])
        try:
            open_engine(path, "tensorrt", folder=EngineFolder(folder))
        except EngineFailure as error:
            print(error)
        print(explain(open_engine(path, folder=EngineFolder(folder))))
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), network, folder],
        cwd=Path(engines.__file__).parents[1],
        env=os.environ | {"LD_LIBRARY_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    reason = "the NVIDIA driver knows CUDA up to 12.2, which is too old for TensorRT for RTX "
    refusal, line = done.stdout.splitlines()
    assert refusal.startswith(f"TensorRT: {reason}") and refusal.endswith(": update the driver")
    assert not re.match(r"tiny\.onnx runs on TensorRT", line) and reason in line


DRIVER_OF_2023 = """
#include <string.h>
int cuInit(unsigned flags) { return 0; }
int cuDriverGetVersion(int *version) { *version = 12020; return 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = 0; return 0; }
int cuDeviceGetName(char *name, int length, int device) { strncpy(name, "GPU", length); return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) { *value = attribute == 75 ? 8 : 9; return 0; }
int cuGetErrorString(int code, const char **text) { *text = "error"; return 0; }
int cuDevicePrimaryCtxRetain(void **context, int device) { *context = (void *)1; return 0; }
int cuStreamCreate(void **stream, unsigned flags) { *stream = (void *)1; return 0; }
""" + "".join(f"int {name}() {{ return 0; }}\n" for name in (
    "cuDevicePrimaryCtxRelease_v2", "cuCtxSetCurrent", "cuMemAlloc_v2", "cuMemFree_v2", "cuMemHostAlloc",
    "cuMemFreeHost", "cuMemcpyHtoDAsync_v2", "cuMemcpyDtoHAsync_v2", "cuStreamSynchronize", "cuStreamDestroy_v2",
    "cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags", "cuGraphLaunch", "cuGraphDestroy",
    "cuGraphExecDestroy",
))  # fmt: skip


@pytest.mark.skipif(not HAS_GPU, reason="needs an NVIDIA GPU")
def test_the_gpu_draws_what_onnx_runtime_draws(folder: Path) -> None:
    path = model_file(NETWORK)
    engine, reference = TensorRtEngine(path, folder=folder), open_engine(path, "onnxruntime")
    rng = np.random.default_rng(2)
    for _ in range(3):  # the first run captures the graph, the later ones launch it
        given = {name: rng.random(shape, np.float32) for name, shape in reference.inputs.items()}
        wanted, got = reference.infer(given), engine.infer(given)
        assert got.keys() == wanted.keys()
        for name, array in wanted.items():
            assert np.abs(got[name].astype(float) - array.astype(float)).max() < 1e-2
    engine.close()
    engine.close()
    with pytest.raises(EngineFailure, match="was closed"):
        engine.infer(given)


@pytest.mark.skipif(not HAS_GPU, reason="needs an NVIDIA GPU")
def test_replaced_weights_are_those_of_the_patched_file(tmp_path: Path) -> None:
    from avatar.render.own_weights import weight_names, with_weights

    path = model_file(NETWORK)
    layout = json.loads(path.with_suffix(".layout.json").read_text())
    weights = np.random.default_rng(3).normal(0, 0.05, sum(count for _, _, count in layout)).astype(np.float32)
    (tmp_path / "own.onnx").write_bytes(with_weights(path, weights))
    reference = open_engine(tmp_path / "own.onnx", "onnxruntime")
    engine = TensorRtEngine(path, refit=weight_names(path))
    parts = np.split(weights, np.cumsum([count for _, _, count in layout])[:-1])
    engine.refit({name: part for (name, _, _), part in zip(layout, parts, strict=True)})
    given = {name: np.full(shape, 0.3, np.float32) for name, shape in reference.inputs.items()}
    wanted, got = reference.infer(given), engine.infer(given)
    for name, array in wanted.items():
        assert np.abs(got[name].astype(float) - array.astype(float)).max() < 1e-2
