"""The blur that painters look at forms with."""

from __future__ import annotations

from kornia.filters import gaussian_blur2d
from torch import Tensor


def soften(x: Tensor, width: float) -> Tensor:
    """Blur with a Gaussian.

    Args:
        x: `(B, C, H, W)`; it goes on as at its edges.
        width: standard deviation, in pixels; cut off at twice that.

    Returns:
        `(B, C, H, W)`.
    """
    window = 2 * round(2 * width) + 1
    return gaussian_blur2d(x, (window, window), (width, width), "replicate")
