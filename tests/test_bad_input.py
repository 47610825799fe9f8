"""Whatever is wrong with an input: one of our exceptions, which says what, where and what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from conftest import ASTRONAUT, seeded, tiny_pipeline
from tps_portrait import (
    ConfigError,
    InputImageError,
    ModelFileError,
    NoFaceError,
    OutputError,
    StyleNotFoundError,
    TPSPortraitError,
    TPSPortraitPipeline,
)
from tps_portrait.hub import styles
from tps_portrait.processing import loading, photo


def encoded(image: Image.Image, kind: str) -> bytes:
    """The bytes of a picture file."""
    buffer = BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


NAN = torch.full((3, 40, 40), 0.5)
NAN[1, 3, 7] = float("nan")

BAD_PICTURES: dict[str, tuple[object, str]] = {
    "missing file": ("/no/such/photo.jpg", r"'/no/such/photo.jpg' does not exist"),
    "name with a null byte": ("a\0b.jpg", "cannot be read|does not exist"),
    "not a picture": (42, "object of type int is no picture"),
    "nothing": (None, "object of type NoneType is no picture"),
    "other address": ("file:///etc/passwd", "only http and https"),
    "dead address": ("http://127.0.0.1:9/a.jpg", "cannot be downloaded.*Check the address"),
    "NaN tensor": (NAN, "holds 1 values that are NaN or infinite"),
    "infinite array": (np.full((40, 40, 3), np.inf), "holds 4800 values that are NaN or infinite"),
    "signed tensor": (
        torch.linspace(-1, 1, 4800).view(3, 40, 40),
        r"\[0, 1\]. Pass \(x \+ 1\) / 2",
    ),
    "large floats": (np.full((40, 40, 3), 200.0), r"from 200 to 200.*Pass x / 255"),
    "five channels": (torch.zeros(5, 40, 40), r"1 to 4 channels, got \(5, 40, 40\)"),
    "channels last in a tensor": (torch.zeros(40, 40, 3), r"x.permute\(2, 0, 1\)"),
    "channels first in an array": (np.zeros((3, 40, 40)), "np.moveaxis"),
    "one dimension": (np.zeros(40), r"got \(40,\)"),
    "integers": (torch.zeros(3, 40, 40, dtype=torch.int64), "values of type int64. Pass uint8"),
    "booleans": (np.zeros((40, 40), bool), "values of type bool"),
    "complex numbers": (np.zeros((40, 40), complex), "values of type complex128"),
    "strings": (np.array([["a"]]), "values of type str"),
    "objects": (np.array([[None]]), "values of type object"),
    "sparse tensor": (torch.zeros(3, 40, 40).to_sparse(), "layout torch.sparse_coo"),
    "tensor without values": (torch.zeros(3, 40, 40, device="meta"), "no values"),
    "empty tensor": (torch.zeros(3, 0, 40), r"is empty \(40x0 px\)"),
    "empty picture": (Image.new("RGB", (0, 40)), r"is empty \(0x40 px\)"),
    "small picture": (Image.new("RGB", (31, 40)), "31x40 px; both sides must be at least 32 px"),
    "huge array": (np.zeros((1, 1), np.uint8).repeat(70_000_000, 1), "at least 32 px"),
    "huge tensor": (torch.zeros(1, 1, 1).expand(3, 9000, 9000), "81 megapixels; at most 67"),
    "infinite grey levels": (Image.fromarray(np.full((40, 40), np.inf, np.float32)), "NaN"),
    "unknown grey scale": (Image.fromarray(np.full((40, 40), 1e6, np.float32)), "scale is unknown"),
}


class TestPictures:
    @pytest.mark.parametrize("case", BAD_PICTURES)
    def test_refused(self, pipe: TPSPortraitPipeline, case: str) -> None:
        picture, message = BAD_PICTURES[case]
        with pytest.raises(InputImageError, match=message):
            pipe(picture)

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("empty.jpg", b"", "is an empty file"),
            ("text.jpg", b"this is a text" * 50, "no picture in a format that can be read"),
            ("page.png", b"<html><body>404</body></html>", "no picture in a format"),
            ("drawing.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n", "no picture"),
        ],
    )
    def test_files_that_are_no_pictures(
        self, pipe: TPSPortraitPipeline, tmp_path: Path, name: str, content: bytes, message: str
    ) -> None:
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputImageError, match=message) as caught:
            pipe(path)
        assert name in str(caught.value)

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
    @pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
    def test_truncated_file(
        self, pipe: TPSPortraitPipeline, tmp_path: Path, kind: str, share: float
    ) -> None:
        whole = encoded(Image.fromarray(seeded(200, 300)), kind)
        path = tmp_path / f"cut.{kind.lower()}"
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(InputImageError, match=r"cut\.\w+' (cannot be decoded|is no picture)"):
            pipe(path)

    def test_damaged_file(self, pipe: TPSPortraitPipeline, tmp_path: Path) -> None:
        data = bytearray(encoded(Image.fromarray(seeded(200, 300)), "PNG"))
        data[400:420] = bytes(20)
        (tmp_path / "bad.png").write_bytes(data)
        with pytest.raises(InputImageError, match="damaged or cut short"):
            pipe(tmp_path / "bad.png")

    @pytest.mark.parametrize("side", [8300, 20000, 60000])
    def test_decompression_bomb(self, pipe: TPSPortraitPipeline, tmp_path: Path, side: int) -> None:
        header = encoded(Image.new("1", (32, 32)), "PPM").split(b"\n", 2)
        path = tmp_path / "bomb.pbm"
        path.write_bytes(b"\n".join((header[0], f"{side} {side}".encode(), b"\0" * 100)))
        with pytest.raises(InputImageError, match=r"at most 67 megapixels|at most 67 are read"):
            pipe(path)

    def test_folder(self, pipe: TPSPortraitPipeline, tmp_path: Path) -> None:
        with pytest.raises(InputImageError, match="is a folder"):
            pipe(tmp_path)

    def test_address_without_a_picture(
        self, pipe: TPSPortraitPipeline, serve: Callable[[str, bytes], str]
    ) -> None:
        url = serve("/page", b"<html>not found</html>")
        with pytest.raises(InputImageError, match="no picture in a format"):
            pipe(url)
        with pytest.raises(InputImageError, match="404"):
            pipe(url + "/missing")

    def test_endless_download(
        self,
        pipe: TPSPortraitPipeline,
        serve: Callable[[str, bytes], str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        url = serve("/big", b"x" * 300_000)
        monkeypatch.setattr(loading, "MAX_DOWNLOAD", 100_000)
        with pytest.raises(InputImageError, match="larger than"):
            pipe(url)
        monkeypatch.setattr(loading, "MAX_DOWNLOAD", 1 << 20)
        monkeypatch.setattr(loading, "_DOWNLOAD_SECONDS", -1.0)
        with pytest.raises(InputImageError, match="took longer"):
            pipe(url)

    def test_no_face(self, pipe: TPSPortraitPipeline, no_face: Image.Image) -> None:
        with pytest.raises(NoFaceError, match=r'No face was found.*mode="frame"'):
            pipe(no_face, on_no_face="error")

    def test_limit_is_above_fifty_megapixels(self) -> None:
        assert photo.MAX_PIXELS > 50e6


class TestBatch:
    def test_the_others_still_come_out(
        self, pipe: TPSPortraitPipeline, no_face: Image.Image, tmp_path: Path
    ) -> None:
        cut = tmp_path / "cut.jpg"
        cut.write_bytes(ASTRONAUT.read_bytes()[:9000])
        pictures = [cut, ASTRONAUT, NAN, no_face, "/no/such.png", ASTRONAUT]
        with pytest.warns(UserWarning, match="Skipped: ") as warned:
            output = pipe(pictures, on_no_face="error", batch_size=2)
        assert all(w.filename == __file__ for w in warned)
        assert "Skipped: images[2], tensor of shape (3, 40, 40)" in str(warned[1].message)
        assert [image is None for image in output.images] == [1, 0, 1, 1, 1, 0]
        assert [index for index, _ in output.errors] == [0, 2, 3, 4]
        assert all(isinstance(error, InputImageError) for _, error in output.errors)
        assert all(f"images[{index}]" in str(error) for index, error in output.errors)
        assert [type(error) for _, error in output.errors].count(NoFaceError) == 1
        assert [len(faces) for faces in output.faces] == [0, 1, 0, 0, 0, 1]
        alone = pipe(ASTRONAUT).images[0]
        assert np.abs(np.asarray(alone).astype(int) - np.asarray(output.images[5])).max() <= 2

    def test_list_of_one(self, pipe: TPSPortraitPipeline) -> None:
        with pytest.warns(UserWarning, match="Skipped"):
            output = pipe(["/no/such.png"])
        assert output.images == [None]
        assert len(output.errors) == 1


class TestOptions:
    @pytest.mark.parametrize(
        "option",
        [
            {"strength": 1.5},
            {"strength": float("nan")},
            {"geometry_strength": -0.1},
            {"strength": "1"},
            {"mode": "portrait"},
            {"on_no_face": "skip"},
            {"output_type": "jpeg"},
            {"batch_size": 0},
            {"max_faces": 0},
            {"face_size": 16},
            {"size": 100.0},
        ],
        ids=str,
    )
    def test_refused(self, pipe: TPSPortraitPipeline, option: dict[str, object]) -> None:
        with pytest.raises(ConfigError, match=next(iter(option))):
            pipe(Image.new("RGB", (40, 40)), **option)


@pytest.fixture
def style(tmp_path: Path, saved_style: Path) -> Path:
    """A style folder to be spoilt."""
    return Path(shutil.copytree(saved_style, tmp_path / "tiny"))


@pytest.fixture(scope="module")
def saved_style(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny style as it should be."""
    folder = tmp_path_factory.mktemp("good") / "tiny"
    tiny_pipeline().save_pretrained(folder)
    return folder


