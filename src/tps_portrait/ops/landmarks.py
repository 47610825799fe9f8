"""Geometry of 68 facial landmarks (iBUG layout, 0-based): parts, mirror, similarities, crops.

Coordinates are (x, y). Normalised: [-1, 1] over the picture with `align_corners=False`, the
centre of pixel i of W at (2i + 1) / W - 1. Pixels: x in [0, W], the centre of pixel i at i + 0.5.
Hence normalised = 2 * pixels / size - 1. "Right" is the person's right: the smaller x in a
picture that is not mirrored.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import ConfigError, LandmarkError
from .mean_face import MEAN_FACE_68
from .tps import identity_grid

__all__ = [
    "CROP_EYE_CENTER",
    "CROP_INTEROCULAR",
    "FLIP_68",
    "MEAN_FACE_68",
    "PARTS",
    "PART_SCALES",
    "apply_affine",
    "border_points",
    "crop_transform",
    "eye_centers",
    "fit_similarity",
    "flip_landmarks",
    "invert_affine",
    "mean_face",
    "part_grid",
    "to_normalized",
    "to_pixels",
]

PARTS: dict[str, tuple[int, ...]] = {
    "jaw": tuple(range(17)),
    "right_brow": tuple(range(17, 22)),
    "left_brow": tuple(range(22, 27)),
    "nose": tuple(range(27, 36)),
    "right_eye": tuple(range(36, 42)),
    "left_eye": tuple(range(42, 48)),
    "mouth": tuple(range(48, 68)),
}
"""Landmark indices of each part of the face."""

PART_SCALES: dict[str, float] = {
    "jaw": 2.8,
    "right_brow": 1.0,
    "left_brow": 1.0,
    "nose": 1.4,
    "right_eye": 0.9,
    "left_eye": 0.9,
    "mouth": 1.3,
}
"""Side of the crop around each part in inter-ocular distances: the part's extent with a margin."""

FLIP_68: tuple[int, ...] = (
    *range(16, -1, -1),
    *range(26, 16, -1),
    *range(27, 31),
    *range(35, 30, -1),
    *(45, 44, 43, 42, 47, 46),
    *(39, 38, 37, 36, 41, 40),
    *range(54, 47, -1),
    *range(59, 54, -1),
    *range(64, 59, -1),
    *(67, 66, 65),
)
"""`landmarks[FLIP_68]` puts the landmarks of a mirrored face back into iBUG order."""

CROP_EYE_CENTER: tuple[float, float] = (0.0, -0.0604)
"""Middle of the two eye centroids in a face crop, normalised: the median of the training photos."""

CROP_INTEROCULAR: float = 0.4762
"""Distance of the eye centroids (36-41, 42-47) in a face crop, normalised: the median likewise."""


def mean_face(
    *, dtype: torch.dtype = torch.float32, device: torch.device | str | None = None
) -> Tensor:
    """`MEAN_FACE_68` as a tensor (68, 2), normalised (x, y) in the frame of a face crop."""
    return torch.tensor(MEAN_FACE_68, dtype=dtype, device=device)


def to_pixels(landmarks: Tensor, size: tuple[int, int]) -> Tensor:
    """Normalised to pixel coordinates: (..., 2) (x, y) for a picture of `size` (H, W)."""
    return (landmarks + 1) * (_width_height(landmarks, size) / 2)


def to_normalized(landmarks: Tensor, size: tuple[int, int]) -> Tensor:
    """Pixel to normalised coordinates: (..., 2) (x, y) for a picture of `size` (H, W)."""
    return landmarks * (2 / _width_height(landmarks, size)) - 1


def flip_landmarks(landmarks: Tensor) -> Tensor:
    """Landmarks of the horizontally mirrored picture.

    Args:
        landmarks: (..., 68, 2), normalised (x, y).

    Returns:
        (..., 68, 2) in iBUG order.
    """
    _check_landmarks(landmarks)
    index = torch.tensor(FLIP_68, device=landmarks.device)
    return landmarks.index_select(-2, index) * landmarks.new_tensor([-1.0, 1.0])


