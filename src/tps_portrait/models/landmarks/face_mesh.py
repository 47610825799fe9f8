"""The attention face mesh in plain torch: 478 landmarks of one face crop (arXiv 2006.10962).

A trunk predicts a coarse mesh. From it come three regions (lips, both eyes) that are cut out of an
early feature map and refined by networks of their own.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import topology as top
from .layers import BlazeBlock, SameConv2d

CROP_SIZE = 192
_VERTICES = 468
_FEATURES = 48
_REGION = 16
_REGION_SCALE = 1.5
_PIXELS_A_CELL = CROP_SIZE / _FEATURES


class MeshOutput(NamedTuple):
    """What the mesh says about a crop.

    Attributes:
        mesh: `(B, 478, 3)`: x and y in crop pixels (0 to 192, the centre of pixel i at i + 0.5), z
            in the same unit, smaller is nearer.
        presence: `(B,)` probability that the crop shows a face.
    """

    mesh: Tensor
    presence: Tensor


def _blocks(*widths: int, stride: int = 1) -> list[nn.Module]:
    """Blocks between consecutive widths; only the first has the stride."""
    return [
        BlazeBlock(a, b, stride if i == 0 else 1, prelu=True)
        for i, (a, b) in enumerate(pairwise(widths))
    ]


def _reduction(in_channels: int) -> list[nn.Module]:
    return [nn.Conv2d(in_channels, 32, 1), nn.PReLU(32), BlazeBlock(32, 32, prelu=True)]


class RegionHead(nn.Module):
    """Predicts points of one region from its 4x4 features.

    Args:
        points: how many.
    """

    def __init__(self, points: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_blocks(128, 128, 128),
            *_blocks(128, 128, 128, 128, stride=2),
            *_reduction(128),
        )
        self.points = nn.Conv2d(32, 2 * points, 2)

    def forward(self, features: Tensor) -> Tensor:
        """Predict.

        Args:
            features: `(B, 128, 4, 4)`.

        Returns:
            `(B, points, 2)` in cells of the region's 16x16 grid.
        """
        points: Tensor = self.points(self.body(features))
        return points.flatten(1).unflatten(1, (-1, 2)) / _PIXELS_A_CELL


class RegionRefiner(nn.Module):
    """Cuts a region around some vertices out of the feature map and predicts them anew.

    Args:
        subset: the vertices, in output order.
        axis: two vertices whose line is horizontal in the region.
        iris: also predict five iris points.
    """

    def __init__(self, subset: tuple[int, ...], axis: tuple[int, int], *, iris: bool) -> None:
        super().__init__()
        self.subset = subset
        self.axis = axis
        self.features = nn.Sequential(
            *_blocks(32, 32, 32),
            *_blocks(32, 64, 64, 64, stride=2),
            *_blocks(64, 128, stride=2),
        )
        self.contour = RegionHead(len(subset))
        self.iris = RegionHead(top.IRIS_POINTS) if iris else None

    def forward(self, feature_map: Tensor, mesh: Tensor) -> Tensor:
        """Refine.

        Args:
            feature_map: `(B, 32, 48, 48)`.
            mesh: coarse vertices `(B, 468, 2)` in cells of the feature map.

        Returns:
            `(B, n, 2)` in cells of the feature map: the subset, then the iris if there is one.
        """
        linear, offset = self._region(mesh)
        axis = torch.arange(_REGION, device=mesh.device, dtype=mesh.dtype) + 0.5
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        cells = torch.stack((x, y), -1).reshape(1, -1, 2)
        grid = 2 * self._place(cells, linear, offset) / _FEATURES - 1
        region = F.grid_sample(
            feature_map, grid.unflatten(1, (_REGION, _REGION)), align_corners=False
        )
        features = self.features(region)
        points = self.contour(features)
        if self.iris is not None:
            points = torch.cat((points, self.iris(features)), 1)
        return self._place(points, linear, offset)

    def _region(self, mesh: Tensor) -> tuple[Tensor, Tensor]:
        """Affine map from the 16x16 region to the feature map: `(B, 2, 2)` and `(B, 1, 2)`."""
        start, end = mesh[:, self.axis[0]], mesh[:, self.axis[1]]
        along = F.normalize(end - start, dim=-1)
        across = torch.stack((-along[:, 1], along[:, 0]), -1)
        rotation = torch.stack((along, across), 1)  # rows: the region's x and y directions
        turned = mesh[:, list(self.subset)] @ rotation.mT
        low, high = turned.amin(1, keepdim=True), turned.amax(1, keepdim=True)
        linear = rotation * (_REGION_SCALE * (high - low) / _REGION).mT
        centre = (low + high) / 2 @ rotation
        return linear, centre - (_REGION / 2) * linear.sum(1, keepdim=True)

    @staticmethod
    def _place(points: Tensor, linear: Tensor, offset: Tensor) -> Tensor:
        return points @ linear + offset


class AttentionMesh(nn.Module):
    """478 landmarks of an upright face crop, with refined lips, eyes, brows and irises."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(SameConv2d(3, 16, 3, 2), nn.PReLU(16))
        self.early = nn.Sequential(*_blocks(16, 16, 16), *_blocks(16, 32, stride=2))
        self.trunk = nn.Sequential(
            *_blocks(32, 32, 32),
            *_blocks(32, 64, 64, 64, stride=2),
            *_blocks(64, 128, 128, 128, stride=2),
            *_blocks(128, 128, 128, 128, stride=2),
            *_blocks(128, 128, 128, 128, stride=2),
            *_reduction(128),
        )
        self.mesh = nn.Conv2d(32, 3 * _VERTICES, 3)
        self.presence = nn.Conv2d(32, 1, 3)
        self.lips = RegionRefiner(top.LIPS, top.LIPS_AXIS, iris=False)
        self.right_eye = RegionRefiner(top.RIGHT_EYE, top.RIGHT_EYE_AXIS, iris=True)
        self.left_eye = RegionRefiner(top.LEFT_EYE, top.LEFT_EYE_AXIS, iris=True)

    def forward(self, pixel_values: Tensor) -> MeshOutput:
        """Predict the mesh.

        Args:
            pixel_values: `(B, 3, 192, 192)` RGB in [0, 1], eyes roughly level, the face's box about
                two thirds of the side.

        Returns:
            The mesh in crop pixels and the probability of a face.
        """
        early = self.early(self.stem(pixel_values))
        late = self.trunk(early)
        mesh = self.mesh(late).flatten(1).unflatten(1, (_VERTICES, 3))
        coarse = mesh[..., :2] / _PIXELS_A_CELL
        lips = self.lips(early, coarse)
        right = self.right_eye(early, coarse)
        left = self.left_eye(early, coarse)

        # An iris has no depth of its own: it takes the mean of its eye's contour.
        depth = mesh[..., 2]
        irises = torch.stack(
            [
                depth[:, list(ids[: top.EYE_CONTOUR])].mean(1, keepdim=True)
                for ids in (top.RIGHT_EYE, top.LEFT_EYE)
            ],
            dim=1,
        ).expand(-1, -1, top.IRIS_POINTS)
        depth = torch.cat((depth, irises.flatten(1)), 1)
        plane = F.pad(coarse, (0, 0, 0, 2 * top.IRIS_POINTS))
        plane = plane.index_copy(1, _ids(top.LIPS, plane), lips)
        plane = plane.index_copy(1, _ids(top.RIGHT_EYE + top.RIGHT_IRIS, plane), right)
        plane = plane.index_copy(1, _ids(top.LEFT_EYE + top.LEFT_IRIS, plane), left)
        refined = torch.cat((plane * _PIXELS_A_CELL, depth[..., None]), -1)
        return MeshOutput(refined, self.presence(late).flatten().sigmoid())


def _ids(ids: tuple[int, ...], like: Tensor) -> Tensor:
    return torch.tensor(ids, device=like.device)
