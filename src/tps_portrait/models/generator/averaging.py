"""Averages of generators that went on from the same weights."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import nn

from .modeling_generator import StyleGenerator
from .noise import begins_with

_Module = TypeVar("_Module", bound=nn.Module)


def with_one_noise(generators: Sequence[StyleGenerator]) -> list[StyleGenerator]:
    """Give all the noise of the one with most, without effect.

    Args:
        generators: one at least, which `why_not_average` has nothing against.

    Returns:
        Those that had it already, and copies of the others.

    Raises:
        ConfigError: the noise of one is not the beginning of the most.
    """
    most = max(generators, key=_noise_channels)
    return [
        generator.with_silent_noise(most)
        if _noise_channels(generator) < _noise_channels(most)
        else generator
        for generator in generators
    ]


def why_not_average(generators: Sequence[StyleGenerator]) -> str | None:
    """Tell why a mean of weights would mean nothing, or would once all have one noise.

    Args:
        generators: one at least.

    Returns:
        The end of a sentence, or None if they can be averaged after `with_one_noise`. Whether they
        lie near enough to each other is not looked at.
    """
    kinds = [_kind(generator) for generator in generators]
    if any(kind != kinds[0] for kind in kinds):
        return "their generators are built differently"
    most = max(generators, key=_noise_channels)
    if any(
        _noise_channels(generator) and not begins_with(most.noise, generator.noise)
        for generator in generators
    ):
        return "strokes grow from different noise in them"
    return None


@torch.no_grad()
def averaged(modules: Sequence[_Module], shares: Sequence[float]) -> _Module:
    """Average the parameters and buffers of modules of one kind.

    Args:
        modules: one at least, with the same state.
        shares: of each, summing to 1.

    Returns:
        A copy of the first with the mean state, summed in float32. Whole numbers, such as the steps
        that a batch norm counts, are those of the first.
    """
    states = [module.state_dict() for module in modules]
    mixed = {}
    for key, first in states[0].items():
        if not first.is_floating_point():
            mixed[key] = first
            continue
        parts = (share * s[key].float() for share, s in zip(shares, states, strict=True))
        mixed[key] = torch.stack(list(parts)).sum(0).to(first.dtype)
    result = copy.deepcopy(modules[0])
    result.load_state_dict(mixed)
    return result


def _noise_channels(generator: StyleGenerator) -> int:
    return generator.config.noise_channels


def _kind(generator: StyleGenerator) -> tuple[dict[str, Any], dict[str, torch.Size]]:
    """What a generator is built like, its noise apart."""
    names = set(type(generator.config).__annotations__) - {"noise_channels"}
    values = {name: getattr(generator.config, name) for name in names}
    fields = {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}
    state = generator.state_dict().items()
    return fields, {key: value.shape for key, value in state if "noise" not in key}
