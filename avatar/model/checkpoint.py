"""Trained weights as one safetensors file with the configuration in its header. No pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from avatar.core.errors import InputError
from avatar.core.strict_json import parse_json
from avatar.core.whole_file import whole_file
from avatar.model.config import ModelConfig
from avatar.model.discriminator import Discriminator
from avatar.model.embedder import Embedder
from avatar.model.generator import Generator

DAMAGE = (OSError, SafetensorError, KeyError, TypeError, ValueError, AttributeError, RuntimeError)  # of a checkpoint
MAX_REASON = 200  # characters of it that are told


def build_networks(config: ModelConfig) -> tuple[Generator, Embedder]:
    generator = Generator(config)
    return generator, Embedder(config, generator.psi_size)


def save_weights(path: Path, generator: Generator, embedder: Embedder, about: dict[str, Any]) -> None:
    """Write G and E as one safetensors file (half precision: the export widens it again)."""
    tensors = {f"generator.{k}": v.half().contiguous() for k, v in generator.state_dict().items()}
    tensors |= {f"embedder.{k}": v.half().contiguous() for k, v in embedder.state_dict().items()}
    header = {"config": json.dumps(generator.config.to_dict()), "about": json.dumps(about)}
    with whole_file(path) as part:
        save_file(tensors, part, metadata=header)


def save_discriminators(path: Path, face: Discriminator, mouth: Discriminator) -> None:
    """Write both discriminators, which fine-tuning starts from."""
    tensors = {f"face.{k}": v.half().contiguous() for k, v in face.state_dict().items()}
    tensors |= {f"mouth.{k}": v.half().contiguous() for k, v in mouth.state_dict().items()}
    with whole_file(path) as part:
        save_file(tensors, part, metadata={"config": json.dumps(face.config.to_dict())})


def read_header(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Configuration, and what is said about the training. Raises what DAMAGE lists."""
    with safe_open(path, "pt") as file:
        header = file.metadata() or {}
    config, about = parse_json(header["config"]), json.loads(header.get("about", "{}"))
    if not isinstance(config, dict) or not isinstance(about, dict):
        raise ValueError("its header does not say what the networks are")
    return config, about


def read_tensors(path: Path) -> dict[str, Tensor]:
    """In float32. Raises what DAMAGE lists."""
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 (not a mapping)
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise ValueError(f"{name} holds weights that are no numbers")
    return tensors


def in_a_line(error: Exception) -> str:
    """torch lists every tensor that does not fit, each in a line of its own."""
    text = " ".join(str(error).split())
    return f"{text[:MAX_REASON]}…" if len(text) > MAX_REASON else text


def load_discriminators(path: Path) -> tuple[Discriminator, Discriminator]:
    """Read what `save_discriminators` wrote: the face's and the mouth's. Raises InputError naming the file."""
    try:
        config = ModelConfig.from_dict(read_header(path)[0])
        tensors = read_tensors(path)
        face, mouth = Discriminator(config), Discriminator(config)
        for prefix, network in (("face.", face), ("mouth.", mouth)):
            network.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    except DAMAGE as error:
        raise InputError(
            f"{path} holds no discriminators ({in_a_line(error)}). Train them with `visavis train`."
        ) from error
    return face, mouth


def load_weights(path: Path) -> tuple[Generator, Embedder, dict[str, Any]]:
    """Read what `save_weights` wrote. Raises InputError naming the file."""
    try:
        config, about = read_header(path)
        tensors = read_tensors(path)
        generator, embedder = build_networks(ModelConfig.from_dict(config))
        for prefix, network in (("generator.", generator), ("embedder.", embedder)):
            part = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            network.load_state_dict(part)
    except DAMAGE as error:
        raise InputError(
            f"{path} is no visavis checkpoint ({in_a_line(error)}). Train one with `visavis train`."
        ) from error
    return generator.eval(), embedder.eval(), about
