"""Using the product loads no torch, and its help nearly nothing. Who may import whom: pyproject.toml, `make lint`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

WITH_TORCH = (
    "avatar.learning",
    "avatar.model",
    "avatar.evaluation",
    "avatar.cli.finetune",
    "avatar.cli.train",
    "export",
)
BY_ITS_EXTRA = (
    "engines.torch",
    "avatar.live.livekit",
    "avatar.trust.provenance",
)  # these load only with the package they are for


def modules() -> list[str]:
    names = (
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for package in ("avatar", "engines")
        for path in (ROOT / package).rglob("*.py")
    )
    left_out = (*WITH_TORCH, *BY_ITS_EXTRA)
    return sorted(name for name in names if not any(f"{name}.".startswith(f"{other}.") for other in left_out))


def run(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_using_the_product_imports_no_torch() -> None:
    """All modules in one process: the first that brings torch is named."""
    assert len(modules()) > 100
    run(
        f"import importlib, sys\nfor name in {modules()}:\n    importlib.import_module(name)\n"
        "    assert 'torch' not in sys.modules, f'{name} brings torch'"
    )


def test_help_is_light() -> None:
    """`visavis --help` imports neither the tracker nor an engine nor OpenCV."""
    run(
        "import sys\nfrom avatar.cli.commands import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit as done:\n    assert done.code == 0\n"
        "heavy = {'torch', 'mediapipe', 'cv2', 'onnxruntime', 'openvino', 'numpy', 'av'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
