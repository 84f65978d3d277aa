"""The generator as torch runs it, behind the interface of the other engines: for checks and comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from avatar.core.arrays import Array
from engines.engine import Engine
from engines.torch import TorchEngine
from export.networks import load_networks, put_weights, trace_generator


def open_torch_engine(
    weights: Path,
    device: str | None = None,
    precision: str = "fp32",
    own: tuple[Sequence[str], Array] | None = None,
    threads: int | None = None,
) -> Engine:
    """The checkpoint's generator with the inputs and outputs of the exported one.

    device: "cpu" or "cuda"; None takes the GPU where there is one. precision: "fp32", "fp16" or "bf16".
    own: the names of the learned tensors and a person's values for them (n,), in that order, in place of the
        checkpoint's (`avatar.render.own_weights.weight_names`).
    Raises InputError when they do not fit, EngineFailure as TorchEngine does.
    """
    networks = load_networks(weights)
    if own is not None:
        put_weights(networks.generator, *own)
    traced = trace_generator(networks)
    inputs = {name: tensor.numpy() for name, tensor in traced.inputs.items()}
    name = weights.name if own is None else f"{weights.name} with own weights"
    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return TorchEngine(
        traced.network, inputs, traced.outputs, name=name, device=where, precision=precision, threads=threads
    )
