"""Which arithmetic a training can use on the machine at hand."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Literal

import torch

from ..errors import ConfigError

Precision = Literal["no", "fp16", "bf16"]

logger = logging.getLogger(__name__)

_BF16_ON_X86 = ("avx512_bw", "avx_ne_convert", "amx_bf16")
"""Without any of these, oneDNN has no bf16 kernels, and PyTorch's own are for correctness only."""


def usable_precision(wanted: Precision, device: torch.device) -> Precision:
    """Choose fp32 where bf16 would only cost time.

    Recipes ask for bf16, which graphics cards and newer processors have. On an x86 processor
    without it a training step takes ten times as long and more, and gives nothing in return.
    Processors that PyTorch does not describe are left as wanted.

    Args:
        wanted: `--mixed_precision`.
        device: where the training runs.

    Returns:
        `no` for bf16 on such a processor, with a warning in the log; otherwise `wanted`.

    Raises:
        ConfigError: fp16 is wanted on a processor.
    """
    if wanted == "fp16" and device.type == "cpu":
        raise ConfigError(
            "--mixed_precision fp16 needs a graphics card, and this training runs on the "
            "processor. Choose --mixed_precision bf16, or no."
        )
    if wanted != "bf16" or device.type != "cpu":
        return wanted
    # Not in every version of torch that we support.
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    if capabilities.get("architecture") != "x86_64":
        return wanted
    if any(capabilities.get(name) for name in _BF16_ON_X86):
        return wanted
    logger.warning(
        "This processor has no bf16 (none of %s): training in fp32, which is many times as fast "
        "here. --mixed_precision no says so in the recipe.",
        ", ".join(_BF16_ON_X86),
    )
    return "no"
