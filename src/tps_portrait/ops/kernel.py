"""Numerics below the thin-plate spline: its kernel, and fast kernel sums on pixel grids.

The kernel U(r) = r^2 log r is smooth except at r = 0, where its second derivative has a logarithmic
singularity. A kernel sum on a dense grid is therefore split like a particle-mesh sum. A smooth
kernel, equal to U beyond a radius R and to a Taylor polynomial of it in r^2 within, is summed on a
coarse lattice and interpolated by splines; the difference, zero beyond R, is summed over the pixels
of a small window around each centre.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

_Axis = tuple[float, float, int]  # first position, step, number of positions
_Array = npt.NDArray[np.float64]

_SPLINE_DEGREE = 7
_PAD = 3  # coarse nodes beyond each edge of [-1, 1], where spline interpolation is less accurate
_RADIUS_CELLS = 6  # R in coarse cells
_TAYLOR_DEGREE = 7
_MIN_CELLS = 96
_CELL_PIXELS = 16 / 3
_CPU_CHUNK = 1 << 17  # kernel values computed at once on a CPU: 1 MiB stays in its cache
_GPU_CHUNK = 1 << 25  # ... and elsewhere: 256 MiB


def kernel_dtype(device: torch.device) -> torch.dtype:
    """The precision of kernel sums: float64, or float32 where there is none (MPS)."""
    return torch.float32 if device.type == "mps" else torch.float64


def tps_kernel(squared_distance: Tensor) -> Tensor:
    """U = r^2 log r of squared distances r^2, any shape; value and gradient are 0 at r = 0."""
    tiny = torch.finfo(squared_distance.dtype).tiny
    return squared_distance * squared_distance.clamp_min(tiny).log() * 0.5


def pixel_centers(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Normalised coordinates (2i + 1) / size - 1 of the pixel centres along one axis, (size,)."""
    index = torch.arange(size, dtype=kernel_dtype(device), device=device)
    return ((2 * index + 1) / size - 1).to(dtype)


def coarse_cells(size: tuple[int, int]) -> int:
    """Number of coarse cells along each axis used for a dense grid of `size` (H, W)."""
    return max(_MIN_CELLS, math.ceil(max(size) / _CELL_PIXELS))


def coarse_is_worthwhile(size: tuple[int, int]) -> bool:
    """Whether a coarse lattice has clearly fewer points than the dense grid of `size` (H, W)."""
    return size[0] * size[1] > 2 * (coarse_cells(size) + 2 * _PAD + 1) ** 2


def kernel_sum_grid(
    centers: Tensor, weights: Tensor, affine: Tensor, size: tuple[int, int]
) -> Tensor:
    """Kernel sum plus affine part at every pixel centre, by way of the coarse lattice.

    Args:
        centers: (B or 1, N, 2), normalised (x, y).
        weights: (B, N, 2).
        affine: (B, 3, 2), rows for 1, x and y.
        size: (H, W) of the grid.

    Returns:
        (B, H, W, 2) in the dtype of the inputs.
    """
    height, width = size
    cells = coarse_cells(size)
    step = 2.0 / cells
    radius = _RADIUS_CELLS * step
    start, count = -1 - _PAD * step, cells + 2 * _PAD + 1
    nodes = start + step * torch.arange(count, dtype=centers.dtype, device=centers.device)

    coarse = _far_sum(centers, weights, nodes, radius)
    coarse = coarse + affine[:, 0, None, None] + nodes.unsqueeze(-1) * affine[:, 1, None, None]
    coarse = coarse + nodes[:, None, None] * affine[:, 2, None, None]
    lattice = ((start, step, count), (start, step, count))
    coarse = _add_windows(coarse, centers, weights, lattice, radius, _inner_kernel)

    # cast before moving: a device without float64 cannot receive it
    rows, columns = (
        _interpolation_matrix(length, cells).to(centers.dtype).to(centers.device) for length in size
    )
    dense = (columns @ coarse.transpose(1, 2).flatten(2)).unflatten(2, (count, 2))
    dense = (rows @ dense.transpose(1, 2).flatten(2)).unflatten(2, (width, 2))
    pixels = ((1 / height - 1, 2 / height, height), (1 / width - 1, 2 / width, width))
    return _add_windows(dense, centers, weights, pixels, radius, _local_kernel)


def _far_sum(centers: Tensor, weights: Tensor, nodes: Tensor, radius: float) -> Tensor:
    """Sum of the far kernel r^2 log max(r, R) on the square lattice of `nodes`: (B, G, G, 2)."""
    batch, count = weights.shape[0], len(nodes)
    delta = (nodes - centers.unsqueeze(-1)).square()  # (B or 1, N, 2, G)
    mixed = weights.mT  # (B, 2, N)
    if centers.shape[0] == 1:
        mixed = mixed.reshape(1, 2 * batch, -1)
    total = mixed.new_zeros(*mixed.shape[:2], count * count)
    chunk = _chunk(delta.shape[1], delta.shape[0] * count * count, delta.device)
    # split, not slices: the gradient of a slice is as large as the whole
    for near, mix in zip(delta.split(chunk, 1), mixed.split(chunk, 2), strict=True):
        squared = near[:, :, 1].unsqueeze(-1) + near[:, :, 0].unsqueeze(-2)
        kernel = squared * squared.clamp_min(radius**2).log()
        total += mix @ kernel.flatten(2)
    return 0.5 * total.reshape(batch, 2, count, count).permute(0, 2, 3, 1)


