"""KID and FID: how far one set of features is from another.

Both are computed from Gram matrices, so that a bootstrap costs no second look at the features.
The numbers mean something only together with the network that made the features.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..errors import ConfigError
from .intervals import bootstrap_counts, percentiles

_FID_SAMPLES = 200  # a singular value decomposition each


class FeatureComparison:
    """Two samples of features, ready to be compared and resampled.

    Args:
        results: `(N, D)` features of what was drawn, N >= 2.
        examples: `(M, D)` features of what it should look like, M >= 2.

    Raises:
        ConfigError: other shapes, fewer than two rows, or values that are not finite.
    """

    def __init__(self, results: Tensor, examples: Tensor) -> None:
        for name, features in (("results", results), ("examples", examples)):
            if features.ndim != 2 or features.shape[0] < 2:
                raise ConfigError(
                    f"{name} must be features (N, D) of at least two pictures, got "
                    f"{tuple(features.shape)}."
                )
            if not bool(features.isfinite().all()):
                raise ConfigError(f"{name} hold values that are not finite.")
        if results.shape[1] != examples.shape[1]:
            raise ConfigError(
                f"results and examples have features of {results.shape[1]} and "
                f"{examples.shape[1]} numbers; take both from one network."
            )
        a, b = results.detach().cpu().double(), examples.detach().cpu().double()
        self.sizes = (len(a), len(b))
        self._kernels = tuple((x @ y.T / x.shape[1] + 1) ** 3 for x, y in _pairs(a, b))
        # FID does not see a common shift; without it the products lose fewer digits.
        shift = torch.cat([a, b]).mean(0)
        self._grams = tuple(x @ y.T for x, y in _pairs(a - shift, b - shift))

    def kid(self, counts: tuple[Tensor, Tensor] | None = None) -> float:
        """Kernel inception distance: squared maximum mean discrepancy, kernel (x.y / D + 1)^3.

        Unbiased over all pairs of different pictures, so it may fall below zero (Bińkowski et al.,
        arXiv 1801.01401).

        Args:
            counts: how often each picture of the two samples is taken; once by default. Two
                copies of one picture never make a pair, which would look like agreement.
        """
        aa, bb, ab = self._kernels
        wa, wb = self._ones() if counts is None else counts
        within = [
            (w @ k @ w - (w.square() * k.diagonal()).sum()) / (w.sum() ** 2 - w.square().sum())
            for w, k in ((wa, aa), (wb, bb))
        ]
        return float(within[0] + within[1] - 2 * (wa @ ab @ wb) / (wa.sum() * wb.sum()))

    def fid(self, counts: tuple[Tensor, Tensor] | None = None) -> float:
        """Fréchet distance of the Gaussians fitted to both samples (Heusel et al., 1706.08500).

        `|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2)`, where the last trace is the sum of the singular
        values of `X1 X2^T` for centred samples with `C = X^T X`: exact also for fewer pictures than
        features. It grows as pictures become fewer; compare only equal numbers of pictures.

        Args:
            counts: how often each picture of the two samples is taken; once by default.
        """
        aa, bb, ab = self._grams
        wa, wb = self._ones() if counts is None else counts
        pa, pb = wa / wa.sum(), wb / wb.sum()
        between = pa @ aa @ pa + pb @ bb @ pb - 2 * (pa @ ab @ pb)
        spread = [
            (w * (g.diagonal() - 2 * (g @ p) + p @ g @ p)).sum() / (w.sum() - 1)
            for w, p, g in ((wa, pa, aa), (wb, pb, bb))
        ]
        centred = ab - (pa @ ab)[None, :] - (ab @ pb)[:, None] + pa @ ab @ pb
        scale_a, scale_b = (wa / (wa.sum() - 1)).sqrt(), (wb / (wb.sum() - 1)).sqrt()
        common = torch.linalg.svdvals(scale_a[:, None] * centred * scale_b[None, :]).sum()
        return float(between + spread[0] + spread[1] - 2 * common)

    def kid_interval(self, *, samples: int = 1000, seed: int = 0) -> tuple[float, float]:
        """Percentile bootstrap interval of `kid`, both samples redrawn.

        Args:
            samples: how many resamples to draw.
            seed: of the resampling.
        """
        return percentiles([self.kid(c) for c in self._resamples(samples, seed)])

    def fid_interval(self, *, samples: int = 1000, seed: int = 0) -> tuple[float, float]:
        """Bootstrap interval of `fid`, both samples redrawn, moved to lie around `fid` itself.

        A resample has fewer different pictures, which adds to FID; the shift takes that out. The
        bias of FID for few pictures is still in its value and not in the interval.

        Args:
            samples: how many resamples to draw; 200 at most, as each needs a decomposition.
            seed: of the resampling.
        """
        draws = [self.fid(c) for c in self._resamples(min(samples, _FID_SAMPLES), seed)]
        shift = self.fid() - float(np.mean(draws))
        low, high = percentiles(draws)
        return low + shift, high + shift

    def _ones(self) -> tuple[Tensor, Tensor]:
        first, second = (torch.ones(size, dtype=torch.float64) for size in self.sizes)
        return first, second

    def _resamples(self, samples: int, seed: int) -> list[tuple[Tensor, Tensor]]:
        draws = [
            [torch.from_numpy(c).double() for c in bootstrap_counts(size, samples, seed + index)]
            for index, size in enumerate(self.sizes)
        ]
        # All from one picture has no pairs and no spread.
        return [
            (a, b)
            for a, b in zip(*draws, strict=True)
            if int((a > 0).sum()) > 1 and int((b > 0).sum()) > 1
        ]


def _pairs(a: Tensor, b: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
    return ((a, a), (b, b), (a, b))
