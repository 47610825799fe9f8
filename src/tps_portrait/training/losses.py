"""The losses of arXiv 2211.15549, each a function of tensors, and ours, such as the anchor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def discriminator_hinge(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Hinge loss of a discriminator: real logits above 1, fake ones below -1.

    Args:
        real: patch logits of real pictures, one tensor a scale.
        fake: patch logits of drawn pictures.

    Returns:
        Scalar, averaged over the scales.
    """
    terms = [F.relu(1 - r).mean() + F.relu(1 + f).mean() for r, f in zip(real, fake, strict=True)]
    return torch.stack(terms).mean()


def generator_hinge(fake: Sequence[Tensor]) -> Tensor:
    """Adversarial loss of a generator: raise the logits of what it drew. Scalar."""
    return -torch.stack([f.mean() for f in fake]).mean()


def over_regions(loss: Callable[..., Tensor], *parts: Mapping[str, Any]) -> Tensor:
    """Average a loss over the regions of a face.

    Args:
        loss: of one region.
        *parts: its arguments, each by region; all have the same regions.

    Returns:
        Scalar.
    """
    return torch.stack([loss(*(part[name] for part in parts)) for name in parts[0]]).mean()


def r1_penalty(real_logits: Sequence[Tensor], real: Tensor) -> Tensor:
    """Squared gradient of the logits at real pictures (Mescheder et al., 2018).

    Args:
        real_logits: patch logits of `real`.
        real: pictures `(B, C, H, W)` that require gradients.

    Returns:
        Scalar, averaged over the batch.
    """
    total = torch.stack([r.mean(dim=(1, 2, 3)).sum() for r in real_logits]).sum()
    (gradient,) = torch.autograd.grad(total, real, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()


def cycle_loss(returned: Tensor, original: Tensor) -> Tensor:
    """L1 between a picture and what came back, at half the resolution.

    At full resolution the drawing would have to hide the texture of the photo in noise to satisfy
    the cycle; half keeps the face and forgets the pores.

    Args:
        returned: `(B, 3, H, W)` in [-1, 1].
        original: `(B, 3, H, W)` in [-1, 1].
    """
    return F.l1_loss(F.avg_pool2d(returned, 2), F.avg_pool2d(original, 2))


def invariance_loss(drawn_warped: Tensor, warped_drawn: Tensor) -> Tensor:
    """L1 between drawing a warped photo and warping the drawing, `G(W(x))` and `W(G(x))`."""
    return F.l1_loss(drawn_warped, warped_drawn)


def smooth_regions(pixel_values: Tensor, radius: int | None = None, edge: float = 0.08) -> Tensor:
    """Flatten a picture and keep its edges: the self-guided filter (He et al., 2010).

    Args:
        pixel_values: `(B, C, H, W)`.
        radius: half side of the window, in pixels; 1/48 of the width if not given.
        edge: contrast in the units of the picture below which an area counts as flat.

    Returns:
        `(B, C, H, W)`.
    """
    radius = radius or max(1, pixel_values.shape[-1] // 48)

    def box(x: Tensor) -> Tensor:
        side = 2 * radius + 1
        x = F.pad(x, (radius,) * 4, mode="replicate").contiguous()
        return F.avg_pool2d(F.avg_pool2d(x, (1, side), 1), (side, 1), 1)

    mean = box(pixel_values)
    variance = box(pixel_values.square()) - mean.square()
    slope = variance / (variance + edge**2)
    return box(slope) * pixel_values + box((1 - slope) * mean)


def anchor_loss(drawn: Tensor, photo: Tensor, luma: float = 0.5, chroma: float = 1.0) -> Tensor:
    """Keep the colour of large areas: L1 between averages, 32x32 of luma and 64x64 of chroma.

    Not in the paper. Without it a discriminator may swap hair, skin and background colours for
    whatever the few examples have. What happens inside a cell (lines, shadow edges) is free.

    Args:
        drawn: `(B, 3, H, W)` in [-1, 1].
        photo: `(B, 3, H, W)` in [-1, 1].
        luma: weight of brightness; a style may be lighter or darker than the photo.
        chroma: weight of colour; a style may have few colours or none.
    """
    brightness, colour = _differences(drawn, photo, 64)
    return luma * F.avg_pool2d(brightness, 2).abs().mean() + chroma * colour


def region_colour_loss(drawn: Mapping[str, Tensor], photo: Mapping[str, Tensor]) -> Tensor:
    """Keep the colour of eyes, nose and mouth: L1 between averages of chroma, 4x4 pixels of a crop.

    Not in the paper. The cells of `anchor_loss` are as large as an iris; these are not.

    Args:
        drawn: crops `(B, 3, s, s)` of the drawing by region, in [-1, 1]; at least one.
        photo: the same crops of the photo.
    """
    values = [
        _differences(crop, photo[name], max(1, crop.shape[-1] // 4))[1]
        for name, crop in drawn.items()
    ]
    return torch.stack(values).mean()


def _differences(drawn: Tensor, photo: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """Of cells: brightness `(B, h, w)`, signed, and the mean distance of chroma (BT.601)."""
    difference = F.adaptive_avg_pool2d(drawn.float() - photo, cells)
    red, green, blue = difference.unbind(1)
    brightness = 0.299 * red + 0.587 * green + 0.114 * blue
    colour = (blue - brightness).abs() * 0.564 + (red - brightness).abs() * 0.713
    return brightness, colour.mean()


def evenness_loss(drawn: Tensor, photo: Tensor, cells: int = 64, edge: float = 0.06) -> Tensor:
    """Where the photo is even, so is the drawing: no halos, smears, blotches or made-up shadows.

    Not in the paper. Averages of cells are compared with those 1, 2 and 4 cells to the right and
    below, in the photo and in the drawing; the more a pair differs in the photo, the less it
    counts. What a cell averages out is free, and so is what the drawing does to the whole of an
    even area. Grain and strokes that a cell does not average out cost, as do lines where the photo
    has none: the term has to be weighed against those that ask for them.

    Args:
        drawn: `(B, 3, H, W)` in [-1, 1].
        photo: `(B, 3, H, W)` in [-1, 1].
        cells: in a row and in a column.
        edge: difference between two cells of a photo, in its units, at which their pair counts
            a third.

    Returns:
        Scalar: mean over all pairs of the absolute difference of differences, 0 to 2; the less a
        photo is even, the less it asks.
    """
    found = F.adaptive_avg_pool2d(drawn.float(), cells)
    wanted = F.adaptive_avg_pool2d(photo.float(), cells)
    values = []
    for axis in (2, 3):
        for step in [step for step in (1, 2, 4) if step < cells]:
            change = _change(wanted, axis, step)
            weight = torch.exp(-(change.abs().amax(1) / edge).square())
            values.append(((_change(found, axis, step) - change).abs().mean(1) * weight).mean())
    return torch.stack(values).mean()


def _change(x: Tensor, axis: int, step: int) -> Tensor:
    size = x.shape[axis]
    return x.narrow(axis, step, size - step) - x.narrow(axis, 0, size - step)


def pattern_loss(
    drawn: Mapping[str, Tensor], aligned: Mapping[str, Tensor], masks: Mapping[str, Tensor]
) -> Tensor:
    """Lights and darks of eyes and mouth are where an aligned example has them.

    Not in the paper, but what its alignment makes possible: a pupil of the example lies on that of
    the photo, lid on lid and lip on lip, so that the pixels can be compared. Over many examples
    the L1 draws what they have in common (white, iris, pupil, line of the lid), which adversarial
    terms alone leave out where an eye is small. Colour and overall brightness are free.

    Args:
        drawn: crops `(B, 3, s, s)` of the drawing by region, in [-1, 1].
        aligned: the same regions of aligned examples.
        masks: `(B, 1, s, s)` in [0, 1], by region: where to compare.

    Returns:
        Scalar: mean absolute difference of luma, without that of the means.
    """
    values = []
    for name, mask in masks.items():
        difference = (grey(drawn[name].float()) - grey(aligned[name].float()))[:, :1]
        total = mask.sum((1, 2, 3), keepdim=True).clamp_min(1e-6)
        mean = (difference * mask).sum((1, 2, 3), keepdim=True) / total
        values.append(((difference - mean).abs() * mask).sum((1, 2, 3)) / total[:, 0, 0, 0])
    return torch.stack(values).mean()


def grey(pixel_values: Tensor) -> Tensor:
    """The same picture without colour, `(B, 3, H, W)`: luma of ITU-R BT.601."""
    weights = pixel_values.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (pixel_values * weights).sum(1, keepdim=True).expand_as(pixel_values)


def grid_loss(drawn: Tensor, period: int = 4, cells: int = 16) -> Tensor:
    """Mean amplitude of a fine pattern that is tied to the pixel grid; 0 is ideal.

    Not in the paper. Pixel shuffles and strided discriminators leave checkerboards and stripes.
    Averaging what a 5x5 blur takes away, separately for each place in a `period`, over
    neighbourhoods, leaves nothing of lines and paper grain, and all of such a pattern.

    Args:
        drawn: `(B, C, H, W)`, H and W multiples of `period`.
        period: of the pattern, in pixels; the side of the patches that the generator's head draws.
        cells: side of a neighbourhood, in periods.
    """
    drawn = drawn.float()
    fine = drawn - F.avg_pool2d(F.pad(drawn, (2,) * 4, mode="replicate"), 5, 1)
    phases = F.pixel_unshuffle(fine, period)
    sides = [min(cells, side) for side in phases.shape[-2:]]
    return F.avg_pool2d(phases, sides).abs().mean()
