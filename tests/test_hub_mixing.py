"""Several styles in one pipeline: in turn, averaged by weights, blended by drawings."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from conftest import tiny_pipeline
from hub_fixtures import hub, style_files
from hub_server import HubServer
from tps_portrait import (
    ConfigError,
    ModelFileError,
    StyleGenerator,
    StyleNotFoundError,
    TPSPortraitPipeline,
)
from tps_portrait.hub.facts import FACTS
from tps_portrait.hub.listing import base_of
from tps_portrait.hub.pins import split_card
from tps_portrait.hub.publish import complete_card
from tps_portrait.pipeline.mixing import BlendedGenerator


def drawn(pipe: TPSPortraitPipeline, picture: Image.Image) -> np.ndarray:
    return pipe(picture, mode="frame", output_type="np").images[0]


def save(folder: Path, seed: int, base: str | None = None, **sizes: int) -> Path:
    pipe = tiny_pipeline(seed, **sizes)
    with torch.no_grad():
        pipe.aligner.template[8, 1] += 0.01 * seed
    pipe.base = base
    pipe.card = f"---\nlicense: mit\n---\n# {folder.name}\n"
    pipe.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def styles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two styles with a common base, and two without."""
    root = tmp_path_factory.mktemp("styles")
    return {
        "ink": save(root / "ink", 1, "owner/base"),
        "oil": save(root / "oil", 2, "owner/base", frame_size=128),
        "chalk": save(root / "chalk", 3),
        "clay": save(root / "clay", 4, "owner/other"),
    }


@pytest.fixture
def pipe(styles: dict[str, Path]) -> TPSPortraitPipeline:
    pipe = TPSPortraitPipeline.from_pretrained(styles["ink"])
    for name in ("oil", "chalk", "clay"):
        pipe.load_style(styles[name])
    return pipe


class TestBaseOfATraining:
    def test_is_what_the_start_goes_back_to(
        self, styles: dict[str, Path], hub: HubServer, style_files: dict[str, bytes]
    ) -> None:
        hub.add("owner/ink", style_files)
        assert base_of(None) is None
        assert base_of("animation") == base_of("watercolor") == "animation"
        assert base_of(styles["ink"]) == "owner/base"
        assert base_of("owner/ink") == "owner/ink"
        assert base_of("owner/nothing") == "owner/nothing"
        with pytest.raises(StyleNotFoundError):
            base_of("nothing")

    def test_names_a_folder_by_its_weights(self, styles: dict[str, Path], tmp_path: Path) -> None:
        name = base_of(styles["chalk"])
        assert name is not None
        assert name.startswith("chalk@")
        assert str(styles["chalk"].parent) not in name
        shutil.copytree(styles["chalk"], tmp_path / "copy")
        assert base_of(tmp_path / "copy") == name
        save(tmp_path / "chalk", 5)
        assert base_of(tmp_path / "chalk") not in (None, name)


class TestFactsOfALoadedStyle:
    @pytest.fixture
    def told(self, styles: dict[str, Path], tmp_path: Path) -> Path:
        shutil.copytree(styles["chalk"], tmp_path / "told")
        (tmp_path / "told" / FACTS).write_text('{"measured": "once"}')
        return tmp_path / "told"

    def test_are_kept_with_its_weights(self, told: Path, tmp_path: Path) -> None:
        pipe = TPSPortraitPipeline.from_pretrained(told)
        pipe.save_pretrained(tmp_path / "same")
        pipe.generator.half()
        pipe.save_pretrained(tmp_path / "half")
        pipe.save_pretrained(told)
        for folder in ("same", "half", "told"):
            assert (tmp_path / folder / FACTS).read_text() == '{"measured": "once"}'

    def test_are_left_behind_by_other_weights(
        self, told: Path, styles: dict[str, Path], tmp_path: Path
    ) -> None:
        pipe = TPSPortraitPipeline.from_pretrained(told)
        pipe.load_style(styles["ink"])
        pipe.set_style("ink")
        pipe.save_pretrained(tmp_path / "ink")
        pipe.set_style("chalk")
        pipe.save_pretrained(tmp_path / "back")
        with torch.no_grad():
            next(pipe.generator.parameters()).add_(0.01)
        pipe.save_pretrained(tmp_path / "changed")
        found = {name: (tmp_path / name / FACTS).exists() for name in ("ink", "back", "changed")}
        assert found == {"ink": False, "back": True, "changed": False}


