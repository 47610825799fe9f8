"""`tps-portrait styles`: what there is to draw in."""

from __future__ import annotations

import argparse
import io
import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from .._files import atomic_write
from ..errors import OutputError, TPSPortraitError
from .numbers import whole
from .runtime import load_pipeline, one_line, quiet_libraries

if TYPE_CHECKING:
    from ..hub import StyleInfo

    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]

# Those of `tps_portrait.hub.listing`, which needs the Hub's client; a test compares them.
SOURCES = ("all", "bundled", "cached", "hub")
SORTS = ("downloads", "likes", "updated", "name", "size")
_PIPED_WIDTH = 160


def add_parser(commands: _Commands, common: argparse.ArgumentParser) -> None:
    """Add the command and its options.

    Args:
        commands: the sub-parsers of `tps-portrait`.
        common: options that all commands have.
    """
    parser = commands.add_parser(
        "styles",
        parents=[common],
        help="list styles: bundled, cached, and on the Hub",
        description="List the styles that can be used by name: bundled with the package, in the "
        "cache, and on the Hub. Without a network the first two are listed. Private styles are "
        "listed for whoever is logged in (`hf auth login`, or HF_TOKEN).",
    )
    parser.add_argument("query", nargs="?", metavar="QUERY", help="words in id, name or tags")
    parser.add_argument("--source", choices=SOURCES, default="all", help="(default: all)")
    parser.add_argument("--author", metavar="NAME", help="user or organisation on the Hub")
    parser.add_argument(
        "--tag", action="append", metavar="TAG", help="such as style:ink; may be repeated"
    )
    parser.add_argument("--sort", choices=SORTS, default="downloads", help="(default: downloads)")
    parser.add_argument(
        "--limit",
        type=whole(1),
        default=100,
        metavar="N",
        help="most styles to ask the Hub for (default: 100)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--gallery", metavar="OUT.html", help="write a page of thumbnails; needs no other file"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a gallery that exists")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """List styles.

    Args:
        options: the parsed command line.

    Returns:
        0.

    Raises:
        HubError: only the Hub was asked, and it does not answer or refuses.
        OutputError: the gallery cannot be written.
    """
    from ..hub import HubUnavailableWarning, list_styles

    gallery = Path(options.gallery) if options.gallery else None
    if gallery is not None and gallery.exists() and not options.overwrite:
        raise OutputError(f"{gallery} exists. Choose another name, or pass --overwrite.")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        styles = list_styles(
            options.query,
            author=options.author,
            tags=options.tag,
            source=options.source,
            sort=options.sort,
            limit=options.limit,
        )
    notes = [str(w.message) for w in caught if issubclass(w.category, HubUnavailableWarning)]
    if options.json:
        print(json.dumps({"styles": [s.to_dict() for s in styles], "notes": notes}, indent=2))
    elif gallery is None:
        _print_table(styles)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    if gallery is not None:
        if not options.debug:
            quiet_libraries()
        _write_gallery(gallery, styles, " ".join(notes))
        count = f"{len(styles)} style{'' if len(styles) == 1 else 's'}"
        print(f"{count} -> {gallery}", file=sys.stderr if options.json else sys.stdout)
    return 0


def _print_table(styles: list[StyleInfo]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ..hub.gallery import size_text

    if not styles:
        print("no style found")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("style", no_wrap=True, overflow="fold")
    for title in ("source", "licence"):
        table.add_column(title, no_wrap=True)
    for title in ("size", "downloads", "likes"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("description", ratio=1)
    for info in styles:
        counts = ["" if n is None else f"{n:,}" for n in (info.downloads, info.likes)]
        source = f"{info.source}, private" if info.private else info.source
        cells = [info.id, source, info.license or "none", size_text(info.size), *counts]
        # Text, as square brackets in a description must not become markup.
        table.add_row(*map(Text, (*cells, info.description)))
    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    console.print(table)


def _write_gallery(target: Path, styles: list[StyleInfo], note: str) -> None:
    from ..hub.gallery import fetch_thumbnail, render_gallery

    pictures = {}
    for info in styles:
        picture = fetch_thumbnail(info)
        if picture is None and info.path is not None:
            picture = _draw_thumbnail(info)
        if picture is not None:
            pictures[info.id] = picture
    try:
        with atomic_write(target) as part:
            part.write_text(render_gallery(styles, pictures, note), "utf-8")
    except OSError as error:
        raise OutputError(
            f"Cannot write {target}: {error.strerror}. Choose another place."
        ) from error


def _draw_thumbnail(info: StyleInfo) -> bytes | None:
    """Draw the thumbnail of a style on this computer that comes without one."""
    try:
        picture = load_pipeline(str(info.path), "cpu").thumbnail()
    except TPSPortraitError as error:
        print(f"note: {info.id} has no thumbnail: {one_line(error)}", file=sys.stderr)
        return None
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=88)
    return data.getvalue()
