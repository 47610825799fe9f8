"""Stability: whether the drawing moves with the photo, or shimmers.

All differences are means over the middle of the picture, in levels of 255.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from ..ops.landmarks import apply_affine, invert_affine
from ..ops.tps import identity_grid, warp
from .faces import Stylize, as_floats

MOTIONS: tuple[tuple[float, float, float, float], ...] = (
    (0.0, 1.0, 3.0, 0.0),
    (0.0, 1.0, -1.5, 2.5),
    (2.0, 1.0, 0.0, 0.0),
    (0.0, 1.03, 0.0, 0.0),
    (-1.0, 0.98, 2.0, -1.0),
)
"""Small motions: degrees, magnification, and pixels of a 512 px picture to the right and down."""

_DRIFT = (0.25, 1.002, 0.7, 0.4)  # of the synthetic clip, from frame to frame
_INSIDE = 0.85  # what is nearer to the border may come from outside of the picture


def motion_matrix(degrees: float, scale: float, right: float, down: float) -> Tensor:
    """A motion of the picture as the matrix of its backward sampling grid.

    Args:
        degrees: turn, clockwise as seen.
        scale: magnification.
        right: shift, in pixels of a 512 px picture.
        down: likewise.

    Returns:
        `(2, 3)`, from places of the moved picture to those of the original, normalised.
    """
    angle = math.radians(degrees)
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    forward = torch.tensor([[cos, -sin, right / 256], [sin, cos, down / 256]])
    return invert_affine(forward)


def move(image: Tensor, matrix: Tensor) -> Tensor:
    """Move a picture, bicubic, its border continued.

    Args:
        image: `(1, 3, S, S)` float in [0, 1].
        matrix: `(2, 3)` of `motion_matrix`.
    """
    return warp(image, _grid(matrix, image.shape[-1]), mode="bicubic").clamp(0, 1)


def motion_errors(stylize: Stylize, photo: Tensor, drawing: Tensor) -> list[float]:
    """Compare the drawing of a moved photo with the moved drawing, for each of `MOTIONS`.

    Args:
        stylize: what draws.
        photo: `(3, S, S)` uint8.
        drawing: `(3, S, S)` uint8, what `stylize` makes of it.

    Returns:
        Mean absolute difference for each motion, in levels of 255.
    """
    source, drawn = as_floats([photo]), as_floats([drawing])
    matrices = [motion_matrix(*motion) for motion in MOTIONS]
    redrawn = stylize([_levels(move(source, matrix)) for matrix in matrices])
    return [
        _difference(as_floats([picture]), move(drawn, matrix), _inside(matrix, photo.shape[-1]))
        for picture, matrix in zip(redrawn, matrices, strict=True)
    ]


def flicker(
    stylize: Stylize, photo: Tensor, drawing: Tensor, *, frames: int = 8
) -> tuple[float, float]:
    """Stylize a clip of one slowly moved photo, take the motion out, and compare neighbours.

    Args:
        stylize: what draws, frame by frame.
        photo: `(3, S, S)` uint8, the first frame.
        drawing: `(3, S, S)` uint8, what `stylize` makes of it.
        frames: length of the clip, at least 2.

    Returns:
        Mean absolute difference of neighbouring frames in levels of 255; and the same where each
        frame is the moved first drawing: what resampling alone makes of a drawing that is
        perfectly still.
    """
    turn, zoom, right, down = _DRIFT
    path = [motion_matrix(turn * t, zoom**t, right * t, down * t) for t in range(frames)]
    source, drawn = as_floats([photo]), as_floats([drawing])
    clip = stylize([_levels(move(source, matrix)) for matrix in path[1:]])
    redrawn = [drawn, *(as_floats([frame]) for frame in clip)]
    moved = [drawn, *(as_floats([_levels(move(drawn, matrix))]) for matrix in path[1:])]
    side = photo.shape[-1]
    seen = torch.stack([_inside(invert_affine(matrix), side) for matrix in path]).all(0)
    values = []
    for shown in (redrawn, moved):
        still = [move(f, invert_affine(matrix)) for f, matrix in zip(shown, path, strict=True)]
        steps = [_difference(a, b, seen) for a, b in pairwise(still)]
        values.append(sum(steps) / len(steps))
    return values[0], values[1]


def _grid(matrix: Tensor, side: int) -> Tensor:
    points = identity_grid((side, side)).flatten(1, 2)
    return apply_affine(matrix, points).unflatten(1, (side, side))


def _inside(matrix: Tensor, side: int) -> Tensor:
    """Pixels `(side, side)` of the moved picture that are well inside it and the original."""
    still = identity_grid((side, side))
    both = torch.cat([still, _grid(matrix, side)], -1)
    return (both.abs().amax(-1) <= _INSIDE)[0]


def _difference(first: Tensor, second: Tensor, where: Tensor) -> float:
    return float((first - second).abs().mean(1)[0][where].mean()) * 255


def _levels(image: Tensor) -> Tensor:
    return image[0].mul(255).round().to(torch.uint8)
