"""The options of all commands that draw."""

from __future__ import annotations

import argparse

from .numbers import number, whole


def add_drawing_options(parser: argparse.ArgumentParser) -> None:
    """Add the style, the device and what the pipeline's call takes.

    Args:
        parser: of a command that draws.
    """
    parser.add_argument(
        "--style", default="animation", help="bundled name, folder or Hub id (default: animation)"
    )
    parser.add_argument(
        "--strength",
        metavar="X",
        type=number(0, 1),
        default=1.0,
        help="0 is the photo, 1 the drawing (default: 1)",
    )
    parser.add_argument(
        "--geometry-strength",
        metavar="X",
        type=number(0, 1),
        default=0.0,
        help="move the face toward the style's mean face, 0 to 1 (default: 0)",
    )
    parser.add_argument(
        "--size",
        type=whole(32, 8192),
        metavar="PX",
        help="longest side at which the picture as a whole is drawn; the result always has the "
        "photo's size (default: the style's)",
    )
    parser.add_argument(
        "--face-size",
        type=whole(32, 8192),
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
