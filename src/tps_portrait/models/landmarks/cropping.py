"""Squares cut out of pictures: letterboxed views for detectors, turned face crops for the mesh."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# 255 times this many still fits 16 bits.
_MAX_BLOCK = 64


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


def average_blocks(image: Tensor, factor: float) -> tuple[Tensor, int]:
    """Reduce a large picture by averaging whole blocks, to no less than four times the wanted size.

    Many times faster than an antialiased resize, which has little left to do afterwards.

    Args:
        image: `(3, H, W)` uint8.
        factor: wanted size divided by present size.

    Returns:
        The picture `(1, 3, H // block, W // block)` as float, and the block's side. Up to
        `block - 1` pixels are lost at the right and bottom.
    """
    block = max(1, min(int(0.25 / factor), _MAX_BLOCK, *image.shape[1:]))
    if block == 1:
        return image[None].float(), 1
    height, width = (side - side % block for side in image.shape[1:])
    # Integer sums of strided slices: exact, and three times as fast as float pooling.
    rows = torch.zeros_like(image[:, :height:block, :width], dtype=torch.int16)
    for offset in range(block):
        rows += image[:, offset:height:block, :width]
    sums = torch.zeros_like(rows[..., ::block], dtype=torch.int32)
    for offset in range(block):
        sums += rows[..., offset::block]
    return sums[None].float() / block**2, block


def letterbox(image: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Fit a picture into the middle of a black square, keeping its proportions.

    Args:
        image: `(3, H, W)` uint8.
        size: side of the square in pixels.

    Returns:
        The view `(3, size, size)` in [-1, 1], and `(2, 2)` rows origin and extent of the square in
        the picture's pixels: a point p in [0, 1] of the square lies at `origin + p * extent`.
    """
    blocks, block = average_blocks(image, size / max(image.shape[1:]))
    height, width = blocks.shape[2:]
    scale = size / max(height, width)
    fitted = [max(1, round(height * scale)), max(1, round(width * scale))]
    small = F.interpolate(
        blocks, size=fitted, mode="bilinear", align_corners=False, antialias=True
    )[0]
    top, left = (size - fitted[0]) // 2, (size - fitted[1]) // 2
    pad = (left, size - fitted[1] - left, top, size - fitted[0] - top)
    step = block * torch.tensor([width / fitted[1], height / fitted[0]])
    frame = torch.stack((torch.tensor([-left, -top]) * step, size * step))
    return F.pad(small, pad) / 127.5 - 1, frame


def cut(image: Tensor, square: Square, size: int) -> Tensor:
    """Cut a turned square out of a picture; beyond the edges the edge pixels go on.

    Args:
        image: `(3, H, W)` uint8.
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
    region, block = average_blocks(image[:, top:bottom, left:right], scale)
    extent = [block * region.shape[3], block * region.shape[2]]
    if scale * block < 1:
        # grid_sample reads four pixels however far it steps: reduce first.
        reduced = [max(1, round(side * scale * block)) for side in region.shape[2:]]
        region = F.interpolate(
            region, size=reduced, mode="bilinear", align_corners=False, antialias=True
        )
    axis = (torch.arange(size, device=image.device, dtype=torch.float32) + 0.5) / size
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    points = square.to_picture(torch.stack((x, y), -1))
    origin = points.new_tensor([left, top])
    grid = 2 * (points - origin) / points.new_tensor(extent) - 1
    crop = F.grid_sample(region, grid[None], padding_mode="border", align_corners=False)
    return crop[0] / 255


def _span(low: float, high: float, limit: int) -> tuple[int, int]:
    """Whole pixels of [low, high] inside the picture, at least one."""
    start = min(max(math.floor(low), 0), limit - 1)
    return start, max(min(math.ceil(high), limit), start + 1)
