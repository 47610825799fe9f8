"""A reader of TFLite files for conversion scripts: operators, and constants as arrays."""

from __future__ import annotations

import sys

import numpy as np


class Graph:
    """A TFLite graph to be walked from operator to operator."""

    def __init__(self, content: bytes) -> None:
        # Only conversion needs this package, not whoever imports the script.
        import tflite

        self.model = tflite.Model.GetRootAs(content, 0)
        self.graph = self.model.Subgraphs(0)
        names = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
        self.ops: list[tuple[str, list[int], list[int], bytes]] = []
        self.half: dict[int, int] = {}
        for index in range(self.graph.OperatorsLength()):
            op = self.graph.Operators(index)
            code = self.model.OperatorCodes(op.OpcodeIndex())
            kind = names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
            if kind == "CUSTOM":
                kind = code.CustomCode().decode()
            ins, outs = op.InputsAsNumpy().tolist(), op.OutputsAsNumpy().tolist()
            if kind == "DEQUANTIZE":
                self.half[outs[0]] = ins[0]
            options = op.CustomOptionsAsNumpy().tobytes() if op.CustomOptionsLength() else b""
            self.ops.append((kind, ins, outs, options))

    def value(self, tensor: int) -> np.ndarray:
        """The constant behind a tensor (float16 where it is dequantized first)."""
        import tflite

        description = self.graph.Tensors(self.half.get(tensor, tensor))
        if description.Type() != tflite.TensorType.FLOAT16:
            sys.exit("expected float16 weights")
        content = self.model.Buffers(description.Buffer()).DataAsNumpy().tobytes()
        return np.frombuffer(content, np.float16).reshape(description.ShapeAsNumpy())

    def consumers(self, tensor: int, kind: str) -> list[tuple[list[int], int]]:
        """Operators of a kind that read a tensor as their first or second input, in order."""
        return [(i, o[0]) for k, i, o, _ in self.ops if k == kind and tensor in i[:2]]
