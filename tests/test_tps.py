"""The thin-plate spline against scipy, finite differences and exact evaluation."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.interpolate import RBFInterpolator
from torch import Tensor

from tps_portrait.errors import ConfigError, LandmarkError
from tps_portrait.ops.landmarks import border_points
from tps_portrait.ops.tps import (
    ThinPlateSpline,
    bending_energy,
    evaluate_tps,
    fit_inverse_tps,
    fit_tps,
    identity_grid,
    tps_grid,
)

FACES = json.loads((Path(__file__).parent / "data" / "landmarks.json").read_text())["faces"]
LANDMARKS = torch.tensor([face["landmarks"] for face in FACES], dtype=torch.float64)
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
# source and target faces: drawn and photo-like, each way; faces 0-3 and 8-11 nearly close the mouth
SOURCES, TARGETS = [0, 1, 8, 9, 4, 12, 5, 2], [12, 5, 4, 1, 13, 7, 6, 3]


def _pairs(border: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Eight pairs of real faces (8, N, 2), with fixed points on the frame if asked for."""
    source, target = LANDMARKS[SOURCES], LANDMARKS[TARGETS]
    if border:
        frame = border_points(border, dtype=torch.float64).expand(8, -1, -1)
        source, target = torch.cat([source, frame], 1), torch.cat([target, frame], 1)
    return source.to(dtype), target.to(dtype)


def _with_closed_mouth(faces: Tensor, gap: float) -> Tensor:
    """The faces with the inner lips (61 and 67, 62 and 66, 63 and 65) pressed to a distance."""
    upper, lower = [61, 62, 63], [67, 66, 65]
    middle = (faces[:, upper] + faces[:, lower]) / 2
    half = torch.tensor([0.0, gap / 2], dtype=faces.dtype)
    closed = faces.clone()
    closed[:, upper], closed[:, lower] = middle - half, middle + half
    return closed


def _random(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(*shape, generator=generator, dtype=torch.float64) * 2 - 1) * scale


def _scattered(count: int, *, batch: int = 2, bend: float = 0.1) -> tuple[Tensor, Tensor]:
    """Well-spaced control points and values for gradient checks."""
    side = int(np.ceil(np.sqrt(count)))
    lattice = torch.linspace(-0.7, 0.7, side, dtype=torch.float64)
    points = torch.cartesian_prod(lattice, lattice)[:count].expand(batch, -1, -1)
    points = points + _random(batch, count, 2, seed=1, scale=0.1)
    return points, points + _random(batch, count, 2, seed=2, scale=bend)


