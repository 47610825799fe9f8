"""Identity: whether a face recognition network takes the drawing for the person of the photo."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..ops.landmarks import apply_affine, eye_centers, fit_similarity, to_pixels
from ..processing.resample import as_float, pixel_centres, resize, sample
from .networks import SFace

SAME_PERSON = 0.363
"""Cosine from which SFace calls two photos the same person: OpenCV Zoo's threshold, from LFW."""

# Eyes, nose tip and corners of the mouth in an aligned face of 112 pixels, as ArcFace (arXiv
# 1801.07698) places them. Its coordinates count from the centre of a pixel, ours from its edge.
_TEMPLATE = (
    (38.2946 + 0.5, 51.6963 + 0.5),
    (73.5318 + 0.5, 51.5014 + 0.5),
    (56.0252 + 0.5, 71.7366 + 0.5),
    (41.5493 + 0.5, 92.3655 + 0.5),
    (70.7299 + 0.5, 92.2041 + 0.5),
)
_TEMPLATE_SIDE = 112


def align_face(image: Tensor, landmarks: Tensor, side: int = _TEMPLATE_SIDE) -> Tensor:
    """Cut a face as recognition networks want it: a similarity fitted to five points.

    Args:
        image: `(3, H, W)` uint8.
        landmarks: `(68, 2)` normalised (x, y).
        side: side of the result in pixels.

    Returns:
        `(3, side, side)` float32 in [0, 1], averaged down where the face is larger.

    Raises:
        LandmarkError: the five points coincide.
    """
    size = (image.shape[1], image.shape[2])
    points = to_pixels(landmarks, size)
    five = [*eye_centers(points), points[30], points[48], points[54]]
    template = torch.tensor(_TEMPLATE) * (side / _TEMPLATE_SIDE)
    matrix = fit_similarity(template, torch.stack(five))
    step = max(1.0, float(matrix[:, 0].norm()))
    small = resize(image, (max(1, round(size[0] / step)), max(1, round(size[1] / step))))
    ratio = matrix.new_tensor([small.shape[2] / size[1], small.shape[1] / size[0]])
    where = apply_affine(matrix, pixel_centres((0, side), (0, side)).flatten(0, 1)) * ratio
    return sample(as_float(small), where.unflatten(0, (side, side))).clamp(0, 1)


@torch.no_grad()
def embed_faces(
    network: SFace, images: Sequence[Tensor], landmarks: Sequence[Tensor], *, batch_size: int = 8
) -> Tensor:
    """Embed faces.

    Args:
        network: the recognition network.
        images: `(3, H, W)` uint8 each.
        landmarks: `(68, 2)` normalised for each.
        batch_size: faces at a time.

    Returns:
        `(N, E)` of length 1, float32 on the CPU.
    """
    device = next(network.parameters()).device
    faces = [
        align_face(image, points, network.side)
        for image, points in zip(images, landmarks, strict=True)
    ]
    found = [
        network(torch.stack(faces[start : start + batch_size]).to(device)).cpu()
        for start in range(0, len(faces), batch_size)
    ]
    return torch.cat(found)


def identity_cosines(photos: Tensor, drawings: Tensor) -> tuple[list[float], float | None]:
    """Compare embeddings of photos and of their drawings.

    Args:
        photos: `(N, E)` of length 1.
        drawings: `(N, E)` of length 1, in the same order.

    Returns:
        The cosine of each drawing with its photo; and the mean cosine of the drawings with all
        other photos, what strangers reach, or `None` for a single photo.
    """
    table = drawings @ photos.T
    own = table.diagonal()
    count = len(table)
    strangers = None if count < 2 else float((table.sum() - own.sum()) / (count * (count - 1)))
    return [float(value) for value in own], strangers