def eye_centers(landmarks: Tensor) -> Tensor:
    """Centroids of the right and the left eye: (..., 68, 2) to (..., 2, 2)."""
    _check_landmarks(landmarks)
    right, left = landmarks[..., 36:42, :].mean(-2), landmarks[..., 42:48, :].mean(-2)
    return torch.stack([right, left], dim=-2)


def inter_ocular_distance(landmarks: Tensor) -> Tensor:
    """Distance of the outer corners of the eyes, the unit of the 300-W benchmark.

    Args:
        landmarks: (..., 68, 2), (x, y), normalised or in pixels.

    Returns:
        (...), in the units of the landmarks.

    Raises:
        LandmarkError: wrong shape.
    """
    _check_landmarks(landmarks)
    return (landmarks[..., 45, :] - landmarks[..., 36, :]).norm(dim=-1)


def fit_similarity(source: Tensor, target: Tensor) -> Tensor:
    """Least-squares similarity (rotation, uniform scale, translation) from source to target.

    The solution of Umeyama (1991) without reflection, which has a closed form in two dimensions.
    Differentiable. Coordinates must be isotropic: pixels, or normalised in square pictures.

    Args:
        source: (..., N, 2), N >= 2.
        target: (..., N, 2).

    Returns:
        (..., 2, 3) matrix for `apply_affine`.

    Raises:
        LandmarkError: wrong shapes, or all source points coincide.
    """
    if source.shape[-1] != 2 or target.shape[-1] != 2 or source.shape[-2] != target.shape[-2]:
        raise LandmarkError(
            f"source and target must be (..., N, 2) with equal N, got {tuple(source.shape)} and "
            f"{tuple(target.shape)}"
        )
    source_mean, target_mean = source.mean(-2), target.mean(-2)
    p, q = source - source_mean.unsqueeze(-2), target - target_mean.unsqueeze(-2)
    spread = p.square().sum((-2, -1))
    if not torch.compiler.is_compiling() and not bool((spread.detach() > 0).all()):
        raise LandmarkError(
            "source points all coincide or are not finite in at least one batch item; a similarity "
            "needs two distinct points"
        )
    cos = (p * q).sum((-2, -1)) / spread
    sin = (p[..., 0] * q[..., 1] - p[..., 1] * q[..., 0]).sum(-1) / spread
    return _similarity(cos, sin, source_mean, target_mean)


def apply_affine(matrix: Tensor, points: Tensor) -> Tensor:
    """Apply affine maps to points; leading dimensions broadcast.

    Args:
        matrix: (..., 2, 3), the linear part and the translation in the last column.
        points: (..., N, 2), (x, y) in the units of the translation.

    Returns:
        (..., N, 2).
    """
    return points @ matrix[..., :2].mT + matrix[..., 2].unsqueeze(-2)


def invert_affine(matrix: Tensor) -> Tensor:
    """Inverse of (..., 2, 3) affine matrices, same shape."""
    a, b, c, d = matrix[..., 0, 0], matrix[..., 0, 1], matrix[..., 1, 0], matrix[..., 1, 1]
    adjugate = torch.stack([torch.stack([d, -b], -1), torch.stack([-c, a], -1)], -2)
    linear = adjugate / (a * d - b * c)[..., None, None]
    return torch.cat([linear, -linear @ matrix[..., 2:]], dim=-1)


