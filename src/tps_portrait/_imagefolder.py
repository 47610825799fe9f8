"""Training sets on the disk: the imagefolder of `datasets`, pictures beside a `metadata.jsonl`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .errors import DatasetError
from .ops.landmarks import eye_centers

METADATA = "metadata.jsonl"
"""Name of the file with a row for each picture: `file_name`, and whatever is known of it."""

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
"""Files of a folder that count as pictures."""


def read_metadata(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a `metadata.jsonl`; each has a `file_name`.

    Raises:
        DatasetError: the file cannot be read, or a line is no JSON object with a `file_name`.
    """
    rows = []
    try:
        # Not splitlines: that divides at characters which may stand inside of a JSON string.
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read: {error}.") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            row["file_name"] = str(row["file_name"])
        except (ValueError, KeyError, TypeError) as error:
            raise DatasetError(
                f"{path}, line {number}: not a JSON object with a `file_name` ({error})."
            ) from error
        rows.append(row)
    return rows


def read_landmarks(value: object, name: str = "landmarks") -> Tensor:
    """Read the landmarks of a row, `(68, 2)` float32, (x, y) in [-1, 1].

    Args:
        value: what the row holds.
        name: how messages call it.

    Raises:
        DatasetError: they are of another shape, in pixels, not finite, or mirrored.
    """
    try:
        landmarks = torch.as_tensor(value, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DatasetError(f"{name} are not 68 pairs of numbers ({error})") from error
    if landmarks.shape != (68, 2):
        raise DatasetError(f"{name} has shape {tuple(landmarks.shape)}, not (68, 2)")
    if not bool(landmarks.isfinite().all()):
        raise DatasetError(f"{name} are not all finite")
    if float(landmarks.abs().max()) > 2:
        raise DatasetError(f"{name} must be normalised to [-1, 1]; they look like pixels")
    right, left = eye_centers(landmarks)[:, 0]
    if right >= left:
        raise DatasetError(f"{name}: the eyes are swapped; the person's right one comes first")
    return landmarks