def edit_json(path: Path, **changes: object) -> None:
    """Change entries of a JSON file; `...` removes one."""
    values = json.loads(path.read_text())
    values.update(changes)
    path.write_text(json.dumps({k: v for k, v in values.items() if v is not ...}))


class TestStyles:
    def test_unknown_name(self) -> None:
        with pytest.raises(StyleNotFoundError, match="There is no style 'no-such-style'") as caught:
            TPSPortraitPipeline.from_pretrained("no-such-style")
        assert "Bundled styles: " in str(caught.value)
        assert isinstance(caught.value, TPSPortraitError | OSError)

    def test_close_match(self, monkeypatch: pytest.MonkeyPatch, style: Path) -> None:
        monkeypatch.setattr(styles, "BUNDLED_FOLDER", style.parent)
        with pytest.raises(StyleNotFoundError, match=r"Did you mean 'tiny'\?"):
            TPSPortraitPipeline.from_pretrained("Tinny")
        assert TPSPortraitPipeline.from_pretrained("tiny").style == "tiny"

    @pytest.mark.parametrize("name", ["./no/such/folder", "/no/such", "a/b/c", ""])
    def test_missing_folder(self, name: str) -> None:
        with pytest.raises((StyleNotFoundError, ModelFileError)):
            TPSPortraitPipeline.from_pretrained(name)

    def test_hub_style_that_is_not_cached(self, tmp_path: Path) -> None:
        with pytest.raises(StyleNotFoundError, match="not in the local cache") as caught:
            TPSPortraitPipeline.from_pretrained(
                "somebody/ink", cache_dir=tmp_path, local_files_only=True
            )
        assert "There is no style 'somebody/ink'" in str(caught.value)

    def test_folder_without_style(self, tmp_path: Path) -> None:
        with pytest.raises(ModelFileError, match=r"there is no model_index\.json"):
            TPSPortraitPipeline.from_pretrained(tmp_path)

    def test_file_instead_of_folder(self, style: Path) -> None:
        with pytest.raises(ModelFileError, match="is a file; a style is a folder"):
            TPSPortraitPipeline.from_pretrained(style / "generator" / "model.safetensors")

    def test_damaged_index(self, style: Path) -> None:
        (style / "model_index.json").write_text('{"_class_name": ')
        with pytest.raises(ModelFileError, match=r"model_index\.json of .*cannot be read"):
            TPSPortraitPipeline.from_pretrained(style)

    @pytest.mark.parametrize("name", ["StableDiffusionPipeline", ["code", "Pipeline"], ...])
    def test_other_pipeline(self, style: Path, name: object) -> None:
        edit_json(style / "model_index.json", _class_name=name)
        with pytest.raises(ModelFileError, match="and no TPSPortraitPipeline"):
            TPSPortraitPipeline.from_pretrained(style)

    @pytest.mark.parametrize(
        "entry", [["os", "system"], ["diffusers", "UNet2DModel"], [None, None]]
    )
    def test_other_component(self, style: Path, entry: list[str | None]) -> None:
        edit_json(style / "model_index.json", generator=entry)
        with pytest.raises(ModelFileError, match="as its generator; only our own"):
            TPSPortraitPipeline.from_pretrained(style)

    def test_additional_component(self, style: Path) -> None:
        edit_json(style / "model_index.json", safety_checker=["evil", "Checker"])
        with pytest.raises(ModelFileError, match="as its safety_checker"):
            TPSPortraitPipeline.from_pretrained(style)

    def test_code_in_the_folder_is_not_run(self, style: Path, tmp_path: Path) -> None:
        proof = tmp_path / "it-ran"
        code = f"open({str(proof)!r}, 'w')\n"
        for path in ("pipeline.py", "tps_portrait.py", "generator/tps_portrait.py"):
            (style / path).write_text(code)
        with pytest.raises(ModelFileError, match="cannot be loaded"):
            TPSPortraitPipeline.from_pretrained(style)
        (style / "generator" / "tps_portrait.py").unlink()
        TPSPortraitPipeline.from_pretrained(style)
        assert not proof.exists()

    def test_newer_format(self, style: Path) -> None:
        edit_json(style / "config.json", format_version=2)
        with pytest.raises(ModelFileError, match=r"format version 2.*pip install -U"):
            TPSPortraitPipeline.from_pretrained(style)

    def test_wrong_model_type(self, style: Path) -> None:
        shutil.rmtree(style / "generator")
        shutil.copytree(style / "aligner", style / "generator")
        with pytest.raises(ModelFileError, match=r"tps_portrait_aligner.*needs"):
            TPSPortraitPipeline.from_pretrained(style)

    def test_missing_component(self, style: Path) -> None:
        shutil.rmtree(style / "aligner")
        with pytest.raises(ModelFileError):
            TPSPortraitPipeline.from_pretrained(style)

    def test_missing_weights(self, style: Path) -> None:
        (style / "generator" / "model.safetensors").unlink()
        with pytest.raises(ModelFileError, match=r"model\.safetensors"):
            TPSPortraitPipeline.from_pretrained(style)

    @pytest.mark.parametrize("problem", ["missing", "extra", "shape"])
    def test_keys_of_the_weights(self, style: Path, problem: str) -> None:
        path = style / "generator" / "model.safetensors"
        weights = load_file(path)
        name = sorted(weights)[0]
        if problem == "extra":
            weights["surplus.weight"] = torch.zeros(1)
        else:
            value = weights.pop(name)
            if problem == "shape":
                weights[name] = torch.cat([value, value])
        save_file(weights, path, metadata={"format": "pt"})
        with pytest.raises(ModelFileError, match="surplus.weight" if problem == "extra" else name):
            TPSPortraitPipeline.from_pretrained(style)

    def test_truncated_weights(self, style: Path) -> None:
        path = style / "generator" / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(ModelFileError, match=r"damaged|Cannot load"):
            TPSPortraitPipeline.from_pretrained(style)

    def test_pickle_instead_of_safetensors(self, style: Path, tmp_path: Path) -> None:
        proof = tmp_path / "it-ran"

        class Payload:
            def __reduce__(self) -> tuple[object, tuple[object, ...]]:
                return open, (str(proof), "w")

        (style / "generator" / "model.safetensors").unlink()
        torch.save(Payload(), style / "generator" / "pytorch_model.bin")
        with pytest.raises(ModelFileError, match=r"pytorch_model\.bin, which can run code"):
            TPSPortraitPipeline.from_pretrained(style)
        assert not proof.exists()

    def test_unknown_setting(self, style: Path) -> None:
        edit_json(style / "generator" / "config.json", chanels=[8, 8, 8, 8])
        with pytest.raises(ConfigError, match="chanels"):
            TPSPortraitPipeline.from_pretrained(style)

    def test_bad_sizes(self, style: Path) -> None:
        edit_json(style / "image_processor" / "preprocessor_config.json", face_size=3)
        with pytest.raises(ConfigError, match="face_size"):
            TPSPortraitPipeline.from_pretrained(style)

    def test_card_that_is_not_utf8(self, style: Path) -> None:
        (style / "README.md").write_bytes(b"caf\xe9")
        assert TPSPortraitPipeline.from_pretrained(style).card == "caf\ufffd"

    def test_weights_that_are_not_finite(self, style: Path, no_face: Image.Image) -> None:
        path = style / "generator" / "model.safetensors"
        weights = {key: torch.full_like(value, torch.nan) for key, value in load_file(path).items()}
        save_file(weights, path, {"format": "pt"})
        with pytest.raises(ModelFileError, match=r"NaN or infinite in torch\.float32"):
            TPSPortraitPipeline.from_pretrained(style)(no_face, mode="frame")

    def test_component_of_another_class(self, style: Path, pipe: TPSPortraitPipeline) -> None:
        for part in (None, pipe.aligner):
            with pytest.raises(ConfigError, match="generator must be a StyleGenerator, got"):
                TPSPortraitPipeline.from_pretrained(style, generator=part)
        with pytest.raises(ConfigError, match="landmarks must be a FaceLandmarker, got int"):
            TPSPortraitPipeline(pipe.generator, pipe.aligner, landmarks=3)

    @pytest.mark.parametrize("dtype", [torch.int8, "toaster", {"generator": torch.int64}], ids=str)
    def test_bad_type(self, style: Path, dtype: object) -> None:
        with pytest.raises(ConfigError, match="must be a floating-point type"):
            TPSPortraitPipeline.from_pretrained(style, dtype=dtype)

    @pytest.mark.parametrize("place", [torch.int8, "toaster"], ids=str)
    def test_moved_to_nowhere(self, pipe: TPSPortraitPipeline, place: object) -> None:
        with pytest.raises(ConfigError, match=r"floating-point type|no device 'toaster'"):
            pipe.to(place)

    def test_missing_variant(self, style: Path) -> None:
        with pytest.raises(ModelFileError, match=r"fp16.*Check `variant`"):
            TPSPortraitPipeline.from_pretrained(style, variant="fp16")

    @pytest.mark.parametrize(
        "option",
        [{"use_safetensors": False}, {"trust_remote_code": True}, {"custom_pipeline": "x"}],
        ids=str,
    )
    def test_unsafe_options(self, style: Path, option: dict[str, object]) -> None:
        with pytest.raises(ConfigError, match=next(iter(option))):
            TPSPortraitPipeline.from_pretrained(style, **option)


class TestSaving:
    def test_unwritable_folder(self, tmp_path: Path) -> None:
        blocked = tmp_path / "file"
        blocked.write_text("")
        for target in (blocked, blocked / "style"):
            with pytest.raises(OutputError, match="Cannot write the style to"):
                tiny_pipeline().save_pretrained(target)

    def test_pickles_are_not_written(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="safe_serialization"):
            tiny_pipeline().save_pretrained(tmp_path, safe_serialization=False)
