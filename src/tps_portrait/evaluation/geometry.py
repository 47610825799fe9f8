"""Geometry: how far the landmarks of a drawing are from those of its photo."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..errors import LandmarkError
from ..models.landmarks import FaceLandmarker
from ..ops.landmarks import PARTS, flip_landmarks, inter_ocular_distance
from .faces import find_face


def landmark_error(landmarks: Tensor, expected: Tensor) -> dict[str, float]:
    """Mean distance of landmarks in percent of the inter-ocular distance.

    That is the distance of the outer corners of the eyes (points 36 and 45) of `expected`, as in
    the 300-W benchmark.

    Args:
        landmarks: `(68, 2)` of the drawing, normalised (x, y) in a square picture.
        expected: `(68, 2)` of the photo.

    Returns:
        The error of `all` landmarks and of each part in `ops.landmarks.PARTS`.

    Raises:
        LandmarkError: wrong shapes, or the eye corners of `expected` coincide.
    """
    if landmarks.shape != (68, 2) or expected.shape != (68, 2):
        raise LandmarkError(
            f"landmarks must be (68, 2), got {tuple(landmarks.shape)} and {tuple(expected.shape)}"
        )
    eyes = inter_ocular_distance(expected)
    if not bool(eyes > 0):
        raise LandmarkError("the outer eye corners coincide: there is no inter-ocular distance")
    distance = (landmarks - expected).norm(dim=1) / eyes * 100
    groups: Mapping[str, tuple[int, ...]] = {"all": tuple(range(68)), **PARTS}
    return {name: float(distance[list(index)].mean()) for name, index in groups.items()}


def landmarker_noise(landmarker: FaceLandmarker, image: Tensor, landmarks: Tensor) -> float | None:
    """What `landmark_error` says of a perfect drawing: the photo, mirrored and found anew.

    Args:
        landmarker: the network that finds landmarks.
        image: `(3, S, S)` uint8 photo.
        landmarks: `(68, 2)` found in it, normalised.

    Returns:
        The error of all landmarks in percent; `None` where the mirrored face is not found.
    """
    mirrored = find_face(landmarker, torch.flip(image, (2,)), flip_landmarks(landmarks))
    if mirrored is None:
        return None
    return landmark_error(flip_landmarks(mirrored), landmarks)["all"]
