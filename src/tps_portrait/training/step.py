"""One training step, as functions of networks and a batch; the loop only calls and steps.

Notation of arXiv 2211.15549: photo x with landmarks p, style example y with landmarks q, T(a→b) the
spline that moves a onto b, G photo to style, F style to photo, W a random smooth deformation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..models.aligner import TPSAligner
from ..models.generator import StyleGenerator
from ..ops.tps import resize_grid, warp
from . import losses
from .abstraction import simplify_photo
from .arguments import TrainingArguments
from .augment import DiscriminatorAugmentation, random_deformation, random_gradients
from .content import ContentNetwork, content_loss
from .contrast import contrast_loss
from .divergence import diverged
from .mouths import same_mouth
from .networks import unwrap_model
from .painting import Painter
from .pupils import locate_pupils
from .texture import marks, texture_loss

# Side of the pictures without detail, in pixels: enough that most is far from their borders.
_PLAIN_SIDE = 192


@dataclass
class Networks:
    """What a step needs; G, F, D and the heads of the contrast may be wrapped by Accelerate."""

    generator: nn.Module
    inverse: nn.Module
    discriminator: nn.Module
    aligner: TPSAligner
    content: ContentNetwork | None = None
    contrast: nn.Module | None = None
    painter: Painter | None = None


@dataclass
class Batch:
    """Photos and examples `(B, 3, R, R)` in [-1, 1] with landmarks `(B, 68, 2)` in [-1, 1].

    `reference` is the photo before its light was changed, whose content and colours the drawing
    shall keep; the photo itself if not given.
    """

    photo: Tensor
    photo_landmarks: Tensor
    example: Tensor
    example_landmarks: Tensor
    reference: Tensor | None = None


@dataclass
class Drawings:
    """Everything G and F made of a batch, with gradients, and the real pictures beside it."""

    drawn: Tensor
    aligned_example: Tensor | None = None
    aligned_visible: Tensor | None = None
    aligned_regions: dict[str, Tensor] = field(default_factory=dict)
    unaligned: Tensor | None = None
    photo_returned: Tensor | None = None
    photo_visible: Tensor | None = None
    example_returned: Tensor | None = None
    example_visible: Tensor | None = None
    example_drawn: Tensor | None = None
    drawn_warped: Tensor | None = None
    warped_drawn: Tensor | None = None
    plain_drawn: Tensor | None = None
    compare_content: bool = False
    compare_texture: bool = False


Terms = dict[str, Tensor]


def draw(nets: Networks, batch: Batch, args: TrainingArguments, step: int) -> Drawings:
    """Run G and F on a batch.

    Args:
        nets: the networks.
        batch: photos and examples.
        args: weights and intervals; terms of weight 0 are not computed.
        step: number of the step, for the terms that are computed every N steps only.
    """
    x, p, y, q = batch.photo, batch.photo_landmarks, batch.example, batch.example_landmarks
    aligner, size = nets.aligner, (x.shape[-2], x.shape[-1])
    result = Drawings(drawn=nets.generator(x))
    result.compare_content = bool(args.content_weight) and step % args.content_every == 0
    result.compare_texture = bool(args.texture_weight) and step % args.texture_every == 0

    @cache
    def to_photo() -> Tensor:
        with torch.no_grad():
            return aligner.grid(q, p, size)

    with torch.no_grad():
        if args.global_adversarial_weight or result.compare_texture:
            result.aligned_example, result.aligned_visible = y, torch.ones_like(y[:, :1])
            if args.pixel_alignment:
                result.aligned_example = warp(y, to_photo())
                result.aligned_visible = _visible(to_photo())
        if args.local_adversarial_weight or args.pattern_weight:
            result.aligned_regions = (
                aligner.align_regions(y, q, p, _gazes(batch) if args.pattern_weight else None)
                if args.local_alignment
                else aligner.crop_regions(y, q)
            )
    if args.invariance_weight and step % args.invariance_every == 0:
        grid = random_deformation(len(x), size, device=x.device)
        result.drawn_warped = nets.generator(warp(x, grid), noise=warped_noise(nets, grid))
        result.warped_drawn = warp(result.drawn, grid)
    if args.grid_weight:
        plain = random_gradients(1, min(size[0], _PLAIN_SIDE), device=x.device)
        result.plain_drawn = nets.generator(plain)
    if args.contrast_weight:
        result.example_drawn = nets.generator(y)
    if step % args.unaligned_every:
        return result
    if not args.feature_alignment:
        if args.cycle_weight:
            # Nothing is unaligned then: the global term already judges this drawing.
            result.photo_returned = nets.inverse(result.drawn)
            result.example_returned = nets.generator(nets.inverse(y))
            result.photo_visible = result.example_visible = torch.ones_like(x[:, :1])
    elif args.unaligned_adversarial_weight or args.cycle_weight:
        with torch.no_grad():
            to_example = aligner.grid(p, q, size)
        result.unaligned = nets.generator(x, to_example)
        if args.cycle_weight:
            result.photo_returned = nets.inverse(result.unaligned, to_photo())
            result.photo_visible = _visible(to_photo())
            result.example_returned = nets.generator(nets.inverse(y, to_photo()), to_example)
            result.example_visible = _visible(to_example)
    return result


def reconstruction_terms(nets: Networks, batch: Batch, args: TrainingArguments) -> Terms:
    """Warm-up: G repeats the smoothed photo, F the photo, so that both start from a face.

    With `abstraction` G repeats what it is compared with later, the photo in patches. With `washes`
    or `strokes` that is the photo in these: what is faint and fine counts once more, edges and
    layers do by their content, and nothing may be tied to the pixel grid.
    """
    wanted = _wanted(nets, batch, args)
    if not args.abstraction and nets.painter is None:
        wanted = losses.smooth_regions(wanted)
    drawn = nets.generator(batch.photo)
    terms = {
        "reconstruction": F.l1_loss(drawn, wanted),
        "reconstruction_inverse": F.l1_loss(nets.inverse(wanted), batch.photo),
    }
    if nets.painter is not None:
        terms["marks"] = F.l1_loss(marks(drawn), marks(wanted))
        if args.grid_weight:
            terms["grid"] = losses.grid_loss(drawn)
        if nets.content is not None and args.content_weight:
            terms["content"] = content_loss(
                nets.content, drawn, wanted, {}, {}, args.content_pooling
            )
    return terms


def discriminator_terms(
    nets: Networks,
    batch: Batch,
    drawings: Drawings,
    args: TrainingArguments,
    augment: DiscriminatorAugmentation,
) -> Terms:
    """Losses of the discriminators, by name, unweighted."""
    terms: Terms = {}
    judge = nets.discriminator
    if args.global_adversarial_weight and drawings.aligned_example is not None:
        real = _seen(drawings.aligned_example, drawings)
        real = real.detach().requires_grad_(args.r1_weight > 0)
        real_logits = judge(augment(real))["global"]
        fake_logits = judge(augment(_seen(drawings.drawn.detach(), drawings)))["global"]
        terms["d_global"] = losses.discriminator_hinge(real_logits, fake_logits)
        if args.r1_weight:
            terms["d_r1"] = losses.r1_penalty(real_logits, real)
    if args.local_adversarial_weight:
        drawn = nets.aligner.crop_regions(drawings.drawn.detach(), batch.photo_landmarks)
        regions = {
            name: crop.detach().requires_grad_(args.r1_weight > 0)
            for name, crop in drawings.aligned_regions.items()
        }
        logits = judge(parts=augment.recolour(regions))
        drawn_logits = judge(parts=augment.recolour(drawn))
        terms["d_local"] = losses.over_regions(losses.discriminator_hinge, logits, drawn_logits)
        if args.r1_weight:
            terms["d_r1_local"] = losses.over_regions(losses.r1_penalty, logits, regions)
    if drawings.unaligned is not None and args.unaligned_adversarial_weight:
        drawn_unaligned = drawings.unaligned.detach()
        terms["d_unaligned"] = losses.discriminator_hinge(
            judge(augment(batch.example))["global"], judge(augment(drawn_unaligned))["global"]
        )
        if args.local_adversarial_weight:
            regions, drawn = (
                nets.aligner.crop_regions(pictures, batch.example_landmarks)
                for pictures in (batch.example, drawn_unaligned)
            )
            terms["d_unaligned_local"] = losses.over_regions(
                losses.discriminator_hinge,
                judge(parts=augment.recolour(regions)),
                judge(parts=augment.recolour(drawn)),
            )
    return terms


def generator_terms(
    nets: Networks,
    batch: Batch,
    drawings: Drawings,
    args: TrainingArguments,
    augment: DiscriminatorAugmentation,
) -> Terms:
    """Losses of G and F, by name, unweighted."""
    terms: Terms = {}
    judge = nets.discriminator
    if args.global_adversarial_weight:
        terms["global"] = losses.generator_hinge(
            judge(augment(_seen(drawings.drawn, drawings)))["global"]
        )
    anchored = bool(args.anchor_weight and args.anchor_chroma)
    compared = nets.content is not None and drawings.compare_content
    crops, seen = {}, {}
    if args.local_adversarial_weight or args.pattern_weight or anchored or compared:
        crops = nets.aligner.crop_regions(drawings.drawn, batch.photo_landmarks)
    if args.local_adversarial_weight:
        logits = judge(parts=augment.recolour(crops))
        terms["local"] = losses.over_regions(losses.generator_hinge, logits)
    if args.pattern_weight:
        masks = nets.aligner.feature_masks(batch.photo_landmarks)
        # A closed mouth says nothing of where teeth are, nor an open one of closed lips.
        alike = same_mouth(batch.photo_landmarks, batch.example_landmarks).to(crops["mouth"])
        masks["mouth"] = masks["mouth"] * alike[:, None, None, None]
        terms["pattern"] = losses.pattern_loss(crops, drawings.aligned_regions, masks)
    if drawings.unaligned is not None and args.unaligned_adversarial_weight:
        terms["unaligned"] = losses.generator_hinge(judge(augment(drawings.unaligned))["global"])
        if args.local_adversarial_weight:
            cut = nets.aligner.crop_regions(drawings.unaligned, batch.example_landmarks)
            logits = judge(parts=augment.recolour(cut))
            terms["unaligned_local"] = losses.over_regions(losses.generator_hinge, logits)
    if drawings.photo_returned is not None and drawings.photo_visible is not None:
        mask = drawings.photo_visible
        terms["cycle"] = losses.cycle_loss(drawings.photo_returned * mask, batch.photo * mask)
    if drawings.example_returned is not None and drawings.example_visible is not None:
        mask = drawings.example_visible
        terms["cycle_example"] = losses.cycle_loss(
            drawings.example_returned * mask, batch.example * mask
        )
    if drawings.drawn_warped is not None and drawings.warped_drawn is not None:
        terms["invariance"] = losses.invariance_loss(drawings.drawn_warped, drawings.warped_drawn)
    if nets.contrast is not None and drawings.example_drawn is not None:
        heads, encoder = nets.contrast, nets.generator
        terms["contrast"] = contrast_loss(heads, encoder, drawings.drawn, batch.photo)
        terms["contrast_example"] = contrast_loss(
            heads, encoder, drawings.example_drawn, batch.example
        )
    if args.anchor_weight or args.evenness_weight or compared:
        reference = _wanted(nets, batch, args)
    if args.anchor_weight:
        terms["anchor"] = losses.anchor_loss(
            drawings.drawn, reference, args.anchor_luma, args.anchor_chroma
        )
    if anchored or compared:
        seen = nets.aligner.crop_regions(reference, batch.photo_landmarks)
    if anchored:
        colours = losses.region_colour_loss(crops, seen)
        terms["anchor"] = terms["anchor"] + args.anchor_chroma * colours
    if args.evenness_weight:
        terms["evenness"] = losses.evenness_loss(drawings.drawn, reference)
    if args.grid_weight:
        terms["grid"] = losses.grid_loss(drawings.drawn)
        if drawings.plain_drawn is not None:
            terms["grid"] = terms["grid"] + losses.grid_loss(drawings.plain_drawn)
    if nets.content is not None and drawings.compare_texture:
        example, visible = drawings.aligned_example, drawings.aligned_visible
        if example is not None and visible is not None:
            terms["texture"] = texture_loss(nets.content, drawings.drawn, example, visible)
    if nets.content is not None and drawings.compare_content:
        terms["content"] = content_loss(
            nets.content, drawings.drawn, reference, crops, seen, args.content_pooling
        )
    return terms


def weighted_sum(terms: Terms, args: TrainingArguments) -> Tensor:
    """Add the terms with their weights.

    Args:
        terms: scalars by name, at least one.
        args: the weights.

    Raises:
        TrainingDivergedError: a term is NaN, infinite, or above 1e4; the message names it.
    """
    weights = {
        "global": args.global_adversarial_weight,
        "local": args.local_adversarial_weight,
        "unaligned": args.unaligned_adversarial_weight,
        "unaligned_local": args.unaligned_adversarial_weight * args.local_adversarial_weight,
        "cycle": args.cycle_weight,
        "cycle_example": args.cycle_weight,
        # The mean of the two, as in CUT.
        "contrast": args.contrast_weight / 2,
        "contrast_example": args.contrast_weight / 2,
        "invariance": args.invariance_weight,
        "anchor": args.anchor_weight,
        "content": args.content_weight,
        "pattern": args.pattern_weight,
        "texture": args.texture_weight,
        "evenness": args.evenness_weight,
        "grid": args.grid_weight,
        "d_r1": args.r1_weight,
        "d_r1_local": args.r1_weight,
        "reconstruction": 10.0,
        "reconstruction_inverse": 10.0,
        "marks": 10.0,
    }
    for name, value in terms.items():
        if not torch.isfinite(value) or value.abs() > 1e4:
            raise diverged(f"The loss {name!r} became {value.item():g}.")
    return torch.stack([weights.get(name, 1.0) * value for name, value in terms.items()]).sum()


@torch.no_grad()
def _wanted(nets: Networks, batch: Batch, args: TrainingArguments) -> Tensor:
    """What drawings keep content and colours of: the photo in even light, simplified or painted."""
    photo, landmarks = _lit(batch), batch.photo_landmarks
    reference = photo if args.anchor_chroma else losses.grey(photo)
    if args.abstraction:
        reference = simplify_photo(reference, landmarks, args.abstraction)
    if nets.painter is not None:
        noise = _own_noise(nets, photo.shape[-2] // 4, photo.shape[-1] // 4)
        with torch.autocast(photo.device.type, enabled=False):
            # What convolutions round in half precision turns strokes and opens lines.
            reference = nets.painter.painted(reference, landmarks, noise, photo)
    return reference


def _gazes(batch: Batch) -> tuple[Tensor, Tensor]:
    """Pupils of the examples and of the photos in even light."""
    return (
        locate_pupils(batch.example, batch.example_landmarks),
        locate_pupils(_lit(batch), batch.photo_landmarks),
    )


def _lit(batch: Batch) -> Tensor:
    """The photo in even light."""
    return batch.photo if batch.reference is None else batch.reference


def _seen(pictures: Tensor, drawings: Drawings) -> Tensor:
    """Grey where the aligned example has nothing to show, so that its smeared edge is no model."""
    visible = drawings.aligned_visible
    return pictures if visible is None else pictures * visible


def warped_noise(nets: Networks, grid: Tensor) -> Tensor | None:
    """The generator's noise under a deformation of the photo: strokes move with it then."""
    noise = _own_noise(nets, grid.shape[1] // 4, grid.shape[2] // 4)
    if noise is None:
        return None
    size = (noise.shape[-2], noise.shape[-1])
    return warp(noise.expand(len(grid), -1, -1, -1), resize_grid(grid, size))


def _own_noise(nets: Networks, height: int, width: int) -> Tensor | None:
    generator = unwrap_model(nets.generator)
    if not isinstance(generator, StyleGenerator) or not generator.config.noise_channels:
        return None
    return generator.tiled_noise((height, width))


def _visible(grid: Tensor) -> Tensor:
    """1 where a sampling grid reads inside the picture, else 0: `(B, 1, H, W)`."""
    return (grid.abs().amax(-1) <= 1).float()[:, None]
