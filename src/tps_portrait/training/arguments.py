"""The options of `examples/train.py`: one dataclass; `parsing` reads it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

from ..errors import ConfigError
from ..models.generator.noise import NOISE_CHANNELS
from .paint_noise import CHANNELS_OF
from .weights import LossWeights, option

_Schedule = Literal[
    "constant",
    "constant_with_warmup",
    "linear",
    "cosine",
    "cosine_with_restarts",
    "polynomial",
]


@dataclass
class TrainingArguments(LossWeights):
    """Options of a training run; the names are those of the diffusers scripts where one exists."""

    config: str | None = option(None, "YAML file with any of these options; flags override it.")
    dataset_name: str | None = option(None, "Style pictures: a `datasets` id on the Hub.")
    dataset_config_name: str | None = option(None, "Configuration of that dataset.")
    train_data_dir: str | None = option(None, "Style pictures: a local folder.")
    photo_data_dir: list[str] = option([], "Photos: one or more local folders.")
    photo_dataset_name: str | None = option(None, "Photos: a `datasets` id on the Hub.")
    validation_data_dir: str | None = option(
        None, "Photos to draw in the sample grids; the first training photos if not given."
    )
    image_column: str = option("image", "Column of the pictures.")
    landmarks_column: str = option(
        "landmarks",
        "Column of the 68 landmarks, in [-1, 1]. Where a set has none, faces are detected.",
    )
    max_train_samples: int | None = option(None, "Use only the first N style pictures.")
    output_dir: str = option("runs/style", "Where checkpoints, samples and the style are written.")
    style_name: str | None = option(None, "Name of the style; the output folder's if not given.")
    license: str = option("other", "Licence of the trained style, for its card.")
    pretrained_model_name_or_path: str | None = option(
        None, "Start from this style's generator (folder, bundled name or Hub id)."
    )
    noise_channels: int | None = option(
        None,
        "Channels of fixed noise in the generator, from which paint grows (4: grain, 8: washes, "
        "16: strokes, too, 0 for a flat style); if not given, as the start has it.",
    )
    start_share: float = option(
        0.0,
        "Share of the start's weights in the style that is written and in the sample grids: keeps "
        "more of what the start kept of photos. 'networks' are those of the training.",
    )
    training_networks: str | None = option(
        None,
        "Start with the discriminators and the way back in this folder: 'networks' in the "
        "output_dir of an earlier training.",
    )
    anchor_luma: float = option(0.5, "Share of brightness in the anchor.")
    anchor_chroma: float = option(
        1.0,
        "Share of colour in the anchor; 0 for a style without colours: contents are compared "
        "in grey then.",
    )
    content_network: str | None = option(
        None, "Weights (safetensors) of the network that compares contents and textures."
    )
    resolution: int = option(256, "Side of the training pictures, in pixels.")
    train_batch_size: int = option(4, "Photos per step and device.")
    max_train_steps: int = option(4000, "Optimiser steps.")
    reconstruction_steps: int = option(
        200, "Steps at the start in which G only learns to repeat a smoothed or painted photo."
    )
    learning_rate: float = option(4e-4, "Learning rate of the generators.")
    discriminator_learning_rate: float = option(1e-3, "Learning rate of the discriminators.")
    adam_beta1: float = option(0.5, "First Adam moment.")
    adam_beta2: float = option(0.99, "Second Adam moment.")
    lr_scheduler: _Schedule = option("constant", "Schedule of learning rates, as in diffusers.")
    lr_warmup_steps: int = option(0, "Steps of linear warm-up of the learning rate.")
    gradient_accumulation_steps: int = option(1, "Micro-batches per optimiser step.")
    max_grad_norm: float = option(10.0, "Gradients are clipped to this norm.")
    mixed_precision: Literal["no", "fp16", "bf16"] = option("no", "Arithmetic of the networks.")
    ema_decay: float = option(0.995, "Decay of the averaged generator that is shipped.")
    pair_fraction: float = option(
        0.3, "For each photo, only this share of the examples, those bent least, is paired with it."
    )
    photo_augmentation: float = option(1.0, "Strength of the augmentation of photos, 0 to 1.")
    discriminator_augmentation: float = option(
        0.5, "Probability of each augmentation of what the discriminators see."
    )
    discriminator_colour: float = option(
        0.0,
        "Probability that the discriminators see other hues and saturations, so that the photo's "
        "colours may stay; 0 where the palette belongs to the style.",
    )
    distance: float = option(
        0.0,
        "Probability that the people of a batch stand farther off, as in a frame; photos without "
        "a matte hang there as pictures.",
    )
    pixel_alignment: bool = option(
        True, "Whole pictures are compared with aligned examples; without, with untouched ones."
    )
    local_alignment: bool = option(
        True, "Eyes, nose and mouth are compared with aligned ones; without, with cut-out ones."
    )
    feature_alignment: bool = option(
        True, "Features are warped for the unaligned and cycle terms; without, the cycle is plain."
    )
    unaligned_every: int = option(3, "Compute the unaligned and cycle terms every N steps.")
    invariance_every: int = option(3, "Compute the deformation term every N steps.")
    content_every: int = option(2, "Compute the content term every N steps.")
    content_pooling: int = option(
        2, "Contents of whole pictures are compared at 1/N of the size; what is finer is free."
    )
    abstraction: int = option(
        0,
        "Contents and colours are compared with the photo painted in patches of this radius, in "
        "pixels (5 to 8 at 512), except eyes and lips; 0 for the photo as it is.",
    )
    washes: float = option(
        0.0,
        "Compare with the photo in washes on paper, from the reconstruction steps on: the darkest "
        "is exp(-washes) of the paper (1.5 watercolor, 2.6 ink); 0 for other styles.",
    )
    strokes: float = option(
        0.0,
        "Compare with the photo in brush strokes of this contrast along its forms (0.1 oil), from "
        "the reconstruction steps on; 0 for other styles.",
    )
    texture_every: int = option(1, "Compute the texture term every N steps.")
    checkpointing_steps: int = option(500, "Write a checkpoint every N steps.")
    checkpoints_total_limit: int | None = option(2, "Keep at most this many checkpoints.")
    resume_from_checkpoint: str | None = option(
        None, "A checkpoint folder, its name, or `latest`. Open only checkpoints that you trust."
    )
    validation_steps: int = option(250, "Write a sample grid every N steps.")
    report_to: Literal["jsonl", "tensorboard", "all", "none"] = option(
        "jsonl", "Where losses go: losses.jsonl, TensorBoard, both, or nowhere."
    )
    logging_steps: int = option(10, "Log the losses every N steps.")
    dataloader_num_workers: int = option(0, "Worker processes that load pictures.")
    seed: int = option(0, "Seed of everything random.")
    cpu: bool = option(False, "Train on the CPU even where there is a GPU.")
    calibration_photos: int = option(
        8, "Photos that go into the style for int8, if their licence lets them; 0 for none."
    )
    push_to_hub: bool = option(False, "Upload the finished style.")
    hub_model_id: str | None = option(None, "Repository to upload to.")
    hub_token: str | None = option(None, "Token for the upload.")

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            ConfigError: an option is missing, of the wrong type, out of range, or contradicts
                another.
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
        for names, low, high in _RANGES:
            for name in names:
                value = getattr(self, name)
                if value is not None and not low <= value <= high:
                    wanted = f"at least {low}" if high == math.inf else f"in {low} to {high}"
                    raise ConfigError(f"{name} must be {wanted}; got {value}.")
        if not any(getattr(self, name) for name in _GENERATOR_WEIGHTS):
            raise ConfigError(
                f"Every loss of the generator is switched off; set one of "
                f"{', '.join(_GENERATOR_WEIGHTS)} above 0."
            )
        for name in ("content_weight", "texture_weight"):
            if getattr(self, name) and not self.content_network:
                raise ConfigError(
                    f"{name} needs a network: give --content_network FILE, such as "
                    f"examples/data/networks/vgg16_conv3.safetensors, or --{name} 0."
                )
        if self.abstraction > self.resolution // 32:
            raise ConfigError(
                f"abstraction must be at most {self.resolution // 32} pixels at a resolution of "
                f"{self.resolution}; got {self.abstraction}. A quarter of that to half is usual."
            )
        for name in ("abstraction", "washes", "strokes"):
            if getattr(self, name) and not any(getattr(self, term) for term in _COMPARING):
                raise ConfigError(
                    f"{name} changes what drawings are compared with, and nothing compares them: "
                    f"set one of {', '.join(_COMPARING)} above 0, or give --{name} 0."
                )
        for name, channels in CHANNELS_OF.items():
            if getattr(self, name) and (self.noise_channels or channels) < channels:
                raise ConfigError(
                    f"{name} needs noise to grow from: give --noise_channels {channels} instead of "
                    f"{self.noise_channels}, or --{name} 0."
                )
        if self.start_share and not self.pretrained_model_name_or_path:
            raise ConfigError(
                "start_share needs a start: give --pretrained_model_name_or_path STYLE, or "
                "--start_share 0."
            )
        if self.washes and self.strokes:
            raise ConfigError("A style has washes or strokes: give --washes 0, or --strokes 0.")
        if self.texture_weight and self.resolution < 128:
            raise ConfigError(
                f"texture_weight compares windows of 128 pixels; resolution is {self.resolution}. "
                "Choose at least 128, or --texture_weight 0."
            )
        if self.pattern_weight and not self.local_alignment:
            raise ConfigError(
                "pattern_weight compares aligned pixels: give --pattern_weight 0 with "
                "--no-local_alignment."
            )
        if self.push_to_hub and not self.hub_model_id:
            raise ConfigError("--push_to_hub needs --hub_model_id OWNER/NAME.")

    def loggable(self) -> dict[str, int | float | str | bool]:
        """The options as scalars, as TensorBoard wants them; the Hub token is left out."""
        values = {k: v for k, v in asdict(self).items() if k != "hub_token"}
        return {k: v if isinstance(v, int | float | str) else str(v) for k, v in values.items()}

    def loss_weights(self) -> dict[str, float]:
        """The weights alone, without their common ending."""
        names = [item.name for item in fields(LossWeights)]
        return {name.removesuffix("_weight"): getattr(self, name) for name in names}

    def changed_options(self) -> dict[str, int | float | str | bool | None]:
        """Options that differ from their defaults, for the card: without weights and places."""
        own = [item for item in fields(self) if item.name not in _TOLD_ELSEWHERE]
        values = {item.name: getattr(self, item.name) for item in own}
        changed = {i.name: values[i.name] for i in own if values[i.name] != i.default}
        return {
            name: Path(value).name
            if isinstance(value, str) and Path(value).is_absolute()
            else value
            for name, value in changed.items()
        }

    @property
    def photos_per_step(self) -> int:
        """Photos of an optimiser step, on one device."""
        return self.train_batch_size * self.gradient_accumulation_steps

    @property
    def style(self) -> str:
        """Name of the style."""
        return self.style_name or Path(self.output_dir).name


_TOLD_ELSEWHERE = {
    *(item.name for item in fields(LossWeights)),
    *("config", "train_data_dir", "dataset_name", "photo_data_dir", "photo_dataset_name"),
    *("output_dir", "validation_data_dir", "style_name", "license", "resolution", "seed"),
    *("train_batch_size", "max_train_steps", "gradient_accumulation_steps", "mixed_precision"),
    *("checkpointing_steps", "checkpoints_total_limit", "resume_from_checkpoint", "report_to"),
    *("validation_steps", "logging_steps", "dataloader_num_workers", "cpu"),
    *("push_to_hub", "hub_model_id", "hub_token", "calibration_photos"),
}
_POSITIVE = math.nextafter(0, 1)
_RANGES: tuple[tuple[tuple[str, ...], float, float], ...] = (
    (("train_batch_size", "max_train_steps", "gradient_accumulation_steps"), 1, math.inf),
    (("unaligned_every", "invariance_every", "content_every", "texture_every"), 1, math.inf),
    (("checkpointing_steps", "validation_steps", "checkpoints_total_limit"), 1, math.inf),
    (("max_train_samples", "logging_steps"), 1, math.inf),
    (("noise_channels",), 0, NOISE_CHANNELS),
    (("calibration_photos",), 0, 8),
    (("content_pooling",), 1, 8),
    (("abstraction",), 0, 16),
    (("washes",), 0, 5),
    (("strokes",), 0, 0.5),
    (("reconstruction_steps", "lr_warmup_steps"), 0, math.inf),
    (("dataloader_num_workers",), 0, math.inf),
    (tuple(item.name for item in fields(LossWeights)), 0, math.inf),
    (("photo_augmentation", "discriminator_augmentation"), 0, 1),
    (("discriminator_colour", "distance"), 0, 1),
    (("start_share",), 0, math.nextafter(1, 0)),
    (("adam_beta1", "adam_beta2", "ema_decay"), 0, math.nextafter(1, 0)),
    (("pair_fraction",), _POSITIVE, 1),
    (("anchor_luma", "anchor_chroma"), 0, math.inf),
    (("learning_rate", "discriminator_learning_rate", "max_grad_norm"), _POSITIVE, math.inf),
)
_COMPARING = ("content_weight", "anchor_weight", "evenness_weight", "reconstruction_steps")
_GENERATOR_WEIGHTS = tuple(item.name for item in fields(LossWeights) if item.name != "r1_weight")
