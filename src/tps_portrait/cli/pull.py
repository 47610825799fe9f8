"""`tps-portrait pull`: a style from the Hub."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigError, OutputError
from ..hub.styles import check_style, locate_style
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
        "pull",
        parents=[common],
        help="download a style from the Hub",
        description="Download a style from the Hub into the cache, for use without a network, or "
        "into a folder. Its files are compared with their hashes.",
    )
    parser.add_argument("id", metavar="ID", help="user/name")
    parser.add_argument("-o", "--output", metavar="DIR", help="new folder (default: the cache)")
    parser.add_argument("--revision", help="branch, tag or commit (default: main)")
    parser.add_argument("--variant", help="such as fp16")
    parser.add_argument("--force", action="store_true", help="download also what is in the cache")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Download a style and print where it is.

    Args:
        options: the parsed command line.

    Returns:
        0.

    Raises:
        StyleNotFoundError: there is no such repository.
        HubError: the Hub refuses, asks to wait, or breaks off the download.
        ModelFileError: it holds no style, pickles, code, or files that differ from their hashes.
        OutputError: the folder exists or cannot be written.
    """
    place = locate_style(options.id)
    if isinstance(place, Path):
        raise ConfigError(f"{options.id} is on this computer already: {place}. Pass a Hub id.")
    target = Path(options.output).expanduser() if options.output else None
    if target is not None and target.exists():
        raise OutputError(f"{target} exists. Choose another folder.")
    from ..hub.download import fetch_style

    if not options.debug:
        quiet_libraries()
    wanted = {"revision": options.revision, "variant": options.variant}
    folder = fetch_style(place, {**wanted, "force_download": options.force})
    check_style(folder, place)
    if target is not None:
        folder = _copy(folder, target)
    print(f"{place} -> {folder}")
    return 0


def _copy(folder: Path, target: Path) -> Path:
    """Copy out of the cache, in one piece: a failure leaves nothing."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as part:
            shutil.copytree(folder, Path(part) / "style")
            (Path(part) / "style").rename(target)
    except OSError as error:
        raise OutputError(
            f"Cannot write {target}: {error.strerror or error}. Choose another folder."
        ) from error
    return target
