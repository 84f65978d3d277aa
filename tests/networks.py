"""Small networks for the tests of the engines, and libraries that go wrong in the processes where they are tried."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

HAS_OPENVINO = importlib.util.find_spec("openvino") is not None
needs_openvino = pytest.mark.skipif(not HAS_OPENVINO, reason="openvino is an extra: pip install 'visavis[openvino]'")


def convolution(path: Path, gain: float = 1.0) -> Path:
    """x (1, 8, 32, 32) → y, of the same shape and in (0, 1)."""
    kernel = (np.random.default_rng(1).standard_normal((8, 8, 3, 3)) * 0.1 * gain).astype(np.float32)
    info = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Conv", ["x", "conv.weight"], ["features"], pads=[1, 1, 1, 1]),
        helper.make_node("Sigmoid", ["features"], ["y"]),
    ]
    shape = [1, 8, 32, 32]
    graph = helper.make_graph(
        nodes,
        "small",
        [info("x", TensorProto.FLOAT, shape)],
        [info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(kernel, "conv.weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, path)
    return path


def sabotage(folder: Path, body: str, when: str = '"backend": "openvino"') -> Path:
    """A folder for `sys.path`: where the words of a trial's command hold `when`, OpenVINO infers as `body` says.

    body: lines in a function infer(self, inputs); `real` is the method of before, `calls` lists the calls.
    """
    lines = "\n        ".join(body.splitlines())
    (folder / "sitecustomize.py").write_text(
        f"""
import os, signal, sys, time
words = " ".join(sys.orig_argv)
if "engines.selection.trial" in words and {when!r} in words:
    from engines.openvino import OpenVinoEngine
    real, calls = OpenVinoEngine.infer, []
    def infer(self, inputs):
        calls.append(1)
        {lines}
    OpenVinoEngine.infer = infer
"""
    )
    return folder
