"""BlazeFace detectors, short and full range, in plain torch (arXiv 1907.05047).

Both look at a letterboxed square picture and predict, for every anchor, a score and sixteen
numbers: box centre, box size and six key points (right eye, left eye, nose tip, mouth, right and
left ear). "right" is the person's right.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import BlazeBlock, SameConv2d, channels_last_rows

KEYPOINTS = 6
_VALUES = 4 + 2 * KEYPOINTS


class BlazeFaceDetector(nn.Module):
    """What the two detectors share: anchors and the decoding of predictions.

    Attributes:
        size: side of the square input in pixels.
        grids: `(cells a side, anchors a cell)` of every prediction map, in output order.
    """

    size: int
    grids: tuple[tuple[int, int], ...]

    def anchors(self, device: torch.device) -> Tensor:
        """Anchor centres.

        Args:
            device: where to put them.

        Returns:
            `(anchors, 2)`, (x, y) in [0, 1] of the input square.
        """
        centres = []
        for cells, repeat in self.grids:
            axis = (torch.arange(cells, device=device, dtype=torch.float32) + 0.5) / cells
            y, x = torch.meshgrid(axis, axis, indexing="ij")
            centres.append(torch.stack((x, y), -1).reshape(-1, 2).repeat_interleave(repeat, 0))
        return torch.cat(centres)

    def decode(self, scores: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Turn raw predictions into probabilities and coordinates.

        Args:
            scores: `(B, anchors)` logits.
            values: `(B, anchors, 16)` in input pixels relative to the anchor centre.

        Returns:
            Probabilities `(B, anchors)` and `(B, anchors, 16)`: the box as x1, y1, x2, y2 and then
            six (x, y) key points, all in [0, 1] of the input square.
        """
        values = values / self.size
        anchors = self.anchors(values.device)
        centre, half = values[..., :2] + anchors, values[..., 2:4] / 2
        points = values[..., 4:].unflatten(-1, (KEYPOINTS, 2)) + anchors[:, None]
        decoded = torch.cat((centre - half, centre + half, points.flatten(-2)), -1)
        return scores.clamp(-100, 100).sigmoid(), decoded


class ShortRangeDetector(BlazeFaceDetector):
    """Finds faces that fill a good part of the picture (up to about 2 m from a camera)."""

    size = 128
    grids = ((16, 2), (8, 6))

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(SameConv2d(3, 24, 5, 2), nn.ReLU())
        widths = [24, 24, 28, 32, 36, 42, 48, 56, 64, 72, 80, 88]
        strides = [1, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1]
        self.fine = nn.Sequential(
            *(BlazeBlock(a, b, s) for a, b, s in zip(widths, widths[1:], strides, strict=False))
        )
        self.coarse = nn.Sequential(BlazeBlock(88, 96, 2), *(BlazeBlock(96, 96) for _ in range(4)))
        self.scores = nn.ModuleList((nn.Conv2d(88, 2, 1), nn.Conv2d(96, 6, 1)))
        self.values = nn.ModuleList((nn.Conv2d(88, 2 * _VALUES, 1), nn.Conv2d(96, 6 * _VALUES, 1)))

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        """Predict.

        Args:
            pixel_values: `(B, 3, 128, 128)` RGB in [-1, 1].

        Returns:
            Logits `(B, 896)` and raw values `(B, 896, 16)`, see `decode`.
        """
        fine = self.fine(self.stem(pixel_values))
        maps = (fine, self.coarse(fine))
        scores = channels_last_rows([f(m) for f, m in zip(self.scores, maps, strict=True)], 1)
        values = channels_last_rows([f(m) for f, m in zip(self.values, maps, strict=True)], _VALUES)
        return scores[..., 0], values


class FullRangeDetector(BlazeFaceDetector):
    """Finds small faces too (up to about 5 m from a camera) with a feature pyramid."""

    size = 192
    grids = ((48, 1),)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(SameConv2d(3, 32, 3, 2), nn.ReLU())
        stages: tuple[tuple[tuple[int, int, int, int], ...], ...] = (
            ((32, 8, 32, 1), (32, 8, 32, 1), (32, 12, 48, 2), (48, 12, 48, 1), (48, 16, 64, 1)),
            ((64, 24, 96, 2), (96, 32, 128, 1), (128, 32, 128, 1)),
            ((128, 36, 144, 2), (144, 48, 192, 1), (192, 64, 256, 1)),
            ((256, 96, 384, 2), *[(384, 96, 384, 1)] * 3),
        )
        self.stages = nn.ModuleList(
            nn.Sequential(*(BlazeBlock(i, o, s, middle=m) for i, m, o, s in stage))
            for stage in stages
        )
        merges = ((384, 256, 96, 2), (96, 128, 64, 2), (64, 64, 48, 1))
        self.reduce = nn.ModuleList(nn.Conv2d(deep, width, 1) for deep, _, width, _ in merges)
        self.lateral = nn.ModuleList(nn.Conv2d(skip, width, 1) for _, skip, width, _ in merges)
        self.merge = nn.ModuleList(
            nn.Sequential(*(BlazeBlock(w, w, middle=w // 2) for _ in range(blocks)))
            for _, _, w, blocks in merges
        )
        self.scores = nn.Conv2d(48, 1, 1)
        self.values = nn.Conv2d(48, _VALUES, 1)

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        """Predict.

        Args:
            pixel_values: `(B, 3, 192, 192)` RGB in [-1, 1].

        Returns:
            Logits `(B, 2304)` and raw values `(B, 2304, 16)`, see `decode`.
        """
        features = self.stem(pixel_values)
        pyramid = []
        for stage in self.stages:
            features = stage(features)
            pyramid.append(features)
        for skip, reduce, lateral, merge in zip(
            reversed(pyramid[:-1]), self.reduce, self.lateral, self.merge, strict=True
        ):
            deep = F.interpolate(
                F.relu(reduce(features)), scale_factor=2.0, mode="bilinear", align_corners=False
            )
            features = merge(F.relu(lateral(skip)) + deep)
        scores = channels_last_rows([self.scores(features)], 1)
        return scores[..., 0], channels_last_rows([self.values(features)], _VALUES)
