"""Upright face crops out of a picture, and back without a seam.

Coordinates are (x, y). In the picture: pixels, the centre of pixel i at i + 0.5. In the crop:
normalised to [-1, 1], align_corners=False.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ops.landmarks import apply_affine, crop_transform, eye_centers, invert_affine
from .resample import affine_grid, pixel_centres, resize, sample, sample_grid, strips, write

# The crop is placed by the eyes. A head turned aside brings its eyes together without becoming
# smaller; from there on the distance to the mouth decides. The limit is the longest distance from
# eyes to mouth, in eye distances, of the training photos.
MOUTH_TO_EYES = 1.12

# Radii (of a rounded square in the crop) between which a pasted face fades out.
FADE = (0.55, 0.96)
# Distance to the middle of the crop (its border at 1) from which a change of geometry fades out.
_HOLD = 0.8
# No area is magnified by a change of geometry more than 1 / _LEAST_AREA times: a warp that goes on
# from there folds, and shows parts of the face twice.
_LEAST_AREA = 0.2
# A face turned aside would be bent to look ahead, as the mean face does. Its geometry is changed
# less, from the second value of `FaceCrop.facing` on, and not at all below the first.
_TURNED = (0.2, 0.5)


@dataclass(frozen=True, eq=False)
class FaceCrop:
    """Where the upright square crop around a face lies in its picture.

    Attributes:
        matrix: `(2, 3)` similarity from the crop (normalised) to the picture (pixels).
        landmarks: `(68, 2)` in pixels of the picture.
    """

    matrix: Tensor
    landmarks: Tensor

    @classmethod
    def around(cls, landmarks: Tensor, size: tuple[int, int]) -> FaceCrop:
        """Frame a face as the training photos are framed.

        Args:
            landmarks: `(68, 2)` in pixels.
            size: (H, W) of the picture.

        Raises:
            LandmarkError: the landmarks have another shape, or the eyes coincide.
        """
        landmarks = landmarks.detach().to("cpu", torch.float32)
        eyes = eye_centers(landmarks)
        middle, axis = eyes.mean(0), (eyes[1] - eyes[0]) / 2
        reach = float((landmarks[48:60].mean(0) - middle).norm()) / MOUTH_TO_EYES
        axis = axis * max(1.0, reach / max(float(2 * axis.norm()), 1e-6))
        normalised = crop_transform(torch.stack([middle - axis, middle + axis]), size)
        half = normalised.new_tensor([[size[1] / 2], [size[0] / 2]])
        matrix = (normalised + normalised.new_tensor([[0.0, 0.0, 1.0]])) * half
        return cls(matrix, landmarks)

    @property
    def side(self) -> float:
        """Side of the crop in pixels of the picture."""
        return 2 * float(self.matrix[:, 0].norm())

    @property
    def crop_landmarks(self) -> Tensor:
        """Landmarks `(68, 2)` in the crop, normalised."""
        return self.to_crop(self.landmarks)

    @property
    def facing(self) -> float:
        """How far the face looks ahead: the nose's way to the nearer cheek over the other; 0 to 1.

        About 1 from the front, 0 in profile.
        """
        right, nose, left = self.crop_landmarks[[0, 30, 16], 0].tolist()
        ways = sorted((max(nose - right, 0.0), max(left - nose, 0.0)))
        return ways[0] / max(ways[1], 1e-6)

    def to_picture(self, points: Tensor) -> Tensor:
        """Crop coordinates `(..., 2)` to pixels of the picture."""
        return apply_affine(self.matrix, points)

    def to_crop(self, points: Tensor) -> Tensor:
        """Pixels of the picture `(..., 2)` to crop coordinates."""
        return apply_affine(invert_affine(self.matrix), points)

    def bounds(
        self, size: tuple[int, int], margin: float = 0.0, reach: float = 1.0
    ) -> tuple[int, int, int, int]:
        """Rectangle of a picture around the crop.

        Args:
            size: (H, W) of the picture.
            margin: pixels to add on each side.
            reach: share of the crop that counts, around its middle.

        Returns:
            left, top, right, bottom; whole pixels inside the picture, empty if the crop is outside.
        """
        corners = self.matrix.new_tensor([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * reach
        points = self.to_picture(corners)
        (x0, y0), (x1, y1) = points.amin(0).tolist(), points.amax(0).tolist()
        left, right = max(0, math.floor(x0 - margin)), min(size[1], math.ceil(x1 + margin))
        top, bottom = max(0, math.floor(y0 - margin)), min(size[0], math.ceil(y1 + margin))
        return left, top, right, bottom


def cut_face(pixels: Tensor, crop: FaceCrop, size: int) -> Tensor:
    """Cut the crop out of its picture, turned upright.

    A face larger than the crop is averaged down first, so that nothing aliases; outside of the
    picture its border is continued, as in the training photos.

    Args:
        pixels: `(3, H, W)` uint8.
        crop: where.
        size: side of the result.

    Returns:
        `(3, size, size)` uint8.
    """
    step = crop.side / size
    left, top, right, bottom = crop.bounds((pixels.shape[1], pixels.shape[2]), margin=4 * step)
    patch = pixels[:, top:bottom, left:right]
    height, width = (max(1, round(side / max(step, 1.0))) for side in patch.shape[1:])
    extent = crop.matrix.new_tensor([[(right - left) / 2], [(bottom - top) / 2]])
    middle = crop.matrix.new_tensor([[(left + right) / 2], [(top + bottom) / 2]])
    to_patch = torch.cat([crop.matrix[:, :2], crop.matrix[:, 2:] - middle], 1) / extent
    ticks = (torch.arange(size) + 0.5) * (2 / size) - 1
    face = sample_grid(resize(patch, (height, width)).float(), affine_grid(to_patch, ticks, ticks))
    return face.round_().clamp_(0, 255).to(torch.uint8)


def paste_face(canvas: Tensor, face: Tensor, crop: FaceCrop) -> None:
    """Lay a drawn crop over the drawn picture, fading into it.

    Args:
        canvas: `(3, H, W)` uint8; changed in place.
        face: `(3, s, s)` uint8, the drawing of the crop.
        crop: where it was cut.
    """
    size = max(1, math.ceil(crop.side))
    if size < face.shape[1]:
        face = resize(face, (size, size))
    drawing, to_crop = face.float(), invert_affine(crop.matrix)
    for columns, rows in _tiles(canvas, crop, FADE[1]):
        x, y = torch.arange(*columns) + 0.5, torch.arange(*rows) + 0.5
        inside = affine_grid(to_crop, x, y)
        target = canvas[:, slice(*rows), slice(*columns)]
        mixed = torch.lerp(target.float(), sample_grid(drawing, inside), _fade(inside))
        target.copy_(mixed.round_().clamp_(0, 255))


def bend_face(pixels: Tensor, crop: FaceCrop, grid: Tensor) -> Tensor:
    """Warp a picture around one face, and nowhere else.

    Args:
        pixels: `(C, H, W)` uint8, or float in [0, 1].
        crop: the face.
        grid: `(n, n, 2)` backward sampling grid in crop coordinates. Its displacement fades to
            nothing toward the border of the crop. It is reduced as a whole where the face is turned
            aside, and where it would fold.

    Returns:
        The warped picture, a new tensor.
    """
    bent = pixels.clone()
    still = pixel_centres((0, grid.shape[1]), (0, grid.shape[0])) * (2 / grid.shape[0]) - 1
    low, high = _TURNED
    share = _smoothstep(still.new_tensor((crop.facing - low) / (high - low)))
    moved = (grid.to(still) - still) * _border_fade(still) * share
    moved = (moved * _largest_share(moved)).permute(2, 0, 1)
    for columns, rows in _tiles(pixels, crop):
        points = pixel_centres(columns, rows)
        inside = crop.to_crop(points)
        shift = F.grid_sample(
            moved[None], inside[None], padding_mode="border", align_corners=False
        )[0].permute(1, 2, 0)
        shift = shift * (inside.abs().amax(-1, keepdim=True) < 1)
        source = crop.to_picture(inside + shift)
        # Where nothing moves, the pixel is read back exactly and not through rounding.
        source = torch.where(shift.abs().amax(-1, keepdim=True) > 0, source, points)
        write(bent[:, slice(*rows), slice(*columns)], sample(pixels, source))
    return bent


def _tiles(
    canvas: Tensor, crop: FaceCrop, reach: float = 1.0
) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Ranges of columns and rows that together are a crop's `bounds` in a picture."""
    left, top, right, bottom = crop.bounds((canvas.shape[1], canvas.shape[2]), reach=reach)
    if left >= right:
        return
    for start, stop in strips(bottom - top, right - left):
        yield (left, right), (top + start, top + stop)


