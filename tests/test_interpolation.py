"""Weights between those of a training and those of its start."""

from __future__ import annotations

import pytest
import torch

from conftest import tiny_generator
from tps_portrait import ConfigError, StyleGenerator, StyleGeneratorConfig
from tps_portrait.training.interpolation import StartWeights

PHOTO = torch.linspace(-1, 1, 3 * 64 * 64).view(1, 3, 64, 64)


def draw(generator: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        drawn: torch.Tensor = generator.eval()(PHOTO)
    return drawn


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_weights_lie_between(share: float) -> None:
    start = tiny_generator()
    before = [parameter.clone() for parameter in start.parameters()]
    kept = StartWeights(start, start, share)
    # The training goes on with the start itself.
    with torch.no_grad():
        for parameter in start.parameters():
            parameter.add_(1.0)
    kept.mix_into_(start)
    for parameter, old in zip(start.parameters(), before, strict=True):
        torch.testing.assert_close(parameter.data, old + (1 - share))


@pytest.mark.parametrize(("own", "more"), [(0, 8), (4, 8), (8, 4), (8, 0)])
def test_noise_that_the_start_lacks_is_silent(own: int, more: int) -> None:
    start = tiny_generator().with_noise(own)
    generator = start.with_noise(more)
    kept = StartWeights(start, generator, 1.0)
    if generator.from_noise is not None:
        torch.nn.init.normal_(generator.from_noise.weight)
    kept.mix_into_(generator)
    if more >= own:
        torch.testing.assert_close(draw(generator), draw(start), atol=1e-5, rtol=0)
    else:
        wanted = start.with_noise(more)
        torch.testing.assert_close(draw(generator), draw(wanted), atol=1e-5, rtol=0)


def test_other_noise_is_refused() -> None:
    start = tiny_generator().with_noise(4)
    other = tiny_generator().with_noise(8)
    other.noise.neg_()
    with pytest.raises(ConfigError, match="--start_share 0"):
        StartWeights(start, other, 0.5)


def test_batch_norms_are_refused() -> None:
    config = StyleGeneratorConfig(channels=(8, 8, 8, 8), head_channels=8, norm="batch")
    generator = StyleGenerator(config)
    with pytest.raises(ConfigError, match="batch norms have statistics"):
        StartWeights(generator, generator, 0.5)


def test_random_numbers_are_as_without_it() -> None:
    start = tiny_generator()
    generator = start.with_noise(8)
    torch.manual_seed(1)
    wanted = torch.rand(3)
    torch.manual_seed(1)
    StartWeights(start, generator, 0.5)
    assert torch.equal(torch.rand(3), wanted)
