"""Contrast: a place of the drawing tells of the same place of the photo, among others of it.

Not in arXiv 2211.15549: the PatchNCE loss of CUT (Park et al., 2020, "Contrastive Learning for
Unpaired Image-to-Image Translation", arXiv 2007.15651), with which CUT keeps content where CycleGAN
has a cycle. Features are those of the generator's own encoder; small heads, trained with it and
then thrown away, say what of them counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..models.generator import StyleGenerator
from .networks import unwrap_model

# As in CUT: places of a picture at each scale, width of both layers of a head.
_PLACES = 256
_WIDTH = 256


class PatchContrast(nn.Module):
    """One projection head for each scale of an encoder, and the loss between what they make.

    A head has two layers of 256, ReLU between them. Its first weights are not as small as CUT's:
    directions are all that counts of its output, and the gradients of small weights, which are
    clipped together with those of the generator, would leave nothing of these.

    Args:
        channels: widths of the features, one a scale.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(_head(width) for width in channels)

    def forward(self, drawn: Sequence[Tensor], source: Sequence[Tensor]) -> Tensor:
        """Compare features at random places, the same ones of all pictures of the batch.

        Args:
            drawn: features of drawings, `(B, C, h, w)`, one tensor a scale; they get gradients.
            source: those of what was drawn; without gradients, as are their projections.

        Returns:
            Scalar, averaged over scales: near 0 if each place is known by its features, near
            log(256) if they tell nothing (log(h w) where there are fewer places).
        """
        values = []
        for head, queries, keys in zip(self.heads, drawn, source, strict=True):
            count = queries.shape[-2] * queries.shape[-1]
            places = torch.randperm(count, device=queries.device)[:_PLACES]
            # In this order: autocast may keep what it cast without gradients for the next call.
            asked = _project(head, queries, places)
            with torch.no_grad():
                wanted = _project(head, keys, places)
            values.append(patch_nce(asked, wanted))
        return torch.stack(values).mean()


def patch_nce(queries: Tensor, keys: Tensor, temperature: float = 0.07) -> Tensor:
    """Cross-entropy of finding, for each query, the key of its place among those of its picture.

    Args:
        queries: unit vectors `(B, N, C)`.
        keys: unit vectors `(B, N, C)`; without gradients.
        temperature: cosines are divided by it.

    Returns:
        Scalar; log(N) if all keys are alike.
    """
    # Half precision would round cosines to steps that the temperature makes large.
    with torch.autocast(queries.device.type, enabled=False):
        logits = queries.float() @ keys.detach().float().mT / temperature
        places = torch.arange(logits.shape[1], device=logits.device).expand(len(logits), -1)
        return F.cross_entropy(logits.mT, places)


def contrast_loss(
    contrast: nn.Module, generator: nn.Module, drawn: Tensor, source: Tensor
) -> Tensor:
    """The loss between a drawing and what it was drawn from; the encoder learns by the drawing.

    Args:
        contrast: a `PatchContrast`; may be wrapped by Accelerate.
        generator: a `StyleGenerator`, whose `encode` is used; may be wrapped by Accelerate.
        drawn: `(B, 3, H, W)` in [-1, 1], H and W multiples of 32.
        source: `(B, 3, H, W)` in [-1, 1].
    """
    plain = cast(StyleGenerator, unwrap_model(generator))
    # The generator's noise never changes: by it, places would be told without looking at pictures.
    height, width = source.shape[-2:]
    still = source.new_zeros(1, plain.config.noise_channels, height // 4, width // 4)
    queries = plain.encode(drawn, still)
    with torch.no_grad():
        keys = plain.encode(source, still)
    value: Tensor = contrast(queries, keys)
    return value


def _head(channels: int) -> nn.Sequential:
    first, second = nn.Linear(channels, _WIDTH), nn.Linear(_WIDTH, _WIDTH)
    for layer in (first, second):
        nn.init.xavier_normal_(layer.weight)
        # A bias would be the same at all places and hide how they differ.
        nn.init.zeros_(layer.bias)
    return nn.Sequential(first, nn.ReLU(), second)


def _project(head: nn.Module, features: Tensor, places: Tensor) -> Tensor:
    """Unit vectors `(B, N, C)` of features `(B, c, h, w)` at places, numbered row by row."""
    return F.normalize(head(features.flatten(2)[..., places].mT).float(), dim=-1)
