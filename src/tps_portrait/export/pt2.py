"""`torch.export` programs, for PyTorch itself without this library."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from .options import ExportJob, Runner, Target, as_array


def program(job: ExportJob) -> torch.export.ExportedProgram:
    """Trace the network of a job, with its dynamic shapes.

    Args:
        job: what to trace.
    """
    shapes = job.dynamic_shapes()
    with torch.no_grad():
        return torch.export.export(
            job.network, (job.example(),), dynamic_shapes=None if shapes is None else (shapes,)
        )


def write(job: ExportJob) -> None:
    """Write a `.pt2` file.

    Args:
        job: what to write.
    """
    traced = program(job)
    # Otherwise the example picture travels in the file, larger than the weights.
    traced.example_inputs = None
    torch.export.save(traced, job.path)


def load(path: Path, threads: int) -> Runner:
    """Load a file that was just written; the format can run code, so never a stranger's.

    Args:
        path: a `.pt2` file.
        threads: ignored; PyTorch has one setting for the whole process.
    """
    return runner(torch.export.load(path).module())


def runner(network: Callable[[Tensor], Tensor]) -> Runner:
    """Run what computes with tensors on arrays.

    Args:
        network: a loaded program.
    """

    def run(image: NDArray[Any]) -> NDArray[Any]:
        with torch.no_grad():
            return as_array(network(torch.from_numpy(image)))

    return run


TARGET = Target(
    name="pt2",
    suffix=".pt2",
    extra="",
    packages=("torch",),
    runtime="torch",
    precisions=("fp32", "fp16"),
    forms=(("float", "nchw"), ("float", "nhwc"), ("uint8", "nhwc"), ("uint8", "nchw")),
    dynamic=True,
    write=write,
    load=load,
    loadable=False,
    halves=True,
)
