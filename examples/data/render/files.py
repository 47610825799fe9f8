"""Pictures and rows of a ``datasets`` imagefolder."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from .geometry import Array


def save_picture(picture: np.ndarray, path: Path, quality: int) -> None:
    """Write ``(H, W, 3)`` uint8 RGB as JPEG.

    Raises:
        OSError: the picture cannot be written.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options):
        raise OSError(f"could not write {path}")


def make_row(name: str, points: Array, seed: int) -> str:
    """The line of ``metadata.jsonl`` of a picture with landmarks ``(68, 2)`` in [-1, 1]."""
    return json.dumps(
        {
            "file_name": name,
            "landmarks": np.round(points, 4).tolist(),
            "source": "examples/data/render",
            "license": "CC0-1.0",
            "seed": seed,
        }
    )
