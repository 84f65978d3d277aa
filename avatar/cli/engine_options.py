"""What the commands that run a generator say of its engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

ENGINE_HELP = (
    "auto (the fastest, measured once), onnxruntime, openvino, tensorrt or torch, "
    "with a device where there are several: onnxruntime:cuda."
)
PRECISION_HELP = "auto, fp32, fp16, bf16 or int8: the numbers that the generator computes with."


def say_on(console: Console) -> Callable[[str], None]:
    """For `open_generator`: each line on the console, beside what moves there."""
    return lambda line: console.print(line, style="yellow", markup=False, soft_wrap=True)
