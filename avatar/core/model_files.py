"""The trained networks that come with the package, each compared with its sha256 before it is used."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from avatar.core.errors import VisavisError

MODEL_ID = "fast-3"  # changes whenever a bundle made with the old weights could not be driven by the new ones
ALIKE = ("fast-2",)  # older ones, whose bundles can be: they hold the embedding of the same embedder
WEIGHTS = Path(__file__).parents[1] / "weights"
SUMS = "SHA256SUMS"  # as `sha256sum` writes it


def model_file(name: str) -> Path:
    """The path of a shipped file such as "fast-3/generator.onnx", once it and its variants are what was shipped.

    Variants share its name up to the first dot ("fast-3/generator.int8.onnx"): an engine takes the one that suits it.
    Raises VisavisError when the installation lacks one, or when one has changed.
    """
    path = WEIGHTS / name
    if not path.is_file():
        raise VisavisError(f"The network {name} is missing from this installation (looked for {path}). {_again()}")
    _check(WEIGHTS, name.partition(".")[0])
    return path


@cache
def _check(folder: Path, stem: str) -> None:
    for name, right in shipped_sums().items():
        if name.partition(".")[0] == stem and (fault := _fault(folder / name, right)):
            raise VisavisError(f"The network {name} {fault} ({folder / name}): it is not used. {_again()}")


def shipped_sums() -> dict[str, str]:
    """Of every shipped file, by its name below WEIGHTS."""
    try:
        lines = (WEIGHTS / SUMS).read_text(encoding="ascii").splitlines()
    except (OSError, ValueError) as error:
        raise VisavisError(f"{WEIGHTS / SUMS} cannot be read: {error}. {_again()}") from error
    return {name: right for right, _, name in (line.partition("  ") for line in lines)}


def _fault(path: Path, right: str) -> str | None:
    """What is wrong with the file, or None."""
    try:
        with path.open("rb") as file:
            return None if hashlib.file_digest(file, "sha256").hexdigest() == right else "is not what was shipped"
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _again() -> str:
    from engines.installing import pip  # here: the tracker's cage loads this file, and may read no engines

    return (
        f"Install visavis again: `{pip('install --force-reinstall --no-deps visavis')}`, or in a clone: "
        "`git checkout -- avatar/weights`."
    )
