"""Resizing and sampling of whole pictures in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from .photo import MIN_SIDE

_STRIP_PIXELS = 1 << 20  # pixels that are held in float32 at a time


def resize(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize by antialiased bicubic interpolation, the same as Pillow's.

    Args:
        pixels: `(C, H, W)` uint8, or float in [0, 1].
        size: (height, width).

    Returns:
        `(C, height, width)` of the same type.
    """
    if tuple(pixels.shape[1:]) == tuple(size):
        return pixels
    resized = F.interpolate(pixels[None], size=size, mode="bicubic", antialias=True)[0]
    return resized if pixels.dtype == torch.uint8 else resized.clamp_(0, 1)


def working_size(size: tuple[int, int], scale: float, limit: int) -> tuple[int, int]:
    """Size at which a picture is drawn.

    Args:
        size: (height, width) of the picture.
        scale: wanted magnification.
        limit: longest side allowed.

    Returns:
        (height, width), each from 32 to `limit`; the proportions are kept unless the picture is so
        narrow that its short side would fall below 32.
    """
    scale = min(scale, limit / max(size))
    height, width = (min(limit, max(MIN_SIDE, round(side * scale))) for side in size)
    return height, width


def blend(photo: Tensor, drawing: Tensor, strength: float) -> Tensor:
    """Mix a drawing with its photo.

    Args:
        photo: `(3, H, W)` uint8, or float32 in [0, 1].
        drawing: `(3, H, W)` uint8.
        strength: share of the drawing; 0 returns `photo` itself.

    Returns:
        `(3, H, W)` of the photo's type.
    """
    if strength == 0:
        return photo
    if photo.dtype == torch.uint8 and strength == 1:
        return drawing
    mixed = torch.empty_like(photo)
    for top, bottom in strips(photo.shape[1], photo.shape[2]):
        rows = slice(top, bottom)
        drawn = as_float(drawing[:, rows])
        write(mixed[:, rows], torch.lerp(as_float(photo[:, rows]), drawn, strength))
    return mixed


def strips(height: int, width: int) -> Iterator[tuple[int, int]]:
    """Cut a picture into ranges of rows of about a megapixel."""
    step = max(1, _STRIP_PIXELS // max(width, 1))
    for top in range(0, height, step):
        yield top, min(top + step, height)


def as_float(pixels: Tensor) -> Tensor:
    """Convert to float32 in [0, 1]."""
    return pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels


def write(target: Tensor, values: Tensor) -> None:
    """Store float values in [0, 1] in a uint8 or float picture, rounding and clamping.

    Args:
        target: any shape, uint8 or float32; changed in place.
        values: the same shape, float32.
    """
    if target.dtype == torch.uint8:
        values = values.mul(255).round_()
        target.copy_(values.clamp_(0, 255))
    else:
        target.copy_(values.clamp(0, 1))


def pixel_centres(columns: tuple[int, int], rows: tuple[int, int]) -> Tensor:
    """Centres of the pixels of a rectangle: `(h, w, 2)` float32, (x, y) in pixels, i + 0.5.

    Args:
        columns: first column, and the one after the last.
        rows: first row, and the one after the last.
    """
    x = torch.arange(*columns, dtype=torch.float32) + 0.5
    y = torch.arange(*rows, dtype=torch.float32) + 0.5
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)


def sample(pixels: Tensor, points: Tensor) -> Tensor:
    """Read a picture at points, bicubic, the border continued outside.

    Only the part of the picture that the points touch is converted to float.

    Args:
        pixels: `(C, H, W)` uint8, or float in [0, 1].
        points: `(h, w, 2)`, (x, y) in pixels, the centre of pixel i at i + 0.5.

    Returns:
        `(C, h, w)` float32; may overshoot [0, 1] a little.
    """
    height, width = pixels.shape[1:]
    flat = points.reshape(-1, 2)
    (left, top), (right, bottom) = flat.amin(0).tolist(), flat.amax(0).tolist()
    x0, x1 = _span(left, right, width)
    y0, y1 = _span(top, bottom, height)
    patch = as_float(pixels[:, y0:y1, x0:x1])
    scale = points.new_tensor([2 / (x1 - x0), 2 / (y1 - y0)])
    return sample_grid(patch, (points - points.new_tensor([x0, y0])) * scale - 1)


def affine_grid(matrix: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Where an affine map takes the nodes of a lattice.

    Args:
        matrix: `(2, 3)`.
        x: `(w,)` columns of the lattice.
        y: `(h,)` rows of the lattice.

    Returns:
        `(h, w, 2)`, (x, y).
    """
    across, down = x[:, None] * matrix[:, 0], y[:, None] * matrix[:, 1] + matrix[:, 2]
    return across + down[:, None]


def sample_grid(pixels: Tensor, grid: Tensor) -> Tensor:
    """Read a picture at a grid, bicubic, the border continued outside.

    Args:
        pixels: `(C, H, W)` float32.
        grid: `(h, w, 2)`, (x, y) in [-1, 1] of the picture, align_corners=False.

    Returns:
        `(C, h, w)` float32.
    """
    # PyTorch samples one picture in one thread, but the pictures of a batch side by side.
    bands = torch.get_num_threads()
    missing = -grid.shape[0] % bands
    if missing:
        grid = torch.cat([grid, grid[-1:].expand(missing, -1, -1)])
    sampled = F.grid_sample(
        pixels.expand(bands, -1, -1, -1),
        grid.unflatten(0, (bands, -1)),
        mode="bicubic",
        padding_mode="border",
        align_corners=False,
    )
    joined = sampled.transpose(0, 1).flatten(1, 2)
    return joined[:, : joined.shape[1] - missing]


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    """Pixels that bicubic interpolation from `low` to `high` reads, at least one."""
    start = min(max(math.floor(low) - 2, 0), size - 1)
    return start, max(min(math.ceil(high) + 2, size), start + 1)
