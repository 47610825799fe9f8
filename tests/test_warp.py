"""Warps by thin-plate splines: direction, formats, export, and kornia as a second opinion."""

from __future__ import annotations

from pathlib import Path

import kornia.geometry.transform as kornia_transform
import pytest
import torch
from torch import Tensor, nn

from tps_portrait.errors import ConfigError, LandmarkError
from tps_portrait.ops.landmarks import border_points, mean_face
from tps_portrait.ops.tps import (
    fit_tps,
    identity_grid,
    resize_grid,
    tps_grid,
    warp,
    warp_by_landmarks,
)


def _picture(batch: int, height: int, width: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Smooth seeded colours (B, 3, H, W) in [0, 1]."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(batch, 3, 6, 6, generator=generator, dtype=dtype)
    return nn.functional.interpolate(
        noise, size=(height, width), mode="bicubic", align_corners=False
    ).clamp(0, 1)


def _moved(batch: int, amount: float = 0.03, dtype: torch.dtype = torch.float32) -> Tensor:
    """Faces (B, 68, 2) near the mean face."""
    generator = torch.Generator().manual_seed(1)
    jitter = torch.rand(batch, 68, 2, generator=generator, dtype=dtype) * 2 - 1
    return mean_face(dtype=dtype) + amount * jitter


class TestWarp:
    def test_identity(self) -> None:
        image = _picture(2, 50, 70)
        torch.testing.assert_close(warp(image, identity_grid((50, 70))), image, rtol=0, atol=1e-5)

    def test_shift_by_whole_pixels(self) -> None:
        image = _picture(1, 40, 64)
        grid = identity_grid((40, 64)) + torch.tensor([2 * 3 / 64, -2 * 5 / 40])
        result = warp(image, grid)
        torch.testing.assert_close(
            result[..., 5:, :-3], image[..., :-5, 3:], rtol=0, atol=1e-5
        )  # reads 3 px to the right and 5 px above
        assert torch.allclose(result[..., 5:, -3:], image[..., :-5, -1:], atol=1e-5)
        outside = warp(image, grid, padding_mode="zeros")
        assert outside[..., -3:].abs().max() < 1e-5

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
    @pytest.mark.parametrize("grid_dtype", [torch.float32, torch.float64])
    def test_keeps_the_dtype_of_the_picture(
        self, dtype: torch.dtype, grid_dtype: torch.dtype
    ) -> None:
        image = _picture(1, 64, 64)
        grid = identity_grid((64, 64), dtype=grid_dtype) * 0.8
        result = warp(image.to(dtype), grid)
        assert result.dtype == dtype
        step = max(torch.finfo(dtype).eps, 1e-6)
        torch.testing.assert_close(result.float(), warp(image, grid), rtol=0, atol=step)

    def test_channels_last_gives_the_same_values(self) -> None:
        image = _picture(2, 96, 80)
        source, target = _moved(2), mean_face()[None]
        plain = warp_by_landmarks(image, source, target)
        last = warp_by_landmarks(
            image.contiguous(memory_format=torch.channels_last), source, target
        )
        torch.testing.assert_close(last, plain, rtol=0, atol=1e-6)

    def test_batches_of_one_broadcast(self) -> None:
        image, grids = _picture(3, 32, 32), tps_grid(fit_tps(_moved(3), _moved(1)), (32, 32))
        one_grid, one_image = warp(image, grids[:1]), warp(image[:1], grids)
        for item in range(3):
            assert torch.equal(one_grid[item], warp(image[item][None], grids[:1])[0])
            assert torch.equal(one_image[item], warp(image[:1], grids[item][None])[0])

    def test_errors(self) -> None:
        image, grid = _picture(2, 16, 16), identity_grid((16, 16))
        with pytest.raises(ConfigError, match=r"\(3, 16, 16\)"):
            warp(image[0], grid)
        with pytest.raises(ConfigError, match="uint8"):
            warp((image * 255).byte(), grid)
        with pytest.raises(ConfigError, match="2 images and 3 grids"):
            warp(image, grid.expand(3, -1, -1, -1))


class TestWarpByLandmarks:
    def test_moves_what_is_at_source_to_target(self) -> None:
        source = torch.tensor([[[-0.4, -0.3], [0.5, 0.1], [0.0, 0.6]]])
        target = torch.tensor([[[-0.1, -0.5], [0.6, 0.4], [-0.3, 0.3]]])
        frame = border_points(2)[None]
        pixels = identity_grid((128, 128))
        for index in range(3):
            spot = (-(pixels - source[:, index]).square().sum(-1) / 0.002).exp().unsqueeze(1)
            moved = warp_by_landmarks(
                spot, torch.cat([source, frame], 1), torch.cat([target, frame], 1)
            )
            peak = pixels.flatten(1, 2)[0, moved.flatten().argmax()]
            torch.testing.assert_close(peak, target[0, index], rtol=0, atol=0.02)

    def test_same_points_change_nothing(self) -> None:
        image = _picture(2, 160, 200)
        face = _moved(2)
        torch.testing.assert_close(warp_by_landmarks(image, face, face), image, rtol=0, atol=1e-5)

    def test_size_of_the_result(self) -> None:
        image = _picture(1, 300, 300)
        source, target = _moved(1), mean_face()[None]
        large = warp_by_landmarks(image, source, target)
        small = warp_by_landmarks(image, source, target, size=(100, 150))
        assert small.shape == (1, 3, 100, 150)
        shrunk = nn.functional.interpolate(
            large, size=(100, 150), mode="bilinear", align_corners=False
        )
        assert (small - shrunk).abs().mean() < 0.01

    def test_coarse_and_exact_pictures_agree(self) -> None:
        image = _picture(1, 256, 256)
        source, target = _moved(1), mean_face()[None]
        fast = warp_by_landmarks(image, source, target)
        exact = warp_by_landmarks(image, source, target, exact=True)
        torch.testing.assert_close(fast, exact, rtol=0, atol=1e-4)

    def test_names_the_points_by_its_own_arguments(self) -> None:
        image, face = _picture(1, 32, 32), _moved(1)
        broken = face.clone()
        broken[0, 5] = float("nan")
        with pytest.raises(LandmarkError, match="source, batch item 0: point 5"):
            warp_by_landmarks(image, broken, face)
        broken[0, 5] = broken[0, 9]
        with pytest.raises(LandmarkError, match="target, batch item 0: points 5 and 9"):
            warp_by_landmarks(image, face, broken)

    def test_gradients_reach_picture_and_points(self) -> None:
        generator = torch.Generator().manual_seed(3)
        image = torch.rand(1, 2, 7, 6, generator=generator, dtype=torch.float64)
        points = torch.tensor(
            [[[-0.5, -0.4], [0.6, -0.5], [0.1, 0.05], [-0.4, 0.6], [0.5, 0.4]]], dtype=torch.float64
        )
        target = points + 0.05 * torch.rand(1, 5, 2, generator=generator, dtype=torch.float64)
        inputs = tuple(x.requires_grad_() for x in (image, points, target))
        assert torch.autograd.gradcheck(warp_by_landmarks, inputs)

    def test_agrees_with_kornia_where_both_are_affine(self) -> None:
        # kornia's system is another one and ill-conditioned in float32
        image, target = _picture(2, 128, 128, torch.float64), _moved(2, dtype=torch.float64)
        matrix = torch.tensor([[0.9, 0.2], [-0.15, 1.05]], dtype=torch.float64)
        source = target @ matrix + torch.tensor([0.05, -0.1], dtype=torch.float64)
        ours = warp_by_landmarks(image, source, target, padding_mode="zeros")
        weights, affine = kornia_transform.get_tps_transform(target, source)
        theirs = kornia_transform.warp_image_tps(image, source, weights, affine)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


class TestResizeGrid:
    @pytest.mark.parametrize("size", [(16, 24), (200, 30), (64, 96)])
    def test_identity_is_exact(self, size: tuple[int, int]) -> None:
        assert torch.equal(resize_grid(identity_grid((64, 96)), size), identity_grid(size))

    def test_matches_the_spline_at_the_other_size(self) -> None:
        spline = fit_tps(_moved(2, 0.02), mean_face()[None])
        resized = resize_grid(tps_grid(spline, (256, 256)), (32, 32))
        expected = tps_grid(spline, (32, 32))
        assert (resized - expected).abs().max() * 16 < 0.1  # pixels of the feature map

    def test_is_differentiable(self) -> None:
        grid = identity_grid((6, 5), dtype=torch.float64).requires_grad_()
        assert torch.autograd.gradcheck(lambda g: resize_grid(g, (3, 4)), (grid,))


class _ByTemplate(nn.Module):
    """Fits and warps: what an exported aligner does."""

    template: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("template", torch.cat([mean_face(), border_points(2)])[None])

    def forward(self, image: Tensor, source: Tensor) -> Tensor:
        frame = self.template[:, 68:].expand(source.shape[0], -1, -1)
        return warp_by_landmarks(image, torch.cat([source, frame], 1), self.template)


@pytest.mark.parametrize("size", [256, 48])
def test_export_and_reload(size: int, tmp_path: Path) -> None:
    module, path = _ByTemplate(), tmp_path / "warp.pt2"
    batch = torch.export.Dim("batch", min=2, max=16)
    inputs = (_picture(2, size, size), _moved(2))
    program = torch.export.export(module, inputs, dynamic_shapes=({0: batch}, {0: batch}))
    torch.export.save(program, path)
    reloaded = torch.export.load(path).module()
    for count in (2, 3):
        image, source = _picture(count, size, size), _moved(count)
        torch.testing.assert_close(
            reloaded(image, source), module(image, source), rtol=0, atol=1e-6
        )
    # what was traced must not linger in caches
    assert torch.equal(module(*inputs), module(*inputs))
    assert type(tps_grid(fit_tps(_moved(1), _moved(1)), (size, size))) is Tensor


def test_everything_stays_on_the_device_of_the_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    # meta tensors refuse to mix with CPU ones, as CUDA tensors do; they have no values to check
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    image = torch.empty(2, 3, 256, 256, device="meta")
    source, target = torch.empty(2, 68, 2, device="meta"), torch.empty(1, 68, 2, device="meta")
    for size in ((256, 256), (20, 30)):
        moved = warp_by_landmarks(image, source, target, size=size, regularization=0.1)
        assert (moved.device.type, moved.shape) == ("meta", (2, 3, *size))
    grid = tps_grid(fit_tps(source, target), (200, 200))
    assert resize_grid(grid, (20, 20)).shape == (2, 20, 20, 2)
