"""A style's generator as a file for another runtime."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..errors import ConfigError
from .network import PortableNetwork, fold, to_inputs
from .options import STRIDE, ExportOptions
from .parity import compare
from .pictures import fit, varied
from .sidecar import drawing_facts
from .targets import find_target
from .writer import Export, ExportReport, write_export


def export_generator(
    generator: nn.Module,
    target: str,
    path: str | os.PathLike[str],
    options: ExportOptions,
    *,
    portraits: Sequence[Tensor],
    calibration: Sequence[Tensor] = (),
    calibrated_on: Mapping[str, Any] | None = None,
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
        calibrated_on: what the JSON of an `int8` file says about them.
        facts: further entries of the JSON, such as `style` and `license`.

    Returns:
        Where the files are and how well they draw.

    Raises:
        ConfigError: the target cannot hold what was asked for, or the path has another suffix.
        ExportError: packages are missing, the conversion failed, or the drawings differ too much.
        OutputError: the file cannot be written.
    """
    kind = find_target(target)
    kind.check(options)
    if not portraits:
        raise ConfigError("An export needs at least one portrait to be checked with.")
    forms = [options]
    if options.dynamic:
        height, width = options.size
        forms.append(
            replace(
                options,
                batch_size=2 if kind.dynamic_batch else 1,
                size=(height + STRIDE, width + 2 * STRIDE),
            )
        )
    checks = [image for form in forms for image in to_inputs(fit(portraits, form.size), form)]
    facts = dict(facts or {})
    photos = list(calibration or portraits)
    if options.precision == "int8" and kind.calibrated:
        measured = varied(photos, options.size)
        counts = {"photos": len(photos), "pictures": len(measured)}
        facts["calibration"] = {**(calibrated_on or {"source": "portraits"}), **counts}
    else:
        measured = fit(photos[:1], options.size)
    folded = fold(generator, None if options.dynamic else options.size)
    export = Export(
        network=PortableNetwork(folded, options),
        reference=PortableNetwork(generator.eval(), options),
        options=options,
        checks=checks,
        calibration=to_inputs(measured, options),
        compare=compare,
        source=generator,
        output=drawing_facts(options, kind.dynamic_batch),
        facts=facts,
    )
    return write_export(kind, Path(path), export)
