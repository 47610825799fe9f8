"""ONNX files: written, run by onnxruntime, drawn with, and refused when they draw badly."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

import tps_portrait
from calibration_photos import carrying
from conftest import ASTRONAUT
from export_fixtures import PORTRAITS, tiny_style
from tps_portrait import ConfigError, ExportError, ModelFileError, TPSPortraitPipeline
from tps_portrait.cli import export as command
from tps_portrait.cli import main
from tps_portrait.export import TARGETS, ExportReport
from tps_portrait.export.options import ExportJob
from tps_portrait.export.pictures import varied

ort = pytest.importorskip("onnxruntime", reason="needs the onnx extra")
pytest.importorskip("onnxscript", reason="needs the onnx extra")

FORMS: dict[str, dict[str, Any]] = {
    "fp32": {"batch_size": 2, "size": (64, 96)},
    "fp16": {"precision": "fp16"},
    "int8": {"precision": "int8", "size": 64},
    "dynamic": {"dynamic": True, "io": "uint8", "layout": "nhwc"},
}


@pytest.fixture(scope="module")
def pipe() -> TPSPortraitPipeline:
    return tiny_style()


@pytest.fixture(scope="module")
def exported(
    pipe: TPSPortraitPipeline, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, ExportReport]:
    folder = tmp_path_factory.mktemp("onnx")
    return {
        name: pipe.export("onnx", folder / f"{name}.onnx", portraits=PORTRAITS, **form)
        for name, form in FORMS.items()
    }


def _run(report: ExportReport, image: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(str(report.path), providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(["drawing"], {"image": image})[0]
    return result


def _picture(size: tuple[int, int], count: int = 1) -> torch.Tensor:
    from tps_portrait import PortraitImageProcessor
    from tps_portrait.processing import load_image

    image = load_image(ASTRONAUT).resize((size[1], size[0]))
    one = PortraitImageProcessor()(image).pixel_values
    return torch.cat([one, *[one.roll(5 * i, -1) for i in range(1, count)]])


class TestNoise:
    """The generator's noise is a constant of the file, or is tiled to the size of the picture."""

    @pytest.mark.parametrize("dynamic", [False, True])
    def test_draws_as_pytorch(self, tmp_path: Path, dynamic: bool) -> None:
        pipe = tiny_style()
        torch.manual_seed(0)
        pipe.register_modules(generator=pipe.generator.with_noise(3))
        size = (64, 544)  # wider than a tile
        form: dict[str, Any] = {"dynamic": True} if dynamic else {"size": size}
        report = pipe.export("onnx", tmp_path / "noisy.onnx", portraits=PORTRAITS, **form)
        x = _picture(size)
        with torch.no_grad():
            expected = pipe.generator(x)
            silent = pipe.generator(x, noise=torch.zeros(1, 3, 1, 1))
        assert np.abs(_run(report, x.numpy()) - expected.numpy()).max() < 1e-4
        assert (expected - silent).abs().max() > 0.01


class TestFile:
    def test_float32_draws_as_pytorch(
        self, pipe: TPSPortraitPipeline, exported: dict[str, ExportReport]
    ) -> None:
        x = _picture((64, 96), 2)
        with torch.no_grad():
            expected = pipe.generator(x).numpy()
        drawn = _run(exported["fp32"], x.numpy())
        assert np.abs(drawn - expected).max() < 1e-4
        assert expected.std() > 0.1

    @pytest.mark.parametrize(("name", "least"), [("fp16", 45), ("int8", 32)])
    def test_reduced_precision_draws_nearly_as_pytorch(
        self, pipe: TPSPortraitPipeline, exported: dict[str, ExportReport], name: str, least: int
    ) -> None:
        x = _picture((64, 64))
        with torch.no_grad():
            expected = pipe.generator(x).numpy()
        difference = _run(exported[name], x.numpy()) - expected
        assert 10 * np.log10(4 / np.square(difference).mean()) > least
        assert np.abs(difference).max() > 1e-5, "nothing was reduced"

    def test_dynamic_file_takes_pixels_of_any_size(
        self, pipe: TPSPortraitPipeline, exported: dict[str, ExportReport]
    ) -> None:
        for size, count in (((32, 160), 1), ((96, 64), 3)):
            x = _picture(size, count)
            pixels = ((x + 1) * 127.5).round().to(torch.uint8)
            with torch.no_grad():
                expected = pipe.generator(pixels / 127.5 - 1)
            expected = ((expected + 1) * 127.5).round().permute(0, 2, 3, 1).numpy()
            drawn = _run(exported["dynamic"], pixels.permute(0, 2, 3, 1).numpy())
            assert drawn.dtype == np.uint8
            assert np.abs(drawn - expected).max() <= 1

    def test_norms_are_folded(self, exported: dict[str, ExportReport]) -> None:
        onnx = pytest.importorskip("onnx")
        operators = {node.op_type for node in onnx.load(str(exported["fp32"].path)).graph.node}
        assert "Conv" in operators
        assert not operators & {"ReduceMean", "ReduceSum", "Sqrt", "BatchNormalization"}

    def test_int8_is_smaller_and_names_its_axes(self, exported: dict[str, ExportReport]) -> None:
        size = {name: report.path.stat().st_size for name, report in exported.items()}
        assert size["int8"] < size["fp32"]
        assert size["fp16"] < size["fp32"]
        session = ort.InferenceSession(str(exported["dynamic"].path))
        assert session.get_inputs()[0].shape == ["batch", "height", "width", 3]
        assert session.get_outputs()[0].shape[:3] == ["batch", "height", "width"]


