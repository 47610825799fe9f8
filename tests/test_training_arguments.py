"""Options of a training: YAML, flags, types, ranges, help."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from tps_portrait import ConfigError, TPSPortraitPipeline
from tps_portrait.hub.listing import base_of
from tps_portrait.training.arguments import LossWeights, TrainingArguments
from tps_portrait.training.parsing import parse_training_arguments

NEEDED = ("--train_data_dir", "style", "--photo_data_dir", "photos")
CONFIGS = sorted((Path(__file__).parents[1] / "examples" / "configs").glob("*.yaml"))


def parse(tmp_path: Path, yaml: str = "", *flags: str) -> TrainingArguments:
    path = tmp_path / "run.yaml"
    path.write_text(yaml, encoding="utf-8")
    return parse_training_arguments(["--config", str(path), *NEEDED, *flags])


class TestSources:
    def test_defaults(self) -> None:
        args = parse_training_arguments(list(NEEDED))
        assert args == TrainingArguments(train_data_dir="style", photo_data_dir=["photos"])

    def test_file_over_defaults_and_flags_over_file(self, tmp_path: Path) -> None:
        args = parse(tmp_path, "seed: 5\nresolution: 128\ncpu: true", "--seed", "7", "--no-cpu")
        assert (args.seed, args.resolution, args.cpu) == (7, 128, False)

    def test_changed_options_name_no_places_and_secrets(self, tmp_path: Path) -> None:
        flags = ("--hub_token", "hf_secret", "--lr_warmup_steps", "5", "--cycle_weight", "9")
        network = "content_network: /home/me/vgg.safetensors\nseed: 4"
        args = parse(tmp_path, network, *flags, "--adam_beta1", "0.5")
        assert args.changed_options() == {
            "content_network": "vgg.safetensors",
            "lr_warmup_steps": 5,
        }

    def test_several_photo_folders(self, tmp_path: Path) -> None:
        path = tmp_path / "a.yaml"
        path.write_text("train_data_dir: s\nphoto_data_dir: [a, b]\n")
        assert parse_training_arguments(["--config", str(path)]).photo_data_dir == ["a", "b"]
        path.write_text("train_data_dir: s\nphoto_data_dir: a\n")
        assert parse_training_arguments([f"--config={path}"]).photo_data_dir == ["a"]
        flags = ["--train_data_dir", "s", "--photo_data_dir", "x", "y"]
        assert parse_training_arguments(flags).photo_data_dir == ["x", "y"]

    @pytest.mark.parametrize(
        ("line", "name", "value"),
        [
            ("learning_rate: 2e-4", "learning_rate", 2e-4),
            ("learning_rate: 1", "learning_rate", 1.0),
            ("max_train_samples: 12", "max_train_samples", 12),
            ("max_train_samples: null", "max_train_samples", None),
            ("mixed_precision: no", "mixed_precision", "no"),
            ("mixed_precision: bf16", "mixed_precision", "bf16"),
            ("style_name: ink", "style_name", "ink"),
            ("push_to_hub: false", "push_to_hub", False),
        ],
    )
    def test_yaml_types(self, tmp_path: Path, line: str, name: str, value: object) -> None:
        read = getattr(parse(tmp_path, line), name)
        assert read == value
        assert type(read) is type(value)

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("resolution: big", "resolution must be a whole number; got 'big'"),
            ("resolution: 256.0", "resolution must be a whole number; got 256.0"),
            ("resolution: true", "resolution must be a whole number; got True"),
            ("learning_rate: fast", "learning_rate must be a number; got 'fast'"),
            ("learning_rate: [1]", "learning_rate must be a number"),
            ("cpu: 1", "cpu must be true or false; got 1"),
            ("output_dir: 5", "output_dir must be text; got 5"),
            ("photo_data_dir: [1]", "photo_data_dir must be a list"),
            ("mixed_precision: int8", "mixed_precision must be one of no, fp16, bf16"),
            ("lr_scheduler: stepwise", "lr_scheduler must be one of constant"),
            ("report_to: wandb", "report_to must be one of jsonl"),
            ("seed: null", "seed must be a whole number; got None"),
            ("resolutoin: 64", "unknown options: resolutoin"),
            ("- a\n- b", "must hold `option: value` lines"),
            ("a: [", "is not valid YAML"),
        ],
    )
    def test_yaml_errors(self, tmp_path: Path, line: str, expected: str) -> None:
        with pytest.raises(ConfigError) as caught:
            parse(tmp_path, line)
        assert expected in str(caught.value)
        assert "run.yaml" in str(caught.value)

    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"Cannot read --config .*none\.yaml"):
            parse_training_arguments(["--config", str(tmp_path / "none.yaml")])

    @pytest.mark.parametrize("path", CONFIGS, ids=[path.stem for path in CONFIGS])
    def test_shipped_configs(self, path: Path) -> None:
        args = parse_training_arguments(["--config", str(path)])
        # A style of one's own is named by its output folder.
        assert args.style == {"own_style": "my_style"}.get(path.stem, path.stem)

    @pytest.mark.parametrize("path", CONFIGS, ids=[path.stem for path in CONFIGS])
    def test_shipped_configs_begin_with_weights_that_can_be_mixed(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(path.parents[2])
        args = parse_training_arguments(["--config", str(path)])
        assert base_of(args.pretrained_model_name_or_path) == "animation"
        generator = TPSPortraitPipeline.from_pretrained(
            args.pretrained_model_name_or_path
        ).generator
        assert generator.config.noise_channels <= (args.noise_channels or 0)


class TestFlags:
    @pytest.mark.parametrize(
        ("flags", "expected"),
        [
            (["--resolution", "big"], "--resolution: invalid int value: 'big'"),
            (["--mixed_precision", "int8"], "--mixed_precision: invalid choice: 'int8'"),
            (["--resolutoin", "64"], "unrecognized arguments: --resolutoin"),
            (["--res", "64"], "unrecognized arguments: --res"),
        ],
    )
    def test_errors(
        self, flags: list[str], expected: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as stop:
            parse_training_arguments([*NEEDED, *flags])
        assert stop.value.code == 2
        assert expected in capsys.readouterr().err

    def test_help_explains_every_option(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as stop:
            parse_training_arguments(["--help"])
        assert stop.value.code == 0
        text = " ".join(capsys.readouterr().out.split())
        for item in fields(TrainingArguments):
            assert f"--{item.name}" in text
            assert item.metadata["help"] in text
        assert "Default: 256." in text

    def test_names_are_those_of_the_diffusers_scripts(self) -> None:
        known = {
            *("pretrained_model_name_or_path", "dataset_name", "train_data_dir", "image_column"),
            *("resolution", "train_batch_size", "max_train_steps", "learning_rate", "lr_scheduler"),
            *("gradient_accumulation_steps", "mixed_precision", "checkpointing_steps", "seed"),
            *("checkpoints_total_limit", "resume_from_checkpoint", "report_to", "output_dir"),
            *("push_to_hub", "hub_model_id", "hub_token", "validation_steps", "max_grad_norm"),
        }
        assert known <= {item.name for item in fields(TrainingArguments)}


class TestRanges:
    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({"train_data_dir": None}, "No style pictures"),
            ({"photo_data_dir": []}, "No photos"),
            ({"resolution": 100}, "multiple of 32"),
            ({"resolution": 32}, "at least 64"),
            ({"train_batch_size": 0}, "train_batch_size must be at least 1; got 0"),
            ({"validation_steps": 0}, "validation_steps must be at least 1"),
            ({"checkpoints_total_limit": 0}, "checkpoints_total_limit must be at least 1"),
            ({"reconstruction_steps": -1}, "reconstruction_steps must be at least 0"),
            ({"cycle_weight": -1.0}, "cycle_weight must be at least 0"),
            ({"learning_rate": 0.0}, "learning_rate must be"),
            ({"learning_rate": float("nan")}, "learning_rate must be"),
            ({"pair_fraction": 0.0}, "pair_fraction must be"),
            ({"pair_fraction": 1.5}, "pair_fraction must be"),
            ({"adam_beta1": 1.0}, "adam_beta1 must be"),
            ({"photo_augmentation": 2.0}, "photo_augmentation must be in 0 to 1"),
            ({"push_to_hub": True}, "--hub_model_id"),
            ({"washes": 1.4, "noise_channels": 4}, "--noise_channels 8 instead of 4"),
            ({"strokes": 0.1, "noise_channels": 8}, "--noise_channels 16 instead of 8"),
            ({"washes": 1.4, "strokes": 0.1}, "--washes 0, or --strokes 0"),
            ({"start_share": 0.5}, "start_share needs a start"),
            ({"start_share": 1.0, "pretrained_model_name_or_path": "x"}, "start_share must be in"),
            (
                {"washes": 1.4, "anchor_weight": 0.0, "reconstruction_steps": 0},
                "washes changes what drawings are compared with",
            ),
            (
                {"strokes": 0.1, "anchor_weight": 0.0, "reconstruction_steps": 0},
                "give --strokes 0",
            ),
            ({"washes": 6.0}, "washes must be in 0 to 5"),
            ({"abstraction": 17, "resolution": 512}, "abstraction must be in 0 to 16"),
            ({"abstraction": 9}, "at most 8 pixels at a resolution of 256; got 9"),
            (
                {"abstraction": 6, "anchor_weight": 0.0, "reconstruction_steps": 0},
                "set one of content_weight, anchor_weight, evenness_weight",
            ),
        ],
    )
    def test_errors(self, options: dict[str, Any], expected: str) -> None:
        values = {"train_data_dir": "style", "photo_data_dir": ["photos"], **options}
        with pytest.raises(ConfigError) as caught:
            TrainingArguments(**values)
        assert expected in str(caught.value)

    def test_all_losses_off(self) -> None:
        off = {item.name: 0.0 for item in fields(LossWeights)}
        with pytest.raises(ConfigError, match="switched off"):
            TrainingArguments(train_data_dir="s", photo_data_dir=["p"], **off)
        one = {**off, "anchor_weight": 1.0}
        assert TrainingArguments(train_data_dir="s", photo_data_dir=["p"], **one).anchor_weight == 1


class TestViews:
    def args(self, **options: Any) -> TrainingArguments:
        return TrainingArguments(train_data_dir="s", photo_data_dir=["p", "q"], **options)

    def test_loggable_holds_scalars_and_no_token(self) -> None:
        values = self.args(hub_token="secret").loggable()
        assert all(isinstance(value, int | float | str) for value in values.values())
        assert "secret" not in values.values()
        assert values["photo_data_dir"] == "['p', 'q']"

    def test_style(self) -> None:
        assert self.args(output_dir="runs/ink").style == "ink"
        assert self.args(output_dir="runs/ink", style_name="brush").style == "brush"

    def test_loss_weights(self) -> None:
        weights = self.args(cycle_weight=9.0).loss_weights()
        assert weights["cycle"] == 9.0
        assert len(weights) == len(fields(LossWeights))

    def test_photos_per_step(self) -> None:
        assert self.args(train_batch_size=3, gradient_accumulation_steps=4).photos_per_step == 12
