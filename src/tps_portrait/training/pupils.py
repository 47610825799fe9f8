"""Where the pupils are: the 68 landmarks outline the eyes and say nothing of the gaze."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# First landmark of each eye; its six are a corner, the upper lid, the other corner, the lower lid.
_EYES = (36, 42)
_CELLS = 48
# A closed eye still gets a band of this share of its width to be looked through.
_LEAST_HEIGHT = 0.14


def locate_pupils(images: Tensor, landmarks: Tensor) -> Tensor:
    """Find the dark centre of each eye, in photos and drawings alike.

    The centre of what is darker than the mean of the eye, weighted by the square of how much, and
    less toward corners and lids, so that lashes and shadows pull little. Right to a tenth of the
    iris or so on open eyes; in a closed one it is the darkest place of the lid line.

    Args:
        images: `(B, 3, H, W)`, any range.
        landmarks: `(B, 68, 2)`, (x, y) in [-1, 1], align_corners=False.

    Returns:
        `(B, 2, 2)` float32: the eye that is left in the picture (landmarks 36 to 41) first, (x, y)
        in [-1, 1].
    """
    grey = images.float().mean(1, keepdim=True)
    ticks = (torch.arange(_CELLS, device=grey.device) * 2 + 1) / _CELLS - 1
    v, u = torch.meshgrid(ticks, ticks, indexing="ij")
    window = (1 - u.square()) * (1 - 0.8 * v.square())
    pupils = []
    for first in _EYES:
        points = landmarks[:, first : first + 6].float()
        centre = points.mean(1, keepdim=True)
        along = points[:, 3:4] - points[:, 0:1]
        width = along.norm(dim=-1, keepdim=True).clamp_min(1e-6)
        along = along / width
        down = torch.stack([-along[..., 1], along[..., 0]], -1)
        heights = ((points - centre) * down).sum(-1, keepdim=True)
        upper, lower = heights[:, 1:3].mean(1, keepdim=True), heights[:, 4:6].mean(1, keepdim=True)
        half = 1.1 * torch.maximum((lower - upper) / 2, _LEAST_HEIGHT * width)
        middle = centre + (lower + upper) / 2 * down
        place = torch.stack([u, v], -1).view(1, -1, 2)
        axes = torch.cat([along * width / 2, down * half], 1)
        grid = (middle + place @ axes).view(-1, _CELLS, _CELLS, 2)
        seen = F.grid_sample(grey, grid, padding_mode="border", align_corners=False)[:, 0]
        mean = (seen * window).sum((1, 2), keepdim=True) / window.sum()
        dark = (mean - seen).clamp_min(0).square() * window
        total = dark.sum((1, 2)).clamp_min(1e-9)
        offset = torch.stack([(dark * u).sum((1, 2)), (dark * v).sum((1, 2))], -1) / total[:, None]
        pupils.append(middle + offset[:, None] @ axes)
    return torch.cat(pupils, 1)
