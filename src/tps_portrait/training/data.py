"""Training pictures: reading them with their landmarks, and choosing which go together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..errors import DatasetError, InputImageError
from ..models.aligner import TPSAligner
from ..ops.landmarks import apply_affine, fit_similarity, flip_landmarks
from ..ops.tps import bending_energy, fit_tps
from .detection import detect_faces
from .mouths import same_mouth
from .rows import (
    Row,
    complain,
    known_of,
    open_rows,
    read_landmarks,
    read_mask,
    read_square,
    row_credit,
    row_name,
)


@dataclass(frozen=True)
class FaceSet:
    """Square face pictures with landmarks, in memory.

    Attributes:
        images: `(N, 3, R, R)` uint8, RGB.
        landmarks: `(N, 68, 2)` float32, (x, y) in [-1, 1], align_corners=False.
        names: N names for messages.
        masks: `(N, 1, R, R)` uint8, 255 on the person, 0 on the background; 255 throughout where
            a picture has no mask.
        credits: where the pictures come from and under what licence, as far as their rows say so;
            without repetitions.
        rows: for each picture what its row says of its origin, see `known_of`; empty where nothing
            is known of any.
    """

    images: Tensor
    landmarks: Tensor
    names: tuple[str, ...]
    masks: Tensor
    credits: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def __add__(self, other: FaceSet) -> FaceSet:
        return FaceSet(
            torch.cat([self.images, other.images]),
            torch.cat([self.landmarks, other.landmarks]),
            self.names + other.names,
            torch.cat([self.masks, other.masks]),
            tuple(dict.fromkeys(self.credits + other.credits)),
            (self.rows or ({},) * len(self)) + (other.rows or ({},) * len(other)),
        )

    def take(self, indices: Sequence[int]) -> FaceSet:
        """Return the pictures at `indices`, in that order."""
        index = torch.as_tensor(indices)
        names = tuple(self.names[i] for i in index.tolist())
        images, landmarks, masks = self.images[index], self.landmarks[index], self.masks[index]
        rows = tuple(self.rows[i] for i in index.tolist()) if self.rows else ()
        return FaceSet(images, landmarks, names, masks, self.credits, rows)


def load_faces(
    source: str | Path | Any,
    resolution: int,
    *,
    image_column: str = "image",
    landmarks_column: str = "landmarks",
    mask_column: str = "mask",
    split: str = "train",
    name: str | None = None,
    limit: int | None = None,
    minimum: int = 5,
) -> FaceSet:
    """Read face pictures from a folder, a `datasets` id, or a `datasets` object.

    With landmarks, pictures must be square crops, and everything is checked before anything is
    trained: metadata without pictures, pictures without metadata, wrong landmarks. Without any
    landmarks (a plain folder of pictures, for one) faces are detected and cut out upright.

    Args:
        source: a local folder (imagefolder with `metadata.jsonl`, or just pictures), a Hub id, or a
            dataset (map-style or streaming) with an image column and maybe a landmarks column.
        resolution: side to which the pictures are resized.
        image_column: column of the pictures.
        landmarks_column: column of the landmarks, 68 x (x, y) in [-1, 1].
        mask_column: optional column of mattes, white on the person.
        split: split to take of a Hub id.
        name: configuration of a Hub id.
        limit: read at most so many pictures.
        minimum: least number of faces, where faces have to be detected.

    Returns:
        The pictures with their landmarks.

    Raises:
        DatasetError: the source is missing, empty, or holds unusable rows; every unusable row is
            named with its reason.
    """
    rows, known, label = open_rows(
        source, name=name, split=split, columns=(image_column, mask_column)
    )
    if landmarks_column not in known:
        faces = detect_faces(
            rows,
            resolution,
            image_column=image_column,
            mask_column=mask_column,
            label=label,
            limit=limit,
            minimum=minimum,
        )
    else:
        faces, problems = [], []
        for index, row in enumerate(rows):
            if limit is not None and len(faces) >= limit:
                break
            title = row_name(row, index)
            try:
                image = read_square(row, image_column, resolution)
                landmarks = read_landmarks(row, landmarks_column)
                mask = read_mask(row, mask_column, (resolution, resolution))
                faces.append((image, landmarks, mask, title, row))
            except (DatasetError, InputImageError) as error:
                problems.append(f"{title}: {error}")
        if problems:
            raise complain(label, problems, len(problems) + len(faces))
        if not faces:
            raise DatasetError(f"{label} holds no pictures.")
    return FaceSet(
        torch.stack([face[0] for face in faces]),
        torch.stack([face[1] for face in faces]),
        tuple(face[3] for face in faces),
        torch.stack([face[2] for face in faces]),
        tuple(dict.fromkeys(filter(None, (row_credit(face[4]) for face in faces)))),
        tuple(known_of(face[4]) for face in faces),
    )


class PairDataset(Dataset[dict[str, Tensor]]):
    """Photos, each with a style example that bends little to fit it.

    Warping an example of another pose crushes it, so for each photo only the `pair_fraction` of the
    examples (and of their mirror images) with the lowest bending energy is drawn from, those with
    the mouth as open as the photo's first: a closed mouth cannot be warped into teeth
    (arXiv 2211.15549 pairs any with any; the choice is ours). Which one is drawn depends on the
    seed, the epoch and the index alone, so that a resumed run sees the same pairs.

    Args:
        photos: the photo domain.
        examples: the style domain.
        pair_fraction: share of the examples kept for each photo, in (0, 1].
        seed: seed of the pairing.
    """

    def __init__(
        self, photos: FaceSet, examples: FaceSet, *, pair_fraction: float = 0.3, seed: int = 0
    ) -> None:
        self.photos = photos
        self.examples = examples
        self.seed = seed
        self.epoch = 0
        both = torch.cat([examples.landmarks, flip_landmarks(examples.landmarks)])
        energy = pairing_energy(photos.landmarks, both)
        energy = energy + energy.max() * ~same_mouth(photos.landmarks[:, None], both[None])
        keep = max(1, round(pair_fraction * energy.shape[1]))
        self.partners = energy.argsort(dim=1)[:, :keep]

    def set_epoch(self, epoch: int) -> None:
        """Choose other partners in another epoch; called by Accelerate's data loader."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Return one pair, mirrored half of the time: pictures uint8 `(3, R, R)`, landmarks."""
        key = (self.seed * 1_000_003 + self.epoch) * 1_000_003 + index
        generator = torch.Generator().manual_seed(key % (2**63))
        choice = int(torch.randint(self.partners.shape[1], (1,), generator=generator))
        mirror = bool(torch.rand(1, generator=generator) < 0.5)
        partner = int(self.partners[index, choice])
        flip_example = (partner >= len(self.examples)) != mirror
        partner %= len(self.examples)
        photo, photo_landmarks, mask = _take(self.photos, index, mirror)
        example, example_landmarks, _ = _take(self.examples, partner, flip_example)
        return {
            "photo": photo,
            "photo_landmarks": photo_landmarks,
            "photo_mask": mask,
            "example": example,
            "example_landmarks": example_landmarks,
        }


