"""The thin-plate spline: fit, evaluate, sampling grids, image and feature warps.

A spline is the map f(p) = a0 + A p + sum_i w_i U(|p - c_i|), U(r) = r^2 log r, that takes the
control points c_i to given values with the least bending energy (Duchon 1977; Bookstein 1989;
used by arXiv 2211.15549 section 3.1 to align portraits). Its coefficients solve [[K + lambda I,
P], [P^T, 0]].

Coordinates are (x, y), normalised to [-1, 1] with `align_corners=False`: the centre of pixel i of
W is (2i + 1) / W - 1. Warps sample backward: the grid holds, for every output pixel, where to
read.

Splines are solved and summed in float64 (float32 on devices without it) and returned in the dtype
of their inputs: drawn and photographed mouths are often closed, and two lips that all but
coincide make weights too large for float32.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import ConfigError
from .checks import (
    check_distinct,
    check_finite,
    check_not_collinear,
    check_pair,
    check_shape,
    check_size,
)
from .kernel import (
    coarse_is_worthwhile,
    kernel_dtype,
    kernel_sum_grid,
    pixel_centers,
    tps_kernel,
)

_CHUNK_ELEMENTS = 1 << 23  # kernel values held at once by the dense evaluation (64 MiB in float64)
_MOST_ROWS_IN_THREADS = 128  # of systems that a batch may solve side by side on the CPU


class ThinPlateSpline(NamedTuple):
    """A fitted batch of splines; build it with `fit_tps`.

    Attributes:
        control_points: (B or 1, N, 2) centres c_i; their dtype is that of the spline's results.
        kernel_weights: (B, N, 2) weights w_i, float64 (float32 on devices without it).
        affine: (B, 3, 2), rows for 1, x and y; same dtype as the weights.
    """

    control_points: Tensor
    kernel_weights: Tensor
    affine: Tensor


def fit_tps(control_points: Tensor, values: Tensor, regularization: float = 0.0) -> ThinPlateSpline:
    """Fit the map f with f(control_points) = values.

    The displacement `values - control_points` is what is interpolated, so equal points and values
    give exactly the identity. Differentiable in both arguments.

    Args:
        control_points: (B or 1, N, 2), N >= 3, normalised (x, y). float16 and bfloat16 are widened
            to float32.
        values: (B or 1, N, 2).
        regularization: lambda >= 0, in squared normalised units. f minimises
            sum |f(c_i) - v_i|^2 + lambda / (8 pi) * (bending energy). 0 interpolates exactly,
            larger values approach the least-squares affine map. With lambda > 0 control points may
            coincide. scipy's `RBFInterpolator(smoothing=lambda)` means the same.

    Raises:
        LandmarkError: wrong shapes, fewer than 3 points, values that are not finite, collinear
            points, or (if `regularization` is 0) coincident points. The value checks are skipped
            while compiling or exporting.
        ConfigError: `regularization` is negative or not finite.
    """
    return _fit(control_points, values, regularization, ("control_points", "values"))


def fit_inverse_tps(
    control_points: Tensor, values: Tensor, regularization: float = 0.0
) -> ThinPlateSpline:
    """Fit the inverse map by exchanging the roles: g(values) = control_points.

    A thin-plate spline has no closed-form inverse; g is the inverse of `fit_tps(control_points,
    values)` at the control points and close to it between them. Arguments and errors as `fit_tps`.
    """
    return _fit(values, control_points, regularization, ("values", "control_points"))


def evaluate_tps(tps: ThinPlateSpline, points: Tensor) -> Tensor:
    """Evaluate a spline at points.

    Args:
        tps: a batch of B splines.
        points: (B or 1, M, 2), normalised (x, y).

    Returns:
        (B, M, 2) in the wider dtype of `points` and `tps.control_points`.
    """
    check_shape(points, "points")
    dtype = torch.promote_types(_result_dtype(points.dtype), tps.control_points.dtype)
    centers, where = tps.control_points.to(tps.affine.dtype), points.to(tps.affine.dtype)
    parts = [where]
    if not torch.compiler.is_compiling():
        batch = max(centers.shape[0], where.shape[0])
        parts = list(where.split(max(1, _CHUNK_ELEMENTS // (batch * centers.shape[1])), dim=1))
    results = []
    for part in parts:
        kernel = tps_kernel((part.unsqueeze(2) - centers.unsqueeze(1)).square().sum(-1))
        linear = tps.affine[:, :1] + part[..., :1] * tps.affine[:, 1:2]
        linear = linear + part[..., 1:] * tps.affine[:, 2:]
        results.append((linear + kernel @ tps.kernel_weights).to(dtype))
    return torch.cat(results, dim=1) if len(results) > 1 else results[0]


def bending_energy(tps: ThinPlateSpline) -> Tensor:
    """Bending energy: the integral of f_xx^2 + 2 f_xy^2 + f_yy^2 over the plane, x and y summed.

    Equals 8 pi w^T K w; 0 for affine maps. For normalised coordinates.

    Returns:
        (B,) in the dtype of the control points.
    """
    weights = tps.kernel_weights
    centers = tps.control_points.to(weights.dtype)
    kernel = tps_kernel((centers.unsqueeze(2) - centers.unsqueeze(1)).square().sum(-1))
    energy = 8 * math.pi * (weights * (kernel @ weights)).sum((1, 2))
    return energy.clamp_min(0).to(tps.control_points.dtype)


def identity_grid(
    size: tuple[int, int],
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Tensor:
    """The sampling grid that changes nothing: (1, H, W, 2), the normalised pixel centres."""
    check_size(size)
    device = torch.device(device)
    y = pixel_centers(size[0], dtype, device)
    x = pixel_centers(size[1], dtype, device)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).unsqueeze(0)


def tps_grid(tps: ThinPlateSpline, size: tuple[int, int], *, exact: bool = False) -> Tensor:
    """Evaluate a spline at the pixel centres of a picture.

    By default the spline is summed on a coarse lattice (a node every 5.3 pixels, at least 96 cells
    a side), interpolated, and corrected around the control points; see kernel.py. At 512 x 512 the
    result is within 0.1 px of the exact one on landmark pairs of real faces, closed mouths included
    (tested; the largest of 800 such pairs was 0.02 px). Small grids are evaluated exactly anyway.

    Args:
        tps: a batch of B splines.
        size: (H, W).
        exact: evaluate every kernel at every pixel; some 60 times slower.

    Returns:
        (B, H, W, 2) in the dtype of the control points, for `warp` or `grid_sample`.
    """
    check_size(size)
    height, width = size
    dtype, device = tps.affine.dtype, tps.affine.device
    if exact or not coarse_is_worthwhile(size):
        points = identity_grid(size, dtype=dtype, device=device).flatten(1, 2)
        grid = evaluate_tps(tps, points)
        return grid.unflatten(1, (height, width)).to(tps.control_points.dtype)
    identity = identity_grid(size, dtype=tps.control_points.dtype, device=device)
    moved = kernel_sum_grid(
        tps.control_points.to(dtype),
        tps.kernel_weights,
        tps.affine - _identity_affine(tps.affine),
        size,
    )
    return identity + moved.to(identity.dtype)


def warp(
    image: Tensor, grid: Tensor, *, mode: str = "bilinear", padding_mode: str = "border"
) -> Tensor:
    """Sample a picture or feature map at a grid (`grid_sample` with `align_corners=False`).

    Args:
        image: (B or 1, C, H, W), any range; any memory format. float16 and bfloat16 are sampled in
            float32.
        grid: (B or 1, h, w, 2), normalised (x, y) positions to read.
        mode: "bilinear", "nearest" or "bicubic".
        padding_mode: "border", "zeros" or "reflection".

    Returns:
        (B, C, h, w) in the dtype of `image`.
    """
    if image.ndim != 4 or grid.ndim != 4 or grid.shape[-1] != 2:
        raise ConfigError(
            f"warp needs an image (B, C, H, W) and a grid (B, h, w, 2), got "
            f"{tuple(image.shape)} and {tuple(grid.shape)}"
        )
    if not image.is_floating_point():
        raise ConfigError(f"warp needs a floating-point image, got {image.dtype}; convert it first")
    if image.shape[0] != grid.shape[0]:
        if image.shape[0] != 1 and grid.shape[0] != 1:
            raise ConfigError(
                f"warp got {image.shape[0]} images and {grid.shape[0]} grids; the batch sizes must "
                f"be equal, or one of them 1"
            )
        batch = max(image.shape[0], grid.shape[0])
        image, grid = image.expand(batch, -1, -1, -1), grid.expand(batch, -1, -1, -1)
    dtype = torch.promote_types(_result_dtype(image.dtype), _result_dtype(grid.dtype))
    sampled = F.grid_sample(
        image.to(dtype), grid.to(dtype), mode=mode, padding_mode=padding_mode, align_corners=False
    )
    return sampled.to(image.dtype)


def warp_by_landmarks(
    image: Tensor,
    source: Tensor,
    target: Tensor,
    *,
    size: tuple[int, int] | None = None,
    regularization: float = 0.0,
    exact: bool = False,
    mode: str = "bilinear",
    padding_mode: str = "border",
) -> Tensor:
    """Move what is at `source` to `target`.

    Fits the spline from target to source, because warps read backward. Append
    `ops.landmarks.border_points` to both point sets to keep the frame of the picture in place.

    Args:
        image: (B or 1, C, H, W).
        source: (B or 1, N, 2) points in `image`, normalised (x, y).
        target: (B or 1, N, 2) where they shall be in the result.
        size: (H, W) of the result; that of `image` by default.
        regularization: see `fit_tps`.
        exact: see `tps_grid`.
        mode: see `warp`.
        padding_mode: see `warp`.

    Returns:
        (B, C, H, W) in the dtype of `image`.

    Raises:
        LandmarkError: as `fit_tps`.
    """
    tps = _fit(target, source, regularization, ("target", "source"))
    grid = tps_grid(tps, (image.shape[-2], image.shape[-1]) if size is None else size, exact=exact)
    return warp(image, grid, mode=mode, padding_mode=padding_mode)


def resize_grid(grid: Tensor, size: tuple[int, int]) -> Tensor:
    """Resample a sampling grid for a feature map of another size.

    The displacement from the identity is interpolated bilinearly (without antialiasing: the map is
    smooth) and added to the identity of the new size, so the identity stays exact.

    Args:
        grid: (B, H, W, 2).
        size: (h, w) of the feature map.

    Returns:
        (B, h, w, 2) in the dtype of `grid`.
    """
    check_size(size)
    if (grid.shape[1], grid.shape[2]) == tuple(size):
        return grid
    old = identity_grid((grid.shape[1], grid.shape[2]), dtype=grid.dtype, device=grid.device)
    new = identity_grid(size, dtype=grid.dtype, device=grid.device)
    moved = (grid - old).permute(0, 3, 1, 2)
    moved = F.interpolate(moved, size=tuple(size), mode="bilinear", align_corners=False)
    return new + moved.permute(0, 2, 3, 1)


def _result_dtype(dtype: torch.dtype) -> torch.dtype:
    """float64 stays; everything else becomes float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def _fit(
    centers: Tensor, values: Tensor, regularization: float, names: tuple[str, str]
) -> ThinPlateSpline:
    if not (math.isfinite(regularization) and regularization >= 0):
        raise ConfigError(f"regularization must be a finite number >= 0, got {regularization}")
    check_pair(centers, values, names)
    dtype = torch.promote_types(_result_dtype(centers.dtype), _result_dtype(values.dtype))
    points = centers.to(kernel_dtype(centers.device))
    wanted = values.to(points.dtype)
    if not torch.compiler.is_compiling():
        check_finite(points, names[0])
        check_finite(wanted, names[1])
        if regularization == 0:
            check_distinct(points, names[0])
        check_not_collinear(points, names[0])
    squared = (points.unsqueeze(2) - points.unsqueeze(1)).square().sum(-1)
    kernel = tps_kernel(squared)
    if regularization > 0:
        kernel = kernel + regularization * torch.eye(kernel.shape[-1]).to(kernel)
    poly = torch.cat([torch.ones_like(points[..., :1]), points], dim=-1)
    system = torch.cat([torch.cat([kernel, poly], dim=2), F.pad(poly.mT, (0, 3))], dim=1)
    right = F.pad(wanted - points, (0, 0, 0, 3))  # (B, N + 3, 2)
    if system.shape[0] == 1 and right.shape[0] != 1:
        # one factorisation serves the whole batch
        solution = torch.linalg.solve(system[0], right.permute(1, 0, 2).flatten(1))
        solution = solution.unflatten(1, (right.shape[0], 2)).permute(1, 0, 2)
    else:
        solution = _solve(system, right)
    weights, affine = solution[:, :-3], solution[:, -3:]
    return ThinPlateSpline(centers.to(dtype), weights, affine + _identity_affine(affine))


def _solve(system: Tensor, right: Tensor) -> Tensor:
    """Solve `(B, M, M)` for `(B, M, 2)`; large systems one after another on the CPU.

    PyTorch factorises the items of a batch in several threads. From about 150 rows on, MKL starts
    threads of its own inside these after `torch.set_num_threads()`, and hangs or returns invalid
    pivots (pytorch/pytorch#142815).
    """
    batch, rows = system.shape[:2]
    alone = batch > 1 and rows > _MOST_ROWS_IN_THREADS and system.device.type == "cpu"
    if not alone or torch.compiler.is_compiling():
        return torch.linalg.solve(system, right)
    items = zip(system, right.expand(batch, -1, -1), strict=True)
    return torch.stack([torch.linalg.solve(matrix, values) for matrix, values in items])


def _identity_affine(like: Tensor) -> Tensor:
    """Coefficients (3, 2) of the identity map, rows for 1, x and y."""
    return torch.eye(3, 2, dtype=like.dtype, device=like.device).roll(1, 0)
