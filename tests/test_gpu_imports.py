"""What trains on a lent GPU machine needs torch, OpenCV, numpy, scipy, Pillow and safetensors, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from avatar.core.model_files import model_file
from avatar.face.face_descriptor import NETWORK
from avatar.learning.efficientnet_lite import EfficientNetLite0, imagenet_weights
from avatar.learning.face_identity_net import FaceIdentityNet, stored_weights
from avatar.learning.losses import FEATURE_BLOCKS

ROOT = Path(__file__).parents[1]
NEEDED = [
    "avatar.learning.content_losses",
    "avatar.learning.region_run",
    "avatar.learning.full_objective",
    "avatar.learning.gpu.bench",
    "avatar.learning.gpu.smoke",
    "avatar.learning.gpu.stages",
    "avatar.learning.dataset.pack",
    "avatar.learning.trainer",
    "avatar.model.checkpoint",
    "avatar.model.full.checkpoint",
]
BARE = """
import sys
from importlib.machinery import PathFinder
ALLOWED = {
    "avatar", "engines", "export", "torch", "torchvision", "timm", "cv2", "numpy", "scipy", "PIL", "safetensors",
    # what torch and scipy bring
    "torchgen", "functorch", "triton", "nvidia", "filelock", "fsspec", "jinja2", "markupsafe", "mpmath", "networkx",
    "sympy", "typing_extensions", "setuptools", "_distutils_hack",
}
class Bare:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in ALLOWED | sys.stdlib_module_names or top.startswith("_"):
            return PathFinder.find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = Bare()
"""


def test_what_trains_imports_on_a_bare_machine() -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{BARE}\nimport {', '.join(NEEDED)}"], cwd=ROOT, capture_output=True, text=True,
        timeout=120, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_rule_refuses_what_is_not_there() -> None:
    done = subprocess.run([sys.executable, "-c", f"{BARE}\nimport onnx"], capture_output=True, text=True, timeout=60)
    assert "No module named 'onnx'" in done.stderr


def test_our_efficientnet_is_the_packages() -> None:
    package = pytest.importorskip("efficientnet_lite_pytorch")
    theirs = package.EfficientNet.from_name("efficientnet-lite0").eval()
    theirs.load_state_dict(imagenet_weights(), strict=False)
    for height, width in ((128, 128), (64, 96)):  # what the objectives compare: faces and mouths
        picture = torch.rand(2, 3, height, width)
        with torch.no_grad():
            x = theirs._swish(theirs._bn0(theirs._conv_stem((picture * 255 - 127) / 128)))
            wanted = []
            for i, block in enumerate(theirs._blocks[: FEATURE_BLOCKS[-1] + 1]):
                x = block(x)
                wanted += [x] if i in FEATURE_BLOCKS else []
            found = EfficientNetLite0()(picture, FEATURE_BLOCKS)
        assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


def test_the_identity_network_needs_no_onnx_once_its_numbers_are_stored(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file(dict(stored_weights(model_file(NETWORK))), tmp_path / "identity.safetensors")
    faces = torch.rand(1, 3, 150, 150)
    with torch.no_grad():
        assert torch.equal(FaceIdentityNet(tmp_path / "identity.safetensors")(faces), FaceIdentityNet()(faces))
