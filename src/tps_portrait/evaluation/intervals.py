"""Confidence intervals: bootstrap for means, Wilson's for rates, quantiles for distributions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError

CONFIDENCE = 0.95
"""Every interval covers this share."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""The quantiles that describe a distribution over pictures."""

_TAILS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
_Z = 1.959963984540054  # of the normal distribution, for CONFIDENCE


def bootstrap_counts(size: int, samples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Draw resamples with replacement: how often each of `size` items is taken.

    Args:
        size: how many items there are.
        samples: how many resamples to draw.
        seed: the same seed gives the same resamples.

    Yields:
        `(size,)` counts that add up to `size`.

    Raises:
        ConfigError: fewer than 1 item or 1 sample.
    """
    if size < 1 or samples < 1:
        raise ConfigError(f"A bootstrap needs items and samples, got {size} and {samples}.")
    random = np.random.default_rng(seed)
    for _ in range(samples):
        yield np.bincount(random.integers(0, size, size), minlength=size)


def bootstrap_mean(
    values: Sequence[float], *, samples: int = 1000, seed: int = 0
) -> tuple[float, float] | None:
    """Percentile bootstrap interval of a mean (Efron 1979).

    Args:
        values: one number a picture, finite.
        samples: how many resamples to draw.
        seed: of the resampling.

    Returns:
        Lower and upper end of the 95 % interval; `None` for fewer than two values.
    """
    data = np.asarray(values, dtype=np.float64)
    if data.size < 2:
        return None
    means = [
        float(counts @ data) / data.size for counts in bootstrap_counts(data.size, samples, seed)
    ]
    return percentiles(means)


def percentiles(draws: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of bootstrap draws.

    Args:
        draws: the statistic on each resample.
    """
    low, high = np.quantile(np.asarray(draws, dtype=np.float64), _TAILS)
    return float(low), float(high)


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a rate (1927); a bootstrap would call 0 of 40 certain.

    Args:
        successes: how many of the trials.
        trials: at least 1.

    Returns:
        Lower and upper end, in [0, 1].

    Raises:
        ConfigError: no trials, or more successes than trials.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ConfigError(f"A rate needs 0 <= successes <= trials, got {successes} of {trials}.")
    rate, spread = successes / trials, _Z * _Z / trials
    middle = (rate + spread / 2) / (1 + spread)
    half = math.sqrt(rate * (1 - rate) * spread + spread * spread / 4) / (1 + spread)
    # The ends are exactly 0 and 1 there; rounding would put them beside.
    low = 0.0 if successes == 0 else middle - half
    return low, 1.0 if successes == trials else middle + half


def quantiles(values: Sequence[float]) -> tuple[float, ...]:
    """The `QUANTILES` of a distribution.

    Args:
        values: at least one number.
    """
    return tuple(float(q) for q in np.quantile(np.asarray(values, dtype=np.float64), QUANTILES))
