"""What the commands that run a generator say of its engine."""

from __future__ import annotations

ENGINE_HELP = (
    "auto (the fastest, measured once), onnxruntime, openvino, tensorrt or torch, "
    "with a device where there are several: onnxruntime:cuda."
)
PRECISION_HELP = "auto, fp32, fp16, bf16 or int8: the numbers that the generator computes with."
