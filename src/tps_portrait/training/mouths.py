"""How open mouths are: no warp turns closed lips into teeth."""

from __future__ import annotations

from torch import Tensor

# Openings that differ by no more, in widths of the mouth, count as the same.
_TOLERANCE = 0.08


def mouth_opening(landmarks: Tensor) -> Tensor:
    """Height of the gap between the inner lips, `(...)`, in widths of the mouth.

    Args:
        landmarks: `(..., 68, 2)`, (x, y) in any unit.
    """
    gap = (landmarks[..., 66, :] - landmarks[..., 62, :]).norm(dim=-1)
    width = (landmarks[..., 54, :] - landmarks[..., 48, :]).norm(dim=-1)
    return gap / width.clamp_min(1e-6)


def same_mouth(landmarks: Tensor, others: Tensor) -> Tensor:
    """Whether mouths are about as open as others: bool `(...)`.

    Args:
        landmarks: `(..., 68, 2)`.
        others: `(..., 68, 2)`, of a shape that broadcasts with the first.
    """
    return (mouth_opening(landmarks) - mouth_opening(others)).abs() <= _TOLERANCE
