"""LiteRT (TensorFlow Lite) files for Android and iOS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .options import ExportJob, Runner, Target, as_array, require

Ranges = Mapping[str, Mapping[str, Any]]


def write(job: ExportJob) -> None:
    """Write a `.tflite` file with a fixed shape.

    Args:
        job: what to write.
    """
    litert = require("litert_torch", "litert")
    litert.convert(job.network, (job.example(),)).export(str(job.path))
    if job.options.precision != "fp32":
        _reduce(job)


def _reduce(job: ExportJob) -> None:
    """Rewrite the float32 file in float16 (weights), or in int8 (weights and activations)."""
    quantizer = require("ai_edge_quantizer.quantizer", "litert")
    recipe = require("ai_edge_quantizer.recipe", "litert")
    qtyping = require("ai_edge_quantizer.qtyping", "litert")
    names = require("ai_edge_quantizer.algorithm_manager", "litert").AlgorithmName
    tool = quantizer.Quantizer(str(job.path))
    if job.options.precision == "fp16":
        tool.update_quantization_recipe(
            regex=".*",
            operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
            op_config=qtyping.OpQuantizationConfig(
                weight_tensor_config=qtyping.TensorQuantizationConfig(
                    num_bits=16, dtype=qtyping.TensorDataType.FLOAT
                ),
                compute_precision=qtyping.ComputePrecision.FLOAT,
            ),
            algorithm_key=names.FLOAT_CASTING,
        )
        result = tool.quantize()
    else:
        tool.load_quantization_recipe(recipe.static_wi8_ai8())
        for end in ("INPUT", "OUTPUT"):
            # Input and output keep their type; the app need not know any scale.
            tool.update_quantization_recipe(
                regex=".*",
                operation_name=qtyping.TFLOperationName[end],
                algorithm_key=names.NO_QUANTIZE,
            )
        key, name = _signature(job.path)
        # One at a time: over several pictures the tool takes a moving average, in which the first
        # one counts most and what the others hold beyond it is cut off.
        found = [tool.calibrate({key: [{name: as_array(batch)}]}) for batch in job.calibration]
        result = tool.quantize(_widest(found))
    job.path.write_bytes(bytes(result.quantized_model))


def _widest(found: Sequence[Ranges]) -> Ranges:
    """Ranges of values that hold those of every picture, by tensor."""
    merged = dict(found[0])
    for ranges in found[1:]:
        for name, ends in ranges.items():
            if ends:
                low, high = merged[name]["min"], merged[name]["max"]
                merged[name] = {
                    **merged[name],
                    "min": np.minimum(low, ends["min"]),
                    "max": np.maximum(high, ends["max"]),
                }
    return merged


def _signature(path: Path) -> tuple[str, str]:
    interpreter = require("ai_edge_litert.interpreter", "litert").Interpreter(str(path))
    key, entry = next(iter(interpreter.get_signature_list().items()))
    return key, entry["inputs"][0]


def load(path: Path, threads: int) -> Runner:
    """Load a file into the LiteRT interpreter with XNNPACK.

    Args:
        path: a `.tflite` file.
        threads: threads of one run.
    """
    module = require("ai_edge_litert.interpreter", "litert")
    interpreter = module.Interpreter(str(path), num_threads=threads)
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]["index"]
    result = interpreter.get_output_details()[0]["index"]

    def run(image: NDArray[Any]) -> NDArray[Any]:
        interpreter.set_tensor(entry, image)
        interpreter.invoke()
        return np.array(interpreter.get_tensor(result))

    return run


TARGET = Target(
    name="litert",
    suffix=".tflite",
    extra="litert",
    packages=("litert-torch", "ai-edge-litert", "ai-edge-quantizer"),
    runtime="ai-edge-litert",
    precisions=("fp32", "fp16", "int8"),
    forms=(("float", "nhwc"), ("float", "nchw"), ("uint8", "nhwc"), ("uint8", "nchw")),
    dynamic=False,
    write=write,
    load=load,
)
