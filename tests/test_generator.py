"""The generator: cost, sizes, feature warp, folding."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from conftest import seeded, tiny_generator
from test_blocks import shake
from tps_portrait import InputImageError, StyleGenerator, StyleGeneratorConfig
from tps_portrait.ops.blocks import WeightNormConv2d
from tps_portrait.ops.tps import identity_grid


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    """Smooth colours, `(1, 3, H, W)` in [-1, 1]."""
    array = torch.from_numpy(seeded(height, width, seed=seed))
    return array.permute(2, 0, 1)[None].float() / 127.5 - 1


@pytest.fixture(scope="module")
def generator() -> StyleGenerator:
    """The default network with weights that are not fresh."""
    torch.manual_seed(0)
    return StyleGenerator(StyleGeneratorConfig()).eval()


class TestCost:
    def test_at_most_one_gmac_at_512(self, generator: StyleGenerator) -> None:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            generator(torch.zeros(1, 3, 512, 512))
        macs = counter.get_total_flops() / 2
        assert 0.5e9 < macs <= 1.0e9

    def test_folded_costs_no_more(self, generator: StyleGenerator) -> None:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            generator.fuse()(torch.zeros(1, 3, 512, 512))
        assert counter.get_total_flops() / 2 <= 1.0e9

    def test_about_one_million_parameters(self, generator: StyleGenerator) -> None:
        assert 0.5e6 < generator.num_parameters() < 1.5e6


class TestSizes:
    @pytest.mark.parametrize(
        "size", [(32, 32), (33, 32), (32, 45), (37, 53), (64, 96), (101, 67), (31 + 64, 200)]
    )
    def test_any_size_from_32(self, size: tuple[int, int]) -> None:
        with torch.no_grad():
            drawn = tiny_generator()(picture(*size))
        assert drawn.shape == (1, 3, *size)
        assert drawn.abs().max() <= 1

    @pytest.mark.parametrize("size", [(31, 64), (64, 31), (1, 1)])
    def test_smaller_is_an_error(self, size: tuple[int, int]) -> None:
        with pytest.raises(InputImageError, match=str(min(size))):
            tiny_generator()(torch.zeros(1, 3, *size))

    @pytest.mark.parametrize("shape", [(3, 64, 64), (1, 1, 64, 64), (1, 4, 64, 64), (64, 64)])
    def test_wrong_shape_is_an_error(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(InputImageError, match=r"\(B, 3, H, W\)"):
            tiny_generator()(torch.zeros(shape))

    def test_padding_does_not_move_the_picture(self) -> None:
        """The top left of an odd-sized picture is drawn as that of a larger one."""
        whole = picture(128, 128)
        with torch.no_grad():
            large = tiny_generator()(whole)
            cut = tiny_generator()(whole[..., :121, :121])
        torch.testing.assert_close(cut[..., :40, :40], large[..., :40, :40], atol=0.02, rtol=0)

    def test_batch_equals_single(self, generator: StyleGenerator) -> None:
        pictures = torch.cat([picture(64, 64, seed) for seed in range(3)])
        with torch.no_grad():
            torch.testing.assert_close(
                generator(pictures)[1:2], generator(pictures[1:2]), atol=1e-5, rtol=1e-5
            )

    def test_channels_last(self, generator: StyleGenerator) -> None:
        source = picture(96, 64)
        with torch.no_grad():
            expected = generator(source)
            drawn = generator(source.to(memory_format=torch.channels_last))
        torch.testing.assert_close(drawn, expected, atol=1e-5, rtol=1e-5)

    def test_bfloat16(self, generator: StyleGenerator) -> None:
        source = picture(64, 64)
        with torch.no_grad():
            expected = generator(source)
            drawn = generator.to(torch.bfloat16)(source.bfloat16())
            generator.float()
        assert drawn.dtype == torch.bfloat16
        torch.testing.assert_close(drawn.float(), expected, atol=0.1, rtol=0)


class TestGrid:
    @pytest.mark.parametrize("size", [(64, 64), (70, 90)])
    def test_identity_equals_none(self, generator: StyleGenerator, size: tuple[int, int]) -> None:
        source = picture(*size)
        with torch.no_grad():
            torch.testing.assert_close(
                generator(source, identity_grid(size)), generator(source), atol=1e-4, rtol=0
            )

    def test_grid_may_have_any_size(self, generator: StyleGenerator) -> None:
        source, shift = picture(64, 64), torch.tensor([0.25, 0.0])
        with torch.no_grad():
            fine = generator(source, identity_grid((64, 64)) + shift)
            coarse = generator(source, identity_grid((16, 16)) + shift)
        torch.testing.assert_close(coarse, fine, atol=1e-4, rtol=0)

    @pytest.mark.parametrize("size", [(128, 320), (128, 301)])
    def test_translation_moves_the_drawing(
        self, generator: StyleGenerator, size: tuple[int, int]
    ) -> None:
        """32 px are whole cells of every feature map, so nothing is resampled."""
        source = picture(*size)
        grid = identity_grid(size) + torch.tensor([2 * 32 / size[1], 0.0])
        with torch.no_grad():
            plain, moved = generator(source), generator(source, grid)
        error = (moved[..., 96:160] - plain[..., 128:192]).abs().mean()
        still = (moved[..., 96:160] - plain[..., 96:160]).abs().mean()
        assert error < 1e-4 * still

    def test_gradients_reach_picture_and_grid(self) -> None:
        source = picture(64, 64).requires_grad_()
        grid = (identity_grid((64, 64)) * 0.9).requires_grad_()
        tiny_generator().train()(source, grid).square().mean().backward()
        for leaf in (source, grid):
            assert leaf.grad is not None
            assert leaf.grad.isfinite().all()
            assert leaf.grad.abs().max() > 0


class TestFuse:
    @pytest.mark.parametrize("norm", ["weight", "batch"])
    def test_agrees_after_training(self, norm: str) -> None:
        """Random gains and biases, and the running statistics that go with them."""
        torch.manual_seed(0)
        config = StyleGeneratorConfig(
            channels=(16, 24, 32, 32), bottleneck_blocks=1, head_channels=16, norm=norm
        )
        trained = shake(StyleGenerator(config)).train()
        with torch.no_grad():
            for seed in range(30):
                trained(torch.cat([picture(96, 64, 2 * seed), picture(96, 64, 2 * seed + 1)]))
        trained.eval()
        fused = trained.fuse()
        source = picture(96, 64)
        grid = identity_grid((96, 64)) * 0.8
        with torch.no_grad():
            for inputs in ((source,), (source, grid)):
                torch.testing.assert_close(fused(*inputs), trained(*inputs), atol=1e-4, rtol=0)
        assert not any(isinstance(m, WeightNormConv2d | nn.BatchNorm2d) for m in fused.modules())
        assert not any(p.requires_grad for p in fused.parameters())

    def test_leaves_the_original_alone(self) -> None:
        model = tiny_generator().train()
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        model.fuse()
        assert model.training
        after = model.state_dict()
        assert list(after) == list(before)
        assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_learns_a_colour() -> None:
    """A handful of steps bring the tiny network close to a flat target: gradients are sound."""
    torch.manual_seed(0)
    model = tiny_generator().train()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    source = picture(64, 64)
    target = torch.tensor([0.5, -0.5, 0.0]).view(1, 3, 1, 1).expand(1, 3, 64, 64)
    losses = []
    for _ in range(30):
        loss = (model(source) - target).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.35 * losses[0]
