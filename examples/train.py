"""Train a portrait style from about 100 example pictures and a folder of photos.

    accelerate launch examples/train.py --config examples/configs/animation.yaml

The loop is all here; its pieces (data, losses, one step, checkpoints, tracking) are in
`tps_portrait.training`. The finished style is a folder that `TPSPortraitPipeline.from_pretrained`
loads, at `<output_dir>/style`.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DataLoaderConfiguration, PartialState, skip_first_batches
from accelerate.logging import get_logger
from accelerate.utils import ProjectConfiguration, set_seed
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from tps_portrait import (
    OutputError,
    PortraitImageProcessor,
    StyleGenerator,
    StyleGeneratorConfig,
    TPSAligner,
    TPSAlignerConfig,
    TPSPortraitError,
    TPSPortraitPipeline,
    TrainingDivergedError,
)
from tps_portrait.hub.calibration import may_travel, save_calibration
from tps_portrait.hub.cards import Collection, StyleFacts, hardware_name, write_card
from tps_portrait.hub.facts import Sample, history_from
from tps_portrait.hub.listing import base_of
from tps_portrait.hub.styles import locate_style
from tps_portrait.training import (
    batches,
    checkpoint,
    data,
    divergence,
    networks,
    step,
    tracking,
)
from tps_portrait.training.arguments import TrainingArguments
from tps_portrait.training.augment import DiscriminatorAugmentation, PhotoAugmentation
from tps_portrait.training.content import ContentNetwork
from tps_portrait.training.contrast import PatchContrast
from tps_portrait.training.data import FaceSet
from tps_portrait.training.interpolation import StartWeights
from tps_portrait.training.painting import check_noise, make_painter
from tps_portrait.training.parsing import parse_training_arguments
from tps_portrait.training.precision import usable_precision

logger = get_logger(__name__)

_SHOWN = ("global", "local", "d_global", "d_local", "anchor", "reconstruction")


def load_domains(
    args: TrainingArguments,
) -> tuple[FaceSet, FaceSet, FaceSet | None, list[Collection]]:
    """Read photos, style examples, validation photos if given; count examples and photos."""
    load = partial(
        data.load_faces,
        resolution=args.resolution,
        image_column=args.image_column,
        landmarks_column=args.landmarks_column,
    )
    style = args.train_data_dir or args.dataset_name
    examples = load(style, name=args.dataset_config_name, limit=args.max_train_samples)
    sources = [*args.photo_data_dir, *filter(None, [args.photo_dataset_name])]
    parts = [load(source) for source in sources]
    photos = sum(parts[1:], parts[0])
    hosted = (args.photo_dataset_name, None if args.train_data_dir else args.dataset_name)
    counted = [
        Collection(source, len(part), source in hosted)
        for source, part in zip([style, *sources], [examples, *parts], strict=True)
    ]
    folder = args.validation_data_dir
    validation = load(folder, limit=4, minimum=1) if folder else None
    return photos, examples, validation, counted


def load_start(args: TrainingArguments) -> StyleGenerator | None:
    """Load the generator that the training begins with, if it begins with one."""
    if not args.pretrained_model_name_or_path:
        return None
    return StyleGenerator.from_pretrained(
        locate_style(args.pretrained_model_name_or_path), subfolder="generator", dtype=torch.float32
    )


def make_networks(
    args: TrainingArguments, examples: FaceSet, start: StyleGenerator | None
) -> step.Networks:
    """Build G, F, D and the aligner, whose template becomes the mean face of the style."""
    generator = (start or StyleGenerator(StyleGeneratorConfig())).train()
    painter = make_painter(args, examples, start)
    if args.noise_channels is not None:
        generator = generator.with_noise(args.noise_channels)
    check_noise(args, generator)
    aligner = TPSAligner(TPSAlignerConfig(region_size=args.resolution // 4))
    aligner.template.data.copy_(data.template_of(examples))
    local = args.local_adversarial_weight > 0
    inverse, discriminator = networks.make_networks(args.training_networks, local=local)
    content = ContentNetwork.from_file(args.content_network) if args.content_network else None
    contrast = PatchContrast(generator.config.channels) if args.contrast_weight else None
    return step.Networks(generator, inverse, discriminator, aligner, content, contrast, painter)


def save_style(
    args: TrainingArguments,
    generator: StyleGenerator,
    aligner: TPSAligner,
    facts: StyleFacts,
    base: str | None = None,
    photos: FaceSet | None = None,
) -> None:
    """Write the finished style with its facts, pictures and card, and upload it if asked to.

    A few of the photos go along, for exports to int8, if their licence lets them.
    """
    folder = Path(args.output_dir) / "style"
    pipe = TPSPortraitPipeline(generator, aligner, PortraitImageProcessor(args.resolution))
    pipe.style, pipe.base = args.style, base
    pipe.save_pretrained(folder)
    if photos is not None:
        carried = save_calibration(
            folder, list(photos.images), photos.rows, args.calibration_photos
        )
        if carried:
            private = sum(not may_travel(row) for row in photos.rows)
            logger.info(
                "%d photos with their credits go along for calibration; %d name no licence to pass "
                "them on, and stay out",
                len(carried),
                private,
            )
        else:
            logger.info(
                "No photo goes along for calibration: metadata.jsonl names no licence to pass one "
                "on (CC0, public domain; CC BY with a source). Name it there, or give photos to "
                "each export to int8: tps-portrait export --calibration FOLDER"
            )
    samples = [Sample(path.name, path.stem) for path in pipe.save_pictures(folder)]
    write_card(folder, replace(facts, samples=samples))
    logger.info("The style is in %s", folder)
    if args.push_to_hub:
        try:
            pipe.push_to_hub(args.hub_model_id, token=args.hub_token, folder=folder)
        except TPSPortraitError as error:
            raise OutputError(
                f"The style is in {folder}, but was not uploaded to {args.hub_model_id}: {error}"
            ) from error


def train(args: TrainingArguments) -> None:
    """Train the style that the options describe."""
    output, checkpoints = Path(args.output_dir), Path(args.output_dir) / "checkpoints"
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level="INFO")
    logging.getLogger("accelerate").setLevel("WARNING")
    resumed = checkpoint.find_checkpoint(args.resume_from_checkpoint, checkpoints)
    trackers = tracking.make_trackers(args.report_to, output)
    precision = usable_precision(args.mixed_precision, PartialState(cpu=args.cpu).device)
    accelerator = Accelerator(
        cpu=args.cpu,
        mixed_precision=precision,
        gradient_accumulation_steps=args.gradient_accumulation_steps,
        log_with=trackers,
        project_config=ProjectConfiguration(project_dir=str(output)),
        # Seedable, so that a resumed epoch keeps its order; seeded, so that all processes share it.
        dataloader_config=DataLoaderConfiguration(use_seedable_sampler=True, data_seed=args.seed),
    )
    set_seed(args.seed, device_specific=True)

    photos, examples, validation, counted = load_domains(args)
    logger.info("%d photos, %d style examples", len(photos), len(examples))
    dataset = data.PairDataset(photos, examples, pair_fraction=args.pair_fraction, seed=args.seed)
    loader = DataLoader(
        dataset,
        batch_size=args.train_batch_size,
        shuffle=True,
        drop_last=len(dataset) >= args.train_batch_size,
        num_workers=args.dataloader_num_workers,
        # Its own generator: the global one would be advanced by every new epoch.
        generator=torch.Generator().manual_seed(args.seed),
    )
    start = load_start(args)
    nets = make_networks(args, examples, start)
    kept = StartWeights(start, nets.generator, args.start_share) if args.start_share else None
    base = base_of(args.pretrained_model_name_or_path)
    if accelerator.device.type == "cpu":
        for net in (nets.generator, nets.inverse, nets.discriminator):
            net.to(memory_format=torch.channels_last)
    progress, started = checkpoint.Progress(), time.monotonic()
    ema = EMAModel(
        nets.generator.parameters(), decay=args.ema_decay, use_ema_warmup=True, power=0.75
    )

    betas = (args.adam_beta1, args.adam_beta2)
    drawers = [*nets.generator.parameters(), *nets.inverse.parameters()]
    if nets.contrast is not None:
        drawers += nets.contrast.parameters()
    judges = list(nets.discriminator.parameters())
    optimizer_g = torch.optim.Adam(drawers, lr=args.learning_rate, betas=betas)
    optimizer_d = torch.optim.Adam(judges, lr=args.discriminator_learning_rate, betas=betas)
    # D does not step while G only learns to repeat photos.
    scheduler_g, scheduler_d = (
        get_scheduler(
            args.lr_scheduler,
            optimizer,
            num_warmup_steps=args.lr_warmup_steps * accelerator.num_processes,
            num_training_steps=max(1, steps) * accelerator.num_processes,
        )
        for optimizer, steps in (
            (optimizer_g, args.max_train_steps),
            (optimizer_d, args.max_train_steps - args.reconstruction_steps),
        )
    )
    nets.aligner.to(accelerator.device)
    if nets.content is not None:
        nets.content.to(accelerator.device)
    if nets.painter is not None:
        nets.painter = nets.painter.to(accelerator.device)
    nets.generator, nets.inverse, nets.discriminator = accelerator.prepare(
        nets.generator, nets.inverse, nets.discriminator
    )
    trained = [nets.generator, nets.inverse, nets.discriminator]
    if nets.contrast is not None:
        nets.contrast = accelerator.prepare(nets.contrast)
        trained.append(nets.contrast)
    optimizer_g, optimizer_d, scheduler_g, scheduler_d, loader = accelerator.prepare(
        optimizer_g, optimizer_d, scheduler_g, scheduler_d, loader
    )
    progress.seconds = time.monotonic() - started
    accelerator.register_for_checkpointing(ema, progress)
    accelerator.init_trackers("tps_portrait", config=args.loggable())
    if resumed is not None:
        checkpoint.load_checkpoint(accelerator, resumed)
        checkpoint.set_learning_rate(optimizer_g, scheduler_g, args.learning_rate)
        checkpoint.set_learning_rate(optimizer_d, scheduler_d, args.discriminator_learning_rate)
        logger.info("Resumed from %s at step %d", resumed, progress.step)
    ema.to(accelerator.device)
    for tracker in trackers:
        if isinstance(tracker, tracking.JSONLTracker) and accelerator.is_main_process:
            tracker.rewind(progress.step)

    augment_photos = PhotoAugmentation(args.photo_augmentation, distance=args.distance)
    augment_judged = DiscriminatorAugmentation(
        args.discriminator_augmentation, args.discriminator_colour
    )
    shown = batches.validation_batch(validation or photos, examples, accelerator.device)
    generator, inverse, discriminator = map(
        accelerator.unwrap_model, (nets.generator, nets.inverse, nets.discriminator)
    )
    plain = step.Networks(generator, inverse, discriminator, nets.aligner)
    # Frozen under DDP, D would leave the reducer waiting for gradients: G is judged by the plain D.
    judged = replace(nets, discriminator=discriminator)

    def optimise(
        terms: step.Terms, optimizer: Any, scheduler: Any, parameters: list[Any], who: str
    ) -> None:
        if not terms:
            return
        accelerator.backward(step.weighted_sum(terms, args))
        if accelerator.sync_gradients:
            norm = accelerator.clip_grad_norm_(parameters, args.max_grad_norm)
            # With fp16 the gradient scaler skips a step that overflows.
            if norm is not None and precision != "fp16":
                divergence.check_gradients(norm, who)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()

    def finish_weights() -> None:
        ema.copy_to(generator.parameters())
        if kept is not None:
            kept.mix_into_(generator)

    def show_samples() -> None:
        ema.store(generator.parameters())
        finish_weights()
        image = tracking.sample_grid(plain, shown)
        ema.restore(generator.parameters())
        tracking.log_image(accelerator.trackers, image, progress.step, output / "samples")

    unlogged: dict[str, torch.Tensor] = {}
    started = time.monotonic() - progress.seconds
    hidden = not accelerator.is_local_main_process
    bar = tqdm(total=args.max_train_steps, initial=progress.step, disable=hidden)
    while progress.step < args.max_train_steps:
        loader.set_epoch(progress.epoch)
        dataset.set_epoch(progress.epoch)
        for rows in skip_first_batches(loader, progress.batch) if progress.batch else loader:
            warming_up = progress.step < args.reconstruction_steps
            with accelerator.accumulate(*trained):
                batch = batches.to_batch(rows, augment_photos)
                d_terms: step.Terms = {}
                if warming_up:
                    with accelerator.autocast():
                        terms = step.reconstruction_terms(nets, batch, args)
                else:
                    with accelerator.autocast():
                        drawings = step.draw(nets, batch, args, progress.step)
                        d_terms = step.discriminator_terms(
                            nets, batch, drawings, args, augment_judged
                        )
                    optimise(d_terms, optimizer_d, scheduler_d, judges, "the discriminators")
                    # Gradients left in D by G's step would not be in a checkpoint.
                    discriminator.requires_grad_(False)
                    with accelerator.autocast():
                        terms = step.generator_terms(judged, batch, drawings, args, augment_judged)
                optimise(terms, optimizer_g, scheduler_g, drawers, "the generators")
                discriminator.requires_grad_(True)
            progress.batch += 1
            if not accelerator.sync_gradients:
                continue
            ema.step(generator.parameters())
            # Terms of every few steps would miss the steps that are logged.
            unlogged |= {k: v.detach() for k, v in {**terms, **d_terms}.items()}
            progress.step += 1
            bar.update()
            if progress.step % args.logging_steps == 0 or progress.step == args.max_train_steps:
                values = {k: float(v) for k, v in unlogged.items()}
                unlogged.clear()
                progress.losses.update(values)
                rate = scheduler_g.get_last_lr()[0]
                accelerator.log({**values, "learning_rate": rate}, step=progress.step)
                bar.set_postfix({k: f"{v:.2f}" for k, v in values.items() if k in _SHOWN})
            if progress.step % args.checkpointing_steps == 0:
                divergence.check_weights([*drawers, *judges])
                progress.seconds = time.monotonic() - started
                checkpoint.save_checkpoint(
                    accelerator, checkpoints, progress.step, args.checkpoints_total_limit
                )
            if progress.step % args.validation_steps == 0 and accelerator.is_main_process:
                show_samples()
            if progress.step >= args.max_train_steps:
                break
        else:
            progress.epoch, progress.batch = progress.epoch + 1, 0
    bar.close()

    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        divergence.check_weights(drawers)
        if progress.step % args.validation_steps:
            show_samples()
        finish_weights()
        facts = StyleFacts(
            style=args.style,
            license=args.license,
            examples=counted[:1],
            photos=counted[1:],
            steps=progress.step,
            resolution=args.resolution,
            batch_size=args.photos_per_step * accelerator.num_processes,
            seed=args.seed,
            precision=precision,
            hardware=hardware_name(accelerator.device, accelerator.num_processes),
            seconds=time.monotonic() - started,
            parameters=generator.num_parameters(),
            losses=progress.losses,
            weights=args.loss_weights(),
            options=args.changed_options(),
            history=history_from(args.pretrained_model_name_or_path),
            credits=tuple(dict.fromkeys(examples.credits + photos.credits)),
            hub_id=args.hub_model_id,
        )
        generator = accelerator.unwrap_model(nets.generator, keep_fp32_wrapper=False)
        networks.save_networks(output / "networks", inverse, discriminator)
        save_style(args, generator, nets.aligner, facts, base, photos)
    accelerator.end_training()


def main() -> None:
    """Run the training that the command line describes."""
    args = parse_training_arguments()
    try:
        train(args)
    except TrainingDivergedError as error:
        kept = checkpoint.list_checkpoints(Path(args.output_dir) / "checkpoints")
        last = f"The last checkpoint is {kept[-1]}." if kept else "No checkpoint was written yet."
        raise TrainingDivergedError(f"{error} {last}") from error


if __name__ == "__main__":
    try:
        main()
    except TPSPortraitError as error:
        raise SystemExit(f"error: {error}") from error
