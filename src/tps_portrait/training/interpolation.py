"""Weights between those of a training and those that it began with.

Not in arXiv 2211.15549. What is trained on a hundred examples forgets a part of what its start knew
of photos. On the line between the two lie generators that are as much in the style and keep more,
as Wortsman et al., "Robust fine-tuning of zero-shot models", 2022, arXiv 2109.01903, found for
classifiers.
"""

from __future__ import annotations

import torch

from ..errors import ConfigError
from ..models.generator import StyleGenerator
from ..models.generator.averaging import why_not_average


class StartWeights:
    """What a training began with.

    Args:
        start: the generator as it was loaded; it is copied.
        generator: the one that is trained, which may have more noise: silent in the start.
        share: of the start, 0 to 1.

    Raises:
        ConfigError: the two have different noise or are built differently, or have batch norms,
            whose statistics are no weights.
    """

    def __init__(self, start: StyleGenerator, generator: StyleGenerator, share: float) -> None:
        if reason := why_not_average([start, generator]):
            raise ConfigError(
                f"start_share mixes with the start, but {reason}. Give --start_share 0."
            )
        if generator.config.norm == "batch":
            raise ConfigError(
                "start_share mixes weights, and batch norms have statistics too. Give "
                "--start_share 0, or a start whose norm is 'weight'."
            )
        own, wanted = start.config.noise_channels, generator.config.noise_channels
        # A new generator draws random numbers; the training shall have those it has without this.
        with torch.random.fork_rng(devices=[]):
            if own < wanted:
                start = start.with_silent_noise(generator)
            elif own > wanted:
                start = start.with_noise(wanted)
        self.share = share
        self._weights = [parameter.detach().clone() for parameter in start.parameters()]

    @torch.no_grad()
    def mix_into_(self, generator: StyleGenerator) -> None:
        """Move the parameters of a generator towards the start's, by its share."""
        for parameter, weight in zip(generator.parameters(), self._weights, strict=True):
            parameter.lerp_(weight.to(parameter), self.share)
