"""Hashes of a style's files, written into its card and compared when the files come back."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ..errors import ModelFileError
from .styles import README

METADATA_KEY = "tps_portrait"
"""Key of a card's metadata under which this library keeps what the Hub has no key for."""

_HEADER = re.compile(r"\A\s*---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_CHUNK = 1 << 20


class Pin(NamedTuple):
    """What a file must be.

    Attributes:
        sha256: hash of its bytes, in hexadecimal.
        size: its length in bytes.
    """

    sha256: str
    size: int


def plain_text(value: object) -> str | None:
    """Read a text out of a card's metadata; `None` if there is none.

    Args:
        value: a text or number, or a list of which the first counts.
    """
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, str | int | float) or value == "":
        return None
    # Anybody may write a card: its text must not steer the terminal that shows it.
    return "".join(letter if letter.isprintable() else " " for letter in str(value))


def read_card(folder: Path) -> str | None:
    """Read the README.md of a style, `None` if it has none.

    Args:
        folder: of the style.
    """
    card = folder / README
    return card.read_text("utf-8", errors="replace") if card.is_file() else None


def split_card(text: str) -> tuple[dict[str, Any], str]:
    """Separate the metadata of a card from what people read.

    Args:
        text: of the README.md.

    Returns:
        Metadata, empty when there is none or it is damaged, and the rest of the text.
    """
    match = _HEADER.match(text)
    if match is None:
        return {}, text
    try:
        values = yaml.safe_load(match[1])
    except (yaml.YAMLError, ValueError, RecursionError):  # impossible dates, bottomless lists
        return {}, text[match.end() :]
    return values if isinstance(values, dict) else {}, text[match.end() :]


def join_card(metadata: Mapping[str, Any], body: str) -> str:
    """Put metadata in front of the text of a card; see `split_card`."""
    header = yaml.safe_dump(dict(metadata), sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{header}---\n\n{body.lstrip()}"


def own_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return what this library keeps in a card's metadata; empty if there is nothing."""
    values = metadata.get(METADATA_KEY)
    return dict(values) if isinstance(values, dict) else {}


def read_pins(metadata: Mapping[str, Any]) -> dict[str, Pin]:
    """Read the hashes in a card's metadata, by path in the repository.

    Args:
        metadata: see `split_card`.
    """
    files = own_metadata(metadata).get("files")
    if not isinstance(files, dict):
        return {}
    return {
        str(path): Pin(str(entry.get("sha256")), _size(entry.get("size")))
        for path, entry in files.items()
        if isinstance(entry, dict)
    }


def _size(value: object) -> int:
    """Read a length; one that no file has stands for what is none, so that the pin fails."""
    return value if isinstance(value, int) and value >= 0 else -1


def unpin(text: str) -> str:
    """Take the hashes out of a card, whose files are about to change.

    Args:
        text: of the README.md; returned as it is when it holds no hashes.
    """
    metadata, body = split_card(text)
    if not read_pins(metadata):
        return text
    own = {key: value for key, value in own_metadata(metadata).items() if key != "files"}
    return join_card({**metadata, METADATA_KEY: own}, body)


def pin_file(path: Path) -> Pin:
    """Measure and hash a file.

    Args:
        path: of the file.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return Pin(digest.hexdigest(), path.stat().st_size)


def pin_files(folder: Path, paths: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Hash files for a card's metadata.

    Args:
        folder: of the style.
        paths: of the files in it.
    """
    return {path: pin_file(folder / path)._asdict() for path in sorted(paths)}


def verify_files(folder: Path, pins: Mapping[str, Pin], paths: Iterable[str], name: str) -> None:
    """Compare downloaded files with their hashes. A file that differs is deleted.

    Hashing takes about a millisecond per megabyte; a style has a few.

    Args:
        folder: snapshot in the cache of huggingface_hub.
        pins: what the files must be; empty if nothing is known, and then nothing is compared.
        paths: of the files that will be used.
        name: how messages call the style.

    Raises:
        ModelFileError: a file differs, or is not among the hashes.
    """
    if not pins:
        return
    for path in paths:
        if path not in pins:
            raise ModelFileError(
                f"{name}: {path} is not among the files whose hashes the card pins; it was added "
                "afterwards. Ask the author to publish the style again with `push_to_hub`."
            )
        found = pin_file(folder / path)
        if found != pins[path]:
            (folder / path).resolve().unlink(missing_ok=True)
            (folder / path).unlink(missing_ok=True)
            raise ModelFileError(
                f"{name}: {path} does not match the hash in the card (sha256 {found.sha256[:12]}…, "
                f"{found.size} bytes; pinned {pins[path].sha256[:12]}…, {pins[path].size} bytes). "
                "It is not used and was removed from the cache. Load the style again to download "
                "it anew; if it differs again, it was changed after publication: ask the author."
            )
