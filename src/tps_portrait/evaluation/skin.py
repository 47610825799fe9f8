"""Skin: whether a drawing keeps how light and of what colour a face is."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import LandmarkError
from ..ops.landmarks import inter_ocular_distance
from .faces import as_floats

# Of each cheek: the landmark below the eye, the corner of the mouth, a landmark of the jaw.
_CHEEKS = ((41, 48, 3), (46, 54, 13))
_SHARES = (0.45, 0.35, 0.2)
# Radius of the discs that are looked at, of the distance of the outer eye corners.
_RADIUS = 0.13


def skin_colour(image: Tensor, landmarks: Tensor) -> Tensor:
    """Mean colour of two discs on the cheeks.

    It is the mean of linear light, so that strokes, grain and hatching count for what they look
    like from afar. A disc whose centre is outside the picture does not count.

    Args:
        image: `(3, S, S)` uint8.
        landmarks: `(68, 2)`, (x, y) normalised to [-1, 1], of a face in it.

    Returns:
        `(3,)`, CIELAB under D65: L* 0 to 100, a*, b*.

    Raises:
        LandmarkError: wrong shape, or both cheeks lie outside the picture.
    """
    from kornia.color import linear_rgb_to_rgb, rgb_to_lab, rgb_to_linear_rgb

    if landmarks.shape != (68, 2):
        raise LandmarkError(f"landmarks must be (68, 2), got {tuple(landmarks.shape)}")
    side = image.shape[-1]
    points = landmarks.to(image.device, torch.float32)
    ticks = (torch.arange(side, device=image.device) + 0.5) / side * 2 - 1
    radius = _RADIUS * inter_ocular_distance(points)
    mask = torch.zeros(side, side, dtype=torch.bool, device=image.device)
    for cheek in _CHEEKS:
        x, y = points.new_tensor(_SHARES) @ points[list(cheek)]
        if max(abs(x), abs(y)) < 1:
            mask |= (ticks - x).square() + (ticks[:, None] - y).square() < radius.square()
    if not mask.any():
        raise LandmarkError("both cheeks lie outside the picture")
    light = rgb_to_linear_rgb(as_floats([image])[..., mask, None]).mean(2, keepdim=True)
    lab: Tensor = rgb_to_lab(linear_rgb_to_rgb(light)).flatten()
    return lab
