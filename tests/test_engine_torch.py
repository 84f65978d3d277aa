"""torch behind the interface of the engines: the reference that the others are compared with."""

from __future__ import annotations

import numpy as np
import pytest

from engines import EngineFailure, InputMismatch, explain
from engines.engine import Unavailable

pytest.importorskip("torch")

import torch

from engines.torch import TorchEngine

GIVEN = {"x": np.random.default_rng(1).random((2, 3, 16, 16), np.float32), "shift": np.ones((2, 1, 1, 1), np.float32)}


class Small(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.conv = torch.nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, x: torch.Tensor, shift: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.conv(x) + shift
        return y, y.mean()


def engine(device: str = "cpu", precision: str = "fp32") -> TorchEngine:
    return TorchEngine(Small(), GIVEN, ["y", "mean"], name="small", device=device, precision=precision, threads=1)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("bf16", 0.05)])
def test_it_gives_the_modules_numbers(precision: str, tolerance: float) -> None:
    running = engine(precision=precision)
    assert running.inputs == {"x": (2, 3, 16, 16), "shift": (2, 1, 1, 1)}
    assert running.outputs == {"y": (2, 8, 16, 16), "mean": ()}
    other = {"x": GIVEN["x"] * 0.5, "shift": GIVEN["shift"] * 2}
    first, second = running.infer(GIVEN), running.infer(other)
    for given, got in ((GIVEN, first), (other, second)):
        with torch.no_grad():
            wanted = Small()(*(torch.from_numpy(array) for array in given.values()))
        assert got["y"].dtype == np.float32 and got["y"].flags.c_contiguous
        assert np.abs(got["y"] - wanted[0].numpy()).max() < tolerance
    assert explain(running) == f"small runs on torch {torch.__version__} (cpu, {precision}, 1 thread)"


def test_what_does_not_fit_is_refused() -> None:
    running = engine()
    with pytest.raises(InputMismatch, match="input x must have the shape 2 x 3 x 16 x 16"):
        running.infer({**GIVEN, "x": GIVEN["x"][:1]})
    running.close()
    running.close()
    with pytest.raises(EngineFailure, match="was closed"):
        running.infer(GIVEN)
    with pytest.raises(EngineFailure, match="no precision 'int8'"):
        engine(precision="int8")
    with pytest.raises(Unavailable, match="no device 'npu': choose cpu or cuda"):
        engine(device="npu")
    wrong = {"x": GIVEN["x"][:, :2], "shift": GIVEN["shift"]}
    with pytest.raises(EngineFailure, match="small could not be loaded by torch: "):
        TorchEngine(Small(), wrong, ["y", "mean"], name="small")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so() -> None:
    with pytest.raises(Unavailable, match="finds no NVIDIA GPU"):
        engine(device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_a_gpus_graph_draws_what_the_cpu_draws(precision: str) -> None:
    running = engine(device="cuda", precision=precision)
    for scale in (1.0, 0.5):
        given = {**GIVEN, "x": GIVEN["x"] * np.float32(scale)}
        drawn, wanted = (np.asarray(one.infer(given)["y"], np.float32) for one in (running, engine()))
        assert np.abs(drawn - wanted).max() < 0.05
