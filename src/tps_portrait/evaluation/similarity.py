"""Agreement of a drawing with its ground truth: SSIM, PSNR, and distance of features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .faces import as_floats
from .networks import MobileNetV2

_POOLED_SIDE = 224  # what MobileNetV2 was trained at
_MAPS_SIDE = 256


@torch.no_grad()
def pooled_features(
    network: MobileNetV2, images: Sequence[Tensor], *, batch_size: int = 8
) -> Tensor:
    """Describe whole pictures, for KID and FID.

    Args:
        network: makes the features.
        images: `(3, S, S)` uint8 each; resized to 224x224, antialiased.
        batch_size: pictures at a time.

    Returns:
        `(N, D)` float32 on the CPU.
    """
    device = next(network.parameters()).device
    found = [
        network(as_floats(images[start : start + batch_size], _POOLED_SIDE).to(device)).cpu()
        for start in range(0, len(images), batch_size)
    ]
    return torch.cat(found)


@torch.no_grad()
def feature_distance(network: MobileNetV2, first: Tensor, second: Tensor) -> float:
    """Perceptual distance as LPIPS (arXiv 1801.03924) without its learned channel weights.

    Squared differences of feature maps whose channel vectors have length 1, averaged over the
    picture, summed over the scales. Not comparable with LPIPS, whose networks are others.

    Args:
        network: makes the feature maps.
        first: `(3, S, S)` uint8; resized to 256x256, antialiased.
        second: the same.

    Returns:
        0 for equal pictures, at most 4 for each scale.
    """
    device = next(network.parameters()).device
    maps = network.maps(as_floats([first, second], _MAPS_SIDE).to(device))
    total = 0.0
    for features in maps:
        unit = F.normalize(features, dim=1, eps=1e-8)
        total += float((unit[0] - unit[1]).square().sum(0).mean())
    return total


def ssim(first: Tensor, second: Tensor) -> float:
    """Structural similarity (Wang et al. 2004), Gaussian window of 11 pixels, mean over RGB.

    Windows that reach over the border do not count.

    Args:
        first: `(3, S, S)` uint8.
        second: the same.

    Returns:
        1 for equal pictures.
    """
    from kornia.metrics import ssim as ssim_map

    a, b = as_floats([first]), as_floats([second])
    return float(ssim_map(a, b, window_size=11, max_val=1.0, padding="valid").mean())


def psnr(first: Tensor, second: Tensor) -> float:
    """Peak signal-to-noise ratio in dB over RGB; 100 for pictures that differ less than that.

    Args:
        first: `(3, S, S)` uint8.
        second: the same.
    """
    from kornia.metrics import psnr as ratio

    return min(100.0, float(ratio(as_floats([first]), as_floats([second]), max_val=1.0)))
