"""Loading is strict: what is misspelt, missing, extra, mismatched or a pickle is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from conftest import tiny_generator
from tps_portrait import (
    ConfigError,
    ModelFileError,
    PortraitDiscriminator,
    PortraitDiscriminatorConfig,
    StyleGenerator,
    StyleGeneratorConfig,
    TPSAligner,
    TPSAlignerConfig,
    TPSPortraitError,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A saved tiny generator."""
    tiny_generator().save_pretrained(tmp_path / "style")
    return tmp_path / "style"


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def edit_weights(folder: Path, **changes: torch.Tensor | None) -> None:
    path = folder / "model.safetensors"
    weights = {**load_file(path), **changes}
    kept = {name: tensor for name, tensor in weights.items() if tensor is not None}
    save_file(kept, path, metadata={"format": "pt"})


class TestConfig:
    def test_misspelt_key_lists_the_fields(self) -> None:
        with pytest.raises(ConfigError, match=r"'chanels'.*channels, decoder_blocks"):
            StyleGeneratorConfig(chanels=(8, 8, 8, 8))

    def test_misspelt_key_in_a_file(self, folder: Path) -> None:
        edit_config(folder, bottleneck_block=1)
        with pytest.raises(ConfigError, match="'bottleneck_block'"):
            StyleGenerator.from_pretrained(folder)

    @pytest.mark.parametrize(
        "values",
        [
            {"bottleneck_blocks": 1.5},
            {"bottleneck_blocks": -1},
            {"channels": [8, 8, 8]},
            {"channels": "wide"},
            {"norm": "instance"},
            {"head_channels": 0},
        ],
    )
    def test_bad_value_in_a_file(self, folder: Path, values: dict[str, object]) -> None:
        edit_config(folder, **values)
        with pytest.raises(ConfigError, match=next(iter(values))):
            StyleGenerator.from_pretrained(folder)

    def test_keys_of_transformers_are_allowed(self, folder: Path) -> None:
        written = json.loads((folder / "config.json").read_text())
        assert {"architectures", "transformers_version", "dtype"} <= set(written)
        assert StyleGenerator.from_pretrained(folder).config.head_channels == 8

    @pytest.mark.parametrize(
        ("config", "values"),
        [
            (TPSAlignerConfig, {"control_points": [0, 1, 1]}),
            (TPSAlignerConfig, {"control_points": [0, 1, 68]}),
            (TPSAlignerConfig, {"region_size": 8}),
            (TPSAlignerConfig, {"regularization": -1.0}),
            (PortraitDiscriminatorConfig, {"channels": [8, 8]}),
            (PortraitDiscriminatorConfig, {"part_channels": []}),
            (StyleGeneratorConfig, {"decoder_blocks": [1]}),
        ],
    )
    def test_values_are_validated_at_construction(self, config: type, values: dict) -> None:
        with pytest.raises(Exception, match=next(iter(values)).split("_")[0]):
            config(**values)

    def test_lists_and_tuples_mean_the_same(self) -> None:
        a, b = StyleGeneratorConfig(channels=[8] * 4), StyleGeneratorConfig(channels=(8,) * 4)
        assert list(a.channels) == list(b.channels)


