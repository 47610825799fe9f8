"""Which pictures a command reads, where it writes them, and how it writes them safely."""

from __future__ import annotations

import glob
import os
import tempfile
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from .._files import atomic_write, unique_name
from ..errors import InputImageError, OutputError

if TYPE_CHECKING:
    from PIL.Image import Image

READABLE = frozenset(
    {".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
WRITABLE = {
    ".bmp": "BMP",
    ".jpeg": "JPEG",
    ".jpg": "JPEG",
    ".png": "PNG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
}
VIDEOS = frozenset(
    {".3gp", ".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv"}
)
"""Endings of files that are taken for videos."""

# Those of `tps_portrait.video.segments.WRITABLE`, which needs torch; a test compares them.
WRITABLE_VIDEOS = frozenset({".m4v", ".mkv", ".mov", ".mp4", ".webm"})
_NO_ALPHA = frozenset({"BMP", "JPEG"})


@dataclass(frozen=True)
class Job:
    """One picture to draw.

    Attributes:
        source: path or URL of the photo.
        target: file that the result is written to.
    """

    source: str
    target: Path


def is_url(source: str) -> bool:
    """Tell whether an input names a web address rather than a file."""
    return urlparse(source).scheme in {"http", "https"}


def collect_inputs(inputs: Iterable[str]) -> list[str]:
    """Expand files, globs, folders and URLs into single pictures.

    A folder gives the pictures directly inside it, by file name; `**` in a glob goes deeper. Files
    that are named explicitly are kept whether they exist or not, and so is a folder or glob without
    pictures among other inputs: a bad one is reported in its turn and the others are still drawn.

    Args:
        inputs: what the user typed.

    Returns:
        Paths and URLs in the order given, sorted within a folder or glob, each once.

    Raises:
        InputImageError: there is nothing but a glob or folder that holds no picture.
    """
    found: dict[str, str] = {}
    items = list(inputs)
    for item in items:
        for source in _expand(item, needed=len(items) == 1):
            key = source if is_url(source) else str(Path(source).resolve())
            found.setdefault(key, source)
    return list(found.values())


def _expand(item: str, *, needed: bool) -> list[str]:
    if is_url(item) or os.path.isfile(item):
        return [item]
    if os.path.isdir(item):
        names = sorted(path for path in Path(item).iterdir() if not path.name.startswith("."))
    elif glob.has_magic(item):
        names = sorted(Path(path) for path in glob.glob(os.path.expanduser(item), recursive=True))
    else:
        return [item]
    pictures = [str(path) for path in names if path.is_file() and path.suffix.lower() in READABLE]
    if not pictures and not needed:
        return [item]
    if not pictures:
        raise InputImageError(
            f"{item} holds no picture. Files that end in {', '.join(sorted(READABLE))} are read; "
            "name a file itself to read it whatever its ending."
        )
    return pictures


def is_video(source: str) -> bool:
    """Tell by its ending whether an input is a video file."""
    return not is_url(source) and Path(source).suffix.lower() in VIDEOS


def plan_outputs(
    sources: Sequence[str],
    out: str,
    *,
    label: str,
    suffix: str = ".png",
    overwrite: bool = False,
    formats: Collection[str] = tuple(WRITABLE),
) -> list[Job]:
    """Decide where every result goes and check that it can be written, before any work is done.

    Args:
        sources: paths and URLs of the photos.
        out: a file when there is a single photo, or a folder (created when missing). What has no
            file ending, ends in a slash, or exists as a folder is a folder.
        label: added to the names of files in a folder: `me.jpg` becomes `me-<label>.png`.
        suffix: ending of files in a folder.
        overwrite: replace results that exist. Inputs are never replaced.
        formats: endings that a single output file may have.

    Returns:
        One job for each source.

    Raises:
        OutputError: the results cannot be written there or would replace something.
    """
    if not out:
        raise OutputError("The output has no name. Give a file or folder with -o.")
    path = Path(out)
    if out.endswith(("/", os.sep)) or os.path.isdir(out) or not path.suffix:
        folder, targets = path, _names_in(path, sources, label, suffix)
    else:
        folder, targets = path.parent, [path]
        if len(sources) > 1:
            raise OutputError(
                f"{out} is one file, but there are {len(sources)} pictures. Give a folder: -o "
                f"{path.with_suffix('')}/"
            )
        if path.suffix.lower() not in formats:
            raise OutputError(
                f"Cannot write {out}: {path.suffix} is not a format that is written. Use one of "
                f"{', '.join(sorted(formats))}."
            )
    _refuse_losses(sources, targets, overwrite)
    _check_writable(folder)
    return [Job(source, target) for source, target in zip(sources, targets, strict=True)]


def _names_in(folder: Path, sources: Sequence[str], label: str, suffix: str) -> list[Path]:
    taken: set[str] = set()
    targets = []
    for source in sources:
        name = unquote(urlparse(source).path) if is_url(source) else source
        stem = unique_name(f"{Path(name).stem or 'portrait'}-{label}", taken)
        targets.append(folder / f"{stem}{suffix}")
    return targets


def _refuse_losses(sources: Sequence[str], targets: Sequence[Path], overwrite: bool) -> None:
    existing = [target for target in targets if os.path.exists(target)]
    inputs = {_identity(source) for source in sources if os.path.exists(source)}
    for target in existing:
        if _identity(target) in inputs:
            raise OutputError(
                f"{target} is one of the inputs, and inputs are never overwritten. Choose another "
                "name with -o."
            )
    if existing and not overwrite:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise OutputError(
            f"{existing[0]}{more} exists already. Add --overwrite to replace it, or choose another "
            "place with -o."
        )


def _identity(path: str | Path) -> tuple[int, int]:
    """Name a file by its place on the disk, the same for every link to it."""
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(
            f"Cannot write to {folder}: {reason}. Choose another place with -o."
        ) from error


def save_picture(image: Image, target: Path) -> None:
    """Write a picture in one piece: a failure leaves the old file, or none.

    Args:
        image: the picture; transparent parts become white in formats without transparency.
        target: file to write; its ending, one of `WRITABLE`, chooses the format.

    Raises:
        OutputError: the file cannot be written.
    """
    from PIL import Image as PILImage

    kind = WRITABLE[target.suffix.lower()]
    if kind in _NO_ALPHA and image.has_transparency_data:
        paper = PILImage.new("RGBA", image.size, "white")
        image = PILImage.alpha_composite(paper, image.convert("RGBA")).convert("RGB")
    options = {"quality": 95} if kind in {"JPEG", "WEBP"} else {}
    try:
        with atomic_write(target) as part:
            image.save(part, format=kind, **options)
    except (OSError, ValueError) as error:
        reason = str(error).rstrip(".")
        raise OutputError(
            f"Cannot write {target}: {reason}. Choose another place or format with -o."
        ) from error
