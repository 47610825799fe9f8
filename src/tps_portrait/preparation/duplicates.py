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
_BITS = np.array([bin(byte).count("1") for byte in range(256)], dtype=np.uint16)


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
    hashes = np.array([_bytes(crop.hashes[0]) for crop in crops])
    mirrored = np.array([_bytes(crop.hashes[1]) for crop in crops])
    points = torch.tensor([crop.landmarks for crop in crops])
    flipped = flip_landmarks(points).numpy()
    straight = points.numpy()
    slack = np.maximum(1.0, _SURE_SIDE / np.array([crop.side for crop in crops]))
    most = limit * hashes.shape[1] * 8
    kept: list[int] = []
    replaced: dict[int, int] = {}
    for index in order:
        rivals = np.array(kept, dtype=int)
        for theirs, landmarks in ((hashes, straight), (mirrored, flipped)):
            differing = _BITS[theirs[rivals] ^ hashes[index]].sum(1)
            close = rivals[differing <= most]
            shifts = np.linalg.norm(landmarks[close] - straight[index], axis=-1)
            shifts = shifts / np.maximum(slack[close], slack[index])[:, None]
            same = close[(shifts.mean(1) <= _MEAN_SHIFT) & (shifts.max(1) <= _LARGEST_SHIFT)]
            if len(same):
                replaced[index] = int(same[0])
                break
        else:
            kept.append(index)
    return replaced


def _bytes(digits: str) -> np.ndarray:
    return np.frombuffer(bytes.fromhex(digits), dtype=np.uint8)
