"""Train a portrait style from about 100 example pictures and a folder of photos.

    accelerate launch examples/train.py --config examples/configs/animation.yaml

The loop is all here; its pieces (data, losses, one step, checkpoints, tracking) are in
`tps_portrait.training`. The finished style is a folder that `TPSPortraitPipeline.from_pretrained`
loads, at `<output_dir>/style`.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path

import torch
from accelerate import Accelerator, DataLoaderConfiguration, skip_first_batches
from accelerate.logging import get_logger
from accelerate.utils import ProjectConfiguration, set_seed
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from tps_portrait import (
    PortraitDiscriminator,
    PortraitDiscriminatorConfig,
    StyleGenerator,
    StyleGeneratorConfig,
    TPSAligner,
    TPSAlignerConfig,
    TPSPortraitError,
    TPSPortraitPipeline,
)
from tps_portrait.training import step as training_step
from tps_portrait.training.arguments import TrainingArguments, parse_training_arguments
from tps_portrait.training.augment import DiscriminatorAugmentation, PhotoAugmentation
from tps_portrait.training.checkpoint import Progress, find_checkpoint, save_checkpoint
from tps_portrait.training.data import (
    FaceSet,
    PairDataset,
    load_faces,
    template_of,
    to_float,
)
from tps_portrait.training.tracking import log_image, make_trackers, sample_grid

logger = get_logger(__name__)


def load_domains(args: TrainingArguments) -> tuple[FaceSet, FaceSet, FaceSet | None]:
    """Read photos, style examples and, where given, validation photos."""
    columns = {"image_column": args.image_column, "landmarks_column": args.landmarks_column}
    examples = load_faces(
        args.train_data_dir or args.dataset_name,
        args.resolution,
        name=args.dataset_config_name,
        limit=args.max_train_samples,
        **columns,
    )
    sources = [*args.photo_data_dir, *filter(None, [args.photo_dataset_name])]
    parts = [load_faces(source, args.resolution, **columns) for source in sources]
    photos = parts[0]
    for part in parts[1:]:
        photos = photos + part
    validation = None
    if args.validation_data_dir:
        validation = load_faces(args.validation_data_dir, args.resolution, limit=8, **columns)
    return photos, examples, validation


def make_networks(args: TrainingArguments, examples: FaceSet) -> training_step.Networks:
    """Build G, F, D and the aligner, whose template becomes the mean face of the style."""
    if args.pretrained_model_name_or_path:
        generator = StyleGenerator.from_pretrained(
            args.pretrained_model_name_or_path, subfolder="generator", dtype=torch.float32
        ).train()
    else:
        generator = StyleGenerator(StyleGeneratorConfig())
    # F is thrown away after training: half the width is enough to bring a face back.
    inverse = StyleGenerator(StyleGeneratorConfig(channels=(24, 32, 64, 96), bottleneck_blocks=1, head_channels=40))
    aligner = TPSAligner(TPSAlignerConfig(region_size=args.resolution // 4))
    aligner.template.data.copy_(template_of(examples))
    discriminator = PortraitDiscriminator(PortraitDiscriminatorConfig())
    return training_step.Networks(generator, inverse, discriminator, aligner)


def to_batch(rows: dict[str, torch.Tensor], augment: PhotoAugmentation) -> training_step.Batch:
    """Turn a collated batch into float pictures and augment the photos."""
    photo, landmarks = augment(
        to_float(rows["photo"]), rows["photo_landmarks"], rows["photo_mask"] / 255
    )
    example = to_float(rows["example"])
    return training_step.Batch(photo, landmarks, example, rows["example_landmarks"])


def validation_batch(
    photos: FaceSet, examples: FaceSet, device: torch.device, count: int = 4
) -> training_step.Batch:
    """Pick photos, each with the example that fits it best, for the sample grids."""
    chosen = torch.linspace(0, len(photos) - 1, min(count, len(photos))).round().long()
    subset = photos.take(chosen.tolist())
    partners = PairDataset(subset, examples, pair_fraction=1e-9).partners[:, 0] % len(examples)
    return training_step.Batch(
        to_float(subset.images).to(device),
        subset.landmarks.to(device),
        to_float(examples.images[partners]).to(device),
        examples.landmarks[partners].to(device),
    )


def main() -> None:
    """Run the training that the command line describes."""
    args = parse_training_arguments()
    output = Path(args.output_dir)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level="INFO")
    trackers = make_trackers(args.report_to, output)
    accelerator = Accelerator(
        cpu=args.cpu,
        mixed_precision=args.mixed_precision,
        gradient_accumulation_steps=args.gradient_accumulation_steps,
        log_with=trackers,
        project_config=ProjectConfiguration(project_dir=str(output)),
        # The order of a resumed epoch is the one of the interrupted run only with a seedable sampler.
        dataloader_config=DataLoaderConfiguration(use_seedable_sampler=True),
    )
    set_seed(args.seed, device_specific=True)

    photos, examples, validation = load_domains(args)
    logger.info("%d photos, %d style examples", len(photos), len(examples))
    dataset = PairDataset(
        photos, examples, pair_fraction=args.pair_fraction, seed=args.seed
    )
    loader = DataLoader(
        dataset,
        batch_size=args.train_batch_size,
        shuffle=True,
        drop_last=len(dataset) >= args.train_batch_size,
        num_workers=args.dataloader_num_workers,
        generator=torch.Generator().manual_seed(args.seed),
    )
    nets = make_networks(args, examples)
    if accelerator.device.type == "cpu":
        for net in (nets.generator, nets.inverse, nets.discriminator):
            net.to(memory_format=torch.channels_last)
    ema = EMAModel(nets.generator.parameters(), decay=args.ema_decay, use_ema_warmup=True, power=0.75)
    ema.to(accelerator.device)

    betas = (args.adam_beta1, args.adam_beta2)
    drawers = [*nets.generator.parameters(), *nets.inverse.parameters()]
    optimizer_g = torch.optim.Adam(drawers, lr=args.learning_rate, betas=betas)
    optimizer_d = torch.optim.Adam(
        nets.discriminator.parameters(), lr=args.discriminator_learning_rate, betas=betas
    )
    scheduler_g, scheduler_d = (
        get_scheduler(
            args.lr_scheduler,
            optimizer,
            num_warmup_steps=args.lr_warmup_steps * accelerator.num_processes,
            num_training_steps=args.max_train_steps * accelerator.num_processes,
        )
        for optimizer in (optimizer_g, optimizer_d)
    )
    nets.aligner.to(accelerator.device)
    (
        nets.generator,
        nets.inverse,
        nets.discriminator,
        optimizer_g,
        optimizer_d,
        scheduler_g,
        scheduler_d,
        loader,
    ) = accelerator.prepare(
        nets.generator,
        nets.inverse,
        nets.discriminator,
        optimizer_g,
        optimizer_d,
        scheduler_g,
        scheduler_d,
        loader,
    )
    progress = Progress()
    accelerator.register_for_checkpointing(ema, progress)
    accelerator.init_trackers("tps_portrait", config=args.loggable())

    if args.resume_from_checkpoint:
        checkpoint = find_checkpoint(args.resume_from_checkpoint, output / "checkpoints")
        if checkpoint is not None:
            accelerator.load_state(str(checkpoint))
            logger.info("Resumed from %s at step %d", checkpoint, progress.step)

    augment_photos = PhotoAugmentation(args.photo_augmentation)
    augment_judged = DiscriminatorAugmentation(args.discriminator_augmentation)
    shown = validation_batch(validation or photos, examples, accelerator.device)
    plain_generator = accelerator.unwrap_model(nets.generator)
    plain_discriminator = accelerator.unwrap_model(nets.discriminator)
    plain = training_step.Networks(
        plain_generator, accelerator.unwrap_model(nets.inverse), plain_discriminator, nets.aligner
    )
    # Frozen under DDP, D would leave the reducer waiting for gradients: G is judged by the plain D.
    judged = training_step.Networks(
        nets.generator, nets.inverse, plain_discriminator, nets.aligner
    )
    bar = tqdm(
        total=args.max_train_steps,
        initial=progress.step,
        disable=not accelerator.is_local_main_process,
        desc=args.style,
    )

    def show_samples() -> None:
        ema.store(plain_generator.parameters())
        ema.copy_to(plain_generator.parameters())
        image = sample_grid(plain, shown)
        ema.restore(plain_generator.parameters())
        log_image(accelerator.trackers, image, progress.step, output / "samples")

    first_epoch = progress.epoch
    batches = math.ceil(len(loader))
    for epoch in range(first_epoch, 10**9):
        progress.epoch = epoch
        if progress.batch >= batches:
            progress.batch = 0
            continue
        loader.set_epoch(epoch)
        dataset.set_epoch(epoch)
        rows_of_epoch = (
            skip_first_batches(loader, progress.batch)
            if epoch == first_epoch and progress.batch
            else loader
        )
        for rows in rows_of_epoch:
            with accelerator.accumulate(nets.generator, nets.inverse, nets.discriminator):
                batch = to_batch(rows, augment_photos)
                if progress.step < args.reconstruction_steps:
                    with accelerator.autocast():
                        terms = training_step.reconstruction_terms(nets, batch)
                    d_terms: training_step.Terms = {}
                else:
                    with accelerator.autocast():
                        drawings = training_step.draw(nets, batch, args, progress.step)
                        d_terms = training_step.discriminator_terms(
                            nets, batch, drawings, args, augment_judged
                        )
                    if d_terms:
                        accelerator.backward(training_step.weighted_sum(d_terms, args))
                        if accelerator.sync_gradients:
                            accelerator.clip_grad_norm_(
                                nets.discriminator.parameters(), args.max_grad_norm
                            )
                        optimizer_d.step()
                        scheduler_d.step()
                        optimizer_d.zero_grad()
                    plain_discriminator.requires_grad_(False)
                    with accelerator.autocast():
                        terms = training_step.generator_terms(
                            judged, batch, drawings, args, augment_judged
                        )
                accelerator.backward(training_step.weighted_sum(terms, args))
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(drawers, args.max_grad_norm)
                optimizer_g.step()
                scheduler_g.step()
                optimizer_g.zero_grad()
                plain_discriminator.requires_grad_(True)
            progress.batch += 1
            if not accelerator.sync_gradients:
                continue
            ema.step(plain_generator.parameters())
            progress.step += 1
            bar.update()
            if progress.step % args.logging_steps == 0:
                values = {k: float(v.detach()) for k, v in {**terms, **d_terms}.items()}
                accelerator.log(
                    {**values, "learning_rate": scheduler_g.get_last_lr()[0]}, step=progress.step
                )
                bar.set_postfix({k: f"{v:.2f}" for k, v in values.items() if k in _SHOWN})
            if progress.step % args.checkpointing_steps == 0:
                save_checkpoint(
                    accelerator,
                    output / "checkpoints",
                    progress.step,
                    args.checkpoints_total_limit,
                )
            if progress.step % args.validation_steps == 0 and accelerator.is_main_process:
                show_samples()
            if progress.step >= args.max_train_steps:
                break
        if progress.step >= args.max_train_steps:
            break
        progress.batch = 0
    bar.close()

    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        show_samples()
        ema.copy_to(plain_generator.parameters())
        pipe = TPSPortraitPipeline(plain_generator, nets.aligner)
        pipe.save_pretrained(output / "style")
        logger.info("The style is in %s", output / "style")
        if args.push_to_hub:
            pipe.push_to_hub(args.hub_model_id, token=args.hub_token)
    accelerator.end_training()


_SHOWN = ("global", "local", "d_global", "d_local", "anchor", "reconstruction")

if __name__ == "__main__":
    try:
        main()
    except TPSPortraitError as error:
        raise SystemExit(f"error: {error}") from error
