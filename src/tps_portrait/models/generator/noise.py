"""The noise that strokes and paper grain grow from.

A network without it draws the same thing wherever a photo is the same: walls and cheeks come out as
flat as they were, whatever the style. As in StyleGAN (Karras et al., 2019) noise is one more input;
here it never changes, so that a drawing can be repeated and is no other in the next frame.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

NOISE_SIDE = 128
"""Side of the tile of noise, in places of the stem: 512 pixels."""
STROKE_DIRECTIONS = 4
"""Directions of brush strokes, half a turn over so many apart, the first along x."""
GRAIN_CHANNELS = 4
"""Channels up to the end of grain."""
MARK_CHANNELS = GRAIN_CHANNELS + 2
"""Up to the end of brush marks: tone and position across."""
WASH_CHANNELS = MARK_CHANNELS + 2
"""Up to the end of washes: amount and rims."""
STROKE_CHANNELS = WASH_CHANNELS + 2 * STROKE_DIRECTIONS
"""Up to the end of strokes: tone and position across, of each direction."""
NOISE_CHANNELS = STROKE_CHANNELS
"""At most."""

# In places: half the length and half the width of a mark, and how many lie on a tile. They cover it
# more than twice.
_LONG, _WIDE, _MARKS = 5.0, 2.2, 900
# The same of strokes, and how far their direction strays, in radians.
_STROKE_LONG, _STROKE_WIDE, _STROKES, _STRAY = 6.5, 1.7, 700, 0.25
# Layers of washes: from which height of a landscape each begins, and how much it adds. How steep
# shores are, and how wide the rim is outside and inside.
_LAYERS = ((0.0, 1.0), (0.3, 0.7))
_STEEP, _OUTSIDE, _INSIDE = 1.6, 0.05, 0.16


def make_noise(channels: int, seed: int = 0) -> Tensor:
    """Make a tile of noise whose edges fit each other.

    Args:
        channels: 1 to 16. The first four are grain: channel i has a cell for each 2**i places. The
            fifth and sixth are brush marks, about 40 x 18 pixels, one over the other along a
            direction that turns slowly: a tone for each mark, and the position across it, from
            which bristles and lit edges can grow. The seventh and eighth are washes, blots of 64
            pixels and more: how much paint has flowed there, and the rims where it dried. Then come
            strokes of four directions, tone and position across of each, about 52 x 14 pixels: what
            a painter follows a form with can be chosen among them.
        seed: of `numpy.random.RandomState`, whose numbers are the same for all time.

    Returns:
        `(1, channels, 128, 128)` float32, each channel with mean 0 and standard deviation 1.
    """
    random = np.random.RandomState(seed)
    levels = [_grain(random, 2**channel) for channel in range(min(channels, GRAIN_CHANNELS))]
    if channels > GRAIN_CHANNELS:
        levels.append(torch.from_numpy(_brush_marks(seed))[None, : channels - GRAIN_CHANNELS])
    if channels > MARK_CHANNELS:
        levels.append(_washes(seed)[:, : channels - MARK_CHANNELS])
    if channels > WASH_CHANNELS:
        levels.append(torch.from_numpy(_strokes(seed))[None, : channels - WASH_CHANNELS])
    noise = torch.cat(levels, 1)
    return (noise - noise.mean((2, 3), keepdim=True)) / noise.std((2, 3), keepdim=True)


def begins_with(noise: Tensor, beginning: Tensor) -> bool:
    """Tell whether the first channels of one noise are another.

    Args:
        noise: `(1, channels, h, w)`.
        beginning: `(1, channels, h, w)`; float16 or float32, either may have been rounded.
    """
    count = beginning.shape[1]
    if noise.shape[1] < count or noise.shape[2:] != beginning.shape[2:]:
        return False
    same = noise[:, :count].float(), beginning.to(noise.device).float()
    # Rounding to float16 moves a value by 0.002 at most; another seed moves it by about 1.
    return torch.allclose(*same, rtol=0, atol=0.01)


def _grain(random: np.random.RandomState, scale: int) -> Tensor:
    side = NOISE_SIDE // scale
    cells = torch.from_numpy(random.standard_normal((1, 1, side, side)).astype(np.float32))
    wrapped = F.pad(cells, (2,) * 4, mode="circular")
    smooth = F.interpolate(wrapped, scale_factor=scale, mode="bicubic", align_corners=False)
    return smooth[..., 2 * scale : -2 * scale, 2 * scale : -2 * scale]


@lru_cache(maxsize=2)
def _brush_marks(seed: int) -> np.ndarray:
    """Tone and position across, `(2, 128, 128)`, of marks that were put one over the other."""
    random = np.random.RandomState([seed, 1])
    turn = [_grain(random, NOISE_SIDE // 8)[0, 0].numpy() for _ in range(2)]
    angle = np.arctan2(*turn) / 2
    centres = random.uniform(0, NOISE_SIDE, (_MARKS, 2))
    rows, columns = centres.astype(int).T
    tones = random.uniform(-1, 1, _MARKS)
    return _painted(centres, angle[rows, columns], tones, _LONG, _WIDE)


@lru_cache(maxsize=2)
def _strokes(seed: int) -> np.ndarray:
    """Tone and position across, `(8, 128, 128)`, of strokes of one direction after the other."""
    pages = []
    for direction in range(STROKE_DIRECTIONS):
        random = np.random.RandomState([seed, 3, direction])
        centres = random.uniform(0, NOISE_SIDE, (_STROKES, 2))
        angles = np.pi * direction / STROKE_DIRECTIONS + random.uniform(-_STRAY, _STRAY, _STROKES)
        tones = random.uniform(-1, 1, _STROKES)
        pages.append(_painted(centres, angles, tones, _STROKE_LONG, _STROKE_WIDE))
    return np.concatenate(pages)


def _painted(
    centres: np.ndarray, angles: np.ndarray, tones: np.ndarray, long: float, wide: float
) -> np.ndarray:
    page = np.zeros((2, NOISE_SIDE, NOISE_SIDE), np.float32)
    far = int(long) + 2
    reach = np.arange(-far, far + 1)
    for centre, angle, tone in zip(centres, angles, tones, strict=True):
        row, column = centre.astype(int)
        y, x = (row + reach - centre[0])[:, None], (column + reach - centre[1])[None]
        cosine, sine = np.cos(angle), np.sin(angle)
        along, across = np.abs(cosine * x + sine * y), cosine * y - sine * x
        cover = np.clip(long - along + 0.5, 0, 1) * np.clip(wide - np.abs(across) + 0.5, 0, 1)
        where = np.ix_([0, 1], (row + reach) % NOISE_SIDE, (column + reach) % NOISE_SIDE)
        mark = np.stack([np.full_like(across, tone), across / wide])
        page[where] += (mark - page[where]) * cover
    return page


def _washes(seed: int) -> Tensor:
    """Amount of paint and rims, `(1, 2, 128, 128)`, of layers that ran over the paper."""
    random = np.random.RandomState([seed, 2])
    sizes = ((16, 1.0), (8, 0.55), (4, 0.3), (2, 0.12))
    amounts, rims = [], []
    for shore, share in _LAYERS:
        heights = torch.cat([height * _grain(random, size) for size, height in sizes])
        land = heights.sum(0, keepdim=True)
        land = (land - land.mean()) / land.std() - shore
        amounts.append(share * torch.tanh(_STEEP * land))
        outside, inside = (torch.exp(-((land / width) ** 2)) for width in (_OUTSIDE, _INSIDE))
        rims.append(outside + (inside - outside) * (land > 0))
    return torch.cat([amounts[0] + amounts[1], rims[0] + rims[1]], 1)