def border_points(
    n_per_side: int,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> Tensor:
    """Evenly spaced points on the frame of [-1, 1]: (4 n, 2), clockwise from the top left corner.

    As control points that stay in place they keep a warp from moving the frame of the picture.
    """
    if n_per_side < 1:
        raise ConfigError(f"n_per_side must be at least 1, got {n_per_side}")
    t = torch.arange(n_per_side, dtype=dtype, device=device) * (2 / n_per_side) - 1
    one = torch.ones_like(t)
    sides = [(t, -one), (one, t), (-t, one), (-one, -t)]
    return torch.cat([torch.stack(side, dim=-1) for side in sides])


def crop_transform(landmarks: Tensor, size: tuple[int, int]) -> Tensor:
    """The similarity that cuts the face crop: crop-normalised to picture-normalised coordinates.

    The crop is square and upright: it puts the middle of the eyes at `CROP_EYE_CENTER` and the eyes
    `CROP_INTEROCULAR` apart. `apply_affine(matrix, identity_grid)` is its sampling grid;
    `invert_affine(matrix)` takes landmarks of the picture into the crop.

    Args:
        landmarks: (..., 68, 2) landmarks, or (..., 2, 2) centres of the right and left eye, in
            pixels of the picture.
        size: (H, W) of the picture.

    Returns:
        (..., 2, 3); a similarity in pixels (in normalised units of a picture that is not square,
        the axes scale differently).

    Raises:
        LandmarkError: wrong shape, or the eyes coincide.
    """
    eyes = landmarks if landmarks.shape[-2:] == (2, 2) else eye_centers(landmarks)
    middle, axis = eyes.mean(-2), eyes[..., 1, :] - eyes[..., 0, :]
    if not torch.compiler.is_compiling() and not bool((axis.detach().square().sum(-1) > 0).all()):
        raise LandmarkError("the eyes coincide or are not finite: the face crop cannot be placed")
    scaled = axis / CROP_INTEROCULAR
    center = middle.new_tensor(CROP_EYE_CENTER)
    in_pixels = _similarity(scaled[..., 0], scaled[..., 1], center, middle)
    per_pixel = (2 / _width_height(landmarks, size)).unsqueeze(-1)
    return in_pixels * per_pixel - landmarks.new_tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])


def part_grid(landmarks: Tensor, part: str, size: int, scale: float | None = None) -> Tensor:
    """Sampling grid that cuts an upright square crop around a part of each face.

    The centre is the part's centroid, the rotation that of the line between the eyes, the side
    `scale` times the distance between the eyes. For square pictures. Differentiable in the
    landmarks.

    Args:
        landmarks: (B, 68, 2), normalised (x, y).
        part: a key of `PARTS`.
        size: side of the crop in pixels.
        scale: side of the crop in inter-ocular distances; `PART_SCALES[part]` by default.

    Returns:
        (B, size, size, 2) for `ops.tps.warp`.

    Raises:
        ConfigError: unknown part, or a size or scale that is not positive.
        LandmarkError: wrong shape.
    """
    if part not in PARTS:
        raise ConfigError(f"unknown part {part!r}; choose one of {', '.join(PARTS)}")
    _check_landmarks(landmarks)
    side = PART_SCALES[part] if scale is None else scale
    if not (math.isfinite(side) and side > 0):
        raise ConfigError(f"scale must be positive, got {scale}")
    eyes = eye_centers(landmarks)
    half = (eyes[..., 1, :] - eyes[..., 0, :]) * (side / 2)
    index = torch.tensor(PARTS[part], device=landmarks.device)
    center = landmarks.index_select(-2, index).mean(-2)
    matrix = _similarity(half[..., 0], half[..., 1], torch.zeros_like(center), center)
    grid = identity_grid((size, size), dtype=landmarks.dtype, device=landmarks.device)
    return apply_affine(matrix, grid.flatten(1, 2)).unflatten(1, (size, size))


def _similarity(cos: Tensor, sin: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """The (..., 2, 3) matrix of linear part [[cos, -sin], [sin, cos]] taking source to target."""
    linear = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
    shift = target.unsqueeze(-1) - linear @ source.unsqueeze(-1)
    return torch.cat([linear, shift], dim=-1)


def _width_height(like: Tensor, size: tuple[int, int]) -> Tensor:
    return like.new_tensor([float(size[1]), float(size[0])])


def _check_landmarks(landmarks: Tensor) -> None:
    if landmarks.ndim < 2 or landmarks.shape[-2:] != (68, 2):
        raise LandmarkError(f"landmarks must be (..., 68, 2), got {tuple(landmarks.shape)}")
