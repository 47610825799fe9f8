"""The options of `examples/train.py`: one dataclass, read from YAML and from the command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from transformers import HfArgumentParser

from ..errors import ConfigError


def _option(default: Any, text: str, **kwargs: Any) -> Any:
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata={"help": text}, **kwargs)
    return field(default=default, metadata={"help": text}, **kwargs)


@dataclass
class LossWeights:
    """Weight of each loss; 0 switches a term off, and what only it needs is not computed."""

    global_adversarial_weight: float = _option(1.0, "Whole picture against aligned examples.")
    local_adversarial_weight: float = _option(1.0, "Eyes, nose, mouth against aligned examples.")
    unaligned_adversarial_weight: float = _option(
        0.5, "Photo drawn in the example's geometry (feature warp) against untouched examples."
    )
    cycle_weight: float = _option(2.0, "Geometry-aware cycle, both ways.")
    invariance_weight: float = _option(2.0, "Deformation invariance G(W(x)) = W(G(x)).")
    anchor_weight: float = _option(3.0, "Colour of large areas stays that of the photo.")
    r1_weight: float = _option(0.0, "R1 gradient penalty on real examples.")


@dataclass
class TrainingArguments(LossWeights):
    """Options of a training run; the names are those of the diffusers scripts where one exists."""

    config: str | None = _option(None, "YAML file with any of these options; flags override it.")
    dataset_name: str | None = _option(None, "Style pictures: a `datasets` id on the Hub.")
    dataset_config_name: str | None = _option(None, "Configuration of that dataset.")
    train_data_dir: str | None = _option(None, "Style pictures: a local folder.")
    photo_data_dir: list[str] = _option([], "Photos: one or more local folders.")
    photo_dataset_name: str | None = _option(None, "Photos: a `datasets` id on the Hub.")
    validation_data_dir: str | None = _option(
        None, "Photos to draw in the sample grids; the first training photos if not given."
    )
    image_column: str = _option("image", "Column of the pictures.")
    landmarks_column: str = _option("landmarks", "Column of the 68 landmarks, in [-1, 1].")
    max_train_samples: int | None = _option(None, "Use only the first N style pictures.")
    output_dir: str = _option("runs/style", "Where checkpoints, samples and the style are written.")
    style_name: str | None = _option(None, "Name of the style; the output folder's if not given.")
    license: str = _option("other", "Licence of the trained style, for its card.")
    pretrained_model_name_or_path: str | None = _option(
        None, "Start from this style's generator (folder, bundled name or Hub id)."
    )
    resolution: int = _option(256, "Side of the training pictures, in pixels.")
    train_batch_size: int = _option(4, "Photos per step and device.")
    max_train_steps: int = _option(4000, "Optimiser steps.")
    reconstruction_steps: int = _option(
        200, "Steps at the start in which G only learns to repeat a smoothed photo."
    )
    learning_rate: float = _option(5e-4, "Learning rate of the generators.")
    discriminator_learning_rate: float = _option(3e-4, "Learning rate of the discriminators.")
    adam_beta1: float = _option(0.5, "First Adam moment.")
    adam_beta2: float = _option(0.99, "Second Adam moment.")
    lr_scheduler: str = _option("constant", "Schedule, as in diffusers: constant, linear, cosine…")
    lr_warmup_steps: int = _option(0, "Steps of linear warm-up of the learning rate.")
    gradient_accumulation_steps: int = _option(1, "Micro-batches per optimiser step.")
    max_grad_norm: float = _option(10.0, "Gradients are clipped to this norm.")
    mixed_precision: Literal["no", "fp16", "bf16"] = _option("no", "Arithmetic of the networks.")
    ema_decay: float = _option(0.995, "Decay of the averaged generator that is shipped.")
    pair_fraction: float = _option(
        0.3, "For each photo, only this share of the examples, those bent least, is paired with it."
    )
    photo_augmentation: float = _option(1.0, "Strength of the augmentation of photos, 0 to 1.")
    discriminator_augmentation: float = _option(
        0.5, "Probability of each augmentation of what the discriminators see."
    )
    unaligned_every: int = _option(3, "Compute the unaligned and cycle terms every N steps.")
    invariance_every: int = _option(3, "Compute the deformation term every N steps.")
    checkpointing_steps: int = _option(500, "Write a checkpoint every N steps.")
    checkpoints_total_limit: int | None = _option(2, "Keep at most this many checkpoints.")
    resume_from_checkpoint: str | None = _option(None, "A checkpoint folder, or `latest`.")
    validation_steps: int = _option(250, "Write a sample grid every N steps.")
    report_to: str = _option("jsonl", "Trackers: jsonl, tensorboard, all, or none.")
    logging_steps: int = _option(10, "Log the losses every N steps.")
    dataloader_num_workers: int = _option(0, "Worker processes that load pictures.")
    seed: int = _option(0, "Seed of everything random.")
    cpu: bool = _option(False, "Train on the CPU even where there is a GPU.")
    push_to_hub: bool = _option(False, "Upload the finished style.")
    hub_model_id: str | None = _option(None, "Repository to upload to.")
    hub_token: str | None = _option(None, "Token for the upload.")

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            ConfigError: an option is missing, out of range, or contradicts another.
        """
        if not self.train_data_dir and not self.dataset_name:
            raise ConfigError(
                "No style pictures: give --train_data_dir FOLDER or --dataset_name ID."
            )
        if not self.photo_data_dir and not self.photo_dataset_name:
            raise ConfigError(
                "No photos: give --photo_data_dir FOLDER [FOLDER …] or --photo_dataset_name ID."
            )
        if self.resolution < 64 or self.resolution % 32:
            raise ConfigError(
                f"resolution must be a multiple of 32, at least 64; got {self.resolution}."
            )
        for name in ("train_batch_size", "max_train_steps", "gradient_accumulation_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1; got {getattr(self, name)}.")
        for name in ("unaligned_every", "invariance_every", "logging_steps", "checkpointing_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1; got {getattr(self, name)}.")
        for item in fields(LossWeights):
            if getattr(self, item.name) < 0:
                raise ConfigError(f"{item.name} must be >= 0; got {getattr(self, item.name)}.")
        if not 0 < self.pair_fraction <= 1:
            raise ConfigError(f"pair_fraction must lie in (0, 1]; got {self.pair_fraction}.")
        if self.push_to_hub and not self.hub_model_id:
            raise ConfigError("--push_to_hub needs --hub_model_id OWNER/NAME.")

    def loggable(self) -> dict[str, int | float | str | bool]:
        """The options as scalars, as TensorBoard wants them; the Hub token is left out."""
        values = {k: v for k, v in asdict(self).items() if k != "hub_token"}
        return {k: v if isinstance(v, int | float | str) else str(v) for k, v in values.items()}

    @property
    def style(self) -> str:
        """Name of the style."""
        return self.style_name or Path(self.output_dir).name


