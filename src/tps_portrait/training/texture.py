"""Texture: strokes, washes and grain are as the aligned example has them in the same place.

Not in arXiv 2211.15549, but what its alignment makes possible. Gram matrices of features (Gatys et
al., 2016; Johnson et al., 2016) tell how something is painted without telling where each stroke
lies, which suits a hundred examples: the discriminators alone leave a photo's own texture where it
is. Taken of a whole picture they mix skin with hair and wall; taken of windows of an *aligned*
example they lie on what they are to be painted on.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .content import ContentNetwork

# Side of the detail that is looked at in full; the whole is looked at smaller.
_SIDE = 256
# Side of a window, in pixels of the picture; twice that in a quarter of the size.
_WINDOW = 128
# What is coarser than this, in pixels, is form: shading, features, outlines.
_CELL = 16
# Contrast, of 2, from which marks are shown alike: two to three strokes'. Squared, as covariances
# are, the few lids and lips of a window would outweigh all its strokes.
_CONTRAST = 0.15
# Contrast of the marks that the network is shown.
_SHOWN = 0.5
# Steps of the detail's place, in pixels: those of the network's last stage, and coarser.
_STRIDE = 16


def texture_loss(
    network: ContentNetwork, drawn: Tensor, aligned: Tensor, visible: Tensor
) -> Tensor:
    """Distance between second moments of features, window by window.

    Tones and colours are those of the photo: only `marks` are compared, of a random detail in full
    size, of the whole in half and in a quarter.

    Args:
        network: a `ContentNetwork`.
        drawn: `(B, 3, H, W)` in [-1, 1], H and W equal, multiples of 32, at least 128.
        aligned: `(B, 3, H, W)` in [-1, 1], examples in the geometry of the photos.
        visible: `(B, 1, H, W)`, 1 where an example has something to show, else 0; windows that
            show less than all of it count less, those that show less than three quarters nothing.

    Returns:
        Scalar, 0 to about 3: relative distances of mean and covariance, averaged over stages,
        sizes and windows. Too much texture costs what too little does.
    """
    # Everything is cut and pooled alike, with what an example shows beside it.
    pair = torch.stack([marks(drawn), marks(aligned)])
    size = drawn.shape[-1]
    side = min(_SIDE, size)
    top, left = (_STRIDE * int(torch.randint((size - side) // _STRIDE + 1, ())) for _ in range(2))
    rows, columns = slice(top, top + side), slice(left, left + side)
    halves = F.avg_pool2d(pair.flatten(0, 1), 2)
    quarters = F.avg_pool2d(halves, 2)
    views = (
        (pair[..., rows, columns], visible[..., rows, columns], side // _WINDOW),
        (halves.unflatten(0, (2, -1)), visible, size // _WINDOW),
        (quarters.unflatten(0, (2, -1)), visible, size // (2 * _WINDOW)),
    )
    values = []
    for (fake, real), seen, most in views:
        # Windows of one size that leave nothing out, in all stages.
        windows = max(n for n in range(1, max(1, most) + 1) if (fake.shape[-1] // 4) % n == 0)
        weight = (4 * F.adaptive_avg_pool2d(seen.float(), windows).flatten() - 3).clamp(0, 1)
        with torch.no_grad():
            wanted = network.stages(real)
        for found, aim in zip(network.stages(fake), wanted, strict=True):
            values.append((moment_distance(found, aim, windows) * weight).mean())
    return torch.stack(values).mean()


def marks(pixel_values: Tensor) -> Tensor:
    """What is finer than 16 px, strong contrasts saturated.

    A picture without its linearly interpolated means. A brush stroke is 0.05 lighter than its
    neighbour, a lid 1 darker than the white beside it: 20 times as much, and 3 times here.

    Args:
        pixel_values: `(B, C, H, W)` in [-1, 1], H and W multiples of 8.

    Returns:
        The same shape, in [-0.5, 0.5], about 0.
    """
    x = pixel_values.float()
    height, width = x.shape[-2:]
    step = _CELL // 2
    cells = F.avg_pool2d(F.pad(x, (step,) * 4, mode="replicate"), _CELL, step)
    # Cells lie at 0, 8, 16 …; enlarged, the first pixel is at -4.
    smooth = F.interpolate(cells, scale_factor=step, mode="bilinear", align_corners=False)
    first = step // 2
    rest = x - smooth[..., first : first + height, first : first + width]
    return _SHOWN * torch.tanh(rest / _CONTRAST)


def moment_distance(fake: Tensor, real: Tensor, windows: int) -> Tensor:
    """Relative distance of mean and covariance of features.

    Args:
        fake: `(B, C, H, W)`.
        real: `(B, C, H, W)`.
        windows: to a side; divides H and W.

    Returns:
        `(B * windows * windows,)`, each 0 to about 3.4.
    """
    with torch.autocast(fake.device.type, enabled=False):
        first, second = _moments(fake.float(), windows), _moments(real.float(), windows)
        parts = [_relative(a, b) for a, b in zip(first, second, strict=True)]
        return torch.stack(parts).sum(0)


def _moments(features: Tensor, windows: int) -> tuple[Tensor, Tensor]:
    """Means `(N, C)` and covariances `(N, C * C)` of windows, row by row."""
    batch, channels, height, width = features.shape
    cut = features.reshape(batch, channels, windows, height // windows, windows, width // windows)
    cut = cut.permute(0, 2, 4, 1, 3, 5).reshape(batch * windows**2, channels, -1)
    mean = cut.mean(-1)
    cut = cut - mean[..., None]
    return mean, (cut @ cut.mT / cut.shape[-1]).flatten(1)


def _relative(fake: Tensor, real: Tensor) -> Tensor:
    """0 for the same, the root of 2 where one is nothing, 2 for opposites."""
    both = fake.square().sum(1) + real.square().sum(1)
    # The root has no slope at 0 without the last summand.
    return (2 * (fake - real).square().sum(1) / both.clamp_min(1e-3) + 1e-6).sqrt()
