"""The network that comes with visavis: it refines what the layers have drawn, and an engine runs it."""

from __future__ import annotations

import numpy as np

from avatar.core.arrays import Array
from avatar.core.avatar import Avatar
from avatar.core.model_files import model_file
from avatar.core.paths import engine_folder
from avatar.render.conditioning import EYE_SIZE, MOUTH_SIZE
from avatar.render.own_weights import layout_name, own_weights
from engines import Engine, EngineFolder, Say, on_stderr, open_engine
from engines.selection.choice import choose

NETWORK = "fast-3/generator.onnx"
TRAINED = "fast-3/mouth.safetensors"  # one of the regions that it was made of


def open_layered_network(
    avatar: Avatar | None = None,
    backend: str = "auto",
    threads: int | None = None,
    *,
    precision: str = "auto",
    later: bool = False,
    say: Say = on_stderr,
) -> Engine:
    """Open the network that all avatars share, or the one that fine-tuning made the avatar's own. Arguments and errors
    as of `engines.open_engine`; `later` as of `EngineFolder`."""
    network, folder = model_file(NETWORK), EngineFolder(engine_folder(), example_inputs, later)
    own = own_weights(network, avatar.weights) if avatar is not None and avatar.fine_tuned else None
    return open_engine(network, backend, threads, precision=precision, folder=folder, say=say, own=own)


def measure_layered_network(threads: int | None, say: Say) -> None:
    """Find out which engine is the fastest here, if that is not known: takes seconds. Raises EngineFailure."""
    choose(model_file(NETWORK), threads, engine_folder(), say, example=example_inputs)


def is_layered(engine: Engine) -> bool:
    """Whether the engine's network refines layers."""
    return "mouth_picture" in engine.inputs


def network_name() -> str:
    """Of the installed network, as a fine-tuned avatar's bundle names the one that its weights belong to."""
    return layout_name(model_file(NETWORK))


def lost_weights(avatar: Avatar) -> bool:
    """Whether the avatar was fine-tuned for another network than the installed one, which is of no use now."""
    return "fine_tuned" in avatar.provenance and not avatar.fine_tuned


def example_inputs() -> dict[str, Array]:
    """What the network is fed for one frame: waves of grey, which show nobody."""
    mouth = _example_region(MOUTH_SIZE, hints=4)
    eye = _example_region(EYE_SIZE, hints=2)
    inputs = {"embedding": np.float32(0.05) * np.sin(np.arange(512, dtype=np.float32))[None]}  # as large as those of E
    inputs |= {f"mouth_{part}": value[None] for part, value in mouth.items()}
    return inputs | {f"eye_{part}": np.stack([value, value])[None] for part, value in eye.items()}


def _example_region(size: tuple[int, int], hints: int) -> dict[str, Array]:
    height, width = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / height
    waves = np.stack([0.5 + 0.3 * np.sin(9 * x + phase) * np.cos(7 * y) for phase in (0.0, 0.4, 0.8)])
    between = (np.hypot(x - 0.75, 2 * (y - 0.5)) < 0.3).astype(np.float32)
    return {
        "picture": waves.astype(np.float32),
        "drawing": np.stack([between] * 3) * np.float32(0.2),  # lines cover little
        "hints": np.stack([between] * hints),
    }
