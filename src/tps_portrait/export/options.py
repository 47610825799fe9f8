"""What can be asked of an export, what a target offers, and how heavy runtimes are imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import ConfigError, ExportError

STRIDE = 32
"""Heights and widths of an exported network are multiples of this."""

INPUT_NAME = "image"
"""The input of every exported network."""

OUTPUT_NAME = "drawing"
"""The output of an exported generator."""

Runner = Callable[[NDArray[Any]], NDArray[Any]]
"""Runs a loaded file: an array of the file's input shape and type to one of its output."""


@dataclass(frozen=True)
class ExportOptions:
    """The form of an exported file.

    Attributes:
        precision: `fp32`, `fp16` or `int8`.
        size: (height, width) in pixels, multiples of 32. Of a dynamic file, the size of the check.
        batch_size: pictures in one run; of a dynamic file, any number.
        dynamic: accept any batch size, height and width (multiples of 32).
        io: `float` takes and gives float32 in [-1, 1]; `uint8` takes and gives pixels, 0 to 255.
        layout: `nchw` or `nhwc`, of input and output.
    """

    precision: str = "fp32"
    size: tuple[int, int] = (512, 512)
    batch_size: int = 1
    dynamic: bool = False
    io: str = "float"
    layout: str = "nchw"

    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the input, in the order of `layout`."""
        height, width = self.size
        if self.layout == "nchw":
            return (self.batch_size, 3, height, width)
        return (self.batch_size, height, width, 3)

    def axes(self) -> dict[int, str]:
        """Dynamic axes of input and output by position; empty for a fixed shape."""
        if not self.dynamic:
            return {}
        height = self.layout.index("h")
        return {0: "batch", height: "height", height + 1: "width"}


@dataclass(frozen=True)
class ExportJob:
    """What a target writes.

    Attributes:
        network: network with folded norms, with the input and output of `options`.
        options: the form of the file.
        calibration: inputs of the file, made from real portraits: for `int8` all to measure ranges
            on, otherwise one as an example.
        path: where to write.
        metadata: strings for formats that can carry them.
        output_name: of the output, in formats that name it.
    """

    network: nn.Module
    options: ExportOptions
    calibration: Sequence[Tensor]
    path: Path
    metadata: Mapping[str, str] = field(default_factory=dict)
    output_name: str = OUTPUT_NAME

    def example(self) -> Tensor:
        """Return one input of the right shape and type; two pictures for a dynamic batch.

        PyTorch takes an axis of length one for a constant.
        """
        first = self.calibration[0]
        return torch.cat([first, first]) if self.options.dynamic and len(first) == 1 else first

    def dynamic_shapes(self) -> dict[int, Any] | None:
        """Dynamic axes for `torch.export`; sides are multiples of 32."""
        axes = self.options.axes()
        if not axes:
            return None
        most = 8192 // STRIDE
        sides = {name: STRIDE * torch.export.Dim(name, max=most) for name in ("height", "width")}
        dims: dict[str, Any] = {"batch": torch.export.Dim("batch", max=256), **sides}
        return {axis: dims[name] for axis, name in axes.items()}


@dataclass(frozen=True)
class Target:
    """A format, what it can hold, and how it is written and run.

    Attributes:
        name: the word for it in `export(target, …)`.
        suffix: of the file.
        extra: `pip install "tps-portrait[extra]"` installs what it needs; empty if nothing.
        packages: distributions whose versions are noted in the JSON.
        runtime: the distribution that runs the file.
        precisions: see `ExportOptions`; the first is the default.
        forms: pairs of `io` and `layout`, see `ExportOptions`; the first is the default.
        dynamic: whether shapes may be dynamic.
        write: writes the file.
        load: loads a file to run on a number of threads.
        elsewhere: says why files cannot be run on this machine; `None` where they can.
        companions: suffixes of further files with the same stem.
        loadable: whether `from_exported` may load it: the format holds data and no code.
        dynamic_batch: whether the batch of a dynamic file is dynamic too.
        calibrated: whether `int8` holds ranges of values that are measured on pictures; the others
            reduce weights alone.
        halves: whether float16 files are made of a network that computes in float16; the others
            reduce what they have converted.
    """

    name: str
    suffix: str
    extra: str
    packages: tuple[str, ...]
    runtime: str
    precisions: tuple[str, ...]
    forms: tuple[tuple[str, str], ...]
    dynamic: bool
    write: Callable[[ExportJob], None]
    load: Callable[[Path, int], Runner]
    elsewhere: Callable[[], str | None] = lambda: None
    companions: tuple[str, ...] = ()
    loadable: bool = True
    dynamic_batch: bool = True
    calibrated: bool = True
    halves: bool = False

    def form(self, io: str | None, layout: str | None) -> tuple[str, str]:
        """Choose `io` and `layout` where they are left open.

        Args:
            io: see `ExportOptions`.
            layout: see `ExportOptions`.

        Raises:
            ConfigError: the target has no such form; the message lists them.
        """
        for form in self.forms:
            if io in (None, form[0]) and layout in (None, form[1]):
                return form
        able = ", ".join(f"{io} {layout}" for io, layout in self.forms)
        wanted = " ".join(filter(None, (io, layout)))
        raise ConfigError(
            f"The target {self.name} has no input and output in {wanted!r}; choose one of: {able}."
        )

    def files(self, path: Path) -> list[Path]:
        """All files of an export whose main file is `path`."""
        return [path, *(path.with_suffix(suffix) for suffix in self.companions)]

    def check(self, options: ExportOptions) -> None:
        """Refuse what the target cannot hold.

        Args:
            options: the wanted form.

        Raises:
            ConfigError: the message names what is possible.
        """
        self.form(options.io, options.layout)
        if options.precision not in self.precisions:
            raise ConfigError(
                f"The target {self.name} has no precision {options.precision!r}; choose "
                f"{' or '.join(self.precisions)}."
            )
        if options.dynamic and not self.dynamic:
            raise ConfigError(
                f"The target {self.name} needs a fixed size. Leave dynamic out, and export once "
                "for each size."
            )
        if len(options.size) != 2 or any(
            not isinstance(side, int) or side < STRIDE or side % STRIDE for side in options.size
        ):
            raise ConfigError(
                f"size must be a (height, width) of multiples of {STRIDE} pixels, got "
                f"{options.size!r}."
            )
        if not isinstance(options.batch_size, int) or options.batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1, got {options.batch_size!r}.")


def require(module: str, extra: str) -> Any:
    """Import a heavy module on first use.

    Args:
        module: dotted name.
        extra: the extra of this package that installs it.

    Returns:
        The module.

    Raises:
        ExportError: it is not installed; the message has the pip command.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ExportError(
            f"{module} cannot be imported ({error}). Install what this format needs: "
            f'pip install "tps-portrait[{extra}]"'
        ) from error


def as_array(tensor: Tensor) -> NDArray[Any]:
    """Return a contiguous array with the values of a tensor."""
    return np.ascontiguousarray(tensor.detach().cpu().numpy())
