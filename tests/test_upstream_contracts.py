"""What we rely on in other libraries and they do not promise, one sentence each.

When an upgrade breaks one of these, the test's name and docstring say what has to be looked at.
"""

# No `from __future__ import annotations` here: see `test_types_as_strings_are_not_checked`.
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub.dataclasses import strict
from huggingface_hub.errors import (
    StrictDataclassClassValidationError,
    StrictDataclassFieldValidationError,
)
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from transformers import BaseImageProcessor, PreTrainedConfig, PreTrainedModel

import tps_portrait

NETWORKS = ("StyleGenerator", "TPSAligner", "PortraitDiscriminator", "FaceLandmarker")
CONFIGS = tuple(f"{name}Config" for name in NETWORKS)


@strict
class PlainConfig(PreTrainedConfig):
    """A configuration on transformers' own base."""

    model_type = "upstream_contract"
    width: int = 4
    sizes: list[int] | tuple[int, ...] = (1, 2)

    def validate_width(self) -> None:
        """Refuse widths below 1."""
        if self.width < 1:
            raise ValueError("width must be at least 1")


class PlainModel(PreTrainedModel):
    """A model on transformers' own base."""

    config: PlainConfig
    config_class = PlainConfig

    def __init__(self, config: PlainConfig) -> None:
        super().__init__(config)
        self.first = nn.Conv2d(3, config.width, 1)
        self.second = nn.Linear(config.width, 1)
        nn.init.constant_(self.first.weight, 5.0)
        self.post_init()