def pairing_energy(photos: Tensor, examples: Tensor, *, chunk: int = 1024) -> Tensor:
    """Bending energy of the spline from each photo to each example, after similarity alignment.

    Args:
        photos: `(M, 68, 2)` landmarks.
        examples: `(N, 68, 2)` landmarks.
        chunk: splines fitted at a time.

    Returns:
        `(M, N)`; low where the two faces differ by little more than place, size and turn.
    """
    points = list(TPSAligner.config_class().control_points)
    p = photos.repeat_interleave(len(examples), 0)
    q = examples.repeat(len(photos), 1, 1)
    energies = []
    for a, b in zip(p.split(chunk), q.split(chunk), strict=True):
        laid = apply_affine(fit_similarity(b, a), b)
        energies.append(bending_energy(fit_tps(a[:, points], laid[:, points], 1e-3)))
    return torch.cat(energies).view(len(photos), len(examples))


def template_of(examples: FaceSet) -> Tensor:
    """Mean face of a style, `(68, 2)`: the examples laid over one another and made symmetric."""
    both = torch.cat([examples.landmarks, flip_landmarks(examples.landmarks)])
    mean = both.mean(0, keepdim=True)
    for _ in range(5):
        laid = apply_affine(fit_similarity(both, mean.expand_as(both)), both)
        mean = laid.mean(0, keepdim=True)
    return mean[0]


def to_float(images: Tensor) -> Tensor:
    """Turn uint8 pictures into float ones in [-1, 1]."""
    return images.float() / 127.5 - 1


def _take(faces: FaceSet, index: int, mirror: bool) -> tuple[Tensor, Tensor, Tensor]:
    image, landmarks, mask = faces.images[index], faces.landmarks[index], faces.masks[index]
    if mirror:
        image, landmarks, mask = image.flip(-1), flip_landmarks(landmarks[None])[0], mask.flip(-1)
    return image, landmarks, mask
