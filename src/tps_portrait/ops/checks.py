"""Checks of control points that name the batch item and the points at fault."""

from __future__ import annotations

from torch import Tensor

from ..errors import ConfigError, LandmarkError

_DUPLICATE = 1e-5  # points closer than this share of their spread count as one
_COLLINEAR = 1e-5  # a set thinner than this share of its length counts as a line


def check_size(size: tuple[int, int]) -> None:
    """Raise ConfigError unless `size` is (H, W), both at least 1."""
    if len(size) != 2 or min(size) < 1:
        raise ConfigError(f"size must be (height, width), both at least 1, got {size}")


def check_shape(points: Tensor, name: str) -> None:
    """Raise LandmarkError unless `points` is a floating-point (B, N, 2)."""
    if points.ndim != 3 or points.shape[-1] != 2 or not points.is_floating_point():
        raise LandmarkError(
            f"{name} must be a floating-point tensor (B, N, 2) of (x, y) points, got "
            f"{points.dtype} {tuple(points.shape)}"
        )


def check_pair(points: Tensor, values: Tensor, names: tuple[str, str]) -> None:
    """Raise LandmarkError unless both are (B or 1, N, 2) with one N of at least 3."""
    for tensor, name in zip((points, values), names, strict=True):
        check_shape(tensor, name)
    unequal = points.shape[0] != values.shape[0] and points.shape[0] != 1 and values.shape[0] != 1
    if unequal or points.shape[1] != values.shape[1]:
        raise LandmarkError(
            f"{names[0]} {tuple(points.shape)} and {names[1]} {tuple(values.shape)} must hold the "
            f"same number of points, and equal batches or a batch of 1"
        )
    if points.shape[1] < 3:
        raise LandmarkError(
            f"{names[0]}: every batch item has {points.shape[1]} points; a thin-plate spline needs "
            f"at least 3 that are not on one line"
        )


def check_finite(points: Tensor, name: str) -> None:
    """Raise LandmarkError if a coordinate of `points` (B, N, 2) is NaN or infinite."""
    bad = ~points.detach().isfinite().all(-1)
    if bool(bad.any()):
        item = int(bad.any(1).nonzero()[0])
        indices = bad[item].nonzero().flatten().tolist()
        shown = ", ".join(str(i) for i in indices[:8]) + (", ..." if len(indices) > 8 else "")
        which = f"points {shown} are" if len(indices) > 1 else f"point {shown} is"
        raise LandmarkError(
            f"{name}, batch item {item}: {which} not finite (NaN or infinite); detect the "
            f"landmarks again or leave this item out"
        )


def check_distinct(points: Tensor, name: str) -> None:
    """Raise LandmarkError if two of the `points` (B, N, 2) of an item coincide."""
    points = points.detach()
    spread = (points - points.mean(1, keepdim=True)).square().mean(1).sum(-1)
    squared = (points.unsqueeze(2) - points.unsqueeze(1)).square().sum(-1)
    near = (squared <= _DUPLICATE**2 * spread[:, None, None]).triu(1)
    if bool(near.any()):
        item, first, second = near.nonzero()[0].tolist()
        x, y = points[item, first].tolist()
        raise LandmarkError(
            f"{name}, batch item {item}: points {first} and {second} coincide at "
            f"({x:.4g}, {y:.4g}); drop one of them, or pass regularization > 0"
        )


def check_not_collinear(points: Tensor, name: str) -> None:
    """Raise LandmarkError if all `points` (B, N, 2) of an item lie on one line."""
    centered = points.detach() - points.detach().mean(1, keepdim=True)
    xx, yy = centered.square().mean(1).unbind(-1)
    xy = centered.prod(-1).mean(1)
    # the product of the variances along and across the line, against the square of their sum
    line = xx * yy - xy.square() <= (_COLLINEAR * (xx + yy)).square()
    if bool(line.any()):
        item = int(line.nonzero()[0])
        first = int(centered[item].square().sum(-1).argmax())
        second = int((centered[item] - centered[item, first]).square().sum(-1).argmax())
        raise LandmarkError(
            f"{name}, batch item {item}: all {points.shape[1]} points lie on one line (through "
            f"points {min(first, second)} and {max(first, second)}); at least one must be off it"
        )
