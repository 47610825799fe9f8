"""How far a file's drawings are from PyTorch's, and how far they may be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEAST_PSNR = {"fp16": 45.0, "int8": 32.0}
_MOST_DIFFERENCE = 1e-3
_MOST_SHIFT = 5e-3


@dataclass(frozen=True)
class Parity:
    """Differences between a file's results and those of the float32 network in PyTorch.

    Attributes:
        max_difference: largest difference of a value; the range is 2 for float drawings (-1 to 1),
            255 for uint8, and 1 for places in a square.
        mean_difference: mean of the absolute differences, in the same units.
        psnr: peak signal-to-noise ratio in dB over that range; 200 for identical results.
        pictures: how many were compared.
        bar: what had to be reached, in words.
        passed: whether it was.
    """

    max_difference: float
    mean_difference: float
    psnr: float
    pictures: int
    bar: str
    passed: bool

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, figures rounded to four digits."""
        values = asdict(self)
        for name in ("max_difference", "mean_difference", "psnr"):
            values[name] = float(f"{values[name]:.4g}")
        return values


def compare(
    drawn: Sequence[NDArray[Any]], expected: Sequence[NDArray[Any]], precision: str
) -> Parity:
    """Compare drawings and judge them.

    The bar: float32 within 1e-3 everywhere (one level of 255 for uint8), float16 at least 45 dB,
    int8 at least 32 dB. A drawing that is not finite fails.

    Args:
        drawn: batches drawn by the file.
        expected: the same batches drawn by PyTorch, float in [-1, 1] or uint8.
        precision: `fp32`, `fp16` or `int8`.
    """
    pixels = expected[0].dtype == np.uint8
    highest, mean, psnr, pictures = _measure(drawn, expected, 255.0 if pixels else 2.0)
    if precision == "fp32":
        limit = 1.0 if pixels else _MOST_DIFFERENCE
        bar, passed = f"max_difference <= {limit:g}", highest <= limit
    else:
        limit = _LEAST_PSNR[precision]
        bar, passed = f"psnr >= {limit:g} dB", psnr >= limit
    return Parity(highest, mean, psnr, pictures, bar, passed)


def compare_numbers(
    found: Sequence[NDArray[Any]], expected: Sequence[NDArray[Any]], precision: str
) -> Parity:
    """Compare probabilities and places, in fractions of the input square, and judge them.

    The bar: float32 within 1e-3 everywhere, a fifth of a pixel of 192; float16 within 5e-3.

    Args:
        found: results of the file.
        expected: results of PyTorch.
        precision: `fp32` or `fp16`.
    """
    highest, mean, psnr, pictures = _measure(found, expected, 1.0)
    limit = _MOST_DIFFERENCE if precision == "fp32" else _MOST_SHIFT
    return Parity(highest, mean, psnr, pictures, f"max_difference <= {limit:g}", highest <= limit)


def _measure(
    found: Sequence[NDArray[Any]], expected: Sequence[NDArray[Any]], peak: float
) -> tuple[float, float, float, int]:
    """Largest and mean difference, PSNR, and how many pictures were compared."""
    highest, total, squares, count = 0.0, 0.0, 0.0, 0
    for ours, theirs in zip(found, expected, strict=True):
        same_form = ours.shape == theirs.shape and ours.dtype == theirs.dtype
        difference = np.abs(ours.astype(np.float64) - theirs) if same_form else np.array([np.inf])
        highest = max(highest, float(np.nan_to_num(difference, nan=np.inf).max()))
        total += float(difference.sum())
        squares += float(np.square(difference).sum())
        count += difference.size
    mean, error = total / count, squares / count
    if not math.isfinite(highest):
        psnr = 0.0
    else:
        psnr = min(200.0, 10 * math.log10(peak**2 / error)) if error else 200.0
    return highest, mean, psnr, sum(len(batch) for batch in expected)
