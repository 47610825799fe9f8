"""All formats by name, and their runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from .._version import installed_versions
from ..errors import ConfigError, ExportError, ModelFileError, TPSPortraitError
from . import aoti, coreml, executorch, litert, ncnn, onnx, openvino, pt2
from .options import Runner, Target
from .sidecar import read_sidecar

TARGETS: dict[str, Target] = {
    module.TARGET.name: module.TARGET
    for module in (pt2, aoti, onnx, openvino, litert, executorch, ncnn, coreml)
}
"""Formats by name."""


def find_target(name: str) -> Target:
    """Look up a target.

    Args:
        name: as in `TARGETS`.

    Raises:
        ConfigError: there is none of this name.
    """
    if name not in TARGETS:
        raise ConfigError(f"There is no target {name!r}; choose one of {', '.join(TARGETS)}.")
    return TARGETS[name]


def read_facts(path: Path) -> tuple[dict[str, Any], Target]:
    """Read what the JSON beside an exported file says, and look up its format.

    Args:
        path: file written by `export` or `export_landmarks`.

    Raises:
        ModelFileError: the file or its JSON is missing or damaged, or of a format that is not
            loaded.
    """
    facts = read_sidecar(path)
    target = TARGETS.get(facts.get("target", ""))
    if target is None or not target.loadable:
        able = ", ".join(kind.suffix for kind in TARGETS.values() if kind.loadable)
        raise ModelFileError(f"{path} is not loaded here; files that are: {able}.")
    return facts, target


def load_runner(target: str, path: Path, threads: int | None = None) -> Runner:
    """Load an exported file into its runtime.

    Args:
        target: as in `TARGETS`.
        path: the file.
        threads: threads of one run; as many as PyTorch uses by default.

    Raises:
        ConfigError: there is no such target.
        ExportError: the runtime is not installed or cannot load the file.
    """
    kind = find_target(target)
    try:
        return kind.load(path, threads or torch.get_num_threads())
    except TPSPortraitError:
        raise
    except Exception as error:  # every runtime has exceptions of its own
        raise ExportError(f"{runtime_name(kind)} cannot load {path}: {error}") from error


def runtime_name(kind: Target) -> str:
    """Name and version of a target's runtime."""
    return " ".join([kind.runtime, *installed_versions([kind.runtime]).values()])
