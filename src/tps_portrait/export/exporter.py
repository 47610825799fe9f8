"""Writes an export, runs it by its real runtime, and keeps it only if it draws as it should."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .._version import __version__
from ..errors import ConfigError, ExportError, OutputError, TPSPortraitError
from . import coreml, executorch, litert, ncnn, onnx, openvino, pt2
from .network import PortableNetwork, fold, to_input
from .options import STRIDE, ExportJob, ExportOptions, Runner, Target, as_array, versions
from .parity import Parity, compare
from .pictures import fit, varied
from .sidecar import file_hashes, sidecar_path, tensor_facts, weights_hash, write_sidecar

TARGETS: dict[str, Target] = {
    module.TARGET.name: module.TARGET
    for module in (pt2, onnx, openvino, litert, executorch, ncnn, coreml)
}
"""Formats by name."""


@dataclass(frozen=True)
class ExportReport:
    """What an export wrote.

    Attributes:
        path: the exported file.
        sidecar: the JSON beside it.
        facts: what the JSON says.
        parity: how the file's drawings compare with PyTorch's; `None` where they cannot be compared
            on this machine, see `facts["parity"]`.
    """

    path: Path
    sidecar: Path
    facts: dict[str, Any]
    parity: Parity | None


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


def export_generator(
    generator: nn.Module,
    target: str,
    path: str | os.PathLike[str],
    options: ExportOptions,
    *,
    portraits: Sequence[Tensor],
    calibration: Sequence[Tensor] = (),
    facts: Mapping[str, Any] | None = None,
) -> ExportReport:
    """Write a generator in another format, with a JSON beside it.

    The file is loaded by its own runtime and draws the portraits; unless the drawings agree with
    PyTorch's, nothing is left on the disk.

    Args:
        generator: a `StyleGenerator`.
        target: as in `TARGETS`.
        path: of the file; the suffix must be the target's.
        options: the form of the file.
        portraits: real face crops `(3, H, W)` uint8, for the check.
        calibration: face crops to calibrate `int8` with; the portraits by default.
        facts: further entries of the JSON, such as `style` and `license`.

    Returns:
        Where the files are and how well they draw.

    Raises:
        ConfigError: the target cannot hold what was asked for, or the path has another suffix.
        ExportError: packages are missing, the conversion failed, or the drawings differ too much.
        OutputError: the file cannot be written.
    """
    kind, path = find_target(target), Path(path)
    kind.check(options)
    if path.suffix != kind.suffix:
        raise ConfigError(f"A file for {target} ends in {kind.suffix}, got {path.name!r}.")
    if not portraits:
        raise ConfigError("An export needs at least one portrait to be checked with.")
    reference = PortableNetwork(generator.eval(), options)
    examples = _inputs(varied(calibration or portraits, options.size), options)
    network = PortableNetwork(fold(generator), options).eval()
    metadata = {"library": f"tps-portrait {__version__}", "precision": options.precision}
    metadata |= {key: value for key, value in (facts or {}).items() if isinstance(value, str)}
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
            staged = Path(folder) / path.name
            _write(kind, ExportJob(network, options, examples, staged, metadata))
            reason, parity = kind.elsewhere(), None
            if reason is None:
                parity = _check(kind, staged, reference, options, portraits)
            everything = {
                "library": f"tps-portrait {__version__}",
                **(facts or {}),
                "target": target,
                "precision": options.precision,
                **tensor_facts(options, kind.dynamic_batch),
                "files": file_hashes(kind.files(staged)),
                "weights_sha256": weights_hash(generator),
                "parity": {
                    **(parity.to_dict() if parity is not None else {"not_run": reason}),
                    "runtime": _runtime(kind),
                },
                "versions": versions(("torch", *kind.packages)),
            }
            write_sidecar(staged, everything)
            for file in (*kind.files(staged), sidecar_path(staged)):
                _move(file, path.with_name(file.name))
    except OSError as error:
        if isinstance(error, TPSPortraitError):
            raise
        raise OutputError(
            f"Cannot write {path}: {error}. Choose a folder that exists and can be written."
        ) from error
    return ExportReport(path, sidecar_path(path), everything, parity)


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
        raise ExportError(f"{_runtime(kind)} cannot load {path}: {error}") from error


def _inputs(pictures: Sequence[Tensor], options: ExportOptions) -> list[Tensor]:
    """Batches of exactly the file's batch size; the last is filled up with the first pictures."""
    count, size = len(pictures), options.batch_size
    return [
        to_input(torch.stack([pictures[(start + i) % count] for i in range(size)]), options)
        for start in range(0, count, size)
    ]


def _write(kind: Target, job: ExportJob) -> None:
    try:
        kind.write(job)
    except (TPSPortraitError, OSError):
        raise
    except Exception as error:  # every converter has exceptions of its own
        raise ExportError(
            f"The conversion to {kind.name} failed: {type(error).__name__}: {error}. If the "
            "versions differ from those of constraints.txt, install those."
        ) from error


def _check(
    kind: Target,
    path: Path,
    reference: PortableNetwork,
    options: ExportOptions,
    portraits: Sequence[Tensor],
) -> Parity:
    run = load_runner(kind.name, path)
    forms = [options]
    if options.dynamic:
        height, width = options.size
        forms.append(replace(options, batch_size=2, size=(height + STRIDE, width + 2 * STRIDE)))
    drawn: list[NDArray[Any]] = []
    expected: list[NDArray[Any]] = []
    for form in forms:
        for image in _inputs(fit(portraits, form.size), form):
            try:
                drawn.append(run(as_array(image)))
            except Exception as error:  # every runtime has exceptions of its own
                raise ExportError(
                    f"{_runtime(kind)} cannot run what it was given: {error}"
                ) from error
            with torch.no_grad():
                expected.append(as_array(reference(image)))
    parity = compare(drawn, expected, options.precision)
    if not parity.passed:
        raise ExportError(
            f"The {kind.name} file in {options.precision} draws differently from PyTorch: "
            f"{parity.bar} is required, but max_difference is {parity.max_difference:.3g} and psnr "
            f"{parity.psnr:.1f} dB. No file was left. Use a higher precision, or calibrate with "
            "portraits like those to be drawn."
        )
    return parity


def _runtime(kind: Target) -> str:
    return " ".join([kind.runtime, *versions([kind.runtime]).values()])


def _move(source: Path, destination: Path) -> None:
    if destination.is_dir():
        shutil.rmtree(destination)
    os.replace(source, destination)