class TestSidecar:
    def test_says_what_an_app_needs(self, exported: dict[str, ExportReport]) -> None:
        report = exported["dynamic"]
        facts = json.loads(report.sidecar.read_text())
        assert facts == report.facts | {"format_version": 1}
        assert (facts["style"], facts["license"], facts["target"]) == ("tiny", "cc0-1.0", "onnx")
        assert facts["input"] == {
            "name": "image",
            "shape": ["batch", "height", "width", 3],
            "layout": "NHWC",
            "dtype": "uint8",
            "value_range": [0, 255],
            "color_order": "RGB",
        }
        assert facts["size_multiple"] == 32
        content = report.path.read_bytes()
        assert facts["files"] == {
            "dynamic.onnx": {
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            }
        }

    def test_records_the_parity_that_was_measured(self, exported: dict[str, ExportReport]) -> None:
        parity = exported["int8"].facts["parity"]
        assert parity["pictures"] == 3
        assert parity["psnr"] == pytest.approx(exported["int8"].parity.psnr, rel=1e-3)
        assert parity["runtime"].startswith("onnxruntime ")
        assert 0 < parity["mean_difference"] < parity["max_difference"]


class TestRefusal:
    def test_leaves_nothing_when_the_drawing_differs(
        self, pipe: TPSPortraitPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original = TARGETS["pt2"]

        def damaged(job: ExportJob) -> None:
            with torch.no_grad():
                next(job.network.parameters()).mul_(0.5)
            original.write(job)

        monkeypatch.setitem(TARGETS, "pt2", replace(original, write=damaged))
        with pytest.raises(ExportError, match=r"differs from PyTorch: .* No file was left"):
            pipe.export("pt2", tmp_path / "style.pt2")
        assert not list(tmp_path.iterdir())

    def test_missing_package_says_the_command(
        self, pipe: TPSPortraitPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "onnxscript", None)
        with pytest.raises(ExportError, match=r'pip install "tps-portrait\[onnx\]"'):
            pipe.export("onnx", tmp_path / "style.onnx")
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("target", "name", "options", "message"),
        [
            ("tensorrt", "a.trt", {}, "choose one of .*onnx"),
            ("onnx", "a.pt2", {}, r"ends in \.onnx"),
            ("onnx", "a.onnx", {"precision": "int4"}, "fp32 or fp16 or int8"),
            ("pt2", "a.pt2", {"precision": "int8"}, "fp32 or fp16"),
            ("onnx", "a.onnx", {"size": 100}, "multiples of 32"),
            ("onnx", "a.onnx", {"batch_size": 0}, "at least 1"),
        ],
    )
    def test_bad_options(
        self,
        pipe: TPSPortraitPipeline,
        tmp_path: Path,
        target: str,
        name: str,
        options: dict[str, Any],
        message: str,
    ) -> None:
        with pytest.raises(ConfigError, match=message):
            pipe.export(target, tmp_path / name, **options)

    def test_picture_without_a_face(self, pipe: TPSPortraitPipeline, tmp_path: Path) -> None:
        grey = np.full((64, 64, 3), 128, np.uint8)
        with pytest.raises(tps_portrait.NoFaceError, match="photos that show a face"):
            pipe.export("onnx", tmp_path / "style.onnx", portraits=[grey])

    def test_folder_that_does_not_exist(self, pipe: TPSPortraitPipeline, tmp_path: Path) -> None:
        with pytest.raises(tps_portrait.OutputError, match="folder that exists"):
            pipe.export("onnx", tmp_path / "no" / "style.onnx")


