"""Rows of a training set, from folders and from `datasets`, and how their cells are read."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from .. import _imagefolder
from .._imagefolder import METADATA, SUFFIXES
from ..errors import DatasetError
from ..processing import load_photo
from ..processing.resample import resize

logger = logging.getLogger(__name__)

_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")

_ORIGIN = ("file_name", "source", "license", "author", "identity")

Row = Mapping[str, Any]


def open_rows(
    source: str | Path | Any, *, name: str | None, split: str, columns: tuple[str, ...]
) -> tuple[Iterable[Row], frozenset[str], str]:
    """Open a training set.

    Args:
        source: folder, `datasets` id, or any iterable of rows.
        name: configuration of a `datasets` id.
        split: split of a `datasets` id.
        columns: names of the picture column and of other columns that hold files.

    Returns:
        The rows; the names of their columns; the name of the set for messages.

    Raises:
        DatasetError: the source does not exist, is empty or damaged.
    """
    rows: Any = source
    label = str(source)
    if isinstance(source, str | Path) and Path(source).is_dir():
        rows = _folder_rows(Path(source), columns)
        known = frozenset(chain.from_iterable(rows))
    else:
        if isinstance(source, str | Path):
            rows = _hub_rows(str(source), name, split)
        else:
            label = type(source).__name__
        if isinstance(rows, Mapping):
            if split not in rows:
                raise DatasetError(f"{label} has no split {split!r}; there are {', '.join(rows)}.")
            rows = rows[split]
        try:
            stream: Iterator[Row] = iter(rows)
        except TypeError as error:
            raise DatasetError(
                f"A training set is a folder, a `datasets` id or rows, not {label}."
            ) from error
        # A streaming set need not know its columns before its first row.
        first = next(stream, None)
        rows = chain([] if first is None else [first], stream)
        known = frozenset(first or ())
    if not known:
        raise DatasetError(f"{label} holds no pictures.")
    return rows, known, label


def row_name(row: Row, index: int) -> str:
    """Name of a row for messages: its file, or its number."""
    return str(row.get("file_name", f"row {index}"))


def row_credit(row: Row) -> str | None:
    """`source (license)` of a row, as far as it says so."""
    origin, terms = row.get("source"), row.get("license")
    if origin and terms:
        return f"{origin} ({terms})"
    return str(origin or terms) if origin or terms else None


def known_of(row: Row) -> dict[str, str]:
    """What a row says of its picture's origin: file_name, source, license, author and identity."""
    return {key: row[key] for key in _ORIGIN if isinstance(row.get(key), str) and row[key]}


def read_pixels(row: Row, column: str) -> Tensor:
    """Read a picture upright in sRGB, `(3, H, W)` uint8.

    Raises:
        DatasetError: the row has no such picture.
        InputImageError: the picture cannot be read.
    """
    if row.get(column) is None:
        raise DatasetError(f"no column {column!r}; there are {', '.join(row)}")
    return load_photo(_picture(row[column]), "the picture").visible()


def read_square(row: Row, column: str, resolution: int) -> Tensor:
    """Read a picture that is a face crop already, `(3, resolution, resolution)` uint8.

    Raises:
        DatasetError: the picture is missing or not square.
        InputImageError: the picture cannot be read.
    """
    pixels = read_pixels(row, column)
    height, width = pixels.shape[1:]
    if abs(width - height) > 1:
        raise DatasetError(f"the picture is {width}x{height}; training needs square face crops")
    return resize(pixels, (resolution, resolution))


def read_mask(row: Row, column: str, size: tuple[int, int]) -> Tensor:
    """Read a matte, `(1, H, W)` uint8 of the given size; 255 throughout where there is none.

    Raises:
        InputImageError: the matte cannot be read.
    """
    if row.get(column) is None:
        return torch.full((1, *size), 255, dtype=torch.uint8)
    return resize(load_photo(_picture(row[column]), "the mask").visible()[:1], size)


def read_landmarks(row: Row, column: str) -> Tensor:
    """Read landmarks, `(68, 2)` float32, (x, y) in [-1, 1].

    Raises:
        DatasetError: they are missing, of another shape, in pixels, not finite, or mirrored.
    """
    value = row.get(column)
    if value is None:
        raise DatasetError(f"no {column!r}")
    return _imagefolder.read_landmarks(value, column)


def complain(label: str, problems: list[str], total: int) -> DatasetError:
    """Make one error out of all that is wrong with a set."""
    return DatasetError(
        f"{label}: {len(problems)} of {total} pictures cannot be used:\n  {listed(problems)}\n"
        "Remove or repair these rows."
    )


def listed(problems: list[str], limit: int = 20) -> str:
    """The first problems, one a line."""
    more = f"\n  … and {len(problems) - limit} more" if len(problems) > limit else ""
    return "\n  ".join(problems[:limit]) + more


def _picture(value: Any) -> Any:
    # `datasets` without decoding gives the file's bytes.
    if not isinstance(value, Mapping):
        return value
    if value.get("bytes") is None:
        return value.get("path")
    try:
        return Image.open(io.BytesIO(value["bytes"]), formats=_FORMATS)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DatasetError(f"its bytes are no picture ({error})") from error


def _folder_rows(folder: Path, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    if not (folder / METADATA).is_file() and (folder / "train" / METADATA).is_file():
        folder = folder / "train"
    metadata = folder / METADATA
    if not metadata.is_file():
        files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
        return [{"file_name": str(p.relative_to(folder)), columns[0]: p} for p in files]
    rows = _imagefolder.read_metadata(metadata)
    for row in rows:
        row[columns[0]] = folder / row["file_name"]
        for column in columns[1:]:
            if row.get(column):
                row[column] = folder / str(row[column])
    # datasets would silently drop a picture that has no metadata.
    pictures = {p.name for p in folder.iterdir() if p.suffix.lower() in SUFFIXES}
    lost = sorted(pictures - {row["file_name"] for row in rows})
    if lost:
        logger.warning(
            "%s: %d pictures have no line in metadata.jsonl and are not used: %s",
            folder,
            len(lost),
            ", ".join(lost[:5]) + (", …" if len(lost) > 5 else ""),
        )
    return rows


def _hub_rows(name: str, config: str | None, split: str) -> Any:
    import datasets

    try:
        return datasets.load_dataset(name, config, split=split)
    except Exception as error:
        raise DatasetError(
            f"{name!r} is neither a folder nor a dataset that can be loaded: {error}"
        ) from error
