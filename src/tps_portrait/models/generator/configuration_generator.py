"""Configuration of the style generator."""

# No `from __future__ import annotations`: `@strict` does not check types that are strings.
from typing import Literal

from huggingface_hub.dataclasses import strict

from ..base import PortraitConfig
from .noise import NOISE_CHANNELS


@strict
class StyleGeneratorConfig(PortraitConfig):
    """Widths and depths of a `StyleGenerator`.

    The defaults stay below 1.0 GMAC at 512x512 (`benchmarks/generator.py` prints the exact count);
    sixteen channels of noise add 0.008.

    Args:
        channels: widths at 1/4, 1/8, 1/16 and 1/32 of the input size; multiples of 8 run fastest.
        encoder_blocks: residual blocks at 1/8 and 1/16 on the way down.
        bottleneck_blocks: residual blocks at 1/32.
        decoder_blocks: residual blocks at 1/16 and 1/8 on the way up.
        head_channels: width of the last layer at 1/4.
        detail_channels: widths of the two layers at 1/2, which keep lines smooth across patches.
        noise_channels: channels of fixed noise behind the stem, from which paper grain and brush
            strokes can grow where a photo is flat: up to four of grain, each twice as coarse as the
            one before, then two of brush marks, two of washes and eight of strokes in four
            directions; 0 for styles that stay flat there.
        norm: `weight` (scaled weight standardisation) or `batch`.
    """

    model_type = "tps_portrait_generator"

    channels: list[int] | tuple[int, ...] = (32, 48, 96, 128)
    encoder_blocks: list[int] | tuple[int, ...] = (0, 1)
    bottleneck_blocks: int = 2
    decoder_blocks: list[int] | tuple[int, ...] = (0, 1)
    head_channels: int = 48
    detail_channels: list[int] | tuple[int, ...] = (8, 16)
    noise_channels: int = 0
    norm: Literal["weight", "batch"] = "weight"

    def validate_widths(self) -> None:
        """Check the number and sign of widths and depths.

        Raises:
            ValueError: a list has the wrong length or a value is out of range.
        """
        if len(self.channels) != 4 or min(self.channels) < 1:
            raise ValueError(f"channels must be four positive widths, got {self.channels}")
        if len(self.encoder_blocks) != 2 or min(self.encoder_blocks) < 0:
            raise ValueError(f"encoder_blocks must be two counts >= 0, got {self.encoder_blocks}")
        if len(self.decoder_blocks) != 2 or min(self.decoder_blocks) < 0:
            raise ValueError(f"decoder_blocks must be two counts >= 0, got {self.decoder_blocks}")
        if self.bottleneck_blocks < 0:
            raise ValueError(f"bottleneck_blocks must be >= 0, got {self.bottleneck_blocks}")
        if self.head_channels < 1:
            raise ValueError(f"head_channels must be positive, got {self.head_channels}")
        if not 0 <= self.noise_channels <= NOISE_CHANNELS:
            raise ValueError(
                f"noise_channels must be 0 to {NOISE_CHANNELS}, got {self.noise_channels}"
            )
        if len(self.detail_channels) != 2 or min(self.detail_channels) < 1:
            raise ValueError(
                f"detail_channels must be two positive widths, got {self.detail_channels}"
            )
