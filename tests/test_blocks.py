"""Convolution blocks: weight standardisation, and norms that fold away."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tps_portrait.ops.blocks import ConvNorm, ResidualBlock, WeightNormConv2d, fuse_norms_


def shake(module: nn.Module, seed: int = 0) -> nn.Module:
    """Give every gain, bias and running statistic a random value, as training does."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(torch.randn(buffer.shape, generator=generator))
            elif name.endswith("running_var"):
                buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
    return module


class TestWeightNorm:
    def test_kernels_have_zero_mean_and_unit_fan_in(self) -> None:
        conv = WeightNormConv2d(6, 10)
        weight = conv.standardized_weight()
        assert weight.mean(dim=(1, 2, 3)).abs().max() < 1e-6
        torch.testing.assert_close(weight.square().sum(dim=(1, 2, 3)), torch.ones(10))

    def test_scale_of_the_weights_does_not_matter(self) -> None:
        conv, picture = WeightNormConv2d(3, 4), torch.randn(1, 3, 8, 8)
        before = conv(picture)
        with torch.no_grad():
            conv.weight.mul_(7)
        torch.testing.assert_close(conv(picture), before, atol=1e-5, rtol=1e-5)

    def test_gain_scales_the_kernel(self) -> None:
        conv = WeightNormConv2d(3, 4)
        before = conv.standardized_weight()
        with torch.no_grad():
            conv.gain.mul_(3)
        torch.testing.assert_close(conv.standardized_weight(), 3 * before)

    def test_centred_kernels_are_blind_to_flat_colour_and_the_others_are_not(self) -> None:
        flat = torch.full((1, 3, 8, 8), 0.7)
        blind = WeightNormConv2d(3, 16, 4, 4)(flat)
        seeing = WeightNormConv2d(3, 16, 4, 4, centre=False)(flat)
        assert blind.abs().max() < 1e-5
        assert seeing.abs().max() > 0.1

    @pytest.mark.parametrize(
        ("kernel", "stride", "side"), [(3, 1, 8), (3, 2, 4), (1, 1, 8), (4, 4, 2)]
    )
    def test_padding_keeps_the_size_up_to_the_stride(
        self, kernel: int, stride: int, side: int
    ) -> None:
        assert WeightNormConv2d(3, 5, kernel, stride)(torch.zeros(2, 3, 8, 8)).shape == (
            *(2, 5),
            *(side, side),
        )

    def test_gradcheck(self) -> None:
        torch.manual_seed(0)
        conv = WeightNormConv2d(2, 3).double()
        picture = torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)

        def run(x: torch.Tensor, weight: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
            return torch.func.functional_call(conv, {"weight": weight, "gain": gain}, (x,))

        assert torch.autograd.gradcheck(run, (picture, conv.weight, conv.gain))


class TestConvNorm:
    def test_weight_norm_keeps_the_variance_through_many_layers(self) -> None:
        """No gains to learn first: twelve layers neither explode nor fade."""
        torch.manual_seed(0)
        layers = nn.Sequential(*(ConvNorm(64, 64) for _ in range(12)))
        with torch.no_grad():
            result = layers(torch.randn(2, 64, 32, 32))
        spread = result[..., 12:-12, 12:-12].var().item()
        assert 0.2 < spread < 5

    def test_one_picture_is_drawn_the_same_in_any_batch(self) -> None:
        block, pictures = ConvNorm(3, 4), torch.randn(3, 3, 8, 8)
        torch.testing.assert_close(block(pictures)[1:2], block(pictures[1:2]))

    @pytest.mark.parametrize("norm", ["weight", "batch"])
    @pytest.mark.parametrize("activation", [True, False])
    @pytest.mark.parametrize("stride", [1, 2])
    def test_fused_agrees(self, norm: str, activation: bool, stride: int) -> None:
        block = shake(ConvNorm(5, 7, stride=stride, norm=norm, activation=activation)).eval()
        picture = torch.randn(2, 5, 9, 9)
        fused = block.fused()
        assert not any(isinstance(m, nn.BatchNorm2d | WeightNormConv2d) for m in fused.modules())
        torch.testing.assert_close(fused(picture), block(picture), atol=1e-5, rtol=1e-5)

    def test_fused_keeps_type(self) -> None:
        assert ConvNorm(3, 4).double().fused()[0].weight.dtype == torch.float64

    def test_batch_norm_without_statistics_cannot_fold(self) -> None:
        block = ConvNorm(3, 4, norm="batch")
        block.norm = nn.BatchNorm2d(4, track_running_stats=False)
        with pytest.raises(TypeError, match="running statistics"):
            block.fused()


class TestResidualBlock:
    def test_fresh_block_is_nearly_the_identity_on_what_relu_leaves(self) -> None:
        torch.manual_seed(0)
        picture = torch.rand(1, 8, 16, 16) + 0.5
        change = (ResidualBlock(8)(picture) - picture).abs().mean()
        assert 0 < change < 0.25 * picture.mean()

    @pytest.mark.parametrize("norm", ["weight", "batch"])
    def test_fuse_in_a_tree(self, norm: str) -> None:
        tree = nn.Sequential(
            ConvNorm(3, 8, norm=norm),
            nn.Sequential(ResidualBlock(8, norm=norm)),
            nn.Conv2d(8, 2, 1),
        )
        shake(tree).eval()
        picture = torch.randn(2, 3, 10, 10)
        with torch.no_grad():
            expected = tree(picture)
            fuse_norms_(tree)
            torch.testing.assert_close(tree(picture), expected, atol=1e-5, rtol=1e-5)
        kinds = {type(m) for m in tree.modules()}
        assert not kinds & {ConvNorm, WeightNormConv2d, nn.BatchNorm2d}

    def test_gradients_reach_the_gain(self) -> None:
        block = ResidualBlock(4)
        block(torch.rand(1, 4, 6, 6)).sum().backward()
        assert block.gain.grad is not None
        assert block.gain.grad.abs() > 0
