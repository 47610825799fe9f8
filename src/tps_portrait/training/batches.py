"""Batches as the steps of a training take them, of pictures as the sets hold them."""

from __future__ import annotations

import torch
from torch import Tensor

from .augment import PhotoAugmentation
from .data import FaceSet, pairing_energy, to_float
from .step import Batch


def to_batch(rows: dict[str, Tensor], augment: PhotoAugmentation) -> Batch:
    """Turn a collated batch into float pictures and augment the photos.

    Args:
        rows: rows of `PairDataset`, collated: pictures (B, 3, S, S) and mattes (B, 1, S, S) uint8,
            landmarks (B, 68, 2) in [-1, 1].
        augment: changes light, place and background of the photos.

    Returns:
        The batch, pictures in [-1, 1].
    """
    photo, landmarks, even = augment(
        to_float(rows["photo"]), rows["photo_landmarks"], rows["photo_mask"] / 255
    )
    return Batch(photo, landmarks, to_float(rows["example"]), rows["example_landmarks"], even)


def validation_batch(
    photos: FaceSet, examples: FaceSet, device: torch.device, count: int = 4
) -> Batch:
    """Pick photos, each with the example that fits it best, for the sample grids.

    Args:
        photos: to draw; those taken lie evenly in the set.
        examples: in the style.
        device: where the batch is wanted.
        count: at most so many.

    Returns:
        The batch, without augmentation, pictures in [-1, 1].
    """
    chosen = torch.linspace(0, len(photos) - 1, min(count, len(photos))).round().long()
    subset = photos.take(chosen.tolist())
    partners = pairing_energy(subset.landmarks, examples.landmarks).argmin(1)
    return Batch(
        to_float(subset.images).to(device),
        subset.landmarks.to(device),
        to_float(examples.images[partners]).to(device),
        examples.landmarks[partners].to(device),
    )
