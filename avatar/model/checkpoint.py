"""Trained weights as one safetensors file with the configuration in its header. No pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from avatar.errors import InputError
from avatar.model.config import ModelConfig
from avatar.model.discriminator import Discriminator
from avatar.model.embedder import Embedder
from avatar.model.generator import Generator

DAMAGE = (OSError, SafetensorError, KeyError, TypeError, ValueError, AttributeError, RuntimeError)  # of a checkpoint


def build_networks(config: ModelConfig) -> tuple[Generator, Embedder]:
    generator = Generator(config)
    return generator, Embedder(config, generator.psi_size)


def save_weights(path: Path, generator: Generator, embedder: Embedder, about: dict[str, Any]) -> None:
    """Write G and E as one safetensors file (half precision: the export widens it again)."""
    tensors = {f"generator.{k}": v.half().contiguous() for k, v in generator.state_dict().items()}
    tensors |= {f"embedder.{k}": v.half().contiguous() for k, v in embedder.state_dict().items()}
    header = {"config": json.dumps(generator.config.to_dict()), "about": json.dumps(about)}
    beside = path.with_name(path.name + ".part")
    save_file(tensors, beside, metadata=header)
    beside.replace(path)


def save_judges(path: Path, face: Discriminator, mouth: Discriminator) -> None:
    """Write both discriminators, which fine-tuning starts from."""
    tensors = {f"face.{k}": v.half().contiguous() for k, v in face.state_dict().items()}
    tensors |= {f"mouth.{k}": v.half().contiguous() for k, v in mouth.state_dict().items()}
    beside = path.with_name(path.name + ".part")
    save_file(tensors, beside, metadata={"config": json.dumps(face.config.to_dict())})
    beside.replace(path)


def load_judges(path: Path) -> tuple[Discriminator, Discriminator]:
    """Read what `save_judges` wrote: the face's and the mouth's. Raises InputError naming the file."""
    try:
        with safe_open(path, "pt") as file:
            config = ModelConfig.from_dict(json.loads((file.metadata() or {})["config"]))
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 (not a mapping)
        face, mouth = Discriminator(config), Discriminator(config)
        for prefix, network in (("face.", face), ("mouth.", mouth)):
            network.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    except DAMAGE as error:
        raise InputError(f"{path} holds no discriminators ({error}). Train them with `visavis train`.") from error
    return face, mouth


def load_weights(path: Path) -> tuple[Generator, Embedder, dict[str, Any]]:
    """Read what `save_weights` wrote. Raises InputError naming the file."""
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            config = ModelConfig.from_dict(json.loads(header["config"]))
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 (not a mapping)
        generator, embedder = build_networks(config)
        for prefix, network in (("generator.", generator), ("embedder.", embedder)):
            part = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            network.load_state_dict(part)
    except DAMAGE as error:
        raise InputError(f"{path} is no visavis checkpoint ({error}). Train one with `visavis train`.") from error
    return generator.eval(), embedder.eval(), json.loads(header.get("about", "{}"))
