"""The paper's own network, size `full`: its exported files, a person's parameters for it, and its engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from avatar.core.arrays import Array
from avatar.core.avatar import Avatar
from avatar.core.errors import InputError
from avatar.core.paths import engine_folder
from avatar.render.embedding import mean_outputs
from avatar.render.landmark_image import landmark_image, mean_face_image
from engines import Engine, EngineFailure, EngineFolder, Say, on_stderr, open_engine
from engines.network import REMAKE

FULL = "full"  # the `model_id` of avatars whose parameters are this network's
HOW = (
    "The weights of `full` do not come with visavis: train them (docs/TRAINING.md), then "
    "`visavis export RUN/full.safetensors --out FOLDER`, and name it with --weights FOLDER."
)


@dataclass(frozen=True)
class FullNetwork:
    """Generator and embedder, as `visavis export` writes them into a folder. Of one training, whoever's."""

    folder: Path

    def person(self, avatar: Avatar) -> Avatar:
        """The avatar with this network's parameters, from all of its portraits; what was fine-tuned is `fast`'s.

        Raises InputError where the folder holds no `full` network.
        """
        path = self._file("embedder.onnx")
        with _exported_again(), closing(open_engine(path)) as engine:
            picture, drawing = (engine.inputs.get(name) for name in ("picture", "drawing"))
            if picture is None or picture != drawing:  # `fast` draws at half the picture's side
                raise InputError(f"{path} is no embedder of size `full`. {HOW}")
            side_px = picture[-1]
            known = mean_outputs(
                engine, avatar.portraits, avatar.landmarks, lambda points: landmark_image(points, side_px)
            )
        own = np.zeros(0, np.float32)
        return replace(avatar, model_id=FULL, embedding=known["embedding"], psi=known["psi"], weights=own)

    def open(
        self,
        avatar: Avatar,
        backend: str = "auto",
        threads: int | None = None,
        *,
        precision: str = "auto",
        say: Say = on_stderr,
    ) -> Engine:
        """Open the generator for an avatar that `person` made. Arguments and errors as of `engines.open_engine`, and
        InputError where the folder holds no generator for these parameters."""
        path = self._file("generator.onnx")
        with _exported_again():
            folder = EngineFolder(engine_folder(), _example)
            engine = open_engine(path, backend, threads, precision=precision, folder=folder, say=say)
        drawing, picture = engine.inputs.get("drawing"), engine.outputs.get("picture")
        if drawing is None or drawing != picture:
            engine.close()
            raise InputError(f"{path} is no generator of size `full`. {HOW}")
        if engine.inputs["psi"] != (1, avatar.psi.size):
            engine.close()
            raise InputError(
                f"{path} takes {engine.inputs['psi'][-1]} parameters of a person, embedder.onnx beside it gives "
                f"{avatar.psi.size}: export both again, from one checkpoint."
            )
        return engine

    def _file(self, name: str) -> Path:
        path = self.folder / name
        if not path.is_file():
            raise InputError(f"{self.folder} holds no {name}. {HOW}")
        return path


@contextmanager
def _exported_again() -> Iterator[None]:
    """What engines say of a damaged file, with how this one is made."""
    try:
        yield
    except EngineFailure as error:
        if not str(error).endswith(REMAKE):
            raise
        raise InputError(f"{str(error).removesuffix(REMAKE)}. {HOW}") from error


def _example() -> dict[str, Array]:
    """What the engines are measured with, beside ψ: the mean face at the paper's size. Nobody's face is in it."""
    return {"drawing": mean_face_image(256)[None]}
