"""The benchmark of the engines counts what torch counts. (That it runs whole takes too long here.)"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from avatar.model.checkpoint import load_weights
from avatar.model.example import layer_inputs
from avatar.model_files import model_file

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "engines.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("engines_benchmark", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def test_flops_of_the_live_graph_are_those_that_torch_counts(benchmark: ModuleType) -> None:
    generator, _, _ = load_weights(model_file("fast/fast.safetensors"))
    network = benchmark._network(benchmark.LIVE, model_file("fast/generator.onnx"), {})
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        benchmark._layers(generator)(**layer_inputs(generator))
    assert network.gflop == pytest.approx(counter.get_total_flops() / 1e9, rel=0.02)
    weights_mb = 4 * network.parameters / 1e6
    assert weights_mb * 0.9 < network.megabytes < 20 * weights_mb


def test_the_papers_generator_is_more_than_thirty_times_the_work(benchmark: ModuleType) -> None:
    network, given = benchmark._full()
    counter = FlopCounterMode(display=False)
    shapes = torch.device("meta")
    with counter, torch.no_grad():
        network.to(shapes)(*(value.to(shapes) for value in given.values()))
    assert 55e9 < counter.get_total_flops() < 65e9
    assert sum(parameter.numel() for parameter in network.parameters()) > 30e6


def test_several_persons_in_one_call_are_each_their_own(benchmark: ModuleType) -> None:
    generator, _, _ = load_weights(model_file("fast/fast.safetensors"))
    network, given = benchmark._layers(generator), benchmark._repeated(layer_inputs(generator), 2)
    with torch.no_grad():
        both = network(**given)
        second = network(**{name: value[1:] for name, value in given.items()})
    assert not torch.equal(given["psi"][0], given["psi"][1])
    for layer, alone in zip(both, second, strict=True):
        assert torch.allclose(layer[1:], alone, atol=1e-4)


def test_it_explains_itself_and_refuses_what_it_does_not_know() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--help"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "python benchmarks/engines.py --batch 1,2,4,8" in done.stdout
    done = subprocess.run([sys.executable, SCRIPT, "--batch", "many"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "--batch takes numbers of persons" in done.stderr
