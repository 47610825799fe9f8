"""Skin: whether a drawing keeps how light and of what colour a face is."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import LandmarkError
from .faces import as_floats

# Of each cheek: the landmark below the eye, the corner of the mouth, a landmark of the jaw.
_CHEEKS = ((41, 48, 3), (46, 54, 13))
_SHARES = (0.45, 0.35, 0.2)
# Radius of the discs that are looked at, of the distance of the outer eye corners.
_RADIUS = 0.13


def skin_colour(image: Tensor, landmarks: Tensor) -> Tensor:
    """Mean colour of two discs on the cheeks.

    A mean takes strokes, grain and lines for what they look like from afar.

    Args:
        image: `(3, S, S)` uint8.
        landmarks: `(68, 2)`, (x, y) normalised to [-1, 1], of a face in it.

    Returns:
        `(3,)`, CIELAB under D65: L* 0 to 100, a*, b*.

    Raises:
        LandmarkError: wrong shape, or both cheeks lie outside the picture.
    """
    from kornia.color import rgb_to_lab

    if landmarks.shape != (68, 2):
        raise LandmarkError(f"landmarks must be (68, 2), got {tuple(landmarks.shape)}")
    side = image.shape[-1]
    ticks = (torch.arange(side, device=landmarks.device) + 0.5) / side * 2 - 1
    radius = _RADIUS * (landmarks[45] - landmarks[36]).norm()
    mask = torch.zeros(side, side, dtype=torch.bool, device=landmarks.device)
    weights = landmarks.new_tensor(_SHARES)
    for cheek in _CHEEKS:
        x, y = weights @ landmarks[list(cheek)]
        mask |= (ticks - x).square() + (ticks[:, None] - y).square() < radius.square()
    if not mask.any():
        raise LandmarkError("both cheeks lie outside the picture")
    lab: Tensor = rgb_to_lab(as_floats([image]))[0]
    return lab[:, mask.to(lab.device)].mean(1)
