"""The face networks as files, and the host code that draws with files alone as face mode does."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from conftest import ASTRONAUT
from export_fixtures import PORTRAITS, tiny_style
from readme_blocks import find_blocks
from tps_portrait import ConfigError, ModelFileError, TPSPortraitPipeline
from tps_portrait.cli import main
from tps_portrait.export import LANDMARK_FILES, load_runner
from tps_portrait.models.landmarks.cropping import letterbox
from tps_portrait.processing.resample import resize

pytest.importorskip("onnxruntime", reason="needs the onnx extra")
pytest.importorskip("onnxscript", reason="needs the onnx extra")

HOST = Path(__file__).parents[1] / "examples" / "host"
# Mean difference in levels of 255, and least PSNR in dB, between the host's drawing and the
# pipeline's. The two resample with other libraries, in other precisions.
TOLERANCE = (0.5, 45.0)


@pytest.fixture(scope="module")
def pipe() -> TPSPortraitPipeline:
    return tiny_style()


@pytest.fixture(scope="module")
def style(pipe: TPSPortraitPipeline, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("styles") / "tiny"
    pipe.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def models(style: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a style and the face networks, made by the command."""
    folder = tmp_path_factory.mktemp("models")
    words = ["export", "--target", "onnx", "--style", style, "--dynamic", "--with-landmarks"]
    assert main([*words, "-o", str(folder / "tiny.onnx")]) == 0
    names = [f"{name}.onnx" for name in ("tiny", *LANDMARK_FILES.values())]
    assert {file.name for file in folder.iterdir()} == {
        *names,
        *(f"{name}.json" for name in names),
    }
    return folder


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo without JPEG's loss, which decoders round differently."""
    path = tmp_path_factory.mktemp("photo") / "me.png"
    image = Image.open(ASTRONAUT).convert("RGB")
    ImageOps.contain(image, (320, 320)).rotate(12, Image.Resampling.BICUBIC).save(path)
    return path


def test_networks_agree_with_pytorch(pipe: TPSPortraitPipeline, models: Path) -> None:
    picture = torch.from_numpy(np.array(Image.open(PORTRAITS[1]).convert("RGB"))).permute(2, 0, 1)
    landmarker = pipe.landmarker
    for network, detector in (
        ("short_range", landmarker.short_range),
        ("full_range", landmarker.full_range),
    ):
        view, _ = letterbox(picture, detector.size)
        with torch.no_grad():
            score, values = detector.decode(*detector(view[None]))
        path = models / f"{LANDMARK_FILES[network]}.onnx"
        numbers = load_runner("onnx", path)(view[None].numpy())
        assert np.abs(numbers[..., 0] - score.numpy()).max() < 1e-4
        assert np.abs(numbers[..., 1:] - values.numpy()).max() < 1e-4
        assert score.max() > 0.5, "the comparison needs a face"
    face = letterbox(picture[:, 100:400, 120:420], 192)[0]
    with torch.no_grad():
        mesh = landmarker(((face + 1) / 2)[None])
    numbers = load_runner("onnx", models / "face-mesh.onnx")(face[None].numpy())[0]
    assert np.abs(numbers[:478] * 192 - mesh.mesh[0].numpy()).max() < 1e-2
    assert np.abs(numbers[478] - mesh.presence.numpy()).max() < 1e-4
    assert mesh.presence[0] > 0.9


def test_mesh_file_places_landmarks_in_a_pipeline(pipe: TPSPortraitPipeline, models: Path) -> None:
    files = TPSPortraitPipeline.from_exported(models / "tiny.onnx", mesh=models / "face-mesh.onnx")
    drawn, expected = (
        p(Image.open(ASTRONAUT).resize((256, 256)), face_size=64, size=64) for p in (files, pipe)
    )
    (found,), (face,) = drawn.faces[0], expected.faces[0]
    torch.testing.assert_close(found.mesh, face.mesh, rtol=0, atol=0.01)
    assert np.abs(np.int16(drawn.images[0]) - np.int16(expected.images[0])).max() <= 2
    with pytest.raises(ModelFileError, match="is not a face mesh"):
        TPSPortraitPipeline.from_exported(models / "tiny.onnx", mesh=models / "face-short.onnx")


