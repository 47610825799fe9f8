"""AOTInductor packages: machine code made by PyTorch's compiler, which C++ can run too."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from ..errors import ExportError
from .options import ExportJob, Runner, Target, require
from .pt2 import program, runner


def write(job: ExportJob) -> None:
    """Write a `.pt2` package of compiled code. It runs on processors like this machine's only.

    Args:
        job: what to write.

    Raises:
        ExportError: there is no C++ compiler.
    """
    inductor = require("torch._inductor", "")
    _check_compiler()
    with torch.no_grad():
        inductor.aoti_compile_and_package(
            program(job),
            package_path=str(job.path),
            # The wrapper only starts the kernels; optimising it doubles the time of an export.
            inductor_configs={"aot_inductor.compile_wrapper_opt_level": "O0"},
        )


def _check_compiler() -> None:
    candidates = require("torch._inductor.config", "").cpp.cxx
    names = [candidates] if isinstance(candidates, str) else [str(c) for c in candidates if c]
    if not any(shutil.which(name) for name in names):
        raise ExportError(
            f"AOTInductor compiles C++, and there is no compiler {' or '.join(names)} here. "
            "Install one (apt install g++; xcode-select --install), set CXX to the one you have, "
            "or export the target pt2, which needs none."
        )


def load(path: Path, threads: int) -> Runner:
    """Load a package that was just written; it is machine code, so never a stranger's.

    Args:
        path: a `.pt2` package.
        threads: ignored; PyTorch has one setting for the whole process.
    """
    return runner(require("torch._inductor", "").aoti_load_package(str(path)))


TARGET = Target(
    name="aoti",
    suffix=".pt2",
    extra="",
    packages=("torch",),
    runtime="torch",
    precisions=("fp32",),
    forms=(("float", "nchw"), ("float", "nhwc"), ("uint8", "nhwc"), ("uint8", "nchw")),
    dynamic=True,
    write=write,
    load=load,
    loadable=False,
)
