"""Noticing that a training diverges before its weights are worth nothing."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ..errors import TrainingDivergedError


def check_gradients(norm: Tensor, what: str) -> None:
    """Refuse to step along gradients that are not finite; the weights are still good then.

    Args:
        norm: norm of the gradients.
        what: whose gradients they are, for the message.

    Raises:
        TrainingDivergedError: the norm is NaN or infinite.
    """
    if not torch.isfinite(norm):
        raise diverged(f"The gradients of {what} became {norm.item():g}.")


def check_weights(parameters: Iterable[Tensor]) -> None:
    """Refuse to call weights good that are not: before a checkpoint replaces an older one.

    Raises:
        TrainingDivergedError: a weight is NaN, infinite, or above 1e4.
    """
    largest = torch.stack([p.detach().abs().amax() for p in parameters if p.numel()]).amax()
    if not largest <= 1e4:
        raise diverged(f"The largest weight became {largest.item():g}.")


def diverged(reason: str) -> TrainingDivergedError:
    """The error for a training that has lost its way, with what to do."""
    return TrainingDivergedError(
        f"{reason} Training stopped. Resume from the last checkpoint with a lower "
        "--learning_rate or --discriminator_learning_rate, or with --mixed_precision no."
    )
