"""Completes training sets without landmarks: finds the faces and cuts them out upright."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import lru_cache

import torch
from torch import Tensor

from .._bundled import LANDMARKER
from ..errors import DatasetError, InputImageError, LandmarkError
from ..models.landmarks import FaceLandmarker
from ..processing.faces import FaceCrop, cut_face
from .rows import Row, listed, read_mask, read_pixels, row_name

logger = logging.getLogger(__name__)

# A face that has to be enlarged more than this has no detail to learn from.
_MAX_ENLARGEMENT = 2.0


def detect_faces(
    rows: Iterable[Row],
    resolution: int,
    *,
    image_column: str,
    mask_column: str,
    label: str,
    limit: int | None = None,
    minimum: int = 5,
) -> list[tuple[Tensor, Tensor, Tensor, str, Row]]:
    """Cut the largest face out of each picture, framed as the training photos are.

    Pictures that cannot be read, show no face, or only one much smaller than `resolution`, are
    skipped; one warning names them all.

    Args:
        rows: rows with a picture and maybe a matte.
        resolution: side of the crops.
        image_column: column of the pictures.
        mask_column: optional column of mattes.
        label: name of the set for messages.
        limit: stop after so many crops.
        minimum: least number of crops.

    Returns:
        For each crop: picture `(3, R, R)` uint8, landmarks `(68, 2)` in [-1, 1], matte `(1, R, R)`
        uint8, name, row.

    Raises:
        DatasetError: fewer than `minimum` crops remain.
    """
    logger.info("%s has no landmarks: looking for faces", label)
    landmarker = _landmarker()
    crops: list[tuple[Tensor, Tensor, Tensor, str, Row]] = []
    skipped: list[str] = []
    for index, row in enumerate(rows):
        if limit is not None and len(crops) >= limit:
            break
        name = row_name(row, index)
        try:
            pixels = read_pixels(row, image_column)
            faces = landmarker.detect([pixels], max_faces=1)[0]
            if not faces:
                raise DatasetError("no face found")
            crop = FaceCrop.around(faces[0].landmarks, (pixels.shape[1], pixels.shape[2]))
            if crop.side * _MAX_ENLARGEMENT < resolution:
                raise DatasetError(f"the face is too small: its crop is {crop.side:.0f} px wide")
            mask = read_mask(row, mask_column, (pixels.shape[1], pixels.shape[2]))
        except (DatasetError, InputImageError, LandmarkError) as error:
            skipped.append(f"{name}: {error}")
            continue
        square = cut_face(pixels, crop, resolution)
        matte = cut_face(mask.expand(3, -1, -1).contiguous(), crop, resolution)[:1]
        crops.append((square, crop.crop_landmarks, matte, name, row))
    found = f"{label}: {len(crops)} faces found"
    if skipped:
        logger.warning("%s, %d pictures skipped:\n  %s", found, len(skipped), listed(skipped, 50))
    else:
        logger.info(found)
    if len(crops) < minimum:
        raise DatasetError(
            f"{found} in {len(crops) + len(skipped)} pictures, and at least {minimum} are needed. "
            f"Skipped:\n  {listed(skipped) or 'none'}\nAdd portraits with clearly visible faces."
        )
    return crops


@lru_cache(maxsize=1)
def _landmarker() -> FaceLandmarker:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return FaceLandmarker.from_pretrained(LANDMARKER).to(device)
