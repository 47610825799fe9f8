"""Global and local patch discriminators; used in training only."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ..base import PortraitPreTrainedModel
from .configuration_discriminator import PortraitDiscriminatorConfig


class PatchDiscriminator(nn.Module):
    """Stride-2 convolutions with spectral norm; patch logits after each of the last `heads` layers.

    Args:
        channels: widths of the layers.
        heads: number of layers, from the end, that are judged.
    """

    def __init__(self, channels: list[int], heads: int = 1) -> None:
        super().__init__()
        widths = [3, *channels]
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(a, b, 4, 2, 1)) for a, b in pairwise(widths)
        )
        self.heads = nn.ModuleList(
            spectral_norm(nn.Conv2d(c, 1, 3, 1, 1)) for c in channels[-heads:]
        )

    def forward(self, pixel_values: Tensor) -> list[Tensor]:
        """Judge `(B, 3, H, W)` pictures in [-1, 1] by logits `(B, 1, h, w)`, fine to coarse."""
        logits = []
        first = len(self.layers) - len(self.heads)
        for index, layer in enumerate(self.layers):
            pixel_values = F.leaky_relu(layer(pixel_values), 0.2)
            if index >= first:
                logits.append(self.heads[index - first](pixel_values))
        return logits


class PortraitDiscriminator(PortraitPreTrainedModel):
    """One global patch discriminator and one local one per kind of face region.

    The left and the right eye share a network: right-hand crops are mirrored.

    Source: adversarial learning on globally and locally aligned pairs, arXiv 2211.15549; the layer
    table is ours.
    """

    config: PortraitDiscriminatorConfig
    config_class = PortraitDiscriminatorConfig

    def __init__(self, config: PortraitDiscriminatorConfig) -> None:
        super().__init__(config)
        self.picture = PatchDiscriminator(list(config.channels), heads=3)
        kinds = dict.fromkeys(_kind(region) for region in config.regions)
        self.parts = nn.ModuleDict(
            {kind: PatchDiscriminator(list(config.part_channels)) for kind in kinds}
        )
        self.post_init()

    def forward(
        self, pixel_values: Tensor | None = None, parts: Mapping[str, Tensor] | None = None
    ) -> dict[str, list[Tensor]]:
        """Judge whole pictures and part crops.

        Args:
            pixel_values: `(B, 3, H, W)` in [-1, 1], or None.
            parts: crops `(B, 3, s, s)` in [-1, 1] by region name, or None.

        Returns:
            Patch logits by name: `global` and the names in `parts`; positive means drawn.
        """
        logits: dict[str, list[Tensor]] = {}
        if pixel_values is not None:
            logits["global"] = self.picture(pixel_values)
        for region, crop in (parts or {}).items():
            crop = crop.flip(-1) if region.startswith("right_") else crop
            logits[region] = self.parts[_kind(region)](crop)
        return logits


def _kind(region: str) -> str:
    return region.removeprefix("right_").removeprefix("left_")
