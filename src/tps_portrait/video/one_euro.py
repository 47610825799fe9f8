"""The One Euro filter: no jitter at rest, no lag in motion.

Source: G. Casiez, N. Roussel, D. Vogel, "1 € Filter: A Simple Speed-based Low-pass Filter for Noisy
Input in Interactive Systems", CHI 2012, doi:10.1145/2207676.2208639, algorithm 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import ConfigError


class OneEuroFilter:
    """Smooths values that arrive over time; the cutoff frequency rises with their speed.

    Args:
        min_cutoff: cutoff frequency of values at rest, in Hz; lower is steadier.
        beta: growth of the cutoff with the speed; higher follows motion more closely. Speeds are in
            units of `scale` a second.
        derivative_cutoff: cutoff frequency of the speed itself, in Hz.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(
        self, min_cutoff: float = 0.5, beta: float = 30.0, derivative_cutoff: float = 1.0
    ) -> None:
        for name, value, least in (
            ("min_cutoff", min_cutoff, 1e-6),
            ("beta", beta, 0.0),
            ("derivative_cutoff", derivative_cutoff, 1e-6),
        ):
            if not (math.isfinite(value) and value >= least):
                raise ConfigError(f"{name} must be a number of at least {least:g}, got {value!r}.")
        self.min_cutoff = min_cutoff
        self.beta = beta
        self.derivative_cutoff = derivative_cutoff
        self.value: Tensor | None = None
        self.speed: Tensor | None = None
        self.time = 0.0

    def reset(self) -> None:
        """Forget the past; the next values pass unchanged."""
        self.value = self.speed = None

    def __call__(self, values: Tensor, time: float, scale: float = 1.0) -> Tensor:
        """Smooth the values of one moment.

        Args:
            values: any shape, the same at each call.
            time: of the values, in seconds. Values that are not later than the last ones start
                anew.
            scale: what counts as one unit of distance, in units of `values`: the size of the face,
                so that near and far faces are smoothed alike.

        Returns:
            The smoothed values.
        """
        step = time - self.time
        if self.value is None or self.speed is None or step <= 0:
            self.value, self.speed, self.time = values, torch.zeros_like(values), time
            return values
        speed = (values - self.value) / (step * scale)
        self.speed = torch.lerp(
            self.speed, speed, _share(torch.full_like(speed, self.derivative_cutoff), step)
        )
        cutoff = self.min_cutoff + self.beta * self.speed.abs()
        self.value = torch.lerp(self.value, values, _share(cutoff, step))
        self.time = time
        return self.value


def _share(cutoff: Tensor, step: float) -> Tensor:
    """Share of the new value in an exponential low-pass of this cutoff, in Hz, after `step` s."""
    turn = 2 * math.pi * cutoff * step
    return turn / (turn + 1)
