"""ONNX graphs composed node by node, with weights stored small and computed in fp32.

A weight is stored as it is, as fp16, or as int8 with a scale for each output channel, followed by Cast and Mul of
constants, which ONNX Runtime folds away when it opens the session (DequantizeLinear it would keep and run every time).
Composing takes milliseconds and gives exactly the nodes that are wanted; tracing a network (`traced`) gives neither.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from xdistill_ros.learn.networks.rounding import Precision

OPSET, IR_VERSION = 18, 9
Weights = NDArray[np.float32]


class Graph:
    """A graph under construction, of networks that were rounded to `precision`; values are named by strings."""

    def __init__(self, name: str, precision: Precision = "int8") -> None:
        self.precision: Precision = precision
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, shape: tuple[int, ...]) -> str:
        """Declares a float32 input."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return name

    def node(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Adds a node; returns its output's name, or a list of names for several."""
        names = [f"{operator.lower()}_{len(self._nodes)}_{index}" for index in range(outputs)]
        self._nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, values: NDArray[Any]) -> str:
        """A constant as it is."""
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def weight(self, values: Weights) -> str:
        """A weight as the graph's precision stores all but the encoder's convolutions."""
        return self.constant(values) if self.precision == "fp32" else self.half(values)

    def half(self, values: Weights) -> str:
        """A weight stored as fp16. Raises ValueError where rounding changes it: round the network first."""
        stored = values.astype(np.float16)
        if not np.array_equal(stored.astype(np.float32), values):
            raise ValueError(f"a weight of shape {values.shape} is not exact in fp16; round the network before export")
        return str(self.node("Cast", self.constant(stored), to=TensorProto.FLOAT))

    def int8(self, levels: NDArray[np.int8], scales: Weights) -> str:
        """A weight stored as int8 levels (O, ...) times scales (O, 1, ...)."""
        wide = self.node("Cast", self.constant(levels), to=TensorProto.FLOAT)
        return str(self.node("Mul", wide, self.constant(scales.astype(np.float32))))

    def finish(self, outputs: dict[str, tuple[str, tuple[int, ...]]]) -> bytes:
        """The checked model; outputs: name -> (value in the graph, shape)."""
        for name, (value, _) in outputs.items():
            self._nodes.append(helper.make_node("Identity", [value], [name]))
        infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, (_, shape) in outputs.items()]
        graph = helper.make_graph(self._nodes, self._name, self._inputs, infos, self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        model.producer_name = "xdistill_ros"
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())
