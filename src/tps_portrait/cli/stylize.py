"""`tps-portrait stylize`: photos and videos in, drawn portraits out."""

from __future__ import annotations

import argparse
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputImageError, LandmarkError, OutputError
from . import video
from .drawing import add_drawing_options
from .files import WRITABLE, Job, collect_inputs, is_video, plan_outputs, save_picture
from .runtime import load_pipeline, one_line, quiet_libraries

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..pipeline import TPSPortraitPipeline

    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(commands: _Commands, common: argparse.ArgumentParser) -> None:
    """Add the command and its options.

    Args:
        commands: the sub-parsers of `tps-portrait`.
        common: options that all commands have.
    """
    parser = commands.add_parser(
        "stylize",
        parents=[common],
        help="draw photos and videos in a style",
        description="Draw photos and videos in a style. Inputs that cannot be read are reported "
        "and skipped; the exit status is then 1. Inputs are never overwritten. A video keeps its "
        "sound; when its drawing was interrupted, the same command goes on with it.",
    )
    parser.add_argument("inputs", nargs="+", metavar="IN", help="file, glob, folder or URL")
    parser.add_argument(
        "-o", "--output", required=True, metavar="OUT", help="file (for one input) or folder"
    )
    add_drawing_options(parser)
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
    video.add_options(parser)
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
        ConfigError: the device cannot be used, or an option does not fit the inputs.
    """
    sources = collect_inputs(options.inputs)
    if any(is_video(source) for source in sources):
        return video.run(options, sources)
    jobs = plan_outputs(
        sources,
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