def _taylor(u: Tensor) -> Tensor:
    """Taylor polynomial of t log t / 2 at t = 1, as a function of u = t - 1."""
    result = u * ((-1) ** _TAYLOR_DEGREE / (_TAYLOR_DEGREE * (_TAYLOR_DEGREE - 1)))
    for k in range(_TAYLOR_DEGREE - 1, 1, -1):
        result = (result + (-1) ** k / (k * (k - 1))) * u
    return (result + 1) * u * 0.5


def _inner_kernel(ratio: Tensor) -> Tensor:
    """The smooth kernel minus the far kernel, for t = r^2 / R^2 clamped to 1, over R^2."""
    return _taylor(ratio - 1)


def _local_kernel(ratio: Tensor) -> Tensor:
    """U minus the smooth kernel, for t = r^2 / R^2 clamped to 1, over R^2."""
    return tps_kernel(ratio) - _taylor(ratio - 1)


def _add_windows(
    field: Tensor,
    centers: Tensor,
    weights: Tensor,
    lattice: tuple[_Axis, _Axis],
    radius: float,
    kernel: Callable[[Tensor], Tensor],
) -> Tensor:
    """Add to a field (B, H, W, 2) on a lattice a weighted kernel of support `radius` per centre."""
    batch, height, width, _ = field.shape
    row, dy = _window(centers[..., 1], lattice[0], radius)
    column, dx = _window(centers[..., 0], lattice[1], radius)
    item = torch.arange(batch, device=field.device).reshape(-1, 1, 1, 1)
    # a copy, because adding in place to a view costs a copy for every addend in the backward pass
    total = field.reshape(-1, 2).clone()
    chunk = _chunk(dy.shape[1], dy.shape[0] * dy.shape[2] * dx.shape[2], field.device)
    parts = (x.split(chunk, 1) for x in (row, column, dy, dx, weights))
    for y, x, dy2, dx2, weight in zip(*parts, strict=True):
        ratio = dy2.unsqueeze(-1) + dx2.unsqueeze(-2)
        values = kernel(ratio.clamp_max(1)).unsqueeze(-1)  # (B or 1, n, P, P, 1)
        values = values * (radius**2 * weight[:, :, None, None])
        index = (item * height + y.unsqueeze(-1)) * width + x.unsqueeze(-2)
        total.index_add_(0, index.flatten(), values.flatten(0, -2))
    return total.reshape(batch, height, width, 2)


def _window(center: Tensor, axis: _Axis, radius: float) -> tuple[Tensor, Tensor]:
    """Lattice positions within `radius` of each centre along one axis.

    Returns:
        Their indices clamped to the lattice (B, N, P), and (distance / radius)^2, which is 1 for
        positions outside the lattice so that they add nothing.
    """
    start, step, count = axis
    length = math.floor(2 * radius / step) + 2
    first = ((center.detach() - radius - start) / step).floor().clamp(-length, count).long()
    index = first.unsqueeze(-1) + torch.arange(length, device=center.device)
    position = start + step * index.to(center.dtype)
    squared = ((position - center.unsqueeze(-1)) / radius).square()
    outside = (index < 0) | (index >= count)
    return index.clamp(0, count - 1), squared.masked_fill(outside, 1)


def _chunk(count: int, elements: int, device: torch.device) -> int:
    """How many of `count` centres, of `elements` kernel values each, to handle at once."""
    if torch.compiler.is_compiling():
        return count
    return max(1, (_CPU_CHUNK if device.type == "cpu" else _GPU_CHUNK) // elements)


@torch.compiler.assume_constant_result
def _interpolation_matrix(size: int, cells: int) -> Tensor:
    """`_interpolation` as a tensor; a constant to torch.compile, which would trace into numpy."""
    return torch.from_numpy(_interpolation(size, cells))


@lru_cache(maxsize=32)
def _interpolation(size: int, cells: int) -> _Array:
    """Matrix (size, G) of spline interpolation from the coarse nodes to the pixel centres.

    The spline of odd degree with not-a-knot ends (de Boor, A Practical Guide to Splines, 1978).
    """
    nodes = np.arange(-_PAD, cells + _PAD + 1, dtype=np.float64)
    half = (_SPLINE_DEGREE + 1) // 2
    ends = [nodes[0]] * (_SPLINE_DEGREE + 1), [nodes[-1]] * (_SPLINE_DEGREE + 1)
    knots = np.concatenate([ends[0], nodes[half:-half], ends[1]])
    where = (2 * np.arange(size) + 1) / size * (cells / 2)
    at_nodes, at_pixels = _b_splines(nodes, knots), _b_splines(where, knots)
    return np.ascontiguousarray(np.linalg.solve(at_nodes.T, at_pixels.T).T)


def _b_splines(x: _Array, knots: _Array) -> _Array:
    """All B-splines of the knots at the points x, (len(x), G), by the Cox-de Boor recursion."""
    last = np.flatnonzero(np.diff(knots))[-1]  # the last interval holds its right end
    inside = (knots[:-1] <= x[:, None]) & (x[:, None] < knots[1:])
    inside[x == knots[-1], last] = True
    basis = inside.astype(np.float64)
    for degree in range(1, _SPLINE_DEGREE + 1):
        width = knots[degree:] - knots[:-degree]
        slope = np.divide(1.0, width, out=np.zeros_like(width), where=width > 0)
        left = (x[:, None] - knots[: -degree - 1]) * slope[:-1]
        right = (knots[degree + 1 :] - x[:, None]) * slope[1:]
        basis = left * basis[:, :-1] + right * basis[:, 1:]
    return basis
