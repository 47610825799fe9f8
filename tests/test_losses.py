"""Each loss on cases that can be computed by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tps_portrait.training import losses


def flat(*values: float) -> Tensor:
    """Logits `(B, 1, 2, 2)`, one value a picture."""
    return torch.tensor(values).view(-1, 1, 1, 1).expand(-1, 1, 2, 2).clone()


def colour(red: float, green: float, blue: float, side: int = 64) -> Tensor:
    return torch.tensor([red, green, blue]).view(1, 3, 1, 1).expand(1, 3, side, side).clone()


def test_regions_count_alike() -> None:
    left, right = (
        {"eye": torch.tensor([1.0]), "mouth": torch.tensor([4.0, 6.0])},
        {"mouth": 2, "eye": 3},
    )
    found = losses.over_regions(lambda a, b: a.mean() * b, left, right)
    assert found == (1 * 3 + 5 * 2) / 2


class TestHinge:
    @pytest.mark.parametrize(
        ("real", "fake", "expected"),
        [(0.0, 0.0, 2.0), (1.0, -1.0, 0.0), (5.0, -9.0, 0.0), (-1.0, 1.0, 4.0), (0.5, -2.0, 0.5)],
    )
    def test_discriminator(self, real: float, fake: float, expected: float) -> None:
        value = losses.discriminator_hinge([flat(real)], [flat(fake)])
        assert value.item() == pytest.approx(expected)

    def test_scales_count_the_same_whatever_their_size(self) -> None:
        large, small = torch.zeros(1, 1, 8, 8), torch.full((1, 1, 1, 1), 1.0)
        value = losses.discriminator_hinge([large, small], [large, -small])
        assert value.item() == pytest.approx(1.0)

    def test_numbers_of_scales_must_agree(self) -> None:
        with pytest.raises(ValueError, match="zip"):
            losses.discriminator_hinge([flat(0)], [])

    def test_generator(self) -> None:
        assert losses.generator_hinge([flat(2.0, 4.0), flat(1.0)]).item() == pytest.approx(-2.0)

    def test_gradients_push_apart(self) -> None:
        real, fake = flat(0.0).requires_grad_(), flat(0.0).requires_grad_()
        losses.discriminator_hinge([real], [fake]).backward()
        assert (real.grad < 0).all()
        assert (fake.grad > 0).all()

    def test_generator_pulls_its_logits_up(self) -> None:
        fake = flat(-1.0).requires_grad_()
        losses.generator_hinge([fake]).backward()
        assert (fake.grad < 0).all()


class TestR1:
    def test_linear_judge(self) -> None:
        """For logits w·x the penalty is |w|² whatever the picture."""
        real = torch.rand(2, 3, 4, 4, requires_grad=True)
        weight = torch.arange(48.0).view(1, 3, 4, 4) / 48
        logits = (real * weight).sum(dim=(1, 2, 3), keepdim=True)
        penalty = losses.r1_penalty([logits], real)
        assert penalty.item() == pytest.approx(weight.square().sum().item(), rel=1e-5)

    def test_is_differentiable_in_the_judge(self) -> None:
        real = torch.rand(1, 3, 4, 4, requires_grad=True)
        weight = torch.ones(1, 3, 4, 4, requires_grad=True)
        logits = (real * weight).sum(dim=(1, 2, 3), keepdim=True)
        losses.r1_penalty([logits], real).backward()
        torch.testing.assert_close(weight.grad, 2 * torch.ones_like(weight))

    def test_flat_judge_is_not_penalised(self) -> None:
        real = torch.rand(1, 3, 4, 4, requires_grad=True)
        assert losses.r1_penalty([(real * 0).sum(dim=(1, 2, 3), keepdim=True)], real) == 0


class TestCycle:
    def test_zero_for_the_same_picture(self) -> None:
        picture = torch.rand(1, 3, 8, 8)
        assert losses.cycle_loss(picture, picture) == 0

    def test_constant_difference(self) -> None:
        picture = torch.rand(1, 3, 8, 8)
        assert losses.cycle_loss(picture + 0.25, picture).item() == pytest.approx(0.25)

    def test_forgets_texture_of_one_pixel(self) -> None:
        picture = torch.zeros(1, 3, 8, 8)
        checks = (torch.arange(8)[:, None] + torch.arange(8)) % 2 * 2.0 - 1
        assert losses.cycle_loss(picture + checks, picture) == 0

    def test_gradient_points_back(self) -> None:
        returned = torch.full((1, 3, 4, 4), 0.5, requires_grad=True)
        losses.cycle_loss(returned, torch.zeros(1, 3, 4, 4)).backward()
        assert (returned.grad > 0).all()


def test_invariance() -> None:
    a, b = torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), -0.5)
    assert losses.invariance_loss(a, a) == 0
    assert losses.invariance_loss(a, b).item() == pytest.approx(0.5)


class TestAnchor:
    def test_zero_for_the_same_picture(self) -> None:
        assert losses.anchor_loss(colour(0.3, -0.2, 0.1), colour(0.3, -0.2, 0.1)) == 0

    def test_grey_costs_brightness_alone(self) -> None:
        value = losses.anchor_loss(colour(0.4, 0.4, 0.4), colour(0, 0, 0), luma=0.5)
        assert value.item() == pytest.approx(0.2, rel=1e-4)

    def test_pure_red(self) -> None:
        """Luma 0.299; Cb 0.299 * 0.564; Cr 0.701 * 0.713."""
        value = losses.anchor_loss(colour(1, 0, 0), colour(0, 0, 0), luma=0.5)
        expected = 0.5 * 0.299 + 0.299 * 0.564 + 0.701 * 0.713
        assert value.item() == pytest.approx(expected, rel=1e-4)

    def test_luma_weight(self) -> None:
        value = losses.anchor_loss(colour(0.4, 0.4, 0.4), colour(0, 0, 0), luma=2.0)
        assert value.item() == pytest.approx(0.8, rel=1e-4)

    def test_what_happens_inside_a_cell_is_free(self) -> None:
        photo = colour(0, 0, 0)
        lines = photo.clone()
        lines[..., ::2], lines[..., 1::2] = 0.8, -0.8
        assert losses.anchor_loss(lines, photo) == pytest.approx(0, abs=1e-6)

    def test_gradient_points_back(self) -> None:
        drawn = colour(0.5, 0.5, 0.5).requires_grad_()
        losses.anchor_loss(drawn, colour(0, 0, 0)).backward()
        assert drawn.grad.sum() > 0


class TestSmoothRegions:
    def test_flat_stays_flat(self) -> None:
        picture = colour(0.3, -0.5, 0.9)
        torch.testing.assert_close(losses.smooth_regions(picture), picture, atol=1e-5, rtol=0)

    def test_texture_goes_and_edges_stay(self) -> None:
        torch.manual_seed(0)
        edge = torch.full((1, 1, 64, 64), -0.5)
        edge[..., 32:] = 0.5
        noise = 0.02 * torch.randn(1, 1, 64, 64)
        smooth = losses.smooth_regions(edge + noise, radius=3)
        texture = (smooth - edge)[..., 4:24].std() / noise.std()
        assert texture < 0.35
        assert smooth[..., 33:36].mean() > 0.4
        assert smooth[..., 28:31].mean() < -0.4

    def test_radius_follows_the_width(self) -> None:
        picture = torch.rand(1, 3, 96, 96)
        torch.testing.assert_close(
            losses.smooth_regions(picture), losses.smooth_regions(picture, radius=2)
        )

    def test_is_symmetric(self) -> None:
        picture = torch.rand(1, 3, 32, 32)
        turned = losses.smooth_regions(picture.mT, radius=2).mT
        torch.testing.assert_close(
            losses.smooth_regions(picture, radius=2), turned, atol=1e-5, rtol=1e-5
        )


class TestGrid:
    def test_patterns_tied_to_the_grid_count_and_others_do_not(self) -> None:
        torch.manual_seed(0)
        flat = torch.zeros(1, 3, 128, 128)
        checks = flat.clone()
        checks[..., ::2, 1::2] = checks[..., 1::2, ::2] = 0.1
        stripes = flat.clone()
        stripes[..., ::4] = 0.1
        grain = 0.1 * torch.randn(1, 3, 128, 128)
        assert losses.grid_loss(flat) == 0
        assert losses.grid_loss(checks) > 0.04
        assert losses.grid_loss(stripes) > 0.02
        assert losses.grid_loss(grain) < 0.01

    def test_small_pictures(self) -> None:
        assert losses.grid_loss(torch.zeros(2, 3, 32, 64)) == 0


class TestEvenness:
    @pytest.fixture
    def photo(self) -> Tensor:
        """A dark head before a light wall."""
        photo = torch.full((1, 3, 256, 256), 0.6)
        photo[..., 64:192, 64:192] = -0.6
        return photo

    def test_by_hand(self) -> None:
        """Two cells to a side: each compared with its two neighbours, one cell away."""
        photo = torch.zeros(1, 3, 4, 4)
        photo[..., 2:] = 0.06  # as far apart as the edge: such pairs count 1 / e
        drawn = torch.zeros(1, 3, 4, 4)
        drawn[..., :2, :2] = 0.3
        # Across: 0.3 + 0.06 and 0.06 apart; down: 0.3 and 0. No pairs 2 or 4 cells apart.
        expected = ((0.36 + 0.06) / 2 / math.e + 0.3 / 2) / 2
        found = losses.evenness_loss(drawn, photo, cells=2)
        assert found.item() == pytest.approx(expected, rel=1e-5)

    def test_pairs_are_up_to_four_cells_apart(self) -> None:
        photo, drawn = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
        drawn[..., :4] = 0.5
        # Across, of 7, 6 and 4 pairs in a row 1, 2 and 4 straddle the border; down, none differ.
        expected = 0.5 * (1 / 7 + 2 / 6 + 4 / 4) / 6
        found = losses.evenness_loss(drawn, photo, cells=8)
        assert found.item() == pytest.approx(expected, rel=1e-5)

    def test_any_channel_makes_a_photo_uneven(self) -> None:
        photo, drawn = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
        photo[:, 2, :, 2:] = 1.0
        drawn[..., :2] = 0.5
        assert losses.evenness_loss(drawn, photo, cells=2) < 1e-6

    def test_glow_and_smear_on_a_wall_count(self, photo: Tensor) -> None:
        glow, smear = photo.clone(), photo.clone()
        glow[..., 48:64, 48:208] += 0.3
        smear[..., 200:240, 40:120] -= 0.3
        assert losses.evenness_loss(photo, photo) == 0
        assert losses.evenness_loss(glow, photo) > 0.003
        assert losses.evenness_loss(smear, photo) > 0.003

    def test_tone_and_what_a_cell_averages_out_are_free(self, photo: Tensor) -> None:
        darker, hatched = photo - 0.3, photo.clone()
        hatched[..., ::2] += 0.2
        hatched[..., 1::2] -= 0.2
        assert losses.evenness_loss(darker, photo) == pytest.approx(0, abs=1e-6)
        assert losses.evenness_loss(hatched, photo) == pytest.approx(0, abs=1e-6)

    def test_lines_cost_less_where_the_photo_has_an_edge(self, photo: Tensor) -> None:
        outline, crease = photo.clone(), photo.clone()
        outline[..., 60:68, 60:196] = -1
        crease[..., 16:24, 60:196] = -1
        costs = [losses.evenness_loss(lined, photo) for lined in (outline, crease)]
        assert costs[0] < 0.5 * costs[1]

    def test_gradients_reach_the_drawing(self, photo: Tensor) -> None:
        drawn = (photo + torch.linspace(0, 1, 256)).requires_grad_()
        losses.evenness_loss(drawn, photo).backward()
        assert drawn.grad is not None
        assert drawn.grad.isfinite().all()
        assert drawn.grad.abs().max() > 0


class TestRegionColour:
    def test_brightness_is_free_and_colour_is_not(self) -> None:
        grey, lighter = colour(0.1, 0.1, 0.1), colour(0.5, 0.5, 0.5)
        red = colour(0.5, 0.1, 0.1)
        found = losses.region_colour_loss({"mouth": grey}, {"mouth": lighter})
        assert found.item() == pytest.approx(0, abs=1e-6)
        wanted = (0.299 * 0.4) * 0.564 + (0.4 - 0.299 * 0.4) * 0.713
        found = losses.region_colour_loss({"mouth": red}, {"mouth": grey})
        assert found.item() == pytest.approx(wanted, rel=1e-4)

    def test_regions_count_alike(self) -> None:
        grey, red = colour(0.1, 0.1, 0.1), colour(0.5, 0.1, 0.1)
        one = losses.region_colour_loss({"mouth": red}, {"mouth": grey})
        half = losses.region_colour_loss(
            {"mouth": red, "nose": grey}, {"mouth": grey, "nose": grey}
        )
        assert half.item() == pytest.approx(one.item() / 2, rel=1e-5)

    def test_an_iris_of_another_colour_counts(self) -> None:
        eye = torch.zeros(1, 3, 128, 128)
        blue = eye.clone()
        blue[:, 2, 60:68, 60:68] = 0.5
        assert losses.region_colour_loss({"left_eye": blue}, {"left_eye": eye}).item() > 0


class TestPattern:
    def crops(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        dots = torch.zeros(2, 3, 8, 8)
        dots[:, :, 2:4, 2:4] = 0.5
        return {"mouth": dots}, {"mouth": torch.ones(2, 1, 8, 8)}

    def test_is_0_for_the_same_pattern_in_another_brightness(self) -> None:
        drawn, masks = self.crops()
        assert losses.pattern_loss(drawn, drawn, masks).item() == 0
        lighter = {"mouth": drawn["mouth"] + 0.3}
        assert losses.pattern_loss(lighter, drawn, masks).item() == pytest.approx(0, abs=1e-6)

    def test_colour_of_the_same_luma_is_free(self) -> None:
        drawn, masks = self.crops()
        shift = torch.tensor([0.587, -0.299, 0.0]).view(1, 3, 1, 1)
        assert losses.pattern_loss(
            {"mouth": drawn["mouth"] + shift}, drawn, masks
        ).item() == pytest.approx(0, abs=1e-6)

    def test_a_missing_dot_counts_by_hand(self) -> None:
        drawn, masks = self.crops()
        # 4 of 64 pixels differ by 0.5, and the mean of that, 1/32, is taken off everywhere.
        wanted = (4 * (0.5 - 1 / 32) + 60 / 32) / 64
        found = losses.pattern_loss({"mouth": torch.zeros(2, 3, 8, 8)}, drawn, masks)
        assert found.item() == pytest.approx(wanted, rel=1e-5)

    def test_outside_the_mask_nothing_counts(self) -> None:
        drawn, masks = self.crops()
        masks["mouth"][:, :, 2:4, 2:4] = 0
        found = losses.pattern_loss({"mouth": torch.zeros(2, 3, 8, 8)}, drawn, masks)
        assert found.item() == 0

    def test_regions_without_a_mask_do_not_count(self) -> None:
        drawn, masks = self.crops()
        with_nose = {**drawn, "nose": torch.zeros(2, 3, 8, 8)}
        other = {**drawn, "nose": torch.ones(2, 3, 8, 8)}
        assert losses.pattern_loss(with_nose, other, masks).item() == 0
