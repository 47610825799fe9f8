"""`tps-portrait web`: the page that draws in the browser, served on this machine."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .numbers import whole
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
        "web",
        parents=[common],
        help="serve a page that draws in the browser",
        description="Serve a page that draws pictures and the camera in the browser. Styles are "
        "exported on first use. The browser computes everything; pictures leave it for nowhere, "
        "this server included.",
    )
    parser.add_argument(
        "--port", type=whole(0, 65535), default=8000, help="(default: 8000; 0: any free one)"
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: 127.0.0.1, for this machine only; from elsewhere "
        "browsers give the camera only to https)",
    )
    parser.add_argument(
        "--style",
        nargs="+",
        metavar="STYLE",
        help="bundled names, folders or Hub ids (default: all bundled styles)",
    )
    parser.add_argument(
        "--setup",
        action="store_true",
        help="first fetch onnxruntime-web through npm, 42 MB, once",
    )
    parser.add_argument(
        "--runtime",
        type=Path,
        metavar="PATH",
        help="onnxruntime-web fetched otherwise: the file that `npm pack` wrote, or its folder",
    )
    parser.add_argument(
        "--page", type=Path, metavar="DIR", help="other files of the page than the package's own"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        help="only write the whole site into a folder, for any web server",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Put the page together and serve it until interrupted.

    Args:
        options: the parsed command line.

    Returns:
        0.

    Raises:
        ConfigError: npm or the port cannot be used.
        ModelFileError: files of the page or of onnxruntime-web are missing or not those tested.
        ExportError: packages are missing, or a style cannot be exported.
        StyleNotFoundError: there is no such style.
        OutputError: the folder cannot be written.
    """
    from ..hub.styles import bundled_styles
    from ..web import build_site, fetch_runtime, find_runtime, make_server
    from ..web.runtime import cache_folder

    if options.setup and options.runtime is None:
        print("fetching onnxruntime-web …", file=sys.stderr)
        runtime = fetch_runtime()
    else:
        runtime = find_runtime(options.runtime)
    if not options.debug:
        quiet_libraries()
    folder = options.output or cache_folder() / "site"
    styles = build_site(
        folder,
        options.style or bundled_styles(),
        runtime=runtime,
        page=options.page,
        report=lambda message: print(message, file=sys.stderr),
    )
    if options.output:
        print(f"{folder}: {', '.join(styles)}")
        return 0
    with make_server(folder, options.host, options.port) as server:
        host = "localhost" if options.host == "127.0.0.1" else options.host
        print(f"http://{host}:{server.server_port} (Ctrl+C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0
