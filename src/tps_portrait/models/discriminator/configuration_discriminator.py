"""Configuration of the discriminators."""

# No `from __future__ import annotations`: `@strict` does not check types that are strings.
from huggingface_hub.dataclasses import strict

from ..base import PortraitConfig


@strict
class PortraitDiscriminatorConfig(PortraitConfig):
    """Widths of the global patch discriminator and of the part discriminators.

    Args:
        channels: widths of the stride-2 layers of the global discriminator; it judges patches
            after the last three of them.
        part_channels: widths of the stride-2 layers of each part discriminator.
        regions: names of the face regions that get a discriminator of their own; a name that
            starts with `right_` shares the one of its mirrored `left_` twin.
    """

    model_type = "tps_portrait_discriminator"

    channels: list[int] | tuple[int, ...] = (16, 32, 64, 96, 128)
    part_channels: list[int] | tuple[int, ...] = (24, 48, 96, 128)
    regions: list[str] | tuple[str, ...] = ("right_eye", "left_eye", "nose", "mouth")

    def validate_widths(self) -> None:
        """Check the widths.

        Raises:
            ValueError: a list is too short or a width is not positive.
        """
        if len(self.channels) < 3 or min(self.channels) < 1:
            raise ValueError(f"channels must be three or more positive widths, got {self.channels}")
        if len(self.part_channels) < 1 or min(self.part_channels) < 1:
            raise ValueError(f"part_channels must be positive widths, got {self.part_channels}")
