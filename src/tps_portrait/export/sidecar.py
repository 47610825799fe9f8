"""The JSON beside an exported file: all that an app needs to feed it, and how well it draws."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from ..errors import ModelFileError
from .options import INPUT_NAME, OUTPUT_NAME, STRIDE, ExportOptions

FORMAT_VERSION = 1


def sidecar_path(path: Path) -> Path:
    """Where the JSON of an exported file lies: `animation.onnx` has `animation.onnx.json`."""
    return path.with_name(f"{path.name}.json")


def file_hashes(files: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Bytes and SHA-256 of files by name; of a folder, those of all files in it in order.

    Args:
        files: files or folders.
    """
    facts = {}
    for file in files:
        digest, size = hashlib.sha256(), 0
        parts = sorted(p for p in file.rglob("*") if p.is_file()) if file.is_dir() else [file]
        for part in parts:
            content = part.read_bytes()
            digest.update(content)
            size += len(content)
        facts[file.name] = {"bytes": size, "sha256": digest.hexdigest()}
    return facts


def weights_hash(network: nn.Module) -> str:
    """SHA-256 over names and values of a network's weights, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor.detach().float().cpu().numpy()).tobytes())
    return digest.hexdigest()


def input_facts(options: ExportOptions, dynamic_batch: bool = True) -> dict[str, Any]:
    """Describe the input of a file in words that need no Python.

    Args:
        options: the form of the file.
        dynamic_batch: whether the batch of a dynamic file is dynamic too.
    """
    facts: dict[str, Any] = {"input": {"name": INPUT_NAME, **_picture(options, dynamic_batch)}}
    if options.dynamic:
        facts["size_multiple"] = STRIDE
    return facts


def drawing_facts(options: ExportOptions, dynamic_batch: bool = True) -> dict[str, Any]:
    """Describe the output of a generator, which has the form of its input.

    Args:
        options: the form of the file.
        dynamic_batch: whether the batch of a dynamic file is dynamic too.
    """
    return {"name": OUTPUT_NAME, **_picture(options, dynamic_batch)}


def _picture(options: ExportOptions, dynamic_batch: bool) -> dict[str, Any]:
    shape: list[int | str] = list(options.shape())
    for axis, name in options.axes().items():
        if dynamic_batch or name != "batch":
            shape[axis] = name
    pixels = options.io == "uint8"
    return {
        "shape": shape,
        "layout": options.layout.upper(),
        "dtype": "uint8" if pixels else "float32",
        "value_range": [0, 255] if pixels else [-1, 1],
        "color_order": "RGB",
    }


def write_sidecar(path: Path, facts: dict[str, Any]) -> None:
    """Write the JSON of the file at `path`.

    Args:
        path: the exported file.
        facts: what the JSON says.
    """
    text = json.dumps({"format_version": FORMAT_VERSION, **facts}, indent=2)
    sidecar_path(path).write_text(text + "\n", "utf-8")


def read_sidecar(path: Path) -> dict[str, Any]:
    """Read the JSON of an exported file and check that it belongs to it.

    Args:
        path: the exported file.

    Raises:
        ModelFileError: the file or its JSON is missing, damaged, newer than this library, or the
            two do not belong together.
    """
    beside = sidecar_path(path)
    if not path.exists():
        raise ModelFileError(f"There is no exported file {path}. Write one with `pipe.export`.")
    try:
        facts = json.loads(beside.read_text("utf-8"))
        version, files = facts["format_version"], facts["files"]
        folder_files = [path.with_name(name) for name in files]
        found = file_hashes(folder_files)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelFileError(
            f"{path} cannot be used without {beside.name}, which says how to feed it: {error}. "
            "Keep the files of an export together, or export again."
        ) from error
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise ModelFileError(
            f"{beside} has format version {version!r}; this library reads up to {FORMAT_VERSION}. "
            "Update it: pip install -U tps-portrait"
        )
    if path.name not in found or found != files:
        raise ModelFileError(
            f"{path} is not the file that {beside.name} describes: the hashes differ. Copy both "
            "again, or export again."
        )
    return dict(facts)
