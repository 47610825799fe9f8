"""Strokes: they follow forms, leave eyes alone, and are those of the generator's noise."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from faces import make_landmarks
from tps_portrait import ConfigError
from tps_portrait.models.generator.noise import make_noise
from tps_portrait.training.strokes import Strokes, along_the_form

SIDE = 256
FAR = torch.full((1, 68, 2), 5.0)


def stripes(degrees: float) -> Tensor:
    """A picture whose stripes run at an angle to x, y down."""
    angle = math.radians(degrees)
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    across = math.cos(angle) * y - math.sin(angle) * x
    return 0.5 * torch.sin(across / 6).expand(1, 3, SIDE, SIDE)


@pytest.fixture(scope="module")
def noise() -> Tensor:
    return make_noise(16)[..., : SIDE // 4, : SIDE // 4]


@pytest.mark.parametrize(("degrees", "direction"), [(0, 0), (45, 1), (90, 2), (135, 3), (180, 0)])
def test_the_direction_is_that_of_the_form(degrees: float, direction: int) -> None:
    weights, formless = along_the_form(stripes(degrees))
    inner = weights[0, :, 64:-64, 64:-64].mean((1, 2))
    assert inner.argmax() == direction
    assert inner[direction] > 0.9
    assert formless[..., 64:-64, 64:-64].max() < 0.1


def test_all_weights_are_shares() -> None:
    weights, formless = along_the_form(stripes(20) + 0.2 * torch.rand(1, 3, SIDE, SIDE))
    torch.testing.assert_close(weights.sum(1, keepdim=True) + formless, torch.ones_like(formless))
    assert weights.min() >= 0 <= formless.min()


def test_a_plain_wall_has_no_form() -> None:
    weights, formless = along_the_form(torch.full((1, 3, SIDE, SIDE), 0.2))
    assert weights.max() == 0
    assert formless.min() == 1


def test_strokes_run_along_the_form(noise: Tensor) -> None:
    under = 0.5 * stripes(0)
    change = (Strokes(0.12).painted(under, FAR, noise, under) - under).mean(1)[0]
    along = (change[:, 8:] - change[:, :-8]).abs().mean()
    assert along < 0.6 * (change[8:] - change[:-8]).abs().mean()


def test_walls_have_the_marks_whose_direction_turns(noise: Tensor) -> None:
    wall = torch.zeros(1, 3, SIDE, SIDE)
    change = Strokes(0.12).painted(wall, FAR, noise, wall).mean(1, keepdim=True)
    small = torch.nn.functional.avg_pool2d(change, 4).flatten()
    assert torch.corrcoef(torch.stack([small, noise[0, 4].flatten()]))[0, 1] > 0.7


def test_eyes_and_mouth_have_none(noise: Tensor) -> None:
    face, wall = 0.5 * make_landmarks(1), torch.zeros(1, 3, SIDE, SIDE)
    change = Strokes(0.12).painted(wall, face, noise, wall).abs().mean(1)[0]
    for part in (slice(36, 42), slice(42, 48), slice(60, 68)):
        x, y = ((face[0, part].mean(0) + 1) * SIDE / 2).round().int().tolist()
        assert change[y - 1 : y + 2, x - 1 : x + 2].max() < 0.01
    assert change[:40].mean() > 0.03


def test_contrast_is_what_strokes_change(noise: Tensor) -> None:
    wall = torch.zeros(1, 3, SIDE, SIDE)
    faint, strong = (Strokes(c).painted(wall, FAR, noise, wall) for c in (0.05, 0.1))
    torch.testing.assert_close(2 * faint, strong)
    assert strong.mean(1).std() == pytest.approx(0.1, rel=0.4)


def test_strokes_are_warmer_and_colder(noise: Tensor) -> None:
    wall = torch.zeros(1, 3, SIDE, SIDE)
    painted = Strokes(0.12).painted(wall, FAR, noise, wall)
    assert (painted[:, 0] - painted[:, 2]).std() > 0.02


def test_other_noise_is_refused(noise: Tensor) -> None:
    wall = torch.zeros(1, 3, SIDE, SIDE)
    for other, count in ((noise[:, :8], 8), (None, 0)):
        with pytest.raises(ConfigError, match=f"has {count}. Give --noise_channels 16"):
            Strokes(0.1).painted(wall, FAR, other, wall)