class TestCalibration:
    def test_int8_is_measured_on_the_photos_of_the_style(self, tmp_path: Path) -> None:
        (face,) = tiny_style()._faces([ASTRONAUT], 64)
        pipe = carrying(tiny_style(), tmp_path / "light", [face, face.flip(-1)])
        report = pipe.export("onnx", tmp_path / "light.onnx", precision="int8")
        told = json.loads(report.sidecar.read_text())["calibration"]
        assert (told["source"], told["names"]) == ("style", ["01.jpg", "02.jpg"])
        assert (told["photos"], told["pictures"]) == (2, 6)
        # Ranges measured in the dark cut off what the portrait holds: the file is refused.
        dark = carrying(tiny_style(), tmp_path / "dark", [face // 5, face.flip(-1) // 5])
        with pytest.raises(ExportError, match="differs from PyTorch"):
            dark.export("onnx", tmp_path / "dark.onnx", precision="int8")
        # ... unless photos are given.
        report = dark.export(
            "onnx", tmp_path / "dark.onnx", precision="int8", calibration=[ASTRONAUT]
        )
        assert report.facts["calibration"] == {"source": "given", "photos": 1, "pictures": 6}
        assert str(ASTRONAUT.parent) not in report.sidecar.read_text()

    def test_without_photos_it_says_what_to_do(self, tmp_path: Path) -> None:
        with pytest.warns(UserWarning, match="one bundled portrait.*--calibration"):
            report = tiny_style().export("onnx", tmp_path / "a.onnx", precision="int8")
        told = {"source": "bundled portrait", "photos": 1, "pictures": 6}
        assert report.facts["calibration"] == told

    def test_other_precisions_measure_nothing(
        self, tmp_path: Path, recwarn: pytest.WarningsRecorder
    ) -> None:
        report = tiny_style().export("pt2", tmp_path / "a.pt2")
        assert "calibration" not in report.facts
        assert not [told for told in recwarn if "calibrat" in str(told.message)]


class TestFromExported:
    def test_draws_as_the_style(
        self, pipe: TPSPortraitPipeline, exported: dict[str, ExportReport]
    ) -> None:
        drawn = TPSPortraitPipeline.from_exported(exported["dynamic"].path)(str(ASTRONAUT))
        expected = pipe(str(ASTRONAUT))
        assert type(drawn) is type(expected)
        difference = np.abs(np.asarray(drawn.images[0], int) - np.asarray(expected.images[0], int))
        assert difference.max() <= 2
        assert len(drawn.faces[0]) == 1

    def test_change_of_geometry_travels_with_the_file(
        self, pipe: TPSPortraitPipeline, exported: dict[str, ExportReport]
    ) -> None:
        again = TPSPortraitPipeline.from_exported(exported["dynamic"].path, threads=1)
        assert torch.equal(again.aligner.template, pipe.aligner.template)
        assert (again.style, again.image_processor.frame_size) == ("tiny", 128)

    def test_fixed_file_draws_any_picture(self, exported: dict[str, ExportReport]) -> None:
        fixed = TPSPortraitPipeline.from_exported(exported["fp32"].path)
        assert (fixed.image_processor.face_size, fixed.image_processor.frame_size) == (64, 32)
        x = _picture((64, 96), 3)
        with torch.no_grad():
            whole = fixed.generator(x)
            assert torch.allclose(whole[2], fixed.generator(x[2:])[0])
            padded = fixed.generator(x[..., :50, :90])
            assert padded.shape == (3, 3, 50, 90)
            assert (padded[..., :18, :58] - whole[..., :18, :58]).abs().mean() < 0.05
            assert fixed.generator(_picture((300, 200))).shape == (1, 3, 300, 200)
        image = fixed(str(ASTRONAUT)).images[0]
        assert image.size == tps_portrait.processing.load_image(ASTRONAUT).size

    def test_damaged_or_incomplete_files_are_refused(
        self, exported: dict[str, ExportReport], tmp_path: Path
    ) -> None:
        report = exported["fp32"]
        with pytest.raises(ModelFileError, match="no exported file"):
            TPSPortraitPipeline.from_exported(tmp_path / "fp32.onnx")
        content = report.path.read_bytes()
        (tmp_path / "fp32.onnx").write_bytes(content)
        with pytest.raises(ModelFileError, match=r"without fp32\.onnx\.json"):
            TPSPortraitPipeline.from_exported(tmp_path / "fp32.onnx")
        (tmp_path / "fp32.onnx.json").write_bytes(report.sidecar.read_bytes())
        (tmp_path / "fp32.onnx").write_bytes(content[:-1] + b"!")
        with pytest.raises(ModelFileError, match="hashes differ"):
            TPSPortraitPipeline.from_exported(tmp_path / "fp32.onnx")
        facts = json.loads(report.sidecar.read_text()) | {"format_version": 99}
        (tmp_path / "fp32.onnx.json").write_text(json.dumps(facts))
        with pytest.raises(ModelFileError, match="pip install -U"):
            TPSPortraitPipeline.from_exported(tmp_path / "fp32.onnx")

    def test_is_no_style(self, exported: dict[str, ExportReport], tmp_path: Path) -> None:
        again = TPSPortraitPipeline.from_exported(exported["fp32"].path)
        with pytest.raises(ConfigError, match="cannot be saved as a style"):
            again.save_pretrained(tmp_path / "style")
        with pytest.raises(ExportError, match="from_pretrained"):
            again.export("onnx", tmp_path / "again.onnx")
        with pytest.raises(ConfigError, match="takes no grid"):
            again.generator(_picture((64, 96)), torch.zeros(1, 8, 8, 2))


class TestCommand:
    @pytest.fixture
    def style(self, pipe: TPSPortraitPipeline, tmp_path: Path) -> str:
        pipe.save_pretrained(tmp_path / "tiny")
        return str(tmp_path / "tiny")

    def test_exports_and_does_not_overwrite(
        self, style: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = ["export", "--target", "onnx", "--style", style, "--size", "64x96"]
        words += ["-o", str(tmp_path / "tiny.onnx"), "--portraits", str(PORTRAITS[1])]
        assert main(words) == 0
        assert "compared with PyTorch by onnxruntime" in capsys.readouterr().out
        facts = json.loads((tmp_path / "tiny.onnx.json").read_text())
        assert facts["input"]["shape"] == [1, 3, 64, 96]
        assert main(words) == 1
        assert "--overwrite" in capsys.readouterr().err

    def test_calibrates_with_a_folder(
        self, style: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "photos").mkdir()
        (tmp_path / "photos" / "metadata.jsonl").write_text("{}")
        with Image.open(ASTRONAUT) as photo:
            ImageEnhance.Brightness(photo).enhance(0.2).save(tmp_path / "photos" / "dark.png")
        words = ["export", "--target", "onnx", "--style", style, "--size", "64"]
        words += ["--precision", "int8", "--portraits", str(ASTRONAUT)]
        assert main([*words, "-o", str(tmp_path / "light.onnx")]) == 0
        assert "carries no photos of its training" in capsys.readouterr().err
        words += ["--calibration", str(tmp_path / "photos")]
        # Ranges measured in the dark cut off what the portrait holds: the file is refused.
        dark = tmp_path / "dark.onnx"
        assert main([*words, "-o", str(dark)]) == 1
        assert "differs from PyTorch" in capsys.readouterr().err
        assert not dark.exists()
        words += [str(ASTRONAUT), "-o", str(tmp_path / "both.onnx")]
        assert main(words) == 0
        assert "calibrated on 2 photos of yours, in 6 pictures" in capsys.readouterr().out

    def test_refuses_a_folder_without_photos(
        self, style: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "photos").mkdir()
        words = ["export", "--target", "onnx", "--style", style, "--precision", "int8"]
        words += ["--calibration", str(tmp_path / "photos"), "-o", str(tmp_path / "tiny.onnx")]
        assert main(words) == 1
        assert "holds no picture" in capsys.readouterr().err
        assert not (tmp_path / "tiny.onnx").exists()

    def test_offers_every_target(self) -> None:
        assert set(command.TARGETS) == set(TARGETS)


@pytest.mark.parametrize(("count", "results"), [(1, 6), (4, 6), (7, 7), (34, 34), (60, 48)])
def test_calibration_sees_every_light(count: int, results: int) -> None:
    shades = [torch.full((3, 32, 32), 60 + index, dtype=torch.uint8) for index in range(count)]
    means = [picture.float().mean((1, 2)) for picture in varied(shades, (32, 32))]
    assert len(means) == results
    ratios = [mean[0].item() / mean[2].item() for mean in means]
    for low, high in ((0.75, 0.85), (0.99, 1.01), (1.2, 1.6)):  # cold, neutral and warm light
        assert any(low < ratio < high for ratio in ratios)
    assert min(mean[1].item() for mean in means) < 0.7 * 60
