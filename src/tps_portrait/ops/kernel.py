"""Numerics below the thin-plate spline: its kernel, and fast evaluation of kernel sums on pixel grids.

The kernel U(r) = r^2 log r is smooth except at r = 0, where its second derivative has a logarithmic
singularity. A kernel sum on a dense grid is therefore split like a particle-mesh sum: a smooth kernel,
equal to U beyond a radius R and to a Taylor polynomial of it inside, is summed on a coarse grid and
interpolated; the difference, which is zero beyond R, is added in a small window around each centre.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_TAPS = 6  # points of the Lagrange interpolation along each axis
_PAD = _TAPS // 2 - 1  # coarse nodes needed beyond each edge of [-1, 1]
_RADIUS_CELLS = 4  # R in coarse cells
_TAYLOR_DEGREE = 5
_MIN_CELLS = 64
_CELL_PIXELS = 8


def kernel_dtype(device: torch.device) -> torch.dtype:
    """The precision of kernel sums on a device: float64, or float32 where there is no float64 (MPS)."""
    return torch.float32 if device.type == "mps" else torch.float64


def tps_kernel(squared_distance: Tensor) -> Tensor:
    """U = r^2 log r of squared distances r^2, any shape; value and gradient are 0 at r = 0."""
    tiny = torch.finfo(squared_distance.dtype).tiny
    return 0.5 * squared_distance * squared_distance.clamp_min(tiny).log()


def pixel_centers(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Normalised coordinates (2i + 1) / size - 1 of the pixel centres along one axis, (size,)."""
    index = torch.arange(
        size, dtype=torch.float64 if device.type != "mps" else dtype, device=device
    )
    return ((2 * index + 1) / size - 1).to(dtype)


def coarse_cells(size: tuple[int, int]) -> int:
    """Number of coarse cells along each axis used for a dense grid of `size` (H, W)."""
    return max(_MIN_CELLS, math.ceil(max(size) / _CELL_PIXELS))


def coarse_is_worthwhile(size: tuple[int, int]) -> bool:
    """Whether a coarse grid has clearly fewer points than the dense grid of `size` (H, W)."""
    return size[0] * size[1] > 2 * (coarse_cells(size) + 2 * _PAD + 1) ** 2


def kernel_sum_grid(centers: Tensor, weights: Tensor, size: tuple[int, int]) -> Tensor:
    """Sum of weighted kernels at every pixel centre, by a coarse sum, interpolation and correction.

    Args:
        centers: (B or 1, N, 2), normalised (x, y).
        weights: (B, N, 2).
        size: (H, W) of the grid.

    Returns:
        (B, H, W, 2) in the dtype of the inputs.
    """
    height, width = size
    cells = coarse_cells(size)
    radius = _RADIUS_CELLS * 2.0 / cells
    step = 2.0 / cells
    nodes = torch.arange(-_PAD, cells + _PAD + 1, dtype=centers.dtype, device=centers.device)
    nodes = nodes * step - 1
    delta = (nodes - centers.unsqueeze(-1)).square()  # (B, N, 2, G)
    squared = delta[:, :, 1, :, None] + delta[:, :, 0, None, :]
    coarse = weights.mT @ _smooth_kernel(squared, radius).flatten(2)
    coarse = coarse.unflatten(-1, (len(nodes), len(nodes)))  # (B, 2, G, G)
    rows = _interpolation_matrix(height, cells, centers)
    columns = _interpolation_matrix(width, cells, centers)
    smooth = (rows @ coarse @ columns.mT).permute(0, 2, 3, 1)
    return _add_local(smooth, centers, weights, radius)


def _taylor(u: Tensor) -> Tensor:
    """Half the Taylor polynomial of t log t at t = 1, as a function of u = t - 1 (Horner)."""
    result = torch.zeros_like(u)
    for k in range(_TAYLOR_DEGREE, 1, -1):
        result = u * (result + (-1) ** k / (k * (k - 1)))
    return 0.5 * u * (result + 1)


def _smooth_kernel(squared: Tensor, radius: float) -> Tensor:
    """U beyond `radius`, its Taylor polynomial in r^2 within."""
    limit = radius**2
    far = 0.5 * squared * squared.clamp_min(limit).log()
    return far + limit * _taylor((squared / limit).clamp_max(1) - 1)


def _local_kernel(squared: Tensor, radius: float) -> Tensor:
    """U minus the smooth kernel: zero beyond `radius`."""
    limit = radius**2
    ratio = (squared / limit).clamp_max(1)
    return limit * (tps_kernel(ratio) - _taylor(ratio - 1))


def _interpolation_matrix(size: int, cells: int, like: Tensor) -> Tensor:
    """Lagrange interpolation from the padded coarse nodes to `size` pixel centres: (size, G)."""
    position = (pixel_centers(size, like.dtype, like.device) + 1) * (cells / 2)
    base = position.floor().clamp(0, cells - 1)
    taps = torch.arange(_TAPS, dtype=like.dtype, device=like.device)
    offset = (position - base + _PAD).unsqueeze(-1) - taps  # (size, taps)
    same = torch.eye(_TAPS, dtype=torch.bool, device=like.device)
    numerator = offset.unsqueeze(-2).expand(-1, _TAPS, -1).masked_fill(same, 1).prod(-1)
    denominator = (taps.unsqueeze(-1) - taps).masked_fill(same, 1).prod(-1)
    index = base.long().unsqueeze(-1) + taps.long()
    matrix = like.new_zeros(size, cells + 2 * _PAD + 1)
    return matrix.scatter(1, index, numerator / denominator)


def _window(center: Tensor, size: int, radius: float) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels within `radius` of each centre along one axis.

    Returns:
        Pixel indices clamped to the picture (B, N, P), whether they are inside it, and the squared
        distance to the centre.
    """
    count = math.floor(radius * size) + 2
    first = ((center.detach() + 1 - radius) * size / 2 - 0.5).floor()
    index = first.clamp(-count, size).long().unsqueeze(-1) + torch.arange(
        count, device=center.device
    )
    position = (2 * index + 1).to(center.dtype) / size - 1
    inside = (index >= 0) & (index < size)
    return index.clamp(0, size - 1), inside, (position - center.unsqueeze(-1)).square()


def _add_local(smooth: Tensor, centers: Tensor, weights: Tensor, radius: float) -> Tensor:
    """Add the local part of the kernel sum to the interpolated smooth part (B, H, W, 2)."""
    batch, height, width, _ = smooth.shape
    column, in_x, dx2 = _window(centers[..., 0], width, radius)
    row, in_y, dy2 = _window(centers[..., 1], height, radius)
    values = _local_kernel(dy2.unsqueeze(-1) + dx2.unsqueeze(-2), radius)
    values = values * (in_y.unsqueeze(-1) & in_x.unsqueeze(-2)).to(values.dtype)
    values = values.unsqueeze(-1) * weights[:, :, None, None, :]  # (B, N, P, P, 2)
    item = torch.arange(batch, device=smooth.device).reshape(-1, 1, 1, 1)
    index = (item * height + row.unsqueeze(-1)) * width + column.unsqueeze(-2)
    flat = smooth.reshape(-1, 2).index_add(0, index.flatten(), values.flatten(0, -2))
    return flat.unflatten(0, (batch, height, width))