class TestInTurn:
    def test_each_draws_as_if_alone(
        self, pipe: TPSPortraitPipeline, styles: dict[str, Path], no_face: Image.Image
    ) -> None:
        assert pipe.styles == ("ink", "oil", "chalk", "clay")
        for name in ("chalk", "ink"):
            mix = pipe.set_style(name)
            assert (mix.method, dict(mix.shares)) == ("single", {name: 1.0})
            assert (pipe.style, pipe.name_or_path) == (name, str(styles[name]))
            assert f"# {name}" in (pipe.card or "")
            alone = TPSPortraitPipeline.from_pretrained(styles[name])
            assert np.array_equal(drawn(pipe, no_face), drawn(alone, no_face))

    def test_from_the_hub(
        self, hub: HubServer, style_files: dict[str, bytes], no_face: Image.Image
    ) -> None:
        hub.add("owner/ink", style_files)
        pipe = tiny_pipeline(9)
        before = drawn(pipe, no_face)
        assert pipe.load_style("owner/ink", name="black") == "black"
        assert pipe.styles == ("default", "black")
        assert np.array_equal(drawn(pipe, no_face), before)
        pipe.set_style("black")
        alone = TPSPortraitPipeline.from_pretrained("owner/ink")
        assert np.array_equal(drawn(pipe, no_face), drawn(alone, no_face))
        with pytest.raises(StyleNotFoundError):
            pipe.load_style("owner/nothing", revision="main")
        assert pipe.styles == ("default", "black")

    def test_types_follow(self, pipe: TPSPortraitPipeline, styles: dict[str, Path]) -> None:
        pipe.to(torch.float16)
        assert pipe.load_style(styles["oil"], name="again") == "again"
        for name in pipe.styles:
            pipe.set_style(name)
            assert pipe.dtype == torch.float16
            assert pipe.aligner.dtype == torch.float32

    def test_unload(self, pipe: TPSPortraitPipeline) -> None:
        pipe.unload_style("oil")
        assert pipe.styles == ("ink", "chalk", "clay")
        for name, reason in (
            ("ink", "is in use"),
            ("oil", "No style 'oil' is loaded. Loaded: ink"),
        ):
            with pytest.raises(ConfigError, match=reason):
                pipe.unload_style(name)
        pipe.set_style({"chalk": 1, "clay": 1})
        with pytest.raises(ConfigError, match="is in use"):
            pipe.unload_style("clay")
        pipe.unload_style("ink")


class TestMixed:
    def test_by_weights(
        self, pipe: TPSPortraitPipeline, styles: dict[str, Path], tmp_path: Path
    ) -> None:
        mix = pipe.set_style({"ink": 3, "oil": 1})
        assert (mix.method, dict(mix.shares)) == ("weights", {"ink": 0.75, "oil": 0.25})
        assert "share the base owner/base, so weights are averaged" in str(mix)
        parts = [TPSPortraitPipeline.from_pretrained(styles[name]) for name in ("ink", "oil")]
        for component in ("generator", "aligner"):
            first, second = (getattr(part, component).state_dict() for part in parts)
            for key, value in getattr(pipe, component).state_dict().items():
                torch.testing.assert_close(value, 0.75 * first[key] + 0.25 * second[key])
        assert pipe.image_processor.frame_size == 256

        pipe.save_pretrained(tmp_path / "wash")
        config = json.loads((tmp_path / "wash" / "config.json").read_text())
        assert config["mix"] == {"ink": 0.75, "oil": 0.25}
        assert (config["base"], config["style"]) == ("owner/base", "ink+oil")
        again = TPSPortraitPipeline.from_pretrained(tmp_path / "wash")
        assert (again.recipe, again.base) == (pipe.recipe, "owner/base")
        again._add_card(tmp_path / "wash", "me/wash", "mit", None)
        complete_card(tmp_path / "wash", "me/wash", license="mit")
        text = (tmp_path / "wash" / "README.md").read_text()
        assert "an average of ink (0.75) and oil (0.25)" in text
        metadata = split_card(text)[0]
        assert metadata["base_model"] == metadata["tps_portrait"]["base"] == "owner/base"

    def test_by_weights_with_the_base_itself(self, styles: dict[str, Path], tmp_path: Path) -> None:
        child = save(tmp_path / "child", 8, str(styles["ink"]))
        pipe = TPSPortraitPipeline.from_pretrained(styles["ink"])
        pipe.base = None
        pipe.load_style(child)
        assert pipe.set_style({"ink": 0.5, "child": 0.5}).method == "weights"

    @pytest.mark.parametrize("other", ["chalk", "clay"])
    def test_by_drawings(
        self, pipe: TPSPortraitPipeline, styles: dict[str, Path], no_face: Image.Image, other: str
    ) -> None:
        mix = pipe.set_style({"ink": 0.6, other: 0.4})
        assert mix.method == "output"
        assert "no common base" in mix.reason
        assert pipe.mix == mix
        assert isinstance(pipe.generator, BlendedGenerator)
        picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
        parts = [
            TPSPortraitPipeline.from_pretrained(styles[name]).generator for name in ("ink", other)
        ]
        expected = 0.6 * parts[0](picture) + 0.4 * parts[1](picture)
        torch.testing.assert_close(pipe.generator(picture), expected)
        torch.testing.assert_close(pipe.inference_network()(picture), expected, atol=1e-4, rtol=0)
        alone = TPSPortraitPipeline.from_pretrained(styles["ink"])
        assert not np.array_equal(drawn(pipe, no_face), drawn(alone, no_face))
        pipe.to(torch.float32).set_style("ink")
        assert np.array_equal(drawn(pipe, no_face), drawn(alone, no_face))

    def test_other_architecture_with_the_same_base(
        self, pipe: TPSPortraitPipeline, tmp_path: Path
    ) -> None:
        wide = tiny_pipeline(6)
        config = copy.deepcopy(wide.generator.config)
        config.head_channels = 16
        wide.register_modules(generator=StyleGenerator(config).eval())
        wide.base = "owner/base"
        wide.save_pretrained(tmp_path / "wide")
        pipe.load_style(tmp_path / "wide")
        mix = pipe.set_style({"ink": 0.5, "wide": 0.5})
        assert (mix.method, "built differently" in mix.reason) == ("output", True)

    def test_a_blend_is_no_style(self, pipe: TPSPortraitPipeline, tmp_path: Path) -> None:
        pipe.set_style({"ink": 0.5, "chalk": 0.5})
        with pytest.raises(ConfigError, match="several networks and no style"):
            pipe.save_pretrained(tmp_path / "blend")
        with pytest.raises(ConfigError, match="cannot be exported"):
            pipe.export("onnx", tmp_path / "blend.onnx")
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("shares", "reason"),
        [
            ("moon", "No style 'moon' is loaded. Loaded: ink, oil"),
            ({"ink": 0.5, "moon": 0.5}, "moon"),
            ({"ink": -1, "oil": 2}, "share of 'ink' must be a number of at least 0, got -1"),
            ({"ink": "much"}, "got 'much'"),
            ({"ink": float("nan"), "oil": 1}, "got nan"),
            ({"ink": 0}, "positive sum"),
            ({}, "positive sum"),
        ],
        ids=str,
    )
    def test_bad_shares(self, pipe: TPSPortraitPipeline, shares: object, reason: str) -> None:
        with pytest.raises(ConfigError, match=reason):
            pipe.set_style(shares)
        assert pipe.style == "ink"

    def test_nothing_is_mixed_with_itself(self, pipe: TPSPortraitPipeline) -> None:
        assert pipe.set_style({"ink": 1, "oil": 0}).method == "single"


