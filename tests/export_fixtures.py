"""A tiny style and real portraits for the tests of exports."""

from __future__ import annotations

import torch

import tps_portrait
from conftest import ASTRONAUT, DATA

PORTRAITS = [ASTRONAUT, DATA / "grace_hopper.jpg", DATA / "mona_lisa.jpg"]


def tiny_style() -> tps_portrait.TPSPortraitPipeline:
    """A pipeline that draws quickly, with contrast, at 64 px."""
    torch.manual_seed(0)
    config = tps_portrait.StyleGeneratorConfig(
        channels=(16, 16, 16, 16),
        encoder_blocks=(0, 1),
        bottleneck_blocks=1,
        decoder_blocks=(0, 0),
        head_channels=16,
    )
    pipe = tps_portrait.TPSPortraitPipeline(
        generator=tps_portrait.StyleGenerator(config),
        aligner=tps_portrait.TPSAligner(tps_portrait.TPSAlignerConfig()),
        image_processor=tps_portrait.PortraitImageProcessor(face_size=64, frame_size=128),
    )
    pipe.style = "tiny"
    pipe.card = "---\nlicense: cc0-1.0\n---\n# tiny\n"
    return pipe
