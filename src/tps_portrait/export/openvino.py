"""OpenVINO files (`.xml` and `.bin`), for Intel and ARM processors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .options import INPUT_NAME, ExportJob, Runner, Target, as_array, require
from .pt2 import program


def write(job: ExportJob) -> None:
    """Write an `.xml` file with its `.bin`.

    `fp16` stores the weights in float16; the device decides what it computes in. `int8` is made by
    NNCF.

    Args:
        job: what to write.
    """
    ov = require("openvino", "openvino")
    precision = job.options.precision
    model = ov.convert_model(program(job))
    model.inputs[0].set_names({INPUT_NAME})
    model.outputs[0].set_names({job.output_name})
    if precision == "int8":
        nncf = require("nncf", "openvino")
        ranges = require("nncf.quantization.range_estimator", "openvino")
        batches = [as_array(batch) for batch in job.calibration]
        model = nncf.quantize(
            model,
            nncf.Dataset(batches),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(batches),
            fast_bias_correction=True,
            # By default the mean of the pictures' ranges, which cuts off what the bright ones hold.
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                activations_range_estimator_params=ranges.RangeEstimatorParametersSet.MINMAX
            ),
        )
    for key, value in job.metadata.items():
        model.set_rt_info(value, ["tps_portrait", key])
    ov.save_model(model, str(job.path), compress_to_fp16=precision == "fp16")


def load(path: Path, threads: int) -> Runner:
    """Load a file onto the CPU, computing in float32 where the file is not quantised.

    Args:
        path: an `.xml` file with its `.bin` beside it.
        threads: threads of one run.
    """
    ov = require("openvino", "openvino")
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    compiled = ov.compile_model(str(path), "CPU", settings)

    def run(image: NDArray[Any]) -> NDArray[Any]:
        return np.array(compiled([image])[0])

    return run


TARGET = Target(
    name="openvino",
    suffix=".xml",
    extra="openvino",
    packages=("openvino", "nncf"),
    runtime="openvino",
    precisions=("fp32", "fp16", "int8"),
    forms=(("float", "nchw"), ("float", "nhwc"), ("uint8", "nhwc"), ("uint8", "nchw")),
    dynamic=True,
    write=write,
    load=load,
    companions=(".bin",),
)
