"""The `tps-portrait` command.

torch is imported by the commands when they run, so that `--help` and usage errors are instant.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence

from .._version import __version__
from ..errors import TPSPortraitError
from . import camera, doctor, export, prepare, pull, push, styles, stylize, web
from .runtime import one_line

_EPILOG = """\
examples:
  tps-portrait stylize me.jpg -o me-animation.png
  tps-portrait stylize photos/ 'more/*.jpg' -o drawn/ --side-by-side
  tps-portrait prepare pictures/ -o training-set/
  tps-portrait stylize clip.mp4 -o drawn.mp4
  tps-portrait camera
  tps-portrait export --target onnx --style animation -o animation.onnx
  tps-portrait web --setup
  tps-portrait styles
  tps-portrait push runs/ink/style me/ink
  tps-portrait doctor
"""


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line.

    Returns:
        A parser whose result has `run`, the function of the chosen command, and `debug`.
    """
    parser = argparse.ArgumentParser(
        prog="tps-portrait",
        description="Turn photos of people into drawn portraits.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--debug", action="store_true", help="show the traceback of an error and all log messages"
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in (stylize, camera, prepare, export, web, styles, pull, push, doctor):
        command.add_parser(commands, common)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: arguments without the program's name; those of the process if not given.

    Returns:
        The exit status: 0 if all went well, 1 if anything failed, 130 if interrupted. Usage errors
        leave through `SystemExit(2)`, as argparse does.
    """
    options = build_parser().parse_args(argv)
    try:
        return int(options.run(options))
    except TPSPortraitError as error:
        if options.debug:
            traceback.print_exc()
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; results written so far are complete", file=sys.stderr)
        return 130
