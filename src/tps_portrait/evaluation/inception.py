"""Features of the Inception network that FID is defined with, where its weights are at hand."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ..errors import ModelFileError

FILE = "inception_v3.safetensors"
"""Name of the converted weights in the folder of networks."""

_MODULE = "torch_fidelity"


def load_inception(folder: str | os.PathLike[str]) -> nn.Module:
    """Load the network of torch-fidelity with weights that were converted before.

    Args:
        folder: where `tools/convert_eval_networks.py --inception FILE` wrote them.

    Returns:
        torch-fidelity's feature extractor, on the CPU.

    Raises:
        ModelFileError: the package or the weights are missing or do not fit.
    """
    path = Path(folder) / FILE
    if find_spec(_MODULE) is None:
        raise ModelFileError(
            "the standard Inception network needs torch-fidelity, which is not installed: "
            "`pip install torch-fidelity`"
        )
    if not path.is_file():
        raise ModelFileError(
            f"{path} is missing; no registry package carries it. Download torch-fidelity's "
            "weights-inception-2015-12-05-6726825d.pth and convert it with `python "
            f"tools/convert_eval_networks.py --output_dir {os.fspath(folder)} --inception FILE`"
        )
    # The extractor reads a pickle from a path or a buffer: it gets one that was written here.
    buffer = io.BytesIO()
    try:
        torch.save(load_file(path), buffer)
        buffer.seek(0)
        module = import_module(f"{_MODULE}.feature_extractor_inceptionv3")
        network: nn.Module = module.FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path=buffer
        )
    except (OSError, SafetensorError, RuntimeError, ImportError) as error:
        raise ModelFileError(
            f"{path} cannot be loaded into torch-fidelity's Inception: {error}"
        ) from error
    return network


@torch.no_grad()
def inception_features(
    network: nn.Module, images: Sequence[Tensor], *, batch_size: int = 8
) -> Tensor:
    """Describe whole pictures, for the standard KID and FID.

    Args:
        network: of `load_inception`; it resizes by itself.
        images: `(3, S, S)` uint8 each, of one size.
        batch_size: pictures at a time.

    Returns:
        `(N, 2048)` float32 on the CPU.
    """
    device = next(network.parameters()).device
    found = [
        network(torch.stack(list(images[start : start + batch_size])).to(device))[0].cpu()
        for start in range(0, len(images), batch_size)
    ]
    return torch.cat(found)
