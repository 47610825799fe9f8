"""The generator's last activation, as it is trained."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.jit import is_tracing  # type: ignore[attr-defined]

# Least slope on the way back from white and black.
_SLOPE = 0.1


def recoverable_tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent whose gradient leads back from saturation.

    Where a drawing is white or black all over, the slope of a tangent is 0 in float32, and no loss
    can bring it back: adversarial training of a style on white paper ended there. Gradients that
    lead towards 0 have a slope of at least 0.1 here; those that lead farther out have the usual
    one. Hausknecht and Stone, "Deep reinforcement learning in parameterized action space", 2016,
    arXiv 1511.04143, treat actions at their bounds in a similar way.

    The price: above grey level 248 and below 7 the pull inwards counts for more than that outwards,
    so that a training ends a few levels off white and black.

    Args:
        x: any shape.

    Returns:
        `tanh(x)`, exactly; where a network is traced or exported, with the usual gradient.
    """
    if _is_written():
        # What is written into a file is not trained there.
        return torch.tanh(x)
    result: Tensor = _RecoverableTanh.apply(x)
    return result


def _is_written() -> bool:
    # Older versions of torch cannot tell of exports.
    exporting = getattr(torch.compiler, "is_exporting", None)
    return bool(is_tracing() or (exporting and exporting()))


class _RecoverableTanh(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.tanh(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        slope = 1 - y * y
        # A step goes against the gradient.
        inward = gradient * y > 0
        return gradient * torch.where(inward, slope.clamp_min(_SLOPE), slope)
