"""Squares cut out of pictures: letterboxed views for detectors, turned face crops for the mesh."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Square:
    """A turned square in a picture, in pixels (the centre of pixel i is i + 0.5).

    Attributes:
        x: centre.
        y: centre.
        side: side length.
        angle: direction of the square's x axis in radians, positive from x toward y (downwards).
    """

    x: float
    y: float
    side: float
    angle: float = 0.0

    def to_picture(self, points: Tensor) -> Tensor:
        """Map points of the square to the picture.

        Args:
            points: `(..., 2)` in [0, 1] of the square.

        Returns:
            `(..., 2)` in pixels.
        """
        cos, sin = math.cos(self.angle) * self.side, math.sin(self.angle) * self.side
        linear = points.new_tensor([[cos, sin], [-sin, cos]])
        return (points - 0.5) @ linear + points.new_tensor([self.x, self.y])


def shrink(image: Tensor, factor: float) -> Tensor:
    """Reduce a picture with antialiasing; leave it alone when the factor asks for no reduction.

    Args:
        image: `(3, H, W)` float.
        factor: wanted size divided by present size.

    Returns:
        `(3, H', W')`.
    """
    if factor >= 1:
        return image
    size = [max(1, round(side * factor)) for side in image.shape[1:]]
    return F.interpolate(
        image[None], size=size, mode="bilinear", align_corners=False, antialias=True
    )[0]


def letterbox(image: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Fit a picture into the middle of a black square, keeping its proportions.

    Args:
        image: `(3, H, W)` uint8 or float in [0, 255].
        size: side of the square in pixels.

    Returns:
        The view `(3, size, size)` in [-1, 1], and `(2, 2)` rows origin and extent of the square in
        the picture's pixels: a point p in [0, 1] of the square lies at `origin + p * extent`.
    """
    height, width = image.shape[1:]
    scale = size / max(height, width)
    fitted = [max(1, round(height * scale)), max(1, round(width * scale))]
    small = F.interpolate(
        image[None].float(), size=fitted, mode="bilinear", align_corners=False, antialias=True
    )[0]
    top, left = (size - fitted[0]) // 2, (size - fitted[1]) // 2
    pad = (left, size - fitted[1] - left, top, size - fitted[0] - top)
    step = torch.tensor([width / fitted[1], height / fitted[0]])
    frame = torch.stack((torch.tensor([-left, -top]) * step, size * step))
    return F.pad(small, pad) / 127.5 - 1, frame


def cut(image: Tensor, square: Square, size: int) -> Tensor:
    """Cut a turned square out of a picture; beyond the edges the edge pixels go on.

    Args:
        image: `(3, H, W)` uint8 or float in [0, 255].
        square: where.
        size: side of the result in pixels.

    Returns:
        `(3, size, size)` in [0, 1].
    """
    height, width = image.shape[1:]
    reach = square.side / 2 * (abs(math.cos(square.angle)) + abs(math.sin(square.angle)))
    scale = size / square.side
    margin = 2 / min(scale, 1)
    left, right = _span(square.x - reach - margin, square.x + reach + margin, width)
    top, bottom = _span(square.y - reach - margin, square.y + reach + margin, height)
    region = image[:, top:bottom, left:right].float()
    # grid_sample reads four pixels however far it steps: reduce first.
    region = shrink(region, scale)
    axis = (torch.arange(size, device=image.device, dtype=torch.float32) + 0.5) / size
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    points = square.to_picture(torch.stack((x, y), -1))
    origin = points.new_tensor([left, top])
    extent = points.new_tensor([right - left, bottom - top])
    grid = 2 * (points - origin) / extent - 1
    crop = F.grid_sample(region[None], grid[None], padding_mode="border", align_corners=False)
    return crop[0] / 255


def _span(low: float, high: float, limit: int) -> tuple[int, int]:
    """Whole pixels of [low, high] inside the picture, at least one."""
    start = min(max(math.floor(low), 0), limit - 1)
    return start, max(min(math.ceil(high), limit), start + 1)
