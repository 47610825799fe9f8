"""`tps-portrait stylize clip.mp4`: videos in, drawn videos out."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigError, InputImageError, OutputError
from .files import WRITABLE_VIDEOS, Job, is_video, plan_outputs
from .numbers import whole
from .runtime import load_pipeline, one_line, quiet_libraries

if TYPE_CHECKING:
    from ..pipeline import TPSPortraitPipeline
    from ..video import VideoStylizer


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of videos.

    Args:
        parser: of a command that draws videos.
    """
    group = parser.add_argument_group("videos")
    group.add_argument(
        "--detect-every",
        metavar="N",
        type=whole(1),
        default=30,
        help="look for new faces every N frames; between, faces are followed (default: 30)",
    )
    group.add_argument(
        "--no-smoothing",
        action="store_true",
        help="draw from the landmarks as they are found, without the One Euro filter",
    )


def run(options: argparse.Namespace, sources: Sequence[str]) -> int:
    """Draw every video.

    Args:
        options: the parsed command line of `stylize`.
        sources: paths of videos.

    Returns:
        0 if every video was drawn, 1 if one failed, 130 if interrupted.

    Raises:
        ConfigError: pictures are among the inputs, an option is for pictures only, PyAV is missing
            or the device cannot be used.
        OutputError: the results cannot be written where they should go.
        StyleNotFoundError: there is no such style.
    """
    others = [source for source in sources if not is_video(source)]
    if others:
        raise ConfigError(
            f"{others[0]} is no video, but other inputs are. Draw pictures and videos one after "
            "the other."
        )
    if options.side_by_side:
        raise ConfigError("--side-by-side is for pictures. Leave it out for videos.")
    label = Path(options.style).name
    jobs = plan_outputs(
        sources,
        options.output,
        label=label,
        suffix=_common_suffix(sources),
        overwrite=options.overwrite,
        formats=WRITABLE_VIDEOS,
    )
    from ..video.reading import require_av

    require_av()
    if not options.debug:
        quiet_libraries()
    stylizer = make_stylizer(load_pipeline(options.style, options.device), options)
    failed = 0
    for job in jobs:
        try:
            _draw(stylizer, job)
        except (InputImageError, OutputError) as error:
            failed += 1
            if options.debug:
                traceback.print_exc()
            print(f"error: {one_line(error)}", file=sys.stderr)
        except KeyboardInterrupt:
            print(
                "error: interrupted; the same command goes on where this one stopped",
                file=sys.stderr,
            )
            return 130
    if failed and len(jobs) > 1:
        print(f"{failed} of {len(jobs)} videos failed", file=sys.stderr)
    return 1 if failed else 0


def make_stylizer(pipe: TPSPortraitPipeline, options: argparse.Namespace) -> VideoStylizer:
    """Prepare the drawing of frames as the options ask.

    Args:
        pipe: the style.
        options: the parsed command line of `stylize` or `camera`.
    """
    from ..video import VideoStylizer

    return VideoStylizer(
        pipe,
        mode=options.mode,
        strength=options.strength,
        geometry_strength=options.geometry_strength,
        size=options.size,
        face_size=options.face_size,
        smoothing=not options.no_smoothing,
        detect_every=options.detect_every,
    )


def _draw(stylizer: VideoStylizer, job: Job) -> None:
    from tqdm import tqdm

    from ..video.transcoding import stylize_video

    # The bar shows frames a second and the time left; `disable=None` hides it without a terminal.
    with tqdm(unit="frame", desc=Path(job.source).name, disable=None) as bar:

        def show(done: int, total: int | None) -> None:
            if bar.total is None:
                bar.total, bar.initial = total, done - 1
                bar.n = bar.last_print_n = done - 1
            bar.update(done - bar.n)

        report = stylize_video(stylizer, job.source, job.target, progress=show)
    resumed = f", {report.resumed} of them by an earlier run" if report.resumed else ""
    print(f"{job.source} -> {job.target} ({report.frames} frames{resumed})")


def _common_suffix(sources: Sequence[str]) -> str:
    """Ending of files in a folder: that of the videos if they share one that can be written."""
    suffixes = {Path(source).suffix.lower() for source in sources} & WRITABLE_VIDEOS
    return suffixes.pop() if len(suffixes) == 1 else ".mp4"
