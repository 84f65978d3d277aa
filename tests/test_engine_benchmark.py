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

from avatar.core.model_files import model_file
from avatar.render.layered_network import NETWORK, TRAINED
from export.networks import load_networks, trace_generator

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
    traced = trace_generator(load_networks(model_file(TRAINED)))
    network = benchmark._network(benchmark.LIVE, model_file(NETWORK), {})
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        traced.network(*traced.inputs.values())
    assert network.gflop == pytest.approx(counter.get_total_flops() / 1e9, rel=0.02)
    weights_mb = 4 * network.parameters / 1e6
    assert weights_mb * 0.9 < network.megabytes < 20 * weights_mb


def test_several_persons_in_one_call_are_each_their_own(benchmark: ModuleType) -> None:
    traced = benchmark._crowd(trace_generator(load_networks(model_file(TRAINED))), 2)
    with torch.no_grad():
        both = traced.network(*traced.inputs.values())
        second = traced.network(*(value[1:] for value in traced.inputs.values()))
    assert not torch.equal(traced.inputs["embedding"][0], traced.inputs["embedding"][1])
    for layer, alone in zip(both, second, strict=True):
        assert torch.allclose(layer[1:], alone, atol=1e-4)


def test_it_explains_itself_and_refuses_what_it_does_not_know() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--help"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "python benchmarks/engines.py --batch 1,2,4,8" in done.stdout
    done = subprocess.run([sys.executable, SCRIPT, "--batch", "many"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "--batch takes numbers of persons" in done.stderr
