"""Styles that carry photos of known brightness."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tps_portrait import TPSPortraitPipeline
from tps_portrait.hub.calibration import save_calibration

CREDITED = {"license": "CC-BY-4.0", "source": "somebody's photos"}


def shades(*levels: int, size: tuple[int, int] = (64, 64)) -> list[Tensor]:
    """Plain pictures of known brightness."""
    return [torch.full((3, *size), level, dtype=torch.uint8) for level in levels]


def brightness(files: list[Path]) -> list[int]:
    return [round(float(np.asarray(Image.open(file)).mean())) for file in files]


def carrying(
    pipe: TPSPortraitPipeline, folder: Path, pictures: list[Tensor]
) -> TPSPortraitPipeline:
    """Save a style with photos, and load it."""
    pipe.save_pretrained(folder)
    rows = [{"file_name": f"{n}.png", **CREDITED} for n in range(len(pictures))]
    assert len(save_calibration(folder, pictures, rows)) == len(pictures)
    return TPSPortraitPipeline.from_pretrained(folder)
