"""What the app takes, and how politely it refuses the rest. Pictures are checked before they are
decoded; all messages are written for the person who uploaded them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from tps_portrait import InputImageError
from tps_portrait.processing import load_image

MAX_MEGABYTES = 20
MAX_MEGAPIXELS = 24
KEEP_SECONDS = float(os.environ.get("TPS_PORTRAIT_APP_KEEP_SECONDS", "600"))
"""How long an upload or a drawing stays in the temporary folder after its last use."""
KEPT = f"{KEEP_SECONDS / 60:g} minutes" if KEEP_SECONDS >= 60 else f"{KEEP_SECONDS:g} seconds"

FEWEST_PICTURES, MOST_PICTURES = 10, 100
FEWEST_STEPS, MOST_STEPS = 4, 600
TRAIN_MINUTES = float(os.environ.get("TPS_PORTRAIT_APP_MINUTES", "20"))
QUEUE_LENGTH = 20


class UploadError(ValueError):
    """An upload that is refused; the message is shown as it is."""


def read_picture(path: str | Path | None, name: str = "Your picture") -> Image.Image:
    """Open an upload: upright, RGB or RGBA.

    Raises:
        UploadError: it is no picture, too large, damaged, or no longer there.
    """
    if path is None:
        raise UploadError("Choose a picture first: upload one, paste it, or use the camera.")
    path = Path(path)
    if not path.is_file():
        raise UploadError(
            f"{name} is no longer here: uploads are deleted {KEPT} after their last use. "
            "Please upload it again."
        )
    if path.stat().st_size > MAX_MEGABYTES * 1e6:
        raise UploadError(
            f"{name} has {path.stat().st_size / 1e6:.0f} MB; up to {MAX_MEGABYTES} MB are taken. "
            "Please make it smaller."
        )
    try:
        with Image.open(path) as image:
            width, height = image.size
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError):
        raise UploadError(
            f"{name} is not a picture that can be read here. JPEG, PNG and WebP are safe choices."
        ) from None
    if width * height > MAX_MEGAPIXELS * 1e6:
        raise UploadError(
            f"{name} has {width * height / 1e6:.0f} megapixels ({width} x {height}); up to "
            f"{MAX_MEGAPIXELS} are taken. Please make it smaller."
        )
    try:
        return load_image(path)
    except InputImageError as error:
        raise UploadError(f"{name} cannot be drawn. {error}".replace(str(path), "It")) from error


def check_training_set(paths: Sequence[str] | None) -> list[Path]:
    """Check the number and the kind of the style pictures.

    Raises:
        UploadError: too few or too many, or some are unusable; those are named.
    """
    files = [Path(path) for path in paths or []]
    if not FEWEST_PICTURES <= len(files) <= MOST_PICTURES:
        raise UploadError(
            f"A style takes {FEWEST_PICTURES} to {MOST_PICTURES} pictures of faces; "
            f"you chose {len(files)}."
        )
    problems = []
    for file in files:
        try:
            read_picture(file, file.name)
        except UploadError as error:
            problems.append(str(error))
    if problems:
        more = f" And {len(problems) - 3} more." if len(problems) > 3 else ""
        raise UploadError(" ".join(problems[:3]) + more)
    return files
