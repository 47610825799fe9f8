"""`AutoConfig` and `AutoModel` know our model types, and `import tps_portrait` stays quick."""

from __future__ import annotations

import subprocess
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from transformers import AutoConfig, AutoModel
from transformers.models.auto import configuration_auto, modeling_auto

import tps_portrait
from conftest import tiny_pipeline
from tps_portrait import _transformers
from tps_portrait._transformers import MODEL_TYPES, LazyConfigs, LazyModels


def test_types_are_those_of_our_configurations() -> None:
    for name, (config, model) in MODEL_TYPES.items():
        config_class = getattr(tps_portrait, config)
        assert config_class.model_type == name
        assert getattr(tps_portrait, model).config_class is config_class


@pytest.mark.parametrize("name", MODEL_TYPES)
def test_by_name(name: str) -> None:
    config = AutoConfig.for_model(name)
    assert type(config).__name__ == MODEL_TYPES[name][0]
    assert type(AutoModel.from_config(config)).__name__ == MODEL_TYPES[name][1]


@pytest.mark.parametrize("part", ["generator", "aligner"])
def test_from_a_style(part: str, tmp_path: Path) -> None:
    pipe = tiny_pipeline(2)
    pipe.save_pretrained(tmp_path)
    assert type(AutoConfig.from_pretrained(tmp_path, subfolder=part)) is type(
        getattr(pipe, part).config
    )
    model = AutoModel.from_pretrained(tmp_path, subfolder=part)
    assert type(model) is type(getattr(pipe, part))
    expected = getattr(pipe, part).state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("part", ["generator", "aligner", "landmarks"])
def test_from_a_bundled_style(part: str) -> None:
    kind = {"generator": "StyleGenerator", "aligner": "TPSAligner", "landmarks": "FaceLandmarker"}
    pipe = tps_portrait.TPSPortraitPipeline.from_pretrained("animation")
    model = getattr(tps_portrait, kind[part]).from_pretrained(
        "animation", subfolder=part, dtype=torch.float32
    )
    expected = pipe.landmarker if part == "landmarks" else getattr(pipe, part)
    state = expected.state_dict()
    assert all(
        torch.equal(value.float(), state[key].float()) for key, value in model.state_dict().items()
    )


def test_tables_of_transformers() -> None:
    """transformers looks up what was registered in `_extra_content`: ours stands in for it."""
    assert type(configuration_auto.CONFIG_MAPPING._extra_content) is LazyConfigs
    assert type(modeling_auto.MODEL_MAPPING._extra_content) is LazyModels
    assert "tps_portrait_generator" in configuration_auto.CONFIG_MAPPING
    assert "bert" in configuration_auto.CONFIG_MAPPING
    assert AutoConfig.for_model("bert").model_type == "bert"
    with pytest.raises(ValueError, match="nonsense"):
        AutoConfig.for_model("nonsense")


def test_what_others_registered_stays() -> None:
    """Also when transformers was imported before this package."""
    theirs, key = object(), type("TheirConfig", (), {})
    configs = SimpleNamespace(CONFIG_MAPPING=SimpleNamespace(_extra_content={"theirs": theirs}))
    models = SimpleNamespace(MODEL_MAPPING=SimpleNamespace(_extra_content={key: theirs}))
    _transformers._add_configs(configs)  # type: ignore[arg-type]
    _transformers._add_models(models)  # type: ignore[arg-type]
    table = configs.CONFIG_MAPPING._extra_content
    assert table["theirs"] is theirs
    assert table["tps_portrait_aligner"] is tps_portrait.TPSAlignerConfig
    assert set(dict(table.items())) == {"theirs", *MODEL_TYPES}
    assert tps_portrait.StyleGeneratorConfig in table.values()
    found = models.MODEL_MAPPING._extra_content
    assert found[key] is theirs
    assert found[tps_portrait.TPSAlignerConfig] is tps_portrait.TPSAligner
    assert str not in found
    with pytest.raises(KeyError):
        found[str]


def test_other_versions_of_transformers_are_left_alone() -> None:
    module = ModuleType("other")
    module.CONFIG_MAPPING = module.MODEL_MAPPING = object()  # type: ignore[attr-defined]
    _transformers._add_configs(module)
    _transformers._add_models(module)


def test_hook_lets_other_modules_pass(tmp_path: Path) -> None:
    hook = _transformers._Hook()
    assert hook.find_spec("json", None) is None
    source = tmp_path / "configuration_auto.py"
    source.write_text("CONFIG_MAPPING = type('T', (), {})()\nCONFIG_MAPPING._extra_content = {}\n")
    name = "transformers.models.auto.configuration_auto"
    spec = hook.find_spec(name, [str(tmp_path)])
    assert isinstance(spec, ModuleSpec)
    assert spec.loader is not None
    module = ModuleType(name)
    module.__spec__ = spec
    spec.loader.exec_module(module)
    assert "tps_portrait_generator" in module.CONFIG_MAPPING._extra_content
    assert isinstance(module.__loader__, SourceFileLoader)


def test_import_takes_no_time() -> None:
    """Less than 0.3 s of this process's time, the best of three."""
    code = (
        "import time; start = time.process_time(); import tps_portrait\n"
        "print(time.process_time() - start)"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    assert min(float(run.stdout) for run in runs) < 0.3
