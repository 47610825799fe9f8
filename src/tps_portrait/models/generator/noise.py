"""The noise that strokes and paper grain grow from.

A network without it draws the same thing wherever a photo is the same: walls and cheeks come out as
flat as they were, whatever the style. As in StyleGAN (Karras et al., 2019) noise is one more input;
here it never changes, so that a drawing can be repeated and is no other in the next frame.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

NOISE_SIDE = 128
"""Side of the tile of noise, in places of the stem: 512 pixels."""


def make_noise(channels: int, seed: int = 0) -> Tensor:
    """Make a tile of noise whose edges fit each other.

    Args:
        channels: channel i has a cell for each 2**i places, 0 to 4.
        seed: of `numpy.random.RandomState`, whose numbers are the same for all time.

    Returns:
        `(1, channels, 128, 128)` float32, each channel with mean 0 and standard deviation 1.
    """
    random = np.random.RandomState(seed)
    levels = []
    for channel in range(channels):
        scale = 2**channel
        side = NOISE_SIDE // scale
        cells = torch.from_numpy(random.standard_normal((1, 1, side, side)).astype(np.float32))
        wrapped = F.pad(cells, (2,) * 4, mode="circular")
        smooth = F.interpolate(wrapped, scale_factor=scale, mode="bicubic", align_corners=False)
        levels.append(smooth[..., 2 * scale : -2 * scale, 2 * scale : -2 * scale])
    noise = torch.cat(levels, 1)
    return (noise - noise.mean((2, 3), keepdim=True)) / noise.std((2, 3), keepdim=True)
