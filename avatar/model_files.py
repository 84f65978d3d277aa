"""The trained networks that come with the package."""

from __future__ import annotations

from pathlib import Path

from avatar.errors import VisavisError

MODEL_ID = "fast-2"  # changes whenever a bundle made with the old weights could not be driven by the new ones
WEIGHTS = Path(__file__).parent / "weights"


def model_file(name: str) -> Path:
    """The path of a shipped file such as "fast/generator.onnx". Raises VisavisError when the installation lacks it."""
    path = WEIGHTS / name
    if not path.is_file():
        raise VisavisError(
            f"The network {name} is missing from this installation (looked for {path}). Install visavis again: "
            "`pip install --force-reinstall --no-deps visavis`, or in a clone: `git checkout -- avatar/weights`."
        )
    return path
