"""Measures of a face crop: sharpness, how much of it the picture shows, perceptual hash."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..processing.faces import FaceCrop

_SHARPNESS_SIDE = 128
_HASH_SIDE = 16
_SAMPLES = 64
_SIDES = ("left", "top", "right", "bottom")


def sharpness(face: Tensor, landmarks: Tensor) -> float:
    """How much fine detail the face has for its contrast.

    Standard deviation of the Laplacian over that of the grey values, between brows and chin, with
    the crop at 128 x 128 pixels: a background out of focus does not count, nor does resolution
    beyond what training sees of a face. (Variance of the Laplacian: Pech-Pacheco et al., 2000.)

    Args:
        face: `(3, S, S)` uint8, the crop.
        landmarks: `(68, 2)` in [-1, 1] of the crop, align_corners=False.

    Returns:
        0 for an even surface; about 0.16 for a strong blur, 0.6 to 1.1 for sharp photographs, more
        for drawings with lines.
    """
    side = _SHARPNESS_SIDE
    # In floating point: a blurred face has contrasts as faint as the rounding of grey values.
    grey = _levels(_picture(face).convert("F"), (side, side))
    points = (landmarks[17:].numpy() + 1) / 2 * side
    left, top = np.clip(np.floor(points.min(0)).astype(int), 1, side - 4)
    right, bottom = np.clip(np.ceil(points.max(0)).astype(int), (left + 3, top + 3), side - 1)
    grey = grey[top:bottom, left:right]
    laplacian = (
        4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    )
    return float(laplacian.std() / max(float(grey.std()), 1e-3))


def outside(crop: FaceCrop, size: tuple[int, int]) -> tuple[float, dict[str, float]]:
    """How much of a crop lies outside of its picture.

    Args:
        crop: the crop.
        size: (H, W) of the picture.

    Returns:
        The share of the crop's area, and the share beyond each side of the picture that it leaves
        by more than 1 percent.
    """
    steps = (torch.arange(_SAMPLES) + 0.5) * (2 / _SAMPLES) - 1
    points = crop.to_picture(torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1))
    x, y = points.unbind(-1)
    beyond = dict(zip(_SIDES, (x < 0, y < 0, x > size[1], y > size[0]), strict=True))
    total = float(torch.stack(list(beyond.values())).any(0).float().mean())
    shares = {side: float(out.float().mean()) for side, out in beyond.items()}
    return total, {side: round(share, 3) for side, share in shares.items() if share > 0.01}


def difference_hash(face: Tensor) -> str:
    """Perceptual hash of a crop: whether each of 16 x 16 cells is darker than its neighbours.

    The dHash of Krawetz (2013) in both directions, on crops that lie on one another by their eyes:
    another size, quality, brightness or framing of the same photograph changes few bits.

    Args:
        face: `(3, S, S)` uint8.

    Returns:
        512 bits in hexadecimal digits.
    """
    # In whole levels: an even surface has no random hash.
    cells = _levels(_picture(face), (_HASH_SIDE + 1, _HASH_SIDE + 1))
    across = cells[:-1, 1:] > cells[:-1, :-1]
    down = cells[1:, :-1] > cells[:-1, :-1]
    return np.packbits(np.stack([across, down])).tobytes().hex()


def _picture(face: Tensor) -> Image.Image:
    return Image.fromarray(face.permute(1, 2, 0).contiguous().numpy()).convert("L")


def _levels(picture: Image.Image, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(picture.resize(size, Image.Resampling.LANCZOS), dtype=np.float32)
