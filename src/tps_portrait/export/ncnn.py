"""ncnn files (`.param` and `.bin`), for phones and small boards."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .options import ExportJob, Runner, Target, require


def write(job: ExportJob) -> None:
    """Write a `.param` file with its `.bin`; blobs are called `in0` and `out0`.

    `fp16` stores the weights in float16.

    Args:
        job: what to write.
    """
    pnnx = require("pnnx", "ncnn")
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "style.pt"
        pnnx.export(
            job.network, str(script), (job.example(),), fp16=job.options.precision == "fp16"
        )
        for suffix in (".param", ".bin"):
            shutil.copyfile(script.with_suffix(f".ncnn{suffix}"), job.path.with_suffix(suffix))


def load(path: Path, threads: int) -> Runner:
    """Load a file into ncnn on the CPU.

    Args:
        path: a `.param` file with its `.bin` beside it.
        threads: threads of one run.
    """
    ncnn = require("ncnn", "ncnn")
    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_vulkan_compute = False
    net.load_param(str(path))
    net.load_model(str(path.with_suffix(".bin")))

    def run(image: NDArray[Any]) -> NDArray[Any]:
        drawn = []
        for picture in image:
            with net.create_extractor() as extractor:
                extractor.input("in0", ncnn.Mat(picture).clone())
                drawn.append(np.array(extractor.extract("out0")[1]))
        return np.stack(drawn)

    return run


TARGET = Target(
    name="ncnn",
    suffix=".param",
    extra="ncnn",
    packages=("ncnn", "pnnx"),
    runtime="ncnn",
    precisions=("fp32", "fp16"),
    forms=(("float", "nchw"),),
    dynamic=False,
    write=write,
    load=load,
    companions=(".bin",),
)
