"""The layers: `engines` stands alone, training stays in `avatar.learning`, using the product needs no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(path for package in ("avatar", "engines", "export") for path in (ROOT / package).rglob("*.py"))

# a module below the first name may import nothing below the second
FORBIDDEN = [
    ("engines", "avatar"),
    ("engines", "export"),
    ("engines", "torch"),
    ("avatar", "export"),
    ("avatar", "avatar.learning"),
    ("avatar", "torch"),
    ("avatar.live", "avatar.model"),
    ("export", "avatar.learning"),
]
# and who may all the same, with the commands importing inside their functions
ALLOWED = {
    ("engines", "torch"): ("engines.torch",),
    ("avatar", "export"): ("avatar.cli.export", "avatar.render.generator"),  # the latter for --engine torch alone
    ("avatar", "avatar.learning"): (
        "avatar.learning",
        "avatar.cli.train",
        "avatar.cli.finetune",
        "avatar.cli.evaluate",
        "avatar.cli.dataset",
    ),
    ("avatar", "torch"): (
        "avatar.learning",
        "avatar.model",
        "avatar.evaluation",
        "avatar.cli.train",
        "avatar.cli.finetune",
    ),
}
# avatar.render makes what the networks are fed: an export is checked on real input
EXPORT_MAY_USE = ("avatar.model", "avatar.render", "avatar.face", "avatar.core")

WITHOUT_TORCH = [
    "avatar.cli.commands",
    "avatar.cli.main",
    "avatar.cli.cameras",
    "avatar.cli.dataset",
    "avatar.cli.doctor",
    "avatar.cli.drive",
    "avatar.cli.engines",
    "avatar.cli.enroll",
    "avatar.cli.live",
    "avatar.cli.profile",
    "avatar.cli.record_motion",
    "avatar.live.doctor",
    "avatar.identity.bundle",
    "avatar.identity.enrolment",
    "avatar.identity.face_identity",
    "avatar.render.generator",
    "avatar.live.drive",
    "avatar.live.loop",
    "avatar.render.renderer",
    "avatar.live.outputs",
    "avatar.retarget.retargeter",
    "avatar.sources.camera",
    "avatar.live.record_motion",
    "avatar.tracking.child.face_landmarker",
    "engines",
    "engines.selection.trial",
]


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> set[str]:
    """Absolute names of all that a file imports, at its top and inside its functions."""
    found: set[str] = set()
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            found |= {source, *(f"{source}.{alias.name}" for alias in node.names)}
    return found


def below(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def test_there_is_something_to_check() -> None:
    assert len(MODULES) > 30


@pytest.mark.parametrize(("importer", "imported"), FORBIDDEN)
def test_no_import_against_the_layers(importer: str, imported: str) -> None:
    exempt = ALLOWED.get((importer, imported), ())
    wrong = [
        f"{module_name(path)} imports {name}"
        for path in MODULES
        if below(module_name(path), importer) and not any(below(module_name(path), allowed) for allowed in exempt)
        for name in sorted(imports(path))
        if below(name, imported)
    ]
    assert not wrong, "\n".join(wrong)


def test_export_uses_only_the_model_and_its_inputs() -> None:
    wrong = [
        f"{module_name(path)} imports {name}"
        for path in MODULES
        if below(module_name(path), "export")
        for name in sorted(imports(path))
        if below(name, "avatar") and name != "avatar" and not any(below(name, allowed) for allowed in EXPORT_MAY_USE)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_rule_sees_lazy_and_relative_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    file = tmp_path / "avatar" / "live" / "sneaky.py"
    file.parent.mkdir(parents=True)
    file.write_text("from ..model import generator\ndef f():\n    import torch.nn as nn\n", encoding="utf-8")
    assert imports(file) == {"avatar.model", "avatar.model.generator", "torch.nn"}


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_using_the_product_imports_no_torch(module: str) -> None:
    code = f"import sys, {module}\nassert 'torch' not in sys.modules, 'torch came along'"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_help_is_light() -> None:
    """`visavis --help` imports neither the tracker nor an engine nor OpenCV."""
    code = (
        "import sys\nfrom avatar.cli.commands import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit as done:\n    assert done.code == 0\n"
        "heavy = {'torch', 'mediapipe', 'cv2', 'onnxruntime', 'openvino', 'numpy', 'av'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
