"""What drawings are made of: dark thin lines, and layers of tone that end sharply."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

# Widest line in pixels, of 512; density of what is no line.
_WIDTH, _FAINT = 9, 0.04


def dark_lines(drawn: Tensor, side: int) -> Tensor:
    """Find what is dark and thin.

    Args:
        drawn: `(B, 3, H, W)` in [0, 1].
        side: of the pictures that lines may be 9 px wide in if it is 512, more if it is more.

    Returns:
        Optical density of the lines over what is beside them, `(B, 1, H, W)`, at least 0.
    """
    luma = drawn.mean(1, keepdim=True).clamp_min(0.03)
    width = max(3, round(_WIDTH * side / 1024) * 2 + 1)

    def lightest(x: Tensor) -> Tensor:
        return F.max_pool2d(x, width, 1, width // 2)

    # A morphological closing takes away what is dark and thinner than the window.
    closed = -lightest(-lightest(luma))
    return ((closed / luma).log() - _FAINT).clamp_min(0)


def in_layers(values: Tensor, sharpness: float) -> Tensor:
    """Pull values to the nearest whole numbers, with soft steps half way between them.

    Args:
        values: of any shape.
        sharpness: how steep the steps are; near 0 nothing changes.

    Returns:
        The same shape; monotone and continuous, whole numbers stay.
    """
    within = torch.tanh(2 * sharpness * (values - values.floor() - 0.5)) / (
        2 * math.tanh(sharpness)
    )
    return values.floor() + within + 0.5