class TestWeights:
    def test_round_trip_is_bit_exact(self, folder: Path) -> None:
        model, again = tiny_generator(), StyleGenerator.from_pretrained(folder)
        assert not again.training
        state = again.state_dict()
        assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
        picture = torch.rand(1, 3, 64, 64)
        with torch.no_grad():
            assert torch.equal(model(picture), again(picture))

    @pytest.mark.parametrize(
        "model",
        [
            TPSAligner(TPSAlignerConfig(region_size=32)),
            PortraitDiscriminator(
                PortraitDiscriminatorConfig(channels=(8, 8, 8), part_channels=(8, 8))
            ),
        ],
        ids=["aligner", "discriminator"],
    )
    def test_every_network_comes_back(self, model: torch.nn.Module, tmp_path: Path) -> None:
        model.save_pretrained(tmp_path)
        again = type(model).from_pretrained(tmp_path).state_dict()
        assert set(again) == set(model.state_dict())
        assert all(torch.equal(tensor, again[name]) for name, tensor in model.state_dict().items())

    def test_fresh_weights_are_those_of_the_constructor(self) -> None:
        """transformers would redraw every convolution from N(0, 0.02)."""
        model = tiny_generator()
        fan_in = model.stem.conv.weight[0].numel()
        assert float(model.stem.conv.weight.detach().std()) == pytest.approx(fan_in**-0.5, rel=0.2)

    def test_half_precision(self, folder: Path) -> None:
        model = StyleGenerator.from_pretrained(folder, dtype=torch.bfloat16)
        assert model.dtype == torch.bfloat16

    def test_subfolder(self, folder: Path) -> None:
        model = StyleGenerator.from_pretrained(folder.parent, subfolder="style")
        assert torch.equal(model.head.weight, tiny_generator().head.weight)

    def test_loading_info_can_be_asked_for(self, folder: Path) -> None:
        model, info = StyleGenerator.from_pretrained(folder, output_loading_info=True)
        assert isinstance(model, StyleGenerator)
        assert not info["missing_keys"]

    def test_missing_tensor(self, folder: Path) -> None:
        edit_weights(folder, **{"head.weight": None})
        with pytest.raises(ModelFileError, match=r"missing tensors: head\.weight"):
            StyleGenerator.from_pretrained(folder)

    def test_extra_tensor(self, folder: Path) -> None:
        edit_weights(folder, **{"tail.weight": torch.zeros(3)})
        with pytest.raises(ModelFileError, match=r"unexpected tensors: tail\.weight"):
            StyleGenerator.from_pretrained(folder)

    def test_tensor_of_another_shape(self, folder: Path) -> None:
        edit_weights(folder, **{"head.weight": torch.zeros(48, 4, 1, 1)})
        with pytest.raises(ModelFileError, match=r"head\.weight"):
            StyleGenerator.from_pretrained(folder)

    def test_weights_of_another_configuration(self, folder: Path) -> None:
        edit_config(folder, bottleneck_blocks=3)
        with pytest.raises(ModelFileError, match=r"missing tensors: bottleneck\.1"):
            StyleGenerator.from_pretrained(folder)


class TestFiles:
    def test_wrong_model_type(self, folder: Path) -> None:
        expected = r"'tps_portrait_generator', but TPSAligner needs 'tps_portrait_aligner'"
        with pytest.raises(ModelFileError, match=expected):
            TPSAligner.from_pretrained(folder)

    def test_pickle_instead_of_safetensors(self, folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        (folder / "model.safetensors").unlink()
        torch.save(weights, folder / "pytorch_model.bin")
        with pytest.raises(ModelFileError, match=r"pytorch_model\.bin.*can run code"):
            StyleGenerator.from_pretrained(folder)

    def test_pickle_named_safetensors(self, folder: Path) -> None:
        torch.save({"head.weight": torch.zeros(1)}, folder / "model.safetensors")
        with pytest.raises(ModelFileError, match="damaged or not safetensors"):
            StyleGenerator.from_pretrained(folder)

    @pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
    def test_truncated_weights(self, folder: Path, share: float) -> None:
        path = folder / "model.safetensors"
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(ModelFileError, match="StyleGenerator"):
            StyleGenerator.from_pretrained(folder)

    def test_no_weights(self, folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        with pytest.raises(ModelFileError, match=r"model\.safetensors"):
            StyleGenerator.from_pretrained(folder)

    def test_no_config(self, folder: Path) -> None:
        (folder / "config.json").unlink()
        with pytest.raises(ModelFileError, match=r"config\.json"):
            StyleGenerator.from_pretrained(folder)

    def test_config_that_is_not_json(self, folder: Path) -> None:
        (folder / "config.json").write_text("{")
        with pytest.raises(ModelFileError, match=r"config\.json"):
            StyleGenerator.from_pretrained(folder)

    def test_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ModelFileError, match="nowhere"):
            StyleGenerator.from_pretrained(tmp_path / "nowhere")

    def test_all_errors_are_ours(self) -> None:
        assert issubclass(ModelFileError, TPSPortraitError)
        assert issubclass(ModelFileError, OSError)
        assert issubclass(ConfigError, ValueError)
