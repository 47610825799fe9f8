"""`tps-portrait prepare`: a folder of pictures in, a training set out."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .numbers import number, whole
from .runtime import quiet_libraries

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(commands: _Commands, common: argparse.ArgumentParser) -> None:
    """Add the command and its options.

    Args:
        commands: the sub-parsers of `tps-portrait`.
        common: options that all commands have.
    """
    parser = commands.add_parser(
        "prepare",
        parents=[common],
        help="make a training set of a folder of pictures",
        description="Make a training set of a folder of pictures: faces are found, turned upright "
        "and cut out with room for hair; landmarks, a report of what was left out and why, and "
        "contact sheets are written. Run it again for what is new or has changed. The pictures "
        "themselves are only read.",
    )
    parser.add_argument("folder", metavar="FOLDER", help="pictures, also in folders in it")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="OUT",
        help="folder of the training set: a new one, or one that this command made",
    )
    parser.add_argument(
        "--size",
        type=whole(32, 8192),
        default=512,
        metavar="PX",
        help="side of the crops (default: 512)",
    )
    parser.add_argument(
        "--faces",
        choices=("largest", "all", "single"),
        default="largest",
        help="of several faces take the largest, take all, or leave the picture out (default: "
        "largest)",
    )
    parser.add_argument(
        "--min-side",
        type=whole(1, 8192),
        metavar="PX",
        help="least side of a crop in the picture (default: half of --size)",
    )
    parser.add_argument(
        "--min-sharpness",
        type=number(0, 10),
        default=0.16,
        metavar="X",
        help="least sharpness; 0 takes blurry faces too (default: 0.16; report.json has the "
        "sharpness of every crop)",
    )
    parser.add_argument(
        "--max-outside",
        type=number(0, 1),
        default=0.25,
        metavar="X",
        help="largest share of a crop that may lie outside of its picture (default: 0.25)",
    )
    parser.add_argument(
        "--duplicates",
        type=number(0, 1),
        default=0.08,
        metavar="X",
        help="how different near-duplicates may be; 0 finds exact ones (default: 0.08)",
    )
    parser.add_argument(
        "--format", choices=("jpg", "png"), default="jpg", help="format of the crops (default: jpg)"
    )
    parser.add_argument("--source", metavar="TEXT", help="where the pictures come from; for cards")
    parser.add_argument("--license", metavar="TEXT", help="their licence, such as CC-BY-4.0")
    parser.add_argument(
        "--workers",
        type=whole(1, 256),
        metavar="N",
        help="processes (default: up to one for each processor, where there are many pictures)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prepare the folder and print what came of it.

    Args:
        options: the parsed command line.

    Returns:
        0; pictures that cannot be used are reported and are no failure.

    Raises:
        DatasetError: there is no picture, or none can be used.
        OutputError: the output folder is not one of ours, or cannot be written to.
    """
    from tqdm import tqdm

    from ..preparation import PrepareOptions, prepare_folder

    if not options.debug:
        quiet_libraries()
    with tqdm(unit="picture", disable=None) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        result = prepare_folder(
            options.folder,
            options.output,
            PrepareOptions(
                size=options.size,
                min_side=options.min_side,
                faces=options.faces,
                min_sharpness=options.min_sharpness,
                max_outside=options.max_outside,
                duplicates=options.duplicates,
                format=options.format,
                source=options.source,
                license=options.license,
            ),
            workers=options.workers,
            progress=progress,
        )
    print(result.summary())
    return 0
