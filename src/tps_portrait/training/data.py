"""Training pictures: reading them with their landmarks, and choosing which go together."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from ..errors import DatasetError
from ..models.aligner import TPSAligner
from ..ops.landmarks import apply_affine, fit_similarity, flip_landmarks
from ..ops.tps import bending_energy, fit_tps

logger = logging.getLogger(__name__)

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}


@dataclass(frozen=True)
class FaceSet:
    """Square face pictures with landmarks, in memory.

    Attributes:
        images: `(N, 3, R, R)` uint8, RGB.
        landmarks: `(N, 68, 2)` float32, (x, y) in [-1, 1], align_corners=False.
        names: N names for messages.
        masks: `(N, 1, R, R)` uint8, 255 on the person, 0 on the background; 255 throughout where
            a picture has no mask.
    """

    images: Tensor
    landmarks: Tensor
    names: tuple[str, ...]
    masks: Tensor

    def __len__(self) -> int:
        return len(self.names)

    def __add__(self, other: FaceSet) -> FaceSet:
        return FaceSet(
            torch.cat([self.images, other.images]),
            torch.cat([self.landmarks, other.landmarks]),
            self.names + other.names,
            torch.cat([self.masks, other.masks]),
        )

    def take(self, indices: Sequence[int]) -> FaceSet:
        """Return the pictures at `indices`, in that order."""
        index = torch.as_tensor(indices)
        names = tuple(self.names[i] for i in index.tolist())
        return FaceSet(self.images[index], self.landmarks[index], names, self.masks[index])


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
) -> FaceSet:
    """Read face pictures from a folder, a `datasets` id, or a `datasets` object.

    Everything is checked before anything is trained: pictures without metadata, metadata without
    pictures, wrong landmarks, pictures that are not square.

    Args:
        source: a local folder (imagefolder with `metadata.jsonl`), a Hub id, or a dataset
            (map-style or streaming) with an image and a landmarks column.
        resolution: side to which the pictures are resized.
        image_column: column of the pictures.
        landmarks_column: column of the landmarks, 68 x (x, y) in [-1, 1].
        mask_column: optional column of mattes, white on the person.
        split: split to take of a Hub id.
        name: configuration of a Hub id.
        limit: read at most so many pictures.

    Returns:
        The pictures with their landmarks.

    Raises:
        DatasetError: the source is missing, empty, or holds unusable rows; every unusable row is
            named with its reason.
    """
    rows: Any
    if isinstance(source, str | Path) and Path(source).is_dir():
        rows = _folder_rows(Path(source), image_column, landmarks_column, mask_column)
        label = str(source)
    elif isinstance(source, str | Path):
        rows, label = _hub_rows(str(source), name, split), str(source)
    else:
        rows, label = source, type(source).__name__
    images: list[Tensor] = []
    landmarks: list[Tensor] = []
    masks: list[Tensor] = []
    names: list[str] = []
    problems: list[str] = []
    for index, row in enumerate(rows):
        if limit is not None and len(images) >= limit:
            break
        title = str(row.get("file_name", f"row {index}"))
        try:
            images.append(_read_image(row, image_column, resolution))
            landmarks.append(_read_landmarks(row, landmarks_column))
            masks.append(_read_mask(row, mask_column, resolution))
            names.append(title)
        except (DatasetError, OSError, ValueError) as error:
            problems.append(f"{title}: {error}")
            del images[len(names) :], landmarks[len(names) :]
    if problems:
        shown = "\n  ".join(problems[:20])
        more = f"\n  … and {len(problems) - 20} more" if len(problems) > 20 else ""
        raise DatasetError(
            f"{label}: {len(problems)} of {len(problems) + len(names)} pictures cannot be used:\n"
            f"  {shown}{more}\nRemove or repair these rows."
        )
    if not names:
        raise DatasetError(f"{label} holds no pictures.")
    return FaceSet(torch.stack(images), torch.stack(landmarks), tuple(names), torch.stack(masks))


class PairDataset(Dataset[dict[str, Tensor]]):
    """Photos, each with a style example that bends little to fit it.

    Warping an example of another pose crushes it, so for each photo only the `pair_fraction` of the
    examples (and of their mirror images) with the lowest bending energy is drawn from
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
        mirrored = flip_landmarks(examples.landmarks)
        energy = pairing_energy(photos.landmarks, torch.cat([examples.landmarks, mirrored]))
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


