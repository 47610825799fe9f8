"""Each format is written, checked by its runtime, and drawn with, where that is installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conftest import ASTRONAUT
from export_fixtures import PORTRAITS, tiny_style
from tps_portrait import ModelFileError, TPSPortraitPipeline
from tps_portrait.export import TARGETS, load_runner

# Module of the runtime, and the forms to try: those that convert differently.
CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("pt2", "torch", {"dynamic": True}),
    ("pt2", "torch", {"precision": "fp16", "io": "uint8", "layout": "nhwc"}),
    ("openvino", "openvino", {"dynamic": True, "io": "uint8"}),
    ("openvino", "openvino", {"precision": "fp16"}),
    ("openvino", "nncf", {"precision": "int8"}),
    ("litert", "litert_torch", {}),
    ("litert", "litert_torch", {"precision": "fp16", "layout": "nchw"}),
    ("litert", "litert_torch", {"precision": "int8", "io": "uint8"}),
    ("executorch", "executorch", {}),
    ("executorch", "executorch", {"precision": "fp16"}),
    ("executorch", "executorch", {"precision": "int8"}),
    ("ncnn", "pnnx", {}),
    ("ncnn", "pnnx", {"precision": "fp16"}),
]


@pytest.fixture(scope="module")
def pipe() -> TPSPortraitPipeline:
    return tiny_style()


@pytest.mark.parametrize(("target", "runtime", "form"), CASES)
def test_draws_as_pytorch(
    pipe: TPSPortraitPipeline, tmp_path: Path, target: str, runtime: str, form: dict[str, Any]
) -> None:
    pytest.importorskip(runtime, reason=f"needs the {TARGETS[target].extra} extra")
    path = tmp_path / f"tiny{TARGETS[target].suffix}"
    report = pipe.export(target, path, portraits=PORTRAITS, **form)
    assert report.parity.passed
    facts = json.loads(report.sidecar.read_text())
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {*facts["files"], f"{path.name}.json"}
    # Independently of the check: the file's drawing of another picture, against PyTorch's.
    pixels = torch.randint(0, 256, (1, 3, 8, 8), generator=torch.Generator().manual_seed(1))
    pixels = torch.nn.functional.interpolate(pixels.float(), (64, 64), mode="bilinear").byte()
    with torch.no_grad():
        expected = pipe.generator(pixels / 127.5 - 1)[0]
    image: torch.Tensor = pixels
    if facts["input"]["dtype"] == "float32":
        image = pixels / 127.5 - 1
    if facts["input"]["layout"] == "NHWC":
        image = image.permute(0, 2, 3, 1)
    drawn = torch.from_numpy(np.array(load_runner(target, path)(image.contiguous().numpy())))[0]
    if facts["output"]["layout"] == "NHWC":
        drawn = drawn.permute(2, 0, 1)
    if facts["output"]["dtype"] == "uint8":
        drawn = drawn / 127.5 - 1
    error = float((drawn - expected).square().mean())
    assert (
        10 * np.log10(4 / error) > {"fp32": 48, "fp16": 45, "int8": 30}[report.facts["precision"]]
    )


@pytest.mark.parametrize(("target", "runtime", "form"), CASES)
def test_from_exported(
    pipe: TPSPortraitPipeline, tmp_path: Path, target: str, runtime: str, form: dict[str, Any]
) -> None:
    pytest.importorskip(runtime, reason=f"needs the {TARGETS[target].extra} extra")
    if form.get("precision"):
        pytest.skip("loading does not depend on the precision")
    # A fixed file of 128 px draws a frame of 64 with its margin without resizing it.
    path = tmp_path / f"tiny{TARGETS[target].suffix}"
    pipe.export(target, path, size=128, **form)
    if not TARGETS[target].loadable:
        with pytest.raises(ModelFileError, match="not loaded here"):
            TPSPortraitPipeline.from_exported(path)
        return
    drawn = TPSPortraitPipeline.from_exported(path)(ASTRONAUT, mode="frame", size=64).images[0]
    expected = pipe(ASTRONAUT, mode="frame", size=64).images[0]
    assert np.abs(np.asarray(drawn, int) - np.asarray(expected, int)).max() <= 2


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ({}, "imageType"),
        ({"precision": "int8", "dynamic": True}, "imageType"),
        ({"io": "float", "precision": "fp32"}, "multiArrayType"),
    ],
)
def test_core_ml_interface(
    pipe: TPSPortraitPipeline, tmp_path: Path, form: dict[str, Any], kind: str
) -> None:
    ct = pytest.importorskip("coremltools", reason="needs the coreml extra")
    report = pipe.export("coreml", tmp_path / "tiny.mlpackage", **form)
    spec = ct.models.MLModel(str(report.path), skip_model_load=True).get_spec()
    entry, result = spec.description.input[0], spec.description.output[0]
    assert (entry.name, result.name) == ("image", "drawing")
    assert {entry.type.WhichOneof("Type"), result.type.WhichOneof("Type")} == {kind}
    if form.get("dynamic"):
        assert report.facts["input"]["shape"] == [1, "height", "width", 3]
        sizes = entry.type.imageType.imageSizeRange
        assert (sizes.widthRange.lowerBound, sizes.heightRange.upperBound) == (32, 2048)
    if report.parity is None:
        assert "macOS" in report.facts["parity"]["not_run"]
    else:
        assert report.parity.passed