def test_names_are_taken_once(pipe: TPSPortraitPipeline, styles: dict[str, Path]) -> None:
    for options in ({}, {"name": "ink"}):
        with pytest.raises(ConfigError, match=r"A style named '(oil|ink)' is loaded already"):
            pipe.load_style(styles["oil"], **options)
    with pytest.raises(ModelFileError, match="holds no style"):
        pipe.load_style(styles["oil"] / "generator")


class TestBundledStyles:
    """Some have noise and some have none; they share a base all the same."""

    @pytest.mark.parametrize("style", ["animation", "ink_paint", "oil_paint", "watercolor"])
    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_draw_in_half_precision(self, style: str, dtype: torch.dtype) -> None:
        exact = TPSPortraitPipeline.from_pretrained(style).generator
        half = TPSPortraitPipeline.from_pretrained(style, dtype=dtype).generator
        torch.manual_seed(0)
        photo = F.interpolate(torch.rand(1, 3, 8, 8), (64, 64), mode="bilinear") * 2 - 1
        with torch.no_grad():
            difference = half(photo.to(dtype)).float() - exact(photo)
        assert difference.abs().mean() < 0.03

    def test_mix_by_weights(self, tmp_path: Path) -> None:
        pipe = TPSPortraitPipeline.from_pretrained("animation")
        photo = torch.rand(1, 3, 64, 64) * 2 - 1
        with torch.no_grad():
            alone = pipe.generator(photo)
        shares = {"animation": 0.25, "watercolor": 0.25, "ink_paint": 0.25, "oil_paint": 0.25}
        for name in shares:
            if name != "animation":
                pipe.load_style(name, name=name)
        assert pipe.set_style(shares).method == "weights"
        pipe.save_pretrained(tmp_path)
        most = max(
            TPSPortraitPipeline.from_pretrained(name).generator.config.noise_channels
            for name in shares
        )
        mixed = TPSPortraitPipeline.from_pretrained(tmp_path).generator
        assert mixed.config.noise_channels == most >= 4
        pipe.set_style({"animation": 1.0, "watercolor": 1e-9})
        with torch.no_grad():
            torch.testing.assert_close(pipe.generator(photo), alone, atol=1e-4, rtol=0)
        pipe.set_style("animation")
        assert pipe.generator.config.noise_channels == 0
