"""Photos of its training that travel with a style: exports to int8 measure its values on them.

They lie in the folder `calibration` of a style, with a `metadata.jsonl` that credits each.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from .._imagefolder import METADATA, read_metadata
from ..errors import DatasetError, ModelFileError, OutputError
from ..processing.resample import resize

CALIBRATION = "calibration"
"""Folder of a style with its photos."""

MOST_PHOTOS = 8
SUFFIXES = frozenset((".jpeg", ".jpg"))

_SIDE, _QUALITY = 384, 85
_CREDIT = ("source", "license", "author")
_DOMAIN = r"creativecommons\.org-publicdomain-(zero|mark)-1\.0"
_FREE = re.compile(rf"(cc-?(0|zero)|public-domain(-mark)?|pdm?)(-1\.0)?(-universal)?|{_DOMAIN}")
_CREDITED = re.compile(
    r"(cc-by|creative-commons-attribution)(-sa|-share-?alike)?(-\d\.\d)?"
    r"(-international|-unported|-generic)?|creativecommons\.org-licenses-by(-sa)?-\d\.\d"
)


def may_travel(row: Mapping[str, Any]) -> bool:
    """Tell whether a photo may be passed on with a style, in a smaller copy.

    Args:
        row: what is known of the photo. `license` must be CC0, the public domain, CC BY or
            CC BY-SA; the last two ask for credit, so that they need a `source` or an `author`.
    """
    terms = row.get("license")
    if not isinstance(terms, str):
        return False
    words = re.sub(r"[^a-z0-9.]+", "-", terms.lower()).strip("-")
    words = re.sub(r"^https?-(www\.)?", "", words)
    if _FREE.fullmatch(words):
        return True
    return bool(_CREDITED.fullmatch(words) and (row.get("source") or row.get("author")))


def spread(pictures: Sequence[Tensor], count: int = MOST_PHOTOS) -> list[int]:
    """Choose pictures evenly from the darkest to the brightest; always the same ones.

    Args:
        pictures: `(3, H, W)` uint8.
        count: how many, if there are so many.

    Returns:
        Their indices. Neither the darkest nor the brightest one is among them, unless there are
        few: such outliers widen the ranges of int8.
    """
    brightness = torch.tensor([float(picture.float().mean()) for picture in pictures])
    order = brightness.argsort(stable=True).tolist()
    count = min(count, len(order))
    return [order[(2 * place + 1) * len(order) // (2 * count)] for place in range(count)]


def save_calibration(
    folder: Path,
    pictures: Sequence[Tensor],
    rows: Sequence[Mapping[str, Any]],
    count: int = MOST_PHOTOS,
) -> list[Path]:
    """Choose photos of a training and put them into a style, in place of earlier ones.

    Args:
        folder: of the style.
        pictures: the face crops of the training, `(3, H, W)` uint8.
        rows: what is known of each. A photo that may not travel stays out, see `may_travel`.
        count: how many at most; 0 for none.

    Returns:
        The files of the photos, numbered, as their own names may name people; none more than
        384 px wide; empty if none may travel.

    Raises:
        OutputError: the folder cannot be written.
    """
    allowed = [index for index, row in enumerate(rows) if may_travel(row)]
    places = spread([pictures[index] for index in allowed], count) if count else []
    chosen = [allowed[place] for place in places]
    target = folder / CALIBRATION
    lines: list[str] = []
    try:
        shutil.rmtree(target, ignore_errors=True)
        for number, index in enumerate(sorted(chosen), 1):
            target.mkdir(parents=True, exist_ok=True)
            picture, row = pictures[index], rows[index]
            name = f"{number:02d}.jpg"
            size = _reduced(picture)
            pixels = resize(picture, size).permute(1, 2, 0).contiguous().numpy()
            Image.fromarray(pixels).save(target / name, quality=_QUALITY, optimize=True)
            credit = {key: str(row[key]) for key in _CREDIT if row.get(key)}
            changes = f"face cut out, scaled to {size[1]} x {size[0]} pixels"
            lines.append(json.dumps({"file_name": name, **credit, "changes": changes}))
        if lines:
            (target / METADATA).write_text("\n".join(lines) + "\n", "utf-8")
    except OSError as error:
        raise OutputError(f"Cannot write the photos in {target}: {error}.") from error
    return read_calibration(folder)


def read_calibration(folder: Path) -> list[Path]:
    """Find the photos that a style carries for calibration.

    Args:
        folder: of the style.

    Returns:
        Their files; empty if it has none.

    Raises:
        ModelFileError: its `metadata.jsonl` is damaged, or names what is no JPEG in the folder.
    """
    place = folder / CALIBRATION
    return [place / row["file_name"] for row in _rows(place)]


def copy_calibration(source: Path | None, target: Path) -> None:
    """Copy the photos for calibration from style to style, in place of earlier ones.

    Args:
        source: folder of a style, if there is one; without photos there, the target has none
            afterwards.
        target: folder of another.

    Raises:
        ModelFileError: those of the source are damaged.
        OSError: they cannot be copied.
    """
    files = [] if source is None else read_calibration(source)
    if source is not None and source.resolve() == target.resolve():
        return
    shutil.rmtree(target / CALIBRATION, ignore_errors=True)
    if source is None or not files:
        return
    (target / CALIBRATION).mkdir(parents=True)
    for file in (*files, source / CALIBRATION / METADATA):
        shutil.copyfile(file, target / CALIBRATION / file.name)


def drop_private(folder: Path) -> list[str]:
    """Take photos for calibration out of a style that may not travel.

    Args:
        folder: of the style, about to be published.

    Returns:
        Names of the photos that were removed.

    Raises:
        ModelFileError: their `metadata.jsonl` is damaged.
    """
    place = folder / CALIBRATION
    kept = [row for row in _rows(place) if may_travel(row)]
    names = {row["file_name"] for row in kept}
    dropped = sorted(
        path.name for path in place.glob("*") if path.suffix in SUFFIXES and path.name not in names
    )
    if not kept:
        shutil.rmtree(place, ignore_errors=True)
    elif dropped:
        for name in dropped:
            (place / name).unlink()
        text = "".join(f"{json.dumps(row)}\n" for row in kept)
        (place / METADATA).write_text(text, "utf-8")
    return dropped


def _rows(place: Path) -> list[dict[str, Any]]:
    if not (place / METADATA).is_file():
        return []
    try:
        rows = read_metadata(place / METADATA)
    except DatasetError as error:
        raise ModelFileError(f"{error} Download or save the style again.") from error
    for row in rows:
        name = row["file_name"]
        plain = Path(name).name == name and Path(name).suffix in SUFFIXES
        if not plain or not (place / name).is_file():
            raise ModelFileError(
                f"{place / METADATA} names {name!r}, which is no .jpg file beside it. Download or "
                "save the style again."
            )
    return rows


def _reduced(picture: Tensor) -> tuple[int, int]:
    height, width = picture.shape[1:]
    scale = min(1.0, _SIDE / max(height, width))
    return round(height * scale), round(width * scale)
