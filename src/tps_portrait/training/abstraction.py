"""Abstraction: what a painter would leave out of a photo, taken out before it is compared with.

Not in arXiv 2211.15549. The content term asks the drawing to keep what the photo shows, pores and
single hairs as well, and the style's marks then come on top of a photo. Compared with a photo
that is simplified first, what is flat may be flat and hair may lie in locks, while edges, eyes and
lips are asked for as before. Lines thinner than a patch are not; they are the style's.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ops.landmarks import inter_ocular_distance
from ..ops.tps import identity_grid

EYES_AND_MOUTH, WHOLE_FACE = slice(36, 68), slice(0, 68)
"""Of the 68 landmarks."""

# How far from eyes and mouth abstraction begins and is whole, in distances of the eyes' outer
# corners.
_NEAR, _FAR = 0.06, 0.2
_SECTORS = 8
# Variance, of colours in [-1, 1], at which a sector counts a quarter.
_VARIANCE = 4e-4


def simplify_photo(photo: Tensor, landmarks: Tensor, radius: int) -> Tensor:
    """Simplify a photo and leave eyes and lips as they are.

    Args:
        photo: `(B, C, H, W)` in [-1, 1], H and W equal, multiples of 4.
        landmarks: `(B, 68, 2)`, (x, y) in [-1, 1], pixel centres (`align_corners=False`).
        radius: of `kuwahara`, in pixels.

    Returns:
        `(B, C, H, W)` in [-1, 1].
    """
    room = room_around(landmarks, photo.shape[-1], EYES_AND_MOUTH, _NEAR, _FAR)
    return photo + room * (kuwahara(photo, radius) - photo)


def room_around(landmarks: Tensor, side: int, points: slice, near: float, far: float) -> Tensor:
    """How far away pixels are from landmarks: 0 beside them, 1 at some distance.

    Args:
        landmarks: `(B, 68, 2)`, (x, y) in [-1, 1], pixel centres (`align_corners=False`).
        side: of the pictures, in pixels; a multiple of 4.
        points: which landmarks.
        near: where it begins to rise, in distances of the eyes' outer corners.
        far: where it is 1.

    Returns:
        `(B, 1, side, side)` in [0, 1].
    """
    landmarks = landmarks.float()
    unit = inter_ocular_distance(landmarks).clamp_min(1e-3)
    places = identity_grid((side // 4, side // 4), device=landmarks.device).flatten(1, 2)
    nearest = torch.cdist(places.expand(len(landmarks), -1, -1), landmarks[:, points]).amin(2)
    room = ((nearest / unit[:, None] - near) / (far - near)).clamp(0, 1)
    room = room.view(-1, 1, side // 4, side // 4)
    return F.interpolate(room, scale_factor=4, mode="bilinear", align_corners=False)


def kuwahara(pixel_values: Tensor, radius: int) -> Tensor:
    """Paint a picture in patches with sharp edges: the generalised Kuwahara filter.

    Each pixel becomes the mean of those of eight soft sectors around it that vary little, so that
    patches follow edges, locks and folds: Papari, Petkov and Campisi, "Artistic Edge and Corner
    Enhancing Smoothing", 2007, doi 10.1109/TIP.2007.903912. Sectors without any variance weigh 1
    here, where theirs weigh infinitely much.

    Args:
        pixel_values: `(B, C, H, W)` in [-1, 1].
        radius: of the sectors, in pixels, at least 1; patches are about twice as wide.

    Returns:
        `(B, C, H, W)` in [-1, 1], float32.

    Raises:
        ValueError: the radius is below 1.
    """
    if radius < 1:
        raise ValueError(f"The radius must be at least 1 pixel; got {radius}.")
    # Far from 0, squares would lose the small variances where convolutions round (TF32).
    middle = pixel_values.float().mean((2, 3), keepdim=True)
    x = pixel_values.float() - middle
    batch, channels, height, width = x.shape
    # One filter for colours and their squares.
    both = torch.cat([x, x.square().sum(1, keepdim=True)], 1)
    both = F.pad(both, (radius,) * 4, mode="replicate").flatten(0, 1)[:, None]
    with torch.autocast(x.device.type, enabled=False):
        found = F.conv2d(both, _sectors(radius, x.device)[:, None])
    found = found.view(batch, channels + 1, _SECTORS, height, width)
    mean = found[:, :channels]
    variance = (found[:, channels] - mean.square().sum(1)).clamp_min(0)
    weight = (1 + variance / _VARIANCE).pow(-2)
    return middle + (mean * (weight / weight.sum(1, keepdim=True))[:, None]).sum(2)


def _sectors(radius: int, device: torch.device) -> Tensor:
    """Weights of each sector, `(8, 2 * radius + 1, 2 * radius + 1)`, with sum 1."""
    offsets = torch.arange(-radius, radius + 1, device=device).float()
    y, x = torch.meshgrid(offsets, offsets, indexing="ij")
    distance = torch.hypot(x, y)
    angles = 2 * math.pi / _SECTORS * torch.arange(_SECTORS, device=device)[:, None, None]
    turned = torch.remainder(torch.atan2(y, x) - angles + math.pi, 2 * math.pi) - math.pi
    inside = (turned.abs() < 2 * math.pi / _SECTORS) * torch.cos(turned * _SECTORS / 4)
    # The middle belongs to all.
    inside = torch.where(distance == 0, 1 / _SECTORS, inside)
    weights = inside * torch.exp(-2 * (distance / radius).square()) * (distance <= radius + 0.5)
    return weights / weights.sum((1, 2), keepdim=True)
