"""Contact sheets: every crop with its landmarks, for the eye."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from ..ops.landmarks import PARTS
from .records import Crop

FOLDER = "contact_sheets"
_COLUMNS, _ROWS = 8, 8
_SIDE, _CAPTION, _GAP = 192, 16, 6
_PAPER, _INK, _AMBER = (32, 32, 34), (225, 225, 225), (240, 170, 40)
# The person's right is warm and the left cool, so that mirrored landmarks show.
_COLOURS = {
    "jaw": (255, 255, 255),
    "right_brow": (255, 150, 60),
    "left_brow": (90, 200, 255),
    "nose": (255, 240, 90),
    "right_eye": (255, 110, 60),
    "left_eye": (60, 170, 255),
    "mouth": (255, 90, 190),
}
_RINGS = {"right_eye": (36, 42), "left_eye": (42, 48), "lips": (48, 60), "inner_lips": (60, 68)}


def write_sheets(folder: Path, crops: Sequence[Crop]) -> list[Path]:
    """Draw the contact sheets of a set, 64 crops each, in place of older ones.

    Crops with notes have a frame in amber.

    Args:
        folder: folder of the set, with the crops.
        crops: the crops, in the order wanted.

    Returns:
        The sheets: JPEG files `contact_sheets/001.jpg` and so on.

    Raises:
        OSError: a crop cannot be read, or a sheet cannot be written.
    """
    place = folder / FOLDER
    place.mkdir(exist_ok=True)
    page = _COLUMNS * _ROWS
    sheets = []
    for number, start in enumerate(range(0, len(crops), page), 1):
        sheet = place / f"{number:03d}.jpg"
        draw_sheet(folder, crops[start : start + page]).save(sheet, quality=88)
        sheets.append(sheet)
    for old in place.glob("[0-9][0-9][0-9].jpg"):
        if old not in sheets:
            old.unlink()
    return sheets


def draw_sheet(folder: Path, crops: Sequence[Crop]) -> Image.Image:
    """Draw one contact sheet.

    Args:
        folder: folder of the crops.
        crops: at most 64 of them.

    Returns:
        An RGB picture.
    """
    columns = min(_COLUMNS, max(1, len(crops)))
    wide, high = _SIDE + _GAP, _SIDE + _CAPTION + _GAP
    size = columns * wide + _GAP, math.ceil(len(crops) / columns) * high + _GAP
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(11)
    for index, crop in enumerate(crops):
        x, y = _GAP + index % columns * wide, _GAP + index // columns * high
        sheet.paste(_marked(folder / crop.file_name, crop), (x, y))
        if crop.notes:
            draw.rectangle((x - 2, y - 2, x + _SIDE + 1, y + _SIDE + 1), outline=_AMBER, width=2)
        name = crop.file_name
        while draw.textlength(name, font=font) > _SIDE and len(name) > 4:
            name = f"…{name[2:]}"
        draw.text((x, y + _SIDE + 2), name, fill=_INK, font=font)
    return sheet


def _marked(path: Path, crop: Crop) -> Image.Image:
    scale = 3
    with Image.open(path) as picture:
        upright = ImageOps.exif_transpose(picture).convert("RGB")
    large = upright.resize((_SIDE * scale, _SIDE * scale), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(large, "RGBA")
    half = _SIDE * scale / 2
    points = [((x + 1) * half, (y + 1) * half) for x, y in crop.landmarks]
    for first, last in _RINGS.values():
        draw.line([*points[first:last], points[first]], fill=(255, 255, 255, 90), width=2)
    for part, indices in PARTS.items():
        if part not in _RINGS and part != "mouth":
            draw.line(
                [points[i] for i in indices[: 9 if part == "nose" else None]],
                fill=(255, 255, 255, 90),
                width=2,
            )
        for x, y in (points[i] for i in indices):
            draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=_COLOURS[part])
    return large.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
