"""The generator's last activation."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from conftest import tiny_generator
from tps_portrait.ops.activation import recoverable_tanh


def slope(x: float, direction: float) -> float:
    """What the activation makes of a gradient of 1 or -1."""
    value = torch.tensor([x], requires_grad=True)
    recoverable_tanh(value).backward(torch.tensor([direction]))
    assert value.grad is not None
    return float(value.grad) * direction


def test_values_are_those_of_the_tangent() -> None:
    x = torch.linspace(-12, 12, 97)
    assert torch.equal(recoverable_tanh(x), torch.tanh(x))


@pytest.mark.parametrize("x", [-0.9, 0.0, 1.2])
def test_gradients_are_the_usual_ones_where_there_are_any(x: float) -> None:
    for direction in (-1.0, 1.0):
        assert slope(x, direction) == pytest.approx(1 - math.tanh(x) ** 2, rel=1e-5)


@pytest.mark.parametrize("x", [-12.0, 12.0])
def test_from_saturation_there_is_a_way_back_and_none_farther_out(x: float) -> None:
    # A step goes against the gradient: of the sign of x it leads back.
    back = 1.0 if x > 0 else -1.0
    assert slope(x, back) == pytest.approx(0.1)
    assert slope(x, -back) == 0.0


def test_functional_transforms_pass_through() -> None:
    x = torch.tensor([-12.0, 0.5, 12.0])
    slopes = torch.func.vmap(torch.func.grad(recoverable_tanh))(x)
    torch.testing.assert_close(slopes, torch.tensor([0.0, 1 - math.tanh(0.5) ** 2, 0.1]))


@pytest.mark.parametrize("strict", [False, True])
def test_what_is_exported_in_training_mode_has_gradients(strict: bool) -> None:
    generator, photo = tiny_generator().train(), torch.rand(1, 3, 64, 64)
    exported = torch.export.export(generator, (photo,), strict=strict).module()
    drawn = exported(photo)
    torch.testing.assert_close(drawn, generator(photo))
    assert drawn.requires_grad


def test_what_is_traced_in_training_mode_can_be_saved(tmp_path: Path) -> None:
    generator, photo = tiny_generator().train(), torch.rand(1, 3, 64, 64)
    traced = torch.jit.trace(generator, photo)
    traced.save(str(tmp_path / "traced.pt"))
    torch.testing.assert_close(torch.jit.load(str(tmp_path / "traced.pt"))(photo), generator(photo))


def test_a_white_generator_learns_to_be_grey() -> None:
    generator, photo = tiny_generator(), torch.zeros(1, 3, 64, 64)
    with torch.no_grad():
        generator.head.bias.fill_(20.0)
    optimizer = torch.optim.Adam(generator.parameters(), lr=0.5)
    # As it draws, nothing can be learned; as it is trained, it can.
    assert generator(photo).min() == 1.0
    generator(photo).mean().backward()
    assert all(p.grad is None or not p.grad.any() for p in generator.parameters())
    generator.train()
    for _ in range(60):
        optimizer.zero_grad()
        generator(photo).square().mean().backward()
        optimizer.step()
    assert generator.eval()(photo).mean() < 0.7
