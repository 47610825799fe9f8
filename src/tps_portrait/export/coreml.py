"""Core ML packages for iOS and macOS. They run on Apple's systems only."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import ConfigError, ExportError
from .options import INPUT_NAME, STRIDE, ExportJob, Runner, Target, require

_MOST = 2048


class _ToPixels(nn.Module):
    """Gives values from 0 to 255, as a Core ML image needs."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        drawn: Tensor = self.network(image)
        return (drawn + 1) * 127.5


def write(job: ExportJob) -> None:
    """Write an `.mlpackage`, an ML Program for iOS 16 and macOS 13 or newer.

    With `io="uint8"` input and output are images (CVPixelBuffer), normalised by Core ML. `int8`
    stores weights in eight bits and computes in float16. Dynamic files take sides from 32 to 2048
    px, multiples of 32.

    Args:
        job: what to write.

    Raises:
        ConfigError: more than one image at a time was asked for.
    """
    options = job.options
    if options.io == "uint8" and options.batch_size > 1:
        raise ConfigError(
            "A Core ML image is one picture. Leave batch_size out, or use io='float'."
        )
    ct = require("coremltools", "coreml")
    images = options.io == "uint8"
    network = _ToPixels(job.network.get_submodule("network")) if images else job.network
    shape: list[Any] = [options.batch_size, 3, *options.size]
    with torch.no_grad():
        traced = torch.jit.trace(network.eval(), torch.zeros(shape), check_trace=False)
    if options.dynamic:
        sides = (ct.RangeDim(STRIDE, _MOST, default=side) for side in options.size)
        shape = [1, 3, *sides]
    if images:
        entry = ct.ImageType(INPUT_NAME, shape, scale=1 / 127.5, bias=[-1, -1, -1])
        result = ct.ImageType(job.output_name)
    else:
        entry = ct.TensorType(INPUT_NAME, shape, dtype=np.float32)
        result = ct.TensorType(job.output_name, dtype=np.float32)
    full = options.precision == "fp32"
    model = ct.convert(
        traced,
        inputs=[entry],
        outputs=[result],
        convert_to="mlprogram",
        minimum_deployment_target=ct.target.iOS16,
        compute_precision=ct.precision.FLOAT32 if full else ct.precision.FLOAT16,
        skip_model_load=True,
    )
    if options.precision == "int8":
        optimize = require("coremltools.optimize.coreml", "coreml")
        linear = optimize.OpLinearQuantizerConfig(mode="linear_symmetric", dtype="int8")
        model = optimize.linear_quantize_weights(
            model, optimize.OptimizationConfig(global_config=linear)
        )
    model.user_defined_metadata.update(dict(job.metadata))
    model.save(str(job.path))
    _check_spec(job)


def _check_spec(job: ExportJob) -> None:
    """Read the package back and compare its interface and operations with what was asked for."""
    ct = require("coremltools", "coreml")
    spec = ct.models.MLModel(str(job.path), skip_model_load=True).get_spec()
    kind = "imageType" if job.options.io == "uint8" else "multiArrayType"
    found = [
        (value.name, value.type.WhichOneof("Type"))
        for value in (*spec.description.input, *spec.description.output)
    ]
    block = next(iter(spec.mlProgram.functions["main"].block_specializations.values()))
    operations = [operation.type for operation in block.operations]
    convolutions = sum(isinstance(m, nn.Conv2d) for m in job.network.modules())
    if found != [(INPUT_NAME, kind), (job.output_name, kind)] or (
        operations.count("conv") != convolutions
    ):
        raise ExportError(
            f"The Core ML package has the interface {found} and {operations.count('conv')} of "
            f"{convolutions} convolutions. Install the version of coremltools in constraints.txt."
        )


def elsewhere() -> str | None:
    """Say why a package cannot be run here; `None` on macOS."""
    if sys.platform == "darwin":
        return None
    return (
        "Core ML runs on macOS only; here its interface and operations were checked. Export on a "
        "Mac to have the drawings compared."
    )


def load(path: Path, threads: int) -> Runner:
    """Load a package into Core ML; macOS only.

    Args:
        path: an `.mlpackage`.
        threads: ignored; Core ML chooses.

    Raises:
        ExportError: this is not macOS.
    """
    reason = elsewhere()
    if reason is not None:
        raise ExportError(reason)
    model = require("coremltools", "coreml").models.MLModel(str(path))
    image_module = require("PIL.Image", "coreml")
    output = model.get_spec().description.output[0].name

    def run(image: NDArray[Any]) -> NDArray[Any]:
        if image.dtype != np.uint8:
            return np.asarray(model.predict({INPUT_NAME: image})[output], np.float32)
        pictures = [image_module.fromarray(picture) for picture in image]
        drawn = [model.predict({INPUT_NAME: picture})[output] for picture in pictures]
        return np.stack([np.asarray(picture.convert("RGB")) for picture in drawn])

    return run


TARGET = Target(
    name="coreml",
    suffix=".mlpackage",
    extra="coreml",
    packages=("coremltools",),
    runtime="coremltools",
    precisions=("fp16", "fp32", "int8"),
    forms=(("uint8", "nhwc"), ("float", "nchw")),
    dynamic=True,
    write=write,
    load=load,
    elsewhere=elsewhere,
    dynamic_batch=False,
    calibrated=False,
)
