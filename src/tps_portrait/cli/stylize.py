"""`tps-portrait stylize`: photos in, drawn portraits out."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputImageError, LandmarkError, OutputError
from .files import WRITABLE, Job, collect_inputs, plan_outputs, save_picture
from .runtime import load_pipeline, one_line, quiet_libraries

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..pipeline import TPSPortraitPipeline

    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def _number(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = float(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be from {low:g} to {high:g}, got {text}")
        return value

    parse.__name__ = "number"
    return parse


def _size(text: str) -> int:
    if not text.isdecimal() or not 32 <= int(text) <= 8192:
        raise argparse.ArgumentTypeError(
            f"must be a whole number of pixels from 32 to 8192, got {text}"
        )
    return int(text)


def add_parser(commands: _Commands, common: argparse.ArgumentParser) -> None:
    """Add the command and its options.

    Args:
        commands: the sub-parsers of `tps-portrait`.
        common: options that all commands have.
    """
    parser = commands.add_parser(
        "stylize",
        parents=[common],
        help="draw photos in a style",
        description="Draw photos in a style. Pictures that cannot be read are reported and "
        "skipped; the exit status is then 1. Inputs are never overwritten.",
    )
    parser.add_argument("inputs", nargs="+", metavar="IN", help="file, glob, folder or URL")
    parser.add_argument(
        "-o", "--output", required=True, metavar="OUT", help="file (for one picture) or folder"
    )
    parser.add_argument(
        "--style", default="animation", help="bundled name, folder or Hub id (default: animation)"
    )
    parser.add_argument(
        "--strength",
        metavar="X",
        type=_number(0, 1),
        default=1.0,
        help="0 is the photo, 1 the drawing (default: 1)",
    )
    parser.add_argument(
        "--geometry-strength",
        metavar="X",
        type=_number(0, 1),
        default=0.0,
        help="move the face toward the style's mean face, 0 to 1 (default: 0)",
    )
    parser.add_argument(
        "--size",
        type=_size,
        metavar="PX",
        help="longest side at which the picture as a whole is drawn; the result always has the "
        "photo's size (default: the style's)",
    )
    parser.add_argument(
        "--face-size",
        type=_size,
        metavar="PX",
        help="side at which a face is drawn (default: the style's)",
    )
    parser.add_argument(
        "--mode",
        choices=("face", "frame"),
        default="face",
        help="draw faces one by one over the drawn picture, or only the picture as a whole "
        "(default: face)",
    )
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, cuda:1, mps, … (default: the fastest here)"
    )
    parser.add_argument(
        "--side-by-side", action="store_true", help="put the photo to the left of the drawing"
    )
    parser.add_argument(
        "--format",
        choices=sorted({suffix.lstrip(".") for suffix in WRITABLE}),
        default="png",
        help="format of files in an output folder (default: png)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace results that exist")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Draw every picture.

    Args:
        options: the parsed command line.

    Returns:
        0 if every picture was drawn, else 1.

    Raises:
        InputImageError: a glob or folder holds no picture.
        OutputError: the results cannot be written where they should go.
        StyleNotFoundError: there is no such style.
        ConfigError: the device cannot be used.
    """
    jobs = plan_outputs(
        collect_inputs(options.inputs),
        options.output,
        label=Path(options.style).name,
        suffix=f".{options.format}",
        overwrite=options.overwrite,
    )
    from tqdm import tqdm

    if not options.debug:
        quiet_libraries()
    pipe = load_pipeline(options.style, options.device)
    failed = 0
    # `disable=None` hides the bar where stderr is not a terminal.
    for job in tqdm(jobs, unit="picture", disable=True if len(jobs) == 1 else None):
        try:
            has_faces = _draw(pipe, job, options)
        except (InputImageError, LandmarkError, OutputError) as error:
            failed += 1
            if options.debug:
                traceback.print_exc()
            message = one_line(error)
            named = message if job.source in message else f"{job.source}: {message}"
            tqdm.write(f"error: {named}", file=sys.stderr)
            continue
        tqdm.write(f"{job.source} -> {job.target}", file=sys.stdout)
        if not has_faces:
            tqdm.write(
                f"note: {job.source} shows no face; it was drawn as a whole", file=sys.stderr
            )
    if failed and len(jobs) > 1:
        print(f"{failed} of {len(jobs)} pictures failed", file=sys.stderr)
    return 1 if failed else 0


def _draw(pipe: TPSPortraitPipeline, job: Job, options: argparse.Namespace) -> bool:
    """Draw one picture and tell whether there were the faces to draw."""
    from ..processing import load_image

    photo = load_image(job.source) if options.side_by_side else None
    result = pipe(
        photo or job.source,
        strength=options.strength,
        geometry_strength=options.geometry_strength,
        mode=options.mode,
        size=options.size,
        face_size=options.face_size,
        on_no_face="ignore",
    )
    drawing = result.images[0]
    save_picture(_beside(photo, drawing) if photo else drawing, job.target)
    return bool(result.faces[0]) or options.mode == "frame"


def _beside(photo: Image, drawing: Image) -> Image:
    from PIL import Image as PILImage

    mode = "RGBA" if "A" in photo.getbands() + drawing.getbands() else "RGB"
    sheet = PILImage.new(mode, (photo.width + drawing.width, max(photo.height, drawing.height)))
    sheet.paste(photo.convert(mode), (0, 0))
    sheet.paste(drawing.convert(mode), (photo.width, 0))
    return sheet
