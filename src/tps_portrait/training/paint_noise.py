"""What washes and strokes are painted out of: the noise of the generator that is to learn them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ..errors import ConfigError
from ..models.generator.noise import STROKE_CHANNELS, WASH_CHANNELS

CHANNELS_OF = {"washes": WASH_CHANNELS, "strokes": STROKE_CHANNELS}
"""Channels of noise that each option needs."""


def check_channels(option: str, found: int) -> None:
    """Refuse noise that lacks what an option paints with.

    Args:
        option: `washes` or `strokes`.
        found: channels that there are.

    Raises:
        ConfigError: there are too few.
    """
    if found < CHANNELS_OF[option]:
        raise _lacking(option, found)


def noise_for(option: str, noise: Tensor | None) -> Tensor:
    """Enlarge noise to pixels, as `check_channels` lets it.

    Args:
        option: `washes` or `strokes`.
        noise: `(1, channels, h, w)`; None if the generator has none.

    Returns:
        `(1, channels, 4 * h, 4 * w)`, float32.

    Raises:
        ConfigError: it has too few channels.
    """
    if noise is None:
        raise _lacking(option, 0)
    check_channels(option, noise.shape[1])
    return F.interpolate(noise.float(), scale_factor=4, mode="bilinear", align_corners=False)


def _lacking(option: str, found: int) -> ConfigError:
    return ConfigError(
        f"{option} needs {CHANNELS_OF[option]} channels of noise; the generator has {found}. "
        f"Give --noise_channels {CHANNELS_OF[option]}, or --{option} 0."
    )
