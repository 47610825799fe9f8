"""The discriminators."""

from .configuration_discriminator import PortraitDiscriminatorConfig
from .modeling_discriminator import PatchDiscriminator, PortraitDiscriminator

__all__ = ["PatchDiscriminator", "PortraitDiscriminator", "PortraitDiscriminatorConfig"]
