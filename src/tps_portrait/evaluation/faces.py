"""Pictures to evaluate on: square face crops of one size, from folders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .._imagefolder import METADATA, SUFFIXES, read_landmarks, read_metadata
from ..errors import DatasetError, InputImageError, LandmarkError
from ..models.landmarks import FaceLandmarker
from ..ops.landmarks import inter_ocular_distance, to_normalized
from ..processing import load_photo
from ..processing.faces import FaceCrop, cut_face
from ..processing.resample import resize

LABELS = ("skin_tone", "age", "pose", "accessories", "light", "colour", "use")
"""Columns of a `metadata.jsonl` that divide a set into parts, which are measured apart."""

Stylize = Callable[[Sequence[Tensor]], Sequence[Tensor]]
"""What is evaluated: square pictures `(3, S, S)` uint8 in, drawings of the same form out."""

# A face found in a drawing is the photo's where its landmarks are this near, in eye distances.
_SAME_FACE = 0.5


@dataclass(frozen=True, eq=False)
class FaceSet:
    """Square face crops of one size.

    Attributes:
        label: what messages and reports call the set.
        names: name of each picture.
        images: `(3, S, S)` uint8 RGB each.
        landmarks: `(68, 2)` each, (x, y) normalised to [-1, 1] of the crop; `None` where the set
            has none.
        skipped: pictures that could not be used, with the reason.
        cropped: the faces were cut out of larger pictures here.
        labels: for each picture, what its metadata tell about the person; see `LABELS`.
            Empty if they tell nothing.
    """

    label: str
    names: list[str]
    images: list[Tensor]
    landmarks: list[Tensor | None]
    skipped: list[str]
    cropped: bool = False
    labels: list[dict[str, str]] = field(default_factory=list)

    def __len__(self) -> int:
        """How many pictures there are."""
        return len(self.images)


def read_faces(
    folder: str | Path,
    size: int,
    *,
    landmarker: FaceLandmarker | None = None,
    limit: int | None = None,
) -> FaceSet:
    """Read a folder of pictures as training reads it.

    With a `metadata.jsonl` (rows with `file_name` and maybe `landmarks`, normalised to [-1, 1]),
    pictures are square face crops already and are only resized. Without one, the largest face of
    each picture is cut out upright if there is a landmarker to find it.

    Args:
        folder: where the pictures are.
        size: side of the crops in pixels.
        landmarker: finds faces where there is no `metadata.jsonl`; `None` takes pictures as they
            are, which must be square.
        limit: read only this many pictures, the first in the order of the metadata or the names.

    Raises:
        DatasetError: the folder or its metadata cannot be used, or no picture can.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DatasetError(f"{root} is no folder. Pass a folder of pictures.")
    rows = _rows(root)
    crops = landmarker is not None and not (root / METADATA).is_file()
    found = FaceSet(root.resolve().name, [], [], [], [], crops)
    for row in rows:
        if limit is not None and len(found) >= limit:
            break
        name = row["file_name"]
        try:
            pixels = load_photo(root / name).visible()
            image, landmarks = (
                _cropped(pixels, landmarker, size)
                if crops and landmarker is not None
                else _square(pixels, row, size)
            )
        except (InputImageError, LandmarkError, DatasetError) as error:
            found.skipped.append(f"{name}: {error}")
            continue
        found.names.append(name)
        found.images.append(image)
        found.landmarks.append(landmarks)
        found.labels.append(row.get("labels", {}))
    if not found.images:
        reasons = "\n  ".join(found.skipped[:10]) or "it holds none"
        raise DatasetError(f"No picture of {root} can be used:\n  {reasons}")
    return found


def read_truth(folder: str | Path, photos: FaceSet, size: int) -> dict[int, Tensor]:
    """Read what the drawings should be, paired with the photos by file name without its suffix.

    Args:
        folder: square pictures in register with the photos.
        photos: what was photographed; a set with `metadata.jsonl`, so that it was not cropped.
        size: side in pixels.

    Returns:
        `(3, size, size)` uint8 by index of the photo; photos without a partner are left out.

    Raises:
        DatasetError: the folder cannot be used, no photo has a partner in it, or the photos were
            cropped.
    """
    if photos.cropped:
        raise DatasetError(
            f"The faces of {photos.label} were cut out here, so {folder} cannot be in register "
            "with them. Ground truth needs photos that are face crops, with a metadata.jsonl."
        )
    truth = read_faces(folder, size)
    by_stem = {
        Path(name).stem: image for name, image in zip(truth.names, truth.images, strict=True)
    }
    pairs = {
        index: by_stem[Path(name).stem]
        for index, name in enumerate(photos.names)
        if Path(name).stem in by_stem
    }
    if not pairs:
        raise DatasetError(
            f"No picture of {folder} has the name of a photo in {photos.label}, such as "
            f"{photos.names[0]!r}. Ground truth is paired by file name."
        )
    return pairs


def find_face(
    landmarker: FaceLandmarker, image: Tensor, near: Tensor | None = None
) -> Tensor | None:
    """Find the landmarks of one face.

    Args:
        landmarker: the network that finds it.
        image: `(3, S, S)` uint8.
        near: `(68, 2)` normalised landmarks where it should be; any place when `None`.

    Returns:
        `(68, 2)` normalised landmarks of the nearest face, or of the largest without `near`;
        `None` where none is found, or none within half an eye distance on average.
    """
    size = (image.shape[1], image.shape[2])
    found = [to_normalized(face.landmarks, size) for face in landmarker.detect([image])[0]]
    if near is None:
        return found[0] if found else None
    eyes = float(inter_ocular_distance(near))
    distance = [float((face - near).norm(dim=1).mean()) / eyes for face in found]
    if not distance or min(distance) > _SAME_FACE:
        return None
    return found[distance.index(min(distance))]


def as_floats(images: Sequence[Tensor], side: int | None = None) -> Tensor:
    """Stack pictures for a network.

    Args:
        images: `(3, S, S)` uint8 each.
        side: resize to this many pixels, antialiased; as they are when `None`.

    Returns:
        `(B, 3, side, side)` float32 in [0, 1].
    """
    if side is not None:
        images = [resize(image, (side, side)) for image in images]
    return torch.stack(list(images)).float() / 255


def _rows(root: Path) -> list[dict[str, Any]]:
    metadata = root / METADATA
    if not metadata.is_file():
        files = sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES)
        return [{"file_name": path.relative_to(root).as_posix()} for path in files]
    rows = read_metadata(metadata)
    for row in rows:
        row["labels"] = {key: str(row[key]) for key in LABELS if row.get(key) not in (None, "")}
    return rows


def _square(pixels: Tensor, row: dict[str, Any], size: int) -> tuple[Tensor, Tensor | None]:
    height, width = pixels.shape[1:]
    if abs(width - height) > 1:
        raise DatasetError(
            f"it is {width}x{height}, and no square face crop, which this folder must hold"
        )
    given = row.get("landmarks")
    landmarks = None if given is None else read_landmarks(given)
    return resize(pixels, (size, size)), landmarks


def _cropped(pixels: Tensor, landmarker: FaceLandmarker, size: int) -> tuple[Tensor, Tensor]:
    faces = landmarker.detect([pixels], max_faces=1)[0]
    if not faces:
        raise DatasetError("no face was found")
    crop = FaceCrop.around(faces[0].landmarks, (pixels.shape[1], pixels.shape[2]))
    image = cut_face(pixels, crop, size)
    return image, crop.crop_landmarks
