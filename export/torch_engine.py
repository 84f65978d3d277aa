"""The generator as torch runs it, behind the interface of the other engines: for checks and comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from avatar.errors import InputError
from avatar.model.checkpoint import load_weights
from avatar.model.example import layer_inputs
from avatar.model.generator import LAYERS, LayerGenerator
from engines.engine import Engine
from engines.torch import TorchEngine


def open_torch_engine(
    weights: Path,
    device: str | None = None,
    precision: str = "fp32",
    own: tuple[Sequence[str], NDArray[np.float32]] | None = None,
    threads: int | None = None,
) -> Engine:
    """The checkpoint's generator with the inputs and outputs of the exported one.

    device: "cpu" or "cuda"; None takes the GPU where there is one. precision: "fp32", "fp16" or "bf16".
    own: the names of the learned tensors and a person's values for them (n,), in that order, in place of the
        checkpoint's (`avatar.identity.generator.weight_names`).
    Raises InputError when they do not fit, EngineFailure as TorchEngine does.
    """
    generator, _, _ = load_weights(weights)
    network = LayerGenerator(generator.config)
    network.load_state_dict(generator.state_dict())
    if own is not None:
        _put(network, *own)
    inputs = {name: tensor.numpy() for name, tensor in layer_inputs(generator).items()}
    name = weights.name if own is None else f"{weights.name} with own weights"
    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return TorchEngine(network, inputs, LAYERS, name=name, device=where, precision=precision, threads=threads)


def _put(network: LayerGenerator, names: Sequence[str], values: NDArray[np.float32]) -> None:
    state = network.state_dict()
    sizes = [state[name].numel() if name in state else 0 for name in names]
    if 0 in sizes or sum(sizes) != values.size:
        raise InputError(
            f"This avatar's fine-tuned network has {values.size} weights, the checkpoint {sum(sizes)}. "
            "Enrol the photos again: `visavis enroll PHOTO… --name NAME --force`, then `visavis finetune NAME`."
        )
    parts = torch.from_numpy(values).split(sizes)
    network.load_state_dict(
        {name: part.view_as(state[name]) for name, part in zip(names, parts, strict=True)}, strict=False
    )