def test_sidecars_say_what_a_host_needs(models: Path) -> None:
    facts = {
        name: json.loads((models / f"{file}.onnx.json").read_text())
        for name, file in LANDMARK_FILES.items()
    }
    assert [facts[name]["network"] for name in facts] == list(LANDMARK_FILES)
    assert facts["short_range"]["output"]["shape"] == [1, 896, 17]
    assert len(facts["full_range"]["output"]["values"]) == 17
    assert facts["mesh"]["input"]["shape"] == [1, 3, 192, 192]
    assert len(facts["mesh"]["landmarks_68"]) == 68
    assert all(entry["license"] == "apache-2.0" for entry in facts.values())
    assert all(entry["parity"]["passed"] for entry in facts.values())
    crop = json.loads((models / "tiny.onnx.json").read_text())["face_crop"]
    assert set(crop) == {"eye_center", "interocular", "mouth_to_eyes", "fade", "frame_margin"}


def test_what_cannot_be_is_refused(pipe: TPSPortraitPipeline, models: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot convert the face mesh"):
        pipe.export_landmarks("ncnn", tmp_path)
    with pytest.raises(ConfigError, match="fp32 or fp16"):
        pipe.export_landmarks("onnx", tmp_path, precision="int8")
    with pytest.raises(ModelFileError, match="finds faces and draws nothing"):
        TPSPortraitPipeline.from_exported(models / "face-mesh.onnx")


def _agree(drawing: Path, expected: Image.Image) -> None:
    ours = np.asarray(Image.open(drawing).convert("RGB"), np.float64)
    difference = ours - np.asarray(expected.convert("RGB"))
    most, least = TOLERANCE
    assert np.abs(difference).mean() <= most
    assert 10 * np.log10(255**2 / np.square(difference).mean()) >= least


@pytest.fixture(scope="module")
def expected(pipe: TPSPortraitPipeline, photo: Path) -> Image.Image:
    result = pipe(str(photo))
    assert len(result.faces[0]) == 1
    # Otherwise the comparison would also pass for a host that draws the frame alone.
    whole = pipe(str(photo), mode="frame").images[0]
    assert np.abs(np.asarray(whole, float) - np.asarray(result.images[0])).mean() > 2 * TOLERANCE[0]
    return result.images[0]


def test_python_host_draws_as_face_mode(
    models: Path, photo: Path, expected: Image.Image, tmp_path: Path
) -> None:
    run = (
        "import runpy, sys; sys.modules['torch'] = sys.modules['tps_portrait'] = None; "
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    words = [HOST / "stylize.py", photo, models / "tiny.onnx", "-o", tmp_path / "out.png"]
    subprocess.run([sys.executable, "-c", run, *map(str, words)], check=True)
    _agree(tmp_path / "out.png", expected)


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
@pytest.mark.skipif(not (HOST / "node_modules").is_dir(), reason="needs `npm ci` in examples/host")
def test_javascript_host_draws_as_face_mode(
    models: Path, photo: Path, expected: Image.Image, tmp_path: Path
) -> None:
    words = [HOST / "stylize.mjs", photo, models / "tiny.onnx", tmp_path / "out.png"]
    subprocess.run(["node", *map(str, words)], check=True)
    _agree(tmp_path / "out.png", expected)


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
@pytest.mark.parametrize("size", [(64, 48), (31, 19), (150, 117), (25, 100), (96, 20)])
def test_javascript_resizes_as_the_library(size: tuple[int, int], tmp_path: Path) -> None:
    """Byte by byte: a network makes more of a difference than it was."""
    width, height = size
    pixels = np.random.default_rng(0).integers(0, 256, (75, 96, 3), dtype=np.uint8)
    pixels.tofile(tmp_path / "in")
    script = f"""
        import {{ resize }} from {json.dumps((HOST / "portrait.mjs").as_uri())};
        import {{ readFileSync, writeFileSync }} from "node:fs";
        const data = Float32Array.from(readFileSync("in"));
        const drawn = resize({{ data, width: 96, height: 75 }}, {width}, {height}).data;
        writeFileSync("out", Uint8Array.from(drawn));
    """
    (tmp_path / "run.mjs").write_text(script, "utf-8")
    subprocess.run(["node", "run.mjs"], check=True, cwd=tmp_path)
    found = np.fromfile(tmp_path / "out", np.uint8).reshape(height, width, 3)
    expected = resize(torch.from_numpy(pixels).permute(2, 0, 1), (height, width))
    assert np.array_equal(found, expected.permute(1, 2, 0).numpy())


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_javascript_is_well_formed(tmp_path: Path) -> None:
    page = HOST.parents[1] / "docs" / "integrate.md"
    blocks = [b.code for b in find_blocks(page.read_text("utf-8")) if b.language == "javascript"]
    assert blocks
    for number, code in enumerate(blocks):
        (tmp_path / f"{number}.mjs").write_text(code, "utf-8")
    for script in (*tmp_path.glob("*.mjs"), *HOST.glob("*.mjs")):
        done = subprocess.run(["node", "--check", script], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
