"""Pictures to calibrate and to check with, made from a few real portraits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..processing.resample import resize

# Light that phones meet: gain, offset in levels, and colour of the light.
_LIGHTS = (
    (1.0, 0.0, (1.0, 1.0, 1.0)),
    (0.6, 0.0, (1.0, 1.0, 1.0)),
    (1.25, 10.0, (1.0, 1.0, 1.0)),
    (0.8, 25.0, (1.0, 1.0, 1.0)),
    (1.0, -15.0, (1.08, 1.0, 0.85)),
    (1.0, 0.0, (0.88, 0.97, 1.1)),
)
# Pictures that calibrate; more cost time and change little.
MOST_PICTURES = 48


def fit(pictures: Sequence[Tensor], size: tuple[int, int]) -> list[Tensor]:
    """Resize pictures `(3, H, W)` uint8 to one size, cutting off what does not fit its shape.

    Args:
        pictures: of any size.
        size: (height, width).
    """
    fitted = []
    for picture in pictures:
        height, width = picture.shape[1:]
        ratio = min(height / size[0], width / size[1])
        rows, columns = round(size[0] * ratio), round(size[1] * ratio)
        top, left = (height - rows) // 2, (width - columns) // 2
        fitted.append(resize(picture[:, top : top + rows, left : left + columns], size))
    return fitted


def varied(pictures: Sequence[Tensor], size: tuple[int, int]) -> list[Tensor]:
    """Portraits in several lights, mirrored and nearer, for calibration; always the same.

    Args:
        pictures: `(3, H, W)` uint8 face crops.
        size: (height, width) of the results.

    Returns:
        Each portrait once, but at least 6 and at most 48 pictures `(3, height, width)` uint8. The
        lights take turns, as the darkest and the brightest picture set the ranges. Each portrait in
        each light widens them and gains nothing: of eight portraits, 48 pictures cost 1.2 dB.
    """
    results: list[Tensor] = []
    count = len(pictures)
    for turn in range(min(MOST_PICTURES, max(count, len(_LIGHTS)))):
        picture = pictures[turn % count]
        index = turn % len(_LIGHTS)
        gain, offset, tint = _LIGHTS[index]
        height, width = picture.shape[1:]
        if index % 2:
            picture = picture.flip(-1)
        if index % 3 == 2:
            top, left = height // 8, width // 8
            picture = picture[:, top : height - top, left : width - left]
        colour = torch.tensor(tint)[:, None, None] * gain
        lit = (picture.float() * colour + offset).round().clamp(0, 255).to(torch.uint8)
        results += fit([lit], size)
    return results
