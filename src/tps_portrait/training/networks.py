"""The networks that only training needs: the way back F and the discriminators D."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import nn

from ..errors import ConfigError, OutputError
from ..models.discriminator import PortraitDiscriminator, PortraitDiscriminatorConfig
from ..models.generator import StyleGenerator, StyleGeneratorConfig

INVERSE, DISCRIMINATOR = "inverse", "discriminator"
"""Folders of the two, in the folder that `save_networks` writes."""


def make_networks(
    folder: str | os.PathLike[str] | None, *, local: bool
) -> tuple[StyleGenerator, PortraitDiscriminator]:
    """Make F and D, new or as an earlier training left them, in float32.

    Discriminators that know faces and drawings judge a new style well from the first step, where
    new ones first drive the generator into patterns.

    Args:
        folder: where `save_networks` wrote; None or empty for new networks.
        local: whether local discriminators are needed.

    Returns:
        F, half as wide as a generator by default: it is thrown away after training. D.

    Raises:
        ConfigError: the folder has no such networks, or none for parts of the face.
        ModelFileError: their files cannot be read.
    """
    if not folder:
        narrow = StyleGeneratorConfig(
            channels=(24, 32, 64, 96), bottleneck_blocks=1, head_channels=40
        )
        parts = {} if local else {"regions": ()}
        config = PortraitDiscriminatorConfig(**parts)
        return StyleGenerator(narrow), PortraitDiscriminator(config)
    path = Path(folder)
    for name in (INVERSE, DISCRIMINATOR):
        if not (path / name).is_dir():
            raise ConfigError(
                f"training_networks: {path} has no folder {name!r}. Give the folder 'networks' "
                f"that a training left in its output_dir, or leave the option out."
            )
    inverse = StyleGenerator.from_pretrained(path / INVERSE, dtype=torch.float32)
    judge = PortraitDiscriminator.from_pretrained(path / DISCRIMINATOR, dtype=torch.float32)
    if local and not judge.config.regions:
        raise ConfigError(
            f"training_networks: the discriminator in {path} was trained for whole pictures only. "
            f"Set local_adversarial_weight to 0, or leave the option out."
        )
    return inverse.train(), judge.train()


def unwrap_model(model: nn.Module) -> nn.Module:
    """Return a network without what Accelerate, `torch.compile` or both wrapped round it."""
    while True:
        inner = getattr(model, "_orig_mod", None) or getattr(model, "module", None)
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def save_networks(
    folder: str | os.PathLike[str], inverse: StyleGenerator, discriminator: PortraitDiscriminator
) -> None:
    """Write F and D in float16, 3 MB by default, for later trainings to start with.

    Raises:
        OutputError: the folder cannot be written.
    """
    for name, network in ((INVERSE, inverse), (DISCRIMINATOR, discriminator)):
        weights = {key: value.half().contiguous() for key, value in network.state_dict().items()}
        try:
            network.save_pretrained(Path(folder) / name, state_dict=weights)
        except OSError as error:
            raise OutputError(
                f"Cannot write the training's networks to {folder}: {error}. Make room, or choose "
                f"another output_dir."
            ) from error
