"""Writes a file, runs it by its real runtime, and keeps it only if it does what PyTorch does.

All exports go through here, whatever the network and the format.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .._version import __version__, installed_versions
from ..errors import ConfigError, ExportError, OutputError, TPSPortraitError
from .network import PortableNetwork
from .options import OUTPUT_NAME, ExportJob, ExportOptions, Target, as_array
from .parity import Parity
from .quiet import quiet
from .sidecar import file_hashes, input_facts, sidecar_path, weights_hash, write_sidecar
from .targets import load_runner, runtime_name


@dataclass(frozen=True)
class ExportReport:
    """What an export wrote.

    Attributes:
        path: the exported file.
        sidecar: the JSON beside it.
        facts: what the JSON says.
        parity: how the file's results compare with PyTorch's; `None` where they cannot be compared
            on this machine, see `facts["parity"]`.
    """

    path: Path
    sidecar: Path
    facts: dict[str, Any]
    parity: Parity | None


@dataclass(frozen=True)
class Export:
    """One network on its way into a file.

    Attributes:
        network: with folded norms; written.
        reference: float32 network that the file is compared with.
        options: the form of the file.
        checks: inputs of the file for the comparison, made of real portraits.
        calibration: inputs of the file for `int8`.
        compare: judges the file's results (first) against the reference's.
        source: module whose weights are named in the JSON.
        output: the JSON's entry about the output.
        facts: further entries of the JSON.
    """

    network: PortableNetwork
    reference: nn.Module
    options: ExportOptions
    checks: Sequence[Tensor]
    calibration: Sequence[Tensor]
    compare: Callable[[Sequence[NDArray[Any]], Sequence[NDArray[Any]], str], Parity]
    source: nn.Module
    output: Mapping[str, Any]
    facts: Mapping[str, Any] = field(default_factory=dict)


def write_export(kind: Target, path: Path, export: Export) -> ExportReport:
    """Write a network and its JSON; nothing is left on the disk unless the file passes.

    Args:
        kind: the format.
        path: of the file; an existing file is replaced.
        export: what to write.

    Returns:
        Where the files are and how well they agree with PyTorch.

    Raises:
        ConfigError: the format cannot hold what was asked for, or the path has another suffix.
        ExportError: packages are missing, the conversion failed, or the results differ too much.
        OutputError: the file cannot be written.
    """
    options = export.options
    kind.check(options)
    if path.suffix != kind.suffix:
        raise ConfigError(f"A file for {kind.name} ends in {kind.suffix}, got {path.name!r}.")
    library = f"tps-portrait {__version__}"
    metadata = {"library": library, "precision": options.precision}
    metadata |= {key: value for key, value in export.facts.items() if isinstance(value, str)}
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
            staged = Path(folder) / path.name
            _convert(kind, export, staged, metadata)
            reason, parity = kind.elsewhere(), None
            if reason is None:
                parity = _check(kind, staged, export)
            facts = {
                "library": library,
                **export.facts,
                "target": kind.name,
                "precision": options.precision,
                **input_facts(options, kind.dynamic_batch),
                "output": dict(export.output),
                "files": file_hashes(kind.files(staged)),
                "weights_sha256": weights_hash(export.source),
                "parity": {
                    **(parity.to_dict() if parity is not None else {"not_run": reason}),
                    "runtime": runtime_name(kind),
                },
                "versions": installed_versions(("torch", *kind.packages)),
            }
            write_sidecar(staged, facts)
            for file in (*kind.files(staged), sidecar_path(staged)):
                _move(file, path.with_name(file.name))
    except OSError as error:
        if isinstance(error, TPSPortraitError):
            raise
        raise OutputError(
            f"Cannot write {path}: {error}. Choose a folder that exists and can be written."
        ) from error
    return ExportReport(path, sidecar_path(path), facts, parity)


def _convert(kind: Target, export: Export, path: Path, metadata: Mapping[str, str]) -> None:
    network = export.network.eval()
    if kind.halves and export.options.precision == "fp16":
        network = network.halved()
    name = str(export.output.get("name", OUTPUT_NAME))
    try:
        with quiet():
            kind.write(ExportJob(network, export.options, export.calibration, path, metadata, name))
    except (TPSPortraitError, OSError):
        raise
    except Exception as error:  # every converter has exceptions of its own
        raise ExportError(
            f"The conversion to {kind.name} failed: {type(error).__name__}: {error}. If the "
            "versions differ from those of constraints.txt, install those."
        ) from error


def _check(kind: Target, path: Path, export: Export) -> Parity:
    run = load_runner(kind.name, path)
    found: list[NDArray[Any]] = []
    expected: list[NDArray[Any]] = []
    for image in export.checks:
        try:
            found.append(run(as_array(image)))
        except Exception as error:  # every runtime has exceptions of its own
            raise ExportError(f"{runtime_name(kind)} cannot run what it was given: {error}") from (
                error
            )
        with torch.no_grad():
            expected.append(as_array(export.reference(image)))
    parity = export.compare(found, expected, export.options.precision)
    if not parity.passed:
        raise ExportError(
            f"The {kind.name} file in {export.options.precision} differs from PyTorch: "
            f"{parity.bar} is required, but max_difference is {parity.max_difference:.3g} and psnr "
            f"{parity.psnr:.1f} dB. No file was left. Use a higher precision, or calibrate with "
            "portraits like those to be drawn."
        )
    return parity


def _move(source: Path, destination: Path) -> None:
    if destination.is_dir():
        shutil.rmtree(destination)
    os.replace(source, destination)
