"""The texture term: what it looks at, what it forgives, where it looks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tps_portrait.training.content import ContentNetwork
from tps_portrait.training.texture import marks, moment_distance, texture_loss

WEIGHTS = Path(__file__).parents[1] / "examples/data/networks/vgg16_conv3.safetensors"


@pytest.fixture(scope="module")
def network() -> ContentNetwork:
    return ContentNetwork.from_file(WEIGHTS)


def stripes(period: int, *, shift: int = 0, size: int = 128, tone: float = 0.0) -> Tensor:
    """Upright stripes `(1, 3, size, size)` about a tone."""
    wave = (2 * torch.pi * (torch.arange(size) + shift) / period).sin()
    return (0.4 * wave + tone).expand(1, 3, size, size).clone()


EVERYWHERE = torch.ones(1, 1, 128, 128)


def distance(network: ContentNetwork, drawn: Tensor, example: Tensor) -> float:
    torch.manual_seed(0)
    return texture_loss(network, drawn, example, EVERYWHERE).item()


class TestTexture:
    def test_is_small_for_the_same_picture(self, network: ContentNetwork) -> None:
        assert distance(network, stripes(8), stripes(8)) < 0.01

    def test_strokes_may_lie_elsewhere(self, network: ContentNetwork) -> None:
        moved = distance(network, stripes(8, shift=4), stripes(8))
        flat = distance(network, torch.zeros(1, 3, 128, 128), stripes(8))
        assert moved < 0.25 * flat

    def test_tones_are_free(self, network: ContentNetwork) -> None:
        darker = distance(network, stripes(8, tone=-0.5), stripes(8))
        assert darker < 0.1 * distance(network, torch.full((1, 3, 128, 128), -0.5), stripes(8))

    def test_width_and_direction_of_strokes_count(self, network: ContentNetwork) -> None:
        same = distance(network, stripes(8, shift=4), stripes(8))
        assert distance(network, stripes(24), stripes(8)) > 2 * same
        assert distance(network, stripes(8).mT, stripes(8)) > 2 * same

    def test_outlines_do_not_drown_strokes(self, network: ContentNetwork) -> None:
        """Faint strokes that are missing cost more than outlines that lie elsewhere."""
        strokes, outline = 0.15 * stripes(8), torch.zeros(1, 3, 128, 128)
        outline[..., 60:66, :] = -0.9
        moved = distance(network, strokes + outline.roll(20, -2), strokes + outline)
        missing = distance(network, outline, strokes + outline)
        assert missing > 1.5 * moved

    def test_too_much_costs_what_too_little_does(self, network: ContentNetwork) -> None:
        flat = torch.zeros(1, 3, 128, 128)
        lacking, excess = (
            distance(network, flat, stripes(8)),
            distance(network, stripes(8), flat),
        )
        assert excess == pytest.approx(lacking, rel=0.05)

    def test_windows_that_show_little_do_not_count(self, network: ContentNetwork) -> None:
        """In 256 px, half of which an example covers, only that half has a say."""
        drawn = torch.zeros(1, 3, 256, 256, requires_grad=True)
        example = stripes(8, size=256)
        visible = torch.zeros(1, 1, 256, 256)
        assert texture_loss(network, drawn, example, visible).item() == 0
        visible[..., :128] = 1
        texture_loss(network, drawn, example, visible).backward()
        assert drawn.grad is not None
        # The means that `marks` takes away reach across the line.
        assert drawn.grad[..., :100].abs().mean() > 0
        assert drawn.grad[..., 208:].abs().max() == 0

    def test_each_window_has_its_own_texture(self, network: ContentNetwork) -> None:
        """Exchanging the halves of an example is seen, though the whole has the same strokes."""
        left, right = stripes(8, size=128), stripes(8, size=128).mT
        top, bottom = torch.cat([left, right], -1), torch.cat([right, left], -1)
        first, second = torch.cat([top, top], -2), torch.cat([bottom, bottom], -2)
        visible = torch.ones(1, 1, 256, 256)
        torch.manual_seed(0)
        same = texture_loss(network, first, first, visible).item()
        assert texture_loss(network, second, first, visible).item() > 20 * same

    @pytest.mark.parametrize("size", [128, 160, 224, 448])
    def test_any_resolution_of_a_training(self, network: ContentNetwork, size: int) -> None:
        drawn, example = torch.zeros(1, 3, size, size), stripes(8, size=size)
        assert texture_loss(network, drawn, example, torch.ones(1, 1, size, size)).item() > 1

    def test_details_of_large_pictures_change_with_the_seed(self, network: ContentNetwork) -> None:
        torch.manual_seed(0)
        drawn, example = torch.rand(1, 3, 320, 320), torch.rand(1, 3, 320, 320).sqrt()
        visible = torch.ones(1, 1, 320, 320)
        found = {texture_loss(network, drawn, example, visible).item() for _ in range(4)}
        assert len(found) > 1


class TestParts:
    def test_marks_are_0_on_slopes_and_strong_ones_saturate(self) -> None:
        slope = torch.linspace(-0.5, 0.5, 128).expand(1, 3, 128, 128)
        assert marks(slope)[..., 32:-32].abs().max() < 0.01
        strong, faint = marks(stripes(8, tone=0.3)), marks(0.2 * stripes(8))
        assert 0.49 < strong[..., 48:-48].max() <= 0.5
        assert faint[..., 48:-48].std() > 0.35 * strong[..., 48:-48].std()

    def test_distance_of_something_to_nothing_is_known(self) -> None:
        """Mean and covariance are each at the distance of the root of 2."""
        torch.manual_seed(0)
        found = moment_distance(torch.randn(2, 4, 16, 16) + 1, torch.zeros(2, 4, 16, 16), 2)
        assert found.shape == (8,)
        torch.testing.assert_close(found, torch.full((8,), 2 * 2**0.5), atol=1e-3, rtol=0)