class TestFit:
    @pytest.mark.parametrize("border", [0, 3])
    @pytest.mark.parametrize("smoothing", [0.0, 1e-3])
    @pytest.mark.parametrize(
        ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)]
    )
    @pytest.mark.parametrize("device", DEVICES)
    def test_agrees_with_scipy_on_real_faces(
        self, device: str, dtype: torch.dtype, tolerance: float, smoothing: float, border: int
    ) -> None:
        source, target = _pairs(border, dtype)
        points = _random(8, 300, 2).to(dtype)
        spline = fit_tps(source.to(device), target.to(device), smoothing)
        ours = evaluate_tps(spline, points.to(device))
        assert ours.dtype == dtype
        for item in range(8):
            reference = RBFInterpolator(
                source[item].double().numpy(),
                target[item].double().numpy(),
                kernel="thin_plate_spline",
                smoothing=smoothing,
                degree=1,
            )
            expected = reference(points[item].double().numpy())
            np.testing.assert_allclose(ours[item].double().cpu(), expected, rtol=0, atol=tolerance)

    @pytest.mark.parametrize("count", [3, 4, 68, 200])
    def test_takes_control_points_to_values(self, count: int) -> None:
        points = _random(2, count, 2, seed=3)
        values = points + _random(2, count, 2, seed=4, scale=0.2)
        torch.testing.assert_close(
            evaluate_tps(fit_tps(points, values), points), values, rtol=0, atol=1e-9
        )

    def test_large_batches_end_after_the_number_of_threads_was_set(self) -> None:
        # in a process of its own: the number stays set, and PyTorch's own batched solve hangs
        code = (
            "import torch; from tps_portrait.ops.tps import fit_tps, evaluate_tps;"
            "torch.set_num_threads(2); torch.manual_seed(0);"
            "points = torch.rand(4, 200, 2).requires_grad_();"
            "values = points.detach() + 0.1 * torch.randn(4, 200, 2);"
            "drawn = evaluate_tps(fit_tps(points, values), points); drawn.sum().backward();"
            "torch.testing.assert_close(drawn, values, rtol=0, atol=1e-4)"
        )
        subprocess.run([sys.executable, "-c", code], check=True, timeout=100)

    def test_affine_values_need_no_bending(self) -> None:
        points = LANDMARKS[:2]
        matrix = torch.tensor([[0.8, 0.3], [-0.2, 1.1]], dtype=torch.float64)
        shift = torch.tensor([0.1, -0.4], dtype=torch.float64)
        spline = fit_tps(points, points @ matrix + shift)
        expected = torch.cat([shift[None], matrix])
        torch.testing.assert_close(spline.affine, expected.expand(2, 3, 2), rtol=0, atol=1e-9)
        assert spline.kernel_weights.abs().max() < 1e-8

    def test_inverse_returns_to_the_control_points(self) -> None:
        source, target = _pairs()
        inverse = fit_inverse_tps(source, target)
        torch.testing.assert_close(evaluate_tps(inverse, target), source, rtol=0, atol=1e-8)
        # between the points it undoes a gentle map nearly, though not exactly
        points, values = _scattered(16, bend=0.02)
        there = evaluate_tps(fit_tps(points, values), points.mean(1, keepdim=True))
        back = evaluate_tps(fit_inverse_tps(points, values), there)
        torch.testing.assert_close(back, points.mean(1, keepdim=True), rtol=0, atol=2e-3)

    def test_one_template_serves_a_batch(self) -> None:
        source, target = _pairs()
        shared = fit_tps(source[:1], target)
        repeated = fit_tps(source[:1].expand(8, -1, -1), target)
        points = _random(1, 50, 2)
        assert shared.control_points.shape == (1, 68, 2)
        torch.testing.assert_close(
            evaluate_tps(shared, points), evaluate_tps(repeated, points), rtol=0, atol=1e-9
        )
        torch.testing.assert_close(
            tps_grid(shared, (160, 160)), tps_grid(repeated, (160, 160)), rtol=0, atol=1e-9
        )
        torch.testing.assert_close(bending_energy(shared), bending_energy(repeated))

    def test_large_regularization_gives_the_least_squares_affine_map(self) -> None:
        source, target = _pairs()
        spline = fit_tps(source, target, regularization=1e9)
        design = torch.cat([torch.ones_like(source[..., :1]), source], -1)
        expected = torch.linalg.lstsq(design, target).solution
        torch.testing.assert_close(spline.affine, expected, rtol=0, atol=1e-6)
        bends = [float(bending_energy(fit_tps(source, target, x)).sum()) for x in (0, 1e-3, 1e-1)]
        assert bends[0] > bends[1] > bends[2] > 0

    def test_half_precision_is_widened(self) -> None:
        points, values = _scattered(9)
        spline = fit_tps(points.half(), values.bfloat16())
        assert spline.control_points.dtype == torch.float32
        assert tps_grid(spline, (32, 32)).dtype == torch.float32
        expected = evaluate_tps(fit_tps(points.half().double(), values.bfloat16().double()), points)
        torch.testing.assert_close(
            evaluate_tps(spline, points.float()), expected.float(), rtol=0, atol=1e-6
        )


