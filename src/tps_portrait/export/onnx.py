"""ONNX files for onnxruntime, on servers, phones and in browsers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from .options import INPUT_NAME, ExportJob, Runner, Target, as_array, require

_OPSET = 18


def write(job: ExportJob) -> None:
    """Write an `.onnx` file, opset 18, weights inside.

    `int8` has float32 input and output around QuantizeLinear and DequantizeLinear pairs.

    Args:
        job: what to write.
    """
    onnx = require("onnx", "onnx")
    require("onnxscript", "onnx")
    shapes = job.dynamic_shapes()
    with torch.no_grad():
        traced = torch.onnx.export(
            job.network,
            (job.example(),),
            dynamo=True,
            opset_version=_OPSET,
            input_names=[INPUT_NAME],
            output_names=[job.output_name],
            dynamic_shapes=None if shapes is None else (shapes,),
            verbose=False,
        )
    if traced is None:
        raise RuntimeError("torch.onnx.export returned no program")
    model = traced.model_proto
    if job.options.precision == "int8":
        model = _quantize(model, job)
    onnx.helper.set_model_props(model, dict(job.metadata))
    _name_axes(model, job)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(job.path))


def load(path: Path, threads: int) -> Runner:
    """Load a file into onnxruntime on the CPU.

    Args:
        path: an `.onnx` file.
        threads: threads of one run.
    """
    ort = require("onnxruntime", "onnx")
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.log_severity_level = 3
    # Between two runs PyTorch works in threads of its own. Threads that spin while they wait keep
    # the processors from it: on two of them, face mode took half as long again.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])

    def run(image: NDArray[Any]) -> NDArray[Any]:
        result: NDArray[Any] = session.run(None, {INPUT_NAME: image})[0]
        return result

    return run


def _quantize(model: Any, job: ExportJob) -> Any:
    """Quantise convolutions statically: uint8 activations, int8 weights for each channel.

    Weights use seven bits: eight overflow in the 16-bit sums of x86 processors without VNNI.
    """
    onnx = require("onnx", "onnx")
    quantization = require("onnxruntime.quantization", "onnx")

    class Reader(quantization.CalibrationDataReader):  # type: ignore[name-defined]
        def __init__(self) -> None:
            self.batches = iter(job.calibration)

        def get_next(self) -> dict[str, NDArray[Any]] | None:
            batch = next(self.batches, None)
            return None if batch is None else {INPUT_NAME: as_array(batch)}

    source, result = job.path.with_suffix(".fp32.onnx"), job.path.with_suffix(".int8.onnx")
    onnx.save(model, str(source))
    try:
        prepared = job.path.with_suffix(".prepared.onnx")
        require("onnxruntime.quantization.shape_inference", "onnx").quant_pre_process(
            str(source), str(prepared), skip_symbolic_shape=True
        )
        quantization.quantize_static(
            str(prepared),
            str(result),
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            op_types_to_quantize=["Conv"],
            extra_options={"ActivationSymmetric": False},
        )
        return onnx.load(str(result))
    finally:
        for file in (source, prepared, result):
            file.unlink(missing_ok=True)


def _name_axes(model: Any, job: ExportJob) -> None:
    """Name the dynamic axes of input and output as the JSON does."""
    for value in (*model.graph.input, *model.graph.output):
        for axis, name in job.options.axes().items():
            value.type.tensor_type.shape.dim[axis].dim_param = name


TARGET = Target(
    name="onnx",
    suffix=".onnx",
    extra="onnx",
    packages=("onnx", "onnxscript", "onnxruntime"),
    runtime="onnxruntime",
    precisions=("fp32", "fp16", "int8"),
    forms=(("float", "nchw"), ("float", "nhwc"), ("uint8", "nhwc"), ("uint8", "nchw")),
    dynamic=True,
    write=write,
    load=load,
    halves=True,
)
