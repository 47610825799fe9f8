"""Whatever is wrong with a style: one of our exceptions, which says what, where and what to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from conftest import tiny_pipeline
from tps_portrait import (
    ConfigError,
    ModelFileError,
    OutputError,
    StyleNotFoundError,
    TPSPortraitError,
    TPSPortraitPipeline,
)
from tps_portrait.hub import styles


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
