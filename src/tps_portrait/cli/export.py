"""`tps-portrait export`: a style as a file for a phone, a browser or another runtime."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import OutputError
from .files import collect_inputs
from .numbers import whole
from .runtime import load_pipeline, quiet_libraries

if TYPE_CHECKING:
    from ..export import ExportReport

    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]

# Those of `tps_portrait.export.TARGETS`, which needs torch; a test compares them.
TARGETS = ("pt2", "aoti", "onnx", "openvino", "litert", "executorch", "ncnn", "coreml")


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    side = whole(32)
    sides = side(height), side(width or height)
    if any(length % 32 for length in sides):
        raise argparse.ArgumentTypeError(f"must be multiples of 32 pixels, got {text}")
    return sides


def add_parser(commands: _Commands, common: argparse.ArgumentParser) -> None:
    """Add the command and its options.

    Args:
        commands: the sub-parsers of `tps-portrait`.
        common: options that all commands have.
    """
    parser = commands.add_parser(
        "export",
        parents=[common],
        help="write a style for a phone, a browser or another runtime",
        description="Write a style in another format, with a JSON beside it that says how to feed "
        "it. The file is run and compared with PyTorch; if its drawings differ too much, none is "
        "left.",
    )
    parser.add_argument("--target", required=True, choices=TARGETS, help="the format")
    parser.add_argument(
        "--style", default="animation", help="bundled name, folder or Hub id (default: animation)"
    )
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="the file to write")
    parser.add_argument(
        "--precision",
        choices=("fp32", "fp16", "int8"),
        help="(default: the format's usual one, mostly fp32)",
    )
    parser.add_argument(
        "--size",
        type=_size,
        metavar="PX",
        help="side, or HEIGHTxWIDTH, multiples of 32 (default: the style's size for faces)",
    )
    parser.add_argument(
        "--batch", type=whole(1), default=1, help="pictures in one run (default: 1)"
    )
    parser.add_argument(
        "--dynamic", action="store_true", help="accept any batch, height and width, multiples of 32"
    )
    parser.add_argument(
        "--io",
        choices=("float", "uint8"),
        help="values of input and output: float in [-1, 1], or uint8 pixels (default: the format's "
        "usual one)",
    )
    parser.add_argument(
        "--layout", choices=("nchw", "nhwc"), help="(default: the format's usual one)"
    )
    parser.add_argument(
        "--portraits",
        nargs="+",
        metavar="IN",
        help="photos of faces to check with: files, globs, folders or URLs (default: a bundled "
        "one)",
    )
    parser.add_argument(
        "--calibration",
        nargs="+",
        metavar="IN",
        help="photos of faces to calibrate int8 with, like those to be drawn: files, globs, "
        "folders or URLs; the first 48 count (default: photos of the training that the style "
        "carries, else a bundled portrait)",
    )
    parser.add_argument(
        "--with-landmarks",
        action="store_true",
        help="also write the networks that find faces, beside OUT",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Export a style and print how well the file draws.

    Args:
        options: the parsed command line.

    Returns:
        0.

    Raises:
        OutputError: the file exists, or cannot be written.
        ExportError: packages are missing, or the file does not draw as it should.
        ConfigError: the format cannot hold what was asked for.
        StyleNotFoundError: there is no such style.
        InputImageError: a photo cannot be read or shows no face, or a folder holds no picture.
    """
    path = Path(options.output)
    if not options.debug:
        quiet_libraries()
    # These need torch, and `--help` should be quick.
    from ..export import LANDMARK_FILES
    from ..export.pictures import MOST_PICTURES

    paths = [path]
    if options.with_landmarks:
        paths += [path.with_name(name + path.suffix) for name in LANDMARK_FILES.values()]
    for file in paths:
        if file.exists() and not options.overwrite:
            raise OutputError(f"{file} exists. Choose another name, or pass --overwrite.")
    portraits = options.portraits and collect_inputs(options.portraits)
    pipe = load_pipeline(options.style, "cpu")
    report = pipe.export(
        options.target,
        path,
        precision=options.precision,
        size=options.size,
        batch_size=options.batch,
        dynamic=options.dynamic,
        io=options.io,
        layout=options.layout,
        portraits=portraits,
        calibration=options.calibration and collect_inputs(options.calibration)[:MOST_PICTURES],
    )
    _print(options.style, report)
    _print_calibration(report.facts)
    if options.with_landmarks:
        # int8 would move landmarks by pixels.
        reduced = report.facts["precision"] != "fp32"
        reports = pipe.export_landmarks(
            options.target,
            path.parent,
            precision="fp16" if reduced else "fp32",
            io=options.io,
            layout=options.layout,
            portraits=portraits,
        )
        for report in reports:
            _print(report.facts["network"], report)
    return 0


def _print_calibration(facts: Mapping[str, Any]) -> None:
    found = facts.get("calibration")
    if found is None:
        return
    from ..pipeline.exporting import UNCALIBRATED

    words = {
        "given": f"{found['photos']} photos of yours",
        "style": f"{found['photos']} photos of the style",
        "bundled portrait": "one bundled portrait",
    }
    print(f"int8 calibrated on {words[found['source']]}, in {found['pictures']} pictures")
    if found["source"] == "bundled portrait":
        print(f"note: {UNCALIBRATED}", file=sys.stderr)


def _print(name: str, report: ExportReport) -> None:
    parity, size = report.parity, sum(entry["bytes"] for entry in report.facts["files"].values())
    print(f"{name} -> {report.path} ({size / 1e6:.2f} MB) and {report.sidecar.name}")
    if parity is None:
        print(f"not compared with PyTorch: {report.facts['parity']['not_run']}")
        return
    print(
        f"compared with PyTorch by {report.facts['parity']['runtime']}: max "
        f"{parity.max_difference:.2g}, mean {parity.mean_difference:.2g}, psnr {parity.psnr:.1f} dB"
    )
