"""torch: the reference that the other engines are checked and measured against, never chosen by itself.

It runs a module that its caller has built, not an ONNX file. On a GPU the whole network is one CUDA graph over buffers
that stay where they are; that part has never been run, for want of a GPU.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engines.engine import EngineDescription, EngineFailure, Tensors, Unavailable
from engines.network import TensorSpec, checked, one_line, thread_count

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
WARM_UP = 3  # runs before a graph is captured: they set up what must not happen inside it
PREAMBLE = re.compile(r"^CUDA error: ")


class TorchEngine:
    """A module in torch. Implements engines.engine.Engine."""

    def __init__(
        self,
        network: nn.Module,
        inputs: Mapping[str, NDArray[np.generic]],
        outputs: Sequence[str],
        *,
        name: str = "network",
        device: str = "cpu",
        precision: str = "fp32",
        threads: int | None = None,
    ) -> None:
        """Take `network` over: it is moved to `device`.

        inputs: an example of each input by its name, in the order of the module's arguments; the shapes stay.
        outputs: names of what the module returns, in order. Floats are float32 at the interface whatever the precision.
        device: "cpu" or "cuda". threads: as of `open_engine`, for the CPU.
        precision: of DTYPES. Halves are used where torch.autocast takes them, which is in convolutions and matrix
            products, so that a flow keeps its digits.
        Raises EngineFailure.
        """
        if precision not in DTYPES:
            raise EngineFailure(f"torch: there is no precision '{precision}': choose {', '.join(DTYPES)}")
        if device not in ("cpu", "cuda"):
            raise Unavailable(f"torch: there is no device '{device}': choose cpu or cuda")
        if device == "cuda" and not torch.cuda.is_available():
            raise Unavailable("torch: finds no NVIDIA GPU, or this build of torch is for CPUs only")
        self._name = name
        self._dtype = DTYPES[precision]
        self._device = torch.device(device)
        count = thread_count(threads) if device == "cpu" else 0
        if count:
            torch.set_num_threads(count)  # of the whole process: torch knows no other
        self.specs = {key: TensorSpec.of(array.shape, array.dtype) for key, array in inputs.items()}
        self.inputs = {key: spec.shape for key, spec in self.specs.items()}
        self._output_names = list(outputs)
        self._graph: torch.cuda.CUDAGraph | None = None
        try:
            network = network.eval().to(self._device)
            self._network: nn.Module | None = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            with torch.inference_mode():
                # The buffers that a graph reads from and writes to.
                self._fed = [self._given(torch.from_numpy(np.ascontiguousarray(array))) for array in inputs.values()]
                self._drawn = self._capture() if device == "cuda" else self._forward()
            self.outputs = {key: tuple(t.shape) for key, t in zip(self._output_names, self._drawn, strict=True)}
        except (RuntimeError, ValueError, TypeError) as error:  # out of memory is a RuntimeError
            raise EngineFailure(f"{name} could not be loaded by torch: {one_line(error, PREAMBLE)}") from error
        where = torch.cuda.get_device_name() if device == "cuda" else device
        self._description = EngineDescription("torch", torch.__version__, where, precision, name, count)

    def infer(self, inputs: Mapping[str, NDArray[np.generic]]) -> Tensors:
        if self._network is None:
            raise EngineFailure(f"{self._name}: this engine was closed")
        feed = checked(self.specs, inputs, self._name)
        try:
            with torch.inference_mode():
                for buffer, array in zip(self._fed, feed.values(), strict=True):
                    buffer.copy_(torch.from_numpy(array if array.flags.writeable else array.copy()))
                if self._graph is None:
                    self._drawn = self._forward()
                else:
                    self._graph.replay()
                # Copied, because the next frame overwrites what a graph has drawn.
                return {
                    name: _at_the_interface(tensor).cpu().contiguous().numpy().copy()
                    for name, tensor in zip(self._output_names, self._drawn, strict=True)
                }
        except RuntimeError as error:
            raise EngineFailure(f"{self._name} failed in torch: {one_line(error, PREAMBLE)}") from error

    def describe(self) -> EngineDescription:
        return self._description

    def close(self) -> None:
        self._network = self._graph = None
        self._fed, self._drawn = [], []

    def _given(self, tensor: Tensor) -> Tensor:
        layout = torch.channels_last if tensor.dim() == 4 else torch.contiguous_format
        return tensor.to(self._device, copy=True, memory_format=layout)

    def _forward(self) -> list[Tensor]:
        assert self._network is not None
        halves = self._dtype != torch.float32
        # No cache of halved weights: a graph would keep the addresses of what is freed after its capture.
        with torch.autocast(self._device.type, self._dtype if halves else None, halves, cache_enabled=False):
            drawn = self._network(*self._fed)
        return list(drawn) if isinstance(drawn, (tuple, list)) else [drawn]

    def _capture(self) -> list[Tensor]:
        """Record the network as one CUDA graph. https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs"""
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                self._forward()
        torch.cuda.current_stream().wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            return self._forward()


def _at_the_interface(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
