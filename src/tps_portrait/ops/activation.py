"""The generator's last activation, as it is trained."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# Least slope on the way back from white and black.
_SLOPE = 0.1


def recoverable_tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent whose gradient leads back from saturation.

    Where a drawing is white or black all over, the slope of a tangent is 0 in float32, and no loss
    can bring it back: adversarial training of a style on white paper ended there. Gradients that
    lead towards 0 have a slope of at least 0.1 here; those that lead farther out have the usual
    one. As the inverted gradients of Hausknecht and Stone, "Deep reinforcement learning in
    parameterized action space", 2016, arXiv 1511.04143, treat actions at their bounds.

    Args:
        x: any shape.

    Returns:
        `tanh(x)`, exactly.
    """
    result: Tensor = _RecoverableTanh.apply(x)
    return result


class _RecoverableTanh(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.tanh(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        slope = 1 - y * y
        # A step goes against the gradient.
        inward = gradient * y > 0
        return gradient * torch.where(inward, slope.clamp_min(_SLOPE), slope)
