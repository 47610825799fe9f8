"""ExecuTorch programs for Android and iOS, on the XNNPACK delegate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from .options import ExportJob, Runner, Target, as_array, require
from .pt2 import program
from .quiet import quiet

_XNNPACK = "executorch.backends.xnnpack"


def write(job: ExportJob) -> None:
    """Write a `.pte` file with a fixed shape.

    Args:
        job: what to write.
    """
    exir = require("executorch.exir", "executorch")
    partition = require(f"{_XNNPACK}.partition.xnnpack_partitioner", "executorch")
    traced = program(job)
    if job.options.precision == "int8":
        traced = _quantize(job, traced)
    lowered = exir.to_edge_transform_and_lower(traced, partitioner=[partition.XnnpackPartitioner()])
    job.path.write_bytes(lowered.to_executorch().buffer)


def _quantize(job: ExportJob, traced: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    pt2e = require("torchao.quantization.pt2e.quantize_pt2e", "executorch")
    quantizers = require(f"{_XNNPACK}.quantizer.xnnpack_quantizer", "executorch")
    quantizer = quantizers.XNNPACKQuantizer().set_global(
        quantizers.get_symmetric_quantization_config(is_per_channel=True)
    )
    prepared = pt2e.prepare_pt2e(traced.module(), quantizer)
    with torch.no_grad():
        for batch in job.calibration:
            prepared(batch)
        converted = pt2e.convert_pt2e(prepared)
        return torch.export.export(converted, (job.example(),))


def load(path: Path, threads: int) -> Runner:
    """Load a program into the ExecuTorch runtime.

    Args:
        path: a `.pte` file.
        threads: ignored; the runtime has one pool for the whole process.
    """
    with quiet():
        runtime = require("executorch.runtime", "executorch")
    loaded = runtime.Runtime.get().load_program(path)
    method = loaded.load_method("forward")

    def run(image: NDArray[Any]) -> NDArray[Any]:
        return as_array(method.execute([torch.from_numpy(image)])[0]).copy()

    return run


TARGET = Target(
    name="executorch",
    suffix=".pte",
    extra="executorch",
    packages=("executorch", "torchao"),
    runtime="executorch",
    precisions=("fp32", "fp16", "int8"),
    forms=(("float", "nchw"), ("float", "nhwc")),
    dynamic=False,
    write=write,
    load=load,
    halves=True,
)