class Bare(PreTrainedModel):
    """A model without parameters."""

    config_class = PlainConfig


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A folder with a `PlainModel`."""
    PlainModel(PlainConfig()).save_pretrained(tmp_path)
    return tmp_path


class TestConfig:
    def test_types_are_checked_when_built_and_when_set(self) -> None:
        """`@strict` on the subclass refuses a value of another type."""
        with pytest.raises(StrictDataclassFieldValidationError):
            PlainConfig(width="4")
        with pytest.raises(StrictDataclassFieldValidationError):
            PlainConfig().width = 4.0

    def test_types_as_strings_are_not_checked(self) -> None:
        """`from __future__ import annotations` switches type checks off: we go without."""
        source = (
            "from __future__ import annotations\n"
            "@strict\nclass Lax(PreTrainedConfig):\n    model_type = 'lax'\n    width: int = 4\n"
        )
        namespace = {"strict": strict, "PreTrainedConfig": PreTrainedConfig, "__name__": __name__}
        exec(source, namespace)
        assert namespace["Lax"](width="4").width == "4"
        for name in CONFIGS:
            own = getattr(tps_portrait, name)
            strings = {key for key, kind in own.__annotations__.items() if isinstance(kind, str)}
            assert not strings, f"{name}: the types of {strings} are not checked"

    @pytest.mark.parametrize("name", CONFIGS)
    def test_our_configurations_check_every_type(self, name: str) -> None:
        """No field of ours takes an object of an unrelated type."""
        config_class = getattr(tps_portrait, name)
        for field in config_class.__annotations__.keys() - PreTrainedConfig.__annotations__.keys():
            with pytest.raises(StrictDataclassFieldValidationError):
                config_class(**{field: object()})

    def test_validators_run_when_built(self) -> None:
        """A method named `validate_*` runs at construction; its error comes wrapped."""
        with pytest.raises(StrictDataclassClassValidationError, match="at least 1"):
            PlainConfig(width=0)

    def test_unknown_keys_pass_silently(self) -> None:
        """transformers keeps a misspelt key as an attribute: `PortraitConfig` has to refuse it."""
        assert PlainConfig(widht=8).widht == 8

    def test_tuples_come_back_as_lists(self, tmp_path: Path) -> None:
        """JSON has no tuples, so fields are annotated `list | tuple`."""
        PlainConfig().save_pretrained(tmp_path)
        assert PlainConfig.from_pretrained(tmp_path).sizes == [1, 2]


class TestModel:
    def test_missing_and_extra_tensors_are_only_reported(self, saved: Path) -> None:
        """Incomplete weights load; `output_loading_info` tells, and our base raises."""
        weights = load_file(saved / "model.safetensors")
        weights["secnd.weight"] = weights.pop("second.weight")
        save_file(weights, saved / "model.safetensors", metadata={"format": "pt"})
        _, info = PlainModel.from_pretrained(saved, output_loading_info=True)
        assert set(info["missing_keys"]) == {"second.weight"}
        assert set(info["unexpected_keys"]) == {"secnd.weight"}
        assert "mismatched_keys" in info

    def test_loading_sets_evaluation_mode(self, saved: Path) -> None:
        """A new model trains, a loaded one does not."""
        assert PlainModel(PlainConfig()).training
        assert not PlainModel.from_pretrained(saved).training

    def test_weights_are_redrawn_at_construction(self) -> None:
        """`post_init` overwrites what a constructor drew unless `_init_weights` is overridden."""
        assert not torch.equal(
            PlainModel(PlainConfig()).first.weight, torch.full((4, 3, 1, 1), 5.0)
        )

    def test_stored_type_is_kept(self, saved: Path) -> None:
        """A half-precision file loads in half precision unless `dtype` says otherwise."""
        PlainModel(PlainConfig()).to(torch.float16).save_pretrained(saved)
        assert PlainModel.from_pretrained(saved).dtype == torch.float16
        assert PlainModel.from_pretrained(saved, dtype=torch.float32).dtype == torch.float32

    def test_model_without_parameters_has_no_device(self) -> None:
        """Hence the aligner's template is a parameter."""
        with pytest.raises(StopIteration):
            _ = Bare(PlainConfig()).device
        assert next(tps_portrait.TPSAligner(tps_portrait.TPSAlignerConfig()).parameters()).shape

    @pytest.mark.parametrize("name", NETWORKS)
    def test_no_buffer_is_left_out_of_the_file(self, name: str) -> None:
        """transformers fills buffers that are not saved with garbage, so we have none."""
        model = getattr(tps_portrait, name)(getattr(tps_portrait, f"{name}Config")())
        left_out = {
            f"{path}.{buffer}"
            for path, module in model.named_modules()
            for buffer in module._non_persistent_buffers_set
        }
        assert not left_out

    def test_saves_safetensors_with_format(self, saved: Path) -> None:
        """The files of a network are config.json and model.safetensors."""
        assert {"config.json", "model.safetensors"} <= {path.name for path in saved.iterdir()}
        config = json.loads((saved / "config.json").read_text())
        assert config["model_type"] == "upstream_contract"

    def test_logs_of_transformers_can_be_silenced(
        self, saved: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The command line keeps transformers' load reports off the terminal this way."""
        from transformers.utils import logging as transformers_logging

        before = transformers_logging.get_verbosity()
        transformers_logging.set_verbosity_error()
        try:
            assert logging.getLogger("transformers").level == logging.ERROR
        finally:
            transformers_logging.set_verbosity(before)


class TestPipeline:
    def test_loadable_classes_map_a_library_to_methods(self) -> None:
        """`_diffusers.py` adds our library to this private table in this form."""
        from diffusers.pipelines.pipeline_loading_utils import (
            ALL_IMPORTABLE_CLASSES,
            LOADABLE_CLASSES,
        )

        methods = ["save_pretrained", "from_pretrained"]
        assert LOADABLE_CLASSES["transformers"]["PreTrainedModel"] == methods
        assert LOADABLE_CLASSES["transformers"]["ImageProcessingMixin"] == methods
        assert ALL_IMPORTABLE_CLASSES["PreTrainedModel"] == methods

    def test_components_are_stored_by_library_and_class(self) -> None:
        """Registered classes are stored as `[tps_portrait, Class]`, free of module paths."""
        from diffusers.pipelines.pipeline_loading_utils import LOADABLE_CLASSES

        from tps_portrait import TPSPortraitPipeline

        assert "tps_portrait" in LOADABLE_CLASSES
        for style in sorted((Path(tps_portrait.__file__).parent / "styles").glob("[!_]*")):
            index = json.loads((style / "model_index.json").read_text())
            assert index["_class_name"] == TPSPortraitPipeline.__name__
            stored = {key: value for key, value in index.items() if not key.startswith("_")}
            libraries = {value[0] for value in stored.values() if isinstance(value, list)}
            assert libraries <= {"tps_portrait", None}

    def test_loader_probes_the_library_by_attribute(self) -> None:
        """diffusers asks our package for names it may not have and expects AttributeError."""
        assert getattr(tps_portrait, "ModelMixin", None) is None

    def test_image_processors_work_without_torchvision(self) -> None:
        """Our image processor builds on transformers' base, which must not need torchvision."""
        code = (
            "import sys; sys.modules['torchvision'] = None\n"
            "from tps_portrait import PortraitImageProcessor as P\n"
            "from transformers import BaseImageProcessor\n"
            "assert issubclass(P, BaseImageProcessor)"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
        assert BaseImageProcessor.__module__.startswith("transformers")


class TestTraining:
    def test_spectral_norm_survives_the_file(self, tmp_path: Path) -> None:
        """The discriminator's checkpoint holds the original weight and both power vectors."""
        layer = spectral_norm(nn.Conv2d(3, 4, 3))
        layer(torch.zeros(1, 3, 8, 8))
        names = set(layer.state_dict())
        assert {f"parametrizations.weight.{x}" for x in ("original", "0._u", "0._v")} <= names
        save_file(layer.state_dict(), tmp_path / "d.safetensors")
        assert all(
            torch.equal(value, layer.state_dict()[name])
            for name, value in load_file(tmp_path / "d.safetensors").items()
        )

    def test_ema_can_be_checkpointed(self) -> None:
        """diffusers' EMAModel saves by `state_dict` (its `save_pretrained` needs a ModelMixin)."""
        from diffusers.training_utils import EMAModel

        parameters = [nn.Parameter(torch.ones(3))]
        ema = EMAModel(parameters, decay=0.5)
        ema.step(parameters)
        parameters[0].data.zero_()
        ema.step(parameters)
        other = EMAModel([nn.Parameter(torch.zeros(3))])
        other.load_state_dict(ema.state_dict())
        assert torch.equal(other.shadow_params[0], ema.shadow_params[0])
        assert not torch.equal(ema.shadow_params[0], parameters[0].data)

    def test_checkpoints_hold_registered_objects_in_order(self, tmp_path: Path) -> None:
        """Accelerate stores what `register_for_checkpointing` got, and restores it in order."""
        code = (
            "import sys\n"
            "from accelerate import Accelerator\n"
            "from tps_portrait.training.checkpoint import Progress\n"
            "a, p, q = Accelerator(cpu=True), Progress(step=7), Progress(epoch=3)\n"
            "a.register_for_checkpointing(p, q)\n"
            "a.save_state(sys.argv[1]); p.step = q.epoch = 0; a.load_state(sys.argv[1])\n"
            "assert (p.step, p.epoch, q.step, q.epoch) == (7, 0, 0, 3)"
        )
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "state")], check=True)
