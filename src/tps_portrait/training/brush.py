"""The first brush marks: a generator learns to show the marks of its noise in what it draws.

Not in arXiv 2211.15549. A generator that starts from another style has no use for new noise yet.
The adversarial and texture terms find it, but make thin dark lines of it first, which cost little
beside hair and wrinkles; those stay. A generator that was shown broad marks for a minute keeps
them, and the terms change their tone, width and colour to those of the style.
"""

from __future__ import annotations

import copy
import logging

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm.auto import tqdm

from ..errors import ConfigError
from ..models.generator import StyleGenerator
from . import losses
from .abstraction import room_around, simplify_photo
from .data import FaceSet, to_float

logger = logging.getLogger(__name__)

# Channels of the noise that are marks: the tone of each, and the position across it.
_TONE, _ACROSS = 4, 5
# What a standard deviation of them changes, of 2.
_CONTRASTS = (0.12, 0.04)
# Brows, eyes, nose and mouth among the 68 landmarks, and the outer corners of the eyes.
_FEATURES = slice(17, 68)
# How far from them marks begin and are whole, in distances of the eyes' outer corners.
_NEAR, _FAR = 0.08, 0.35
# Learning rate of the first step and of the last.
_RATES = (6e-4, 5e-5)


def lay_brush_marks(
    generator: StyleGenerator,
    photos: FaceSet,
    steps: int,
    *,
    seed: int = 0,
    abstraction: int = 0,
    grey: bool = False,
    precision: torch.dtype | None = None,
    hidden: bool = False,
) -> float:
    """Teach a generator, in place, to draw what it draws now with brush marks over it.

    With `abstraction`, to paint photos in patches with brush marks over them.

    Brows, eyes, nose and mouth stay without, as a painter takes a finer brush for them.

    Args:
        generator: with six channels of noise.
        photos: any colours are made of them.
        steps: of one photo each, at least 1.
        seed: of the order of photos and of their colours.
        abstraction: radius of `simplify_photo`, in pixels; 0 to keep what the generator draws.
        grey: the patches have no colours; says nothing without `abstraction`.
        precision: dtype of autocast; none where it is not given.
        hidden: show no progress bar.

    Returns:
        Mean absolute difference from what it was to draw, in [0, 2], over the last tenth of the
        steps.

    Raises:
        ConfigError: the generator's noise has no brush marks.
    """
    if generator.config.noise_channels <= _ACROSS:
        raise ConfigError(
            f"brush_steps needs the brush marks of 6 channels of noise; the generator has "
            f"{generator.config.noise_channels}. Give --noise_channels 6, or --brush_steps 0."
        )
    device = generator.noise.device
    start = None if abstraction else copy.deepcopy(generator).eval().requires_grad_(False)
    with torch.no_grad():
        side = photos.images.shape[-1]
        noise = generator.tiled_noise((side // 4, side // 4)).float()
        wide = F.interpolate(noise, scale_factor=4, mode="bilinear", align_corners=False)
        marks = _CONTRASTS[0] * wide[:, _TONE] + _CONTRASTS[1] * wide[:, _ACROSS]
    random = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(generator.parameters(), betas=(0.5, 0.99))
    distances = []
    for step in tqdm(range(steps), desc="brush marks", disable=hidden):
        rate = _RATES[0] + (_RATES[1] - _RATES[0]) * step / steps
        optimizer.param_groups[0]["lr"] = rate
        index = int(torch.randint(len(photos), (), generator=random))
        photo = _recoloured(to_float(photos.images[index : index + 1]), random).to(device)
        with torch.no_grad():
            landmarks = photos.landmarks[index : index + 1].to(device)
            room = room_around(landmarks, side, _FEATURES, _NEAR, _FAR)
            if start is None:
                reference = losses.grey(photo) if grey else photo
                under = simplify_photo(reference, landmarks, abstraction)
            else:
                under = start(photo)
            wanted = (under + marks[:, None] * room).clamp(-1, 1)
        with torch.autocast(device.type, precision, enabled=precision is not None):
            drawn = generator(photo)
        loss = F.l1_loss(drawn.float(), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        distances.append(float(loss.detach()))
    optimizer.zero_grad()
    last = distances[-max(1, steps // 10) :]
    value = sum(last) / len(last)
    logger.info("Brush marks: off by %.3f after %d steps", value, steps)
    return value


def _recoloured(photo: Tensor, random: torch.Generator) -> Tensor:
    """A photo in other colours: marks belong on walls of every colour, which photos lack."""
    gain = 0.7 + 0.6 * torch.rand(1, 3, 1, 1, generator=random)
    shift = 0.4 * (torch.rand(1, 3, 1, 1, generator=random) - 0.5)
    return (photo * gain + shift).clamp(-1, 1)