class TestGradients:
    @pytest.mark.parametrize("smoothing", [0.0, 0.01])
    def test_fit_and_evaluate(self, smoothing: float) -> None:
        points, values = _scattered(6)
        where = _random(2, 5, 2, seed=5)

        def function(points: Tensor, values: Tensor, where: Tensor) -> Tensor:
            return evaluate_tps(fit_tps(points, values, smoothing), where)

        inputs = tuple(x.requires_grad_() for x in (points, values, where))
        assert torch.autograd.gradcheck(function, inputs)

    @pytest.mark.parametrize("function", [fit_inverse_tps, fit_tps])
    def test_dense_grid_by_way_of_the_coarse_lattice(
        self, function: Callable[[Tensor, Tensor], ThinPlateSpline]
    ) -> None:
        points, values = (x.requires_grad_() for x in _scattered(5, batch=1))
        mix = _random(1, 160, 150, 2, seed=6)

        def total(points: Tensor, values: Tensor) -> Tensor:
            return (tps_grid(function(points, values), (160, 150)) * mix).sum()

        assert torch.autograd.gradcheck(total, (points, values), atol=1e-4)

    def test_bending_energy(self) -> None:
        points, values = (x.requires_grad_() for x in _scattered(6))
        assert torch.autograd.gradcheck(
            lambda p, v: bending_energy(fit_tps(p, v)), (points, values)
        )

    def test_finite_where_a_point_meets_a_control_point(self) -> None:
        points, values = (x.requires_grad_() for x in _scattered(9))
        spline = fit_tps(points, values)
        evaluate_tps(spline, points).square().sum().backward()
        assert points.grad is not None
        assert points.grad.isfinite().all()


class TestGrid:
    @pytest.mark.parametrize("size", [(512, 512), (300, 700), (37, 23)])
    @pytest.mark.parametrize("exact", [False, True])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_identity_is_exact(
        self, size: tuple[int, int], exact: bool, dtype: torch.dtype
    ) -> None:
        points = LANDMARKS[:1].to(dtype)
        grid = tps_grid(fit_tps(points, points), size, exact=exact)
        assert torch.equal(grid, identity_grid(size, dtype=dtype))

    def test_identity_grid_holds_the_pixel_centres(self) -> None:
        grid = identity_grid((2, 4))
        assert grid[0, 0, :, 0].tolist() == [-0.75, -0.25, 0.25, 0.75]
        assert grid[0, :, 0, 1].tolist() == [-0.5, 0.5]

    @pytest.mark.parametrize("device", DEVICES)
    def test_every_pixel_is_within_a_tenth_of_a_pixel(self, device: str) -> None:
        source, target = (x[:3].to(device) for x in _pairs())
        spline = fit_tps(source, target)
        error = tps_grid(spline, (512, 512)) - tps_grid(spline, (512, 512), exact=True)
        assert error.norm(dim=-1).max() * 256 < 0.1

    @pytest.mark.parametrize("size", [(256, 256), (512, 512), (300, 700)])
    @pytest.mark.parametrize("border", [0, 3])
    @pytest.mark.parametrize("smoothing", [0.0, 1e-3])
    @pytest.mark.parametrize("closed", [False, True])
    def test_bound_on_real_pairs(
        self, closed: bool, smoothing: float, border: int, size: tuple[int, int]
    ) -> None:
        source, target = _pairs(border)
        if closed:  # a tenth of a pixel at 512: opening such a mouth all but tears the picture
            source = _with_closed_mouth(source, 0.1 * 2 / 512)
        spline = fit_tps(source, target, smoothing)
        # some pixels anywhere, and many around the control points, where the spline is least smooth
        near = source.repeat(1, 20, 1) + _random(8, 20 * source.shape[1], 2, seed=7, scale=0.08)
        where = torch.cat([_random(8, 2000, 2, seed=8), near], 1)
        extent = torch.tensor([size[1], size[0]])
        pixel = ((where + 1) / 2 * extent).long().clamp_min(0).minimum(extent - 1)
        exact = evaluate_tps(spline, (2 * pixel + 1) / extent - 1)
        grid = tps_grid(spline, size)
        item = torch.arange(8).unsqueeze(1)
        error = (grid[item, pixel[..., 1], pixel[..., 0]] - exact) * extent / 2
        assert error.norm(dim=-1).max() < 0.1

    def test_control_points_may_lie_outside_the_picture(self) -> None:
        points, values = _scattered(9)
        spline = fit_tps(points * 2, values * 2)
        error = tps_grid(spline, (200, 200)) - tps_grid(spline, (200, 200), exact=True)
        assert error.abs().max() * 100 < 0.01

    def test_autocast_changes_nothing(self) -> None:
        source, target = _pairs(dtype=torch.float32)
        plain = tps_grid(fit_tps(source, target), (256, 256))
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(tps_grid(fit_tps(source, target), (256, 256)), plain)

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
    def test_cuda_equals_cpu(self) -> None:
        source, target = _pairs(border=3, dtype=torch.float32)
        on_cpu = tps_grid(fit_tps(source, target), (512, 512))
        on_gpu = tps_grid(fit_tps(source.cuda(), target.cuda()), (512, 512))
        torch.testing.assert_close(on_gpu.cpu(), on_cpu, rtol=0, atol=1e-5)


