"""Which pictures of a folder are prepared, and what is known of them already."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._imagefolder import METADATA, read_metadata
from ..errors import DatasetError

SUFFIXES = frozenset(
    [
        ".arw",
        ".avif",
        ".bmp",
        ".cr2",
        ".cr3",
        ".dng",
        ".gif",
        ".heic",
        ".heif",
        ".jp2",
        ".jpeg",
        ".jpg",
        ".jxl",
        ".nef",
        ".png",
        ".ppm",
        ".psd",
        ".tif",
        ".tiff",
        ".webp",
    ]
)
"""Files of a folder that count as pictures; those that cannot be read are reported."""

# What a row says about the old picture, and not about the person in it.
_NOT_KEPT = ("file_name", "landmarks", "mask")


@dataclass(frozen=True)
class SourcePicture:
    """A picture to prepare.

    Attributes:
        name: what reports call it; a relative path with `/`. Crops are named after it.
        path: the file.
        fields: what is written to the rows of its crops besides `file_name` and `landmarks`, such
            as `source` and `license`.
        landmarks: if given, the picture is a square face crop already, and these are its 68 points
            [x, y] in [-1, 1] as training reads them; it is then checked and copied, not cropped.
    """

    name: str
    path: Path
    fields: Mapping[str, Any] = field(default_factory=dict)
    landmarks: Any = None

    def stamp(self) -> str:
        """A text that changes when the file, or what is known of it, changes.

        Raises:
            OSError: the file is not there.
        """
        status = os.stat(self.path)
        known = json.dumps([dict(self.fields), self.landmarks], sort_keys=True, default=str)
        digest = hashlib.sha256(known.encode()).hexdigest()[:16]
        return f"{status.st_size}-{status.st_mtime_ns}-{digest}"


def collect_pictures(folder: Path, *, skip: Path | None = None) -> list[SourcePicture]:
    """List the pictures of a folder and of the folders in it, sorted by name.

    Hidden files and folders are passed over. If a folder has a `metadata.jsonl` (imagefolder of
    `datasets`), the fields of its rows go with the pictures; pictures whose row has `landmarks` are
    taken as crops that need no other.

    Args:
        folder: the folder.
        skip: a folder in it that is passed over: the output.

    Raises:
        DatasetError: there is no such folder, no picture in it, or its metadata is damaged.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is no folder. Name the folder that holds the pictures.")
    files = [path for path in folder.rglob("*") if not _is_hidden(path.relative_to(folder))]
    if skip is not None:
        skipped = skip.resolve()
        files = [path for path in files if skipped not in path.resolve().parents]
    metadata = {
        path.parent: {row["file_name"]: row for row in read_metadata(path)}
        for path in files
        if path.name == METADATA
    }
    found = []
    for path in files:
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        home = next((parent for parent in path.parents if parent in metadata), None)
        row = {} if home is None else metadata[home].get(path.relative_to(home).as_posix())
        # Mattes and the like lie in folders of a set, without rows of their own.
        if row is None and path.parent != home:
            continue
        row = row or {}
        fields = {key: value for key, value in row.items() if key not in _NOT_KEPT}
        name = path.relative_to(folder).as_posix()
        found.append(SourcePicture(name, path, fields, row.get("landmarks")))
    if not found:
        raise DatasetError(f"{folder} holds no pictures. Files such as .jpg and .png are read.")
    return sorted(found, key=lambda picture: picture.name)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