def parse_training_arguments(argv: Sequence[str] | None = None) -> TrainingArguments:
    """Read the options of a run from a YAML file (`--config`) and the command line.

    Args:
        argv: arguments without the program name; those of the process if not given.

    Returns:
        The options; flags win over the file, the file over the defaults.

    Raises:
        ConfigError: the file cannot be read, holds an unknown option, or an option is out of range.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = HfArgumentParser(TrainingArguments, description=__doc__)
    path = _config_path(argv)
    if path is not None:
        parser.set_defaults(**_read_yaml(path))
    values = vars(parser.parse_args(argv))
    return TrainingArguments(**values)


def _config_path(argv: list[str]) -> Path | None:
    for index, item in enumerate(argv):
        if item == "--config" and index + 1 < len(argv):
            return Path(argv[index + 1])
        if item.startswith("--config="):
            return Path(item.split("=", 1)[1])
    return None


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ConfigError(f"Cannot read --config {path}: {error}.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"--config {path} is not valid YAML: {error}") from error
    known = {item.name: item for item in fields(TrainingArguments)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ConfigError(
            f"--config {path} holds unknown options: {', '.join(unknown)}. "
            "`examples/train.py --help` lists the known ones."
        )
    for name, value in values.items():
        default = known[name].default
        # YAML reads 2e-4 as text.
        if isinstance(default, float):
            try:
                values[name] = float(value)
            except (TypeError, ValueError) as error:
                raise ConfigError(f"--config {path}: {name} must be a number.") from error
    return dict(values)