def _fade(points: Tensor) -> Tensor:
    """Opacity of a pasted face at crop coordinates `(..., 2)`: 1 over the head, 0 at the border."""
    x, y = points.square().unbind(-1)
    radius = torch.hypot(x, y).sqrt_()  # (x^4 + y^4)^(1/4) of the points
    inner, outer = FADE
    return _smoothstep((outer - radius) / (outer - inner))


def _border_fade(points: Tensor) -> Tensor:
    """Share of a change of geometry at crop coordinates `(..., 2)`: nothing at the border."""
    return _smoothstep((1 - points.abs().amax(-1, keepdim=True)) / (1 - _HOLD))


def _largest_share(shift: Tensor) -> float:
    """Largest share, up to 1, of a displacement `(n, n, 2)` that keeps `_LEAST_AREA` everywhere."""
    step = 2 / shift.shape[0]
    along, down = shift.diff(dim=1)[:-1] / step, shift.diff(dim=0)[:, :-1] / step
    trace = along[..., 0] + down[..., 1]
    product = along[..., 0] * down[..., 1] - along[..., 1] * down[..., 0]
    # Area 1 + t * trace + t^2 * product = _LEAST_AREA at the smallest positive root, in a form that
    # holds for product = 0 too.
    spare = 1 - _LEAST_AREA
    root = (trace.square() - 4 * product * spare).clamp_min(0).sqrt() - trace
    real = trace.square() >= 4 * product * spare
    share = torch.where(real & (root > 0), 2 * spare / root, torch.inf)
    return min(1.0, float(share.min()))


def _smoothstep(t: Tensor) -> Tensor:
    t = t.clamp(0, 1)
    return t * t * (3 - 2 * t)