def _folder_rows(
    folder: Path, image_column: str, landmarks_column: str, mask_column: str
) -> list[dict[str, Any]]:
    metadata = folder / "metadata.jsonl"
    pictures = {p.name for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES}
    if not metadata.is_file():
        raise DatasetError(
            f"{folder} has no metadata.jsonl with a `{landmarks_column}` for each of its "
            f"{len(pictures)} pictures. examples/README.md shows how to detect them."
        )
    rows = []
    for number, line in enumerate(metadata.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            row[image_column] = folder / row["file_name"]
            if row.get(mask_column):
                row[mask_column] = folder / row[mask_column]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise DatasetError(
                f"{metadata}, line {number}: not a JSON object with a `file_name` ({error})."
            ) from error
        rows.append(row)
    # datasets would silently drop a picture that has no metadata.
    lost = sorted(pictures - {str(row["file_name"]) for row in rows})
    if lost:
        logger.warning(
            "%s: %d pictures have no line in metadata.jsonl and are not used: %s",
            folder,
            len(lost),
            ", ".join(lost[:5]),
        )
    return rows


def _hub_rows(name: str, config: str | None, split: str) -> Any:
    import datasets

    try:
        return datasets.load_dataset(name, config, split=split)
    except Exception as error:
        raise DatasetError(
            f"{name!r} is neither a folder nor a dataset that can be loaded: {error}"
        ) from error


def _read_image(row: dict[str, Any], column: str, resolution: int) -> Tensor:
    if column not in row:
        raise DatasetError(f"no column {column!r}; there are {', '.join(row)}")
    image = _open(row[column], "RGB")
    if abs(image.width - image.height) > 1:
        raise DatasetError(
            f"the picture is {image.width}x{image.height}; training needs square face crops"
        )
    return _resized(image, resolution)


def _read_mask(row: dict[str, Any], column: str, resolution: int) -> Tensor:
    if row.get(column) is None:
        return torch.full((1, resolution, resolution), 255, dtype=torch.uint8)
    return _resized(_open(row[column], "L"), resolution)


def _open(value: Any, mode: str) -> Image.Image:
    if not isinstance(value, str | Path):
        converted: Image.Image = value.convert(mode)
        return converted
    if not Path(value).is_file():
        raise DatasetError(f"the file {Path(value).name} does not exist")
    with Image.open(value) as opened:
        return opened.convert(mode)


def _resized(image: Image.Image, resolution: int) -> Tensor:
    array = np.asarray(image, dtype=np.float32)
    pixels = torch.from_numpy(array if array.ndim == 3 else array[..., None]).permute(2, 0, 1)[None]
    if image.size != (resolution, resolution):
        pixels = F.interpolate(
            pixels, (resolution, resolution), mode="bicubic", antialias=True, align_corners=False
        )
    return pixels[0].round().clamp(0, 255).to(torch.uint8)


def _read_landmarks(row: dict[str, Any], column: str) -> Tensor:
    value: Sequence[Sequence[float]] | None = row.get(column)
    if value is None:
        raise DatasetError(f"no {column!r}")
    landmarks = torch.as_tensor(value, dtype=torch.float32)
    if landmarks.shape != (68, 2):
        raise DatasetError(f"{column} has shape {tuple(landmarks.shape)}, not (68, 2)")
    if not torch.isfinite(landmarks).all():
        raise DatasetError(f"{column} are not all finite")
    if landmarks.abs().max() > 2:
        raise DatasetError(f"{column} must be normalised to [-1, 1]; they look like pixels")
    if landmarks[36:42, 0].mean() >= landmarks[42:48, 0].mean():
        raise DatasetError(f"{column}: the eyes are swapped; the person's right one comes first")
    return landmarks
