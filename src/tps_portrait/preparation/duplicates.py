"""Finds crops that show nearly the same picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..ops.landmarks import flip_landmarks
from .records import Crop

# Mean and largest distance of the landmarks of two crops, in [-1, 1]. A hash sees where light and
# dark are and misses a smile; landmarks do not. Detected again in a copy of a photograph of another
# size or quality, they lie within 0.011 and 0.03.
_MEAN_SHIFT = 0.012
_LARGEST_SHIFT = 0.035
# Side in the picture below which landmarks scatter more, in inverse proportion.
_SURE_SIDE = 100.0
_CHUNK = 1024


def find_duplicates(crops: Sequence[Crop], limit: float) -> dict[int, int]:
    """Tell which crops repeat another one, as it is or mirrored.

    The best of near-duplicates is kept: the one with the largest side, then the sharpest, then the
    first by file name.

    Args:
        crops: the crops.
        limit: largest share of bits in which the hashes of near-duplicates differ.

    Returns:
        For each crop to leave out, the one that is kept in its place; by index.
    """
    if len(crops) < 2:
        return {}
    order = sorted(
        range(len(crops)),
        key=lambda i: (-round(crops[i].side), -crops[i].sharpness, crops[i].file_name),
    )
    straight = torch.tensor([crop.landmarks for crop in crops])
    candidates = [
        (_signs([crop.hashes[0] for crop in crops]), straight.numpy()),
        (_signs([crop.hashes[1] for crop in crops]), flip_landmarks(straight).numpy()),
    ]
    own, points = candidates[0]
    slack = np.maximum(1.0, _SURE_SIDE / np.array([crop.side for crop in crops]))
    bits = own.shape[1]
    is_kept = np.zeros(len(crops), dtype=bool)
    replaced: dict[int, int] = {}
    for start in range(0, len(order), _CHUNK):
        chunk = order[start : start + _CHUNK]
        # The scalar product of signs is the number of equal bits less that of different ones.
        products = [own[chunk] @ theirs.T for theirs, _ in candidates]
        for place, index in enumerate(chunk):
            for product, (_, landmarks) in zip(products, candidates, strict=True):
                near = np.flatnonzero(is_kept & (product[place] >= bits * (1 - 2 * limit)))
                shifts = np.linalg.norm(landmarks[near] - points[index], axis=-1)
                shifts = shifts / np.maximum(slack[near], slack[index])[:, None]
                same = near[(shifts.mean(1) <= _MEAN_SHIFT) & (shifts.max(1) <= _LARGEST_SHIFT)]
                if len(same):
                    replaced[index] = int(same[0])
                    break
            else:
                is_kept[index] = True
    return replaced


def _signs(hashes: Sequence[str]) -> np.ndarray:
    """Bits of hashes as -1 and 1: `(N, bits)` float32."""
    digits = np.array([np.frombuffer(bytes.fromhex(text), dtype=np.uint8) for text in hashes])
    return np.unpackbits(digits, axis=1).astype(np.float32) * 2 - 1