def test_bending_energy_is_the_integral_of_squared_second_derivatives() -> None:
    points, values = _scattered(5, batch=1)
    spline = fit_tps(points, values)
    axis = torch.arange(-6, 6, 0.01, dtype=torch.float64) + 0.005
    total = torch.zeros((), dtype=torch.float64)
    for y in axis.split(100):
        offset = torch.stack(torch.meshgrid(axis, y, indexing="xy"), -1).unsqueeze(-2) - points[0]
        dx, dy = offset.unbind(-1)
        squared = dx.square() + dy.square()
        common = squared.log() + 1
        xx = (common + 2 * dx.square() / squared) @ spline.kernel_weights[0]
        yy = (common + 2 * dy.square() / squared) @ spline.kernel_weights[0]
        xy = (2 * dx * dy / squared) @ spline.kernel_weights[0]
        total += (xx.square() + 2 * xy.square() + yy.square()).sum() * 0.01**2
    torch.testing.assert_close(bending_energy(spline)[0], total, rtol=0.01, atol=0)


class TestErrors:
    def _message(self, points: Tensor, values: Tensor, regularization: float = 0.0) -> str:
        with pytest.raises(LandmarkError) as caught:
            fit_tps(points, values, regularization)
        return str(caught.value)

    def test_not_finite(self) -> None:
        points, values = _pairs()
        for bad in (float("nan"), float("inf")):
            broken = points.clone()
            broken[3, 17, 1] = bad
            assert "control_points, batch item 3: point 17" in self._message(broken, values)
            assert "values, batch item 3: point 17" in self._message(points, broken)
        broken[3, 20] = float("nan")
        assert "batch item 3: points 17, 20 are not finite" in self._message(broken, values)

    def test_duplicates(self) -> None:
        points, values = _pairs()
        points[2, 66] = points[2, 62]
        message = self._message(points, values)
        assert "control_points, batch item 2: points 62 and 66 coincide" in message
        assert "regularization" in message
        # a smoothing spline is well defined all the same
        assert evaluate_tps(fit_tps(points, values, 1e-3), points).isfinite().all()
        # coincident values are no obstacle, but make the inverse impossible
        fit_tps(values, points)
        with pytest.raises(LandmarkError, match="values, batch item 2: points 62 and 66"):
            fit_inverse_tps(values, points)

    @pytest.mark.parametrize("regularization", [0.0, 0.1])
    def test_collinear(self, regularization: float) -> None:
        points, values = _pairs(dtype=torch.float32)
        t = torch.linspace(-0.9, 0.8, 68)
        points[1] = torch.stack([t, 0.3 * t + 0.1], -1)
        message = self._message(points, values, regularization)
        assert "control_points, batch item 1: all 68 points lie on one line" in message
        assert "points 0 and 67" in message
        points[1, 30, 1] += 1e-3
        fit_tps(points, values, regularization)

    @pytest.mark.parametrize("count", [0, 1, 2])
    def test_too_few(self, count: int) -> None:
        points = LANDMARKS[:2, :count]
        assert f"every batch item has {count} points" in self._message(points, points)

    def test_shapes(self) -> None:
        points = LANDMARKS[:3]
        assert "(68, 2)" in self._message(points[0], points)
        assert "(3, 68, 3)" in self._message(points, torch.zeros(3, 68, 3))
        assert "same number of points" in self._message(points, points[:, :67])
        assert "equal batches" in self._message(points, points[:2])
        assert "int64" in self._message(points.long(), points)
        with pytest.raises(LandmarkError, match="points must be"):
            evaluate_tps(fit_tps(points, points), points[0])

    @pytest.mark.parametrize("regularization", [-1e-3, float("nan"), float("inf")])
    def test_regularization(self, regularization: float) -> None:
        with pytest.raises(ConfigError, match="regularization"):
            fit_tps(LANDMARKS, LANDMARKS, regularization)

    def test_size(self) -> None:
        with pytest.raises(ConfigError, match="size"):
            tps_grid(fit_tps(LANDMARKS, LANDMARKS), (0, 5))
