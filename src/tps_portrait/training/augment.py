"""Augmentation on batches: what makes 200 studio photos stand for the world, and 100 examples last.

All randomness comes from torch's global generator, whose state is in the checkpoint.
"""

from __future__ import annotations

import math

import kornia.augmentation as K
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops.landmarks import apply_affine, invert_affine
from ..ops.tps import fit_tps, tps_grid, warp


def random_similarity(
    images: Tensor, landmarks: Tensor, strength: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Turn, scale and shift pictures, with their landmarks.

    Args:
        images: `(B, C, H, W)`.
        landmarks: `(B, 68, 2)`, (x, y) in [-1, 1].
        strength: 1 turns by up to 12 degrees, scales by 0.85 to 1.2, and shifts by 0.1.

    Returns:
        Pictures and landmarks of the same shapes; what comes in from outside is mirrored.
    """
    count = images.shape[0]

    def spread(low: float, high: float) -> Tensor:
        return torch.empty(count, device=images.device).uniform_(low, high) * strength

    angle, scale = spread(-0.21, 0.21), spread(-0.16, 0.18).exp()
    cos, sin = angle.cos() * scale, angle.sin() * scale
    shift = torch.stack([spread(-0.1, 0.1), spread(-0.1, 0.1)], -1)
    forward = torch.stack(
        [torch.stack([cos, -sin, shift[:, 0]], -1), torch.stack([sin, cos, shift[:, 1]], -1)], 1
    )
    grid = F.affine_grid(invert_affine(forward), list(images.shape), align_corners=False)
    return warp(images, grid, padding_mode="reflection"), apply_affine(forward, landmarks)


def random_colour(photos: Tensor, strength: float = 1.0) -> Tensor:
    """Change saturation, exposure, contrast and tint; sometimes drop colour. The drawing follows.

    What a photo alone cannot tell must not be asked of a drawing: a network that shall undo every
    exposure draws dark skin lighter, fair skin darker and all colours duller than they are.

    Args:
        photos: `(B, 3, H, W)` in [-1, 1].
        strength: 0 to 1.

    Returns:
        `(B, 3, H, W)` in [-1, 1].
    """
    x = _exposed(photos, 0.35 * strength, 0.08 * strength, 0.2 * strength)
    saturation = 1 + 0.5 * _spread(photos, 1, 1, 1) * strength
    mono = (torch.rand(len(photos), 1, 1, 1, device=photos.device) < 0.1 * strength).float()
    grey = x.mean(1, keepdim=True)
    return (grey + (x - grey) * saturation * (1 - mono)).clamp(-1, 1)


def random_light(photos: Tensor, strength: float = 1.0) -> Tensor:
    """Change the direction of the light, its colour and strength a little. The drawing forgets it.

    Args:
        photos: `(B, 3, H, W)` in [-1, 1].
        strength: 0 to 1.

    Returns:
        `(B, 3, H, W)` in [-1, 1].
    """
    height, width = photos.shape[-2:]
    angle = _spread(photos, 1, 1, 1) * torch.pi
    ys = torch.linspace(-1, 1, height, device=photos.device).view(1, 1, -1, 1)
    xs = torch.linspace(-1, 1, width, device=photos.device).view(1, 1, 1, -1)
    towards = angle.cos() * xs + angle.sin() * ys
    side = towards * 0.5 * strength * _spread(photos, 1, 1, 1).clamp_min(0)
    lit = (photos + 1) * (1 + side) - 1
    return _exposed(lit, 0.15 * strength, 0.04 * strength, 0.1 * strength)


def _exposed(photos: Tensor, exposure: float, tint: float, contrast: float) -> Tensor:
    """Change exposure (by a power), tint and contrast at random, each up to its amount."""
    x = ((photos + 1) / 2).clamp_min(0) ** (exposure * _spread(photos, 1, 1, 1)).exp()
    x = x * (1 + tint * _spread(photos, 3, 1, 1))
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    x = mean + (x - mean) * (1 + contrast * _spread(photos, 1, 1, 1))
    return (x * 2 - 1).clamp(-1, 1)


def _spread(photos: Tensor, *shape: int) -> Tensor:
    """Numbers between -1 and 1 for each picture, `(B, *shape)`."""
    return torch.empty(len(photos), *shape, device=photos.device).uniform_(-1, 1)


def random_backgrounds(batch: int, size: tuple[int, int], device: torch.device) -> Tensor:
    """Make up backgrounds: soft and hard-edged noise at several scales, from plain to busy.

    Args:
        batch: number of pictures.
        size: (height, width).
        device: where they shall lie.

    Returns:
        `(batch, 3, H, W)` in [-1, 1].
    """
    colour = torch.empty(batch, 3, 1, 1, device=device).uniform_(-0.9, 0.9)
    grey = colour.mean(1, keepdim=True)
    saturation = torch.rand(batch, 1, 1, 1, device=device).square()
    result = (grey + (colour - grey) * saturation).expand(-1, -1, *size)
    for cells in (2, 4, 7, 13, 24):
        noise = torch.randn(batch, 3, cells, cells, device=device) * (2 / cells) ** 0.3
        grey = noise.mean(1, keepdim=True)
        noise = grey * 1.5 + (noise - grey) * 0.8 * saturation
        soft = F.interpolate(noise, size, mode="bicubic", align_corners=False)
        hard = F.interpolate(noise, size, mode="nearest")
        pick = (torch.rand(batch, 1, 1, 1, device=device) < 0.5).float()
        amount = torch.rand(batch, 1, 1, 1, device=device).square() * 0.5
        result = result + amount * (pick * soft + (1 - pick) * hard)
    return result.clamp(-1, 1)


def replace_background(photos: Tensor, masks: Tensor, probability: float = 0.6) -> Tensor:
    """Put people before other backgrounds, with a coloured garment where the matte ends.

    Args:
        photos: `(B, 3, H, W)` in [-1, 1].
        masks: `(B, 1, H, W)` in [0, 1], 1 on the person.
        probability: of a change, for each picture.

    Returns:
        `(B, 3, H, W)` in [-1, 1].
    """
    count, _, height, width = photos.shape
    device = photos.device
    scene = random_backgrounds(count, (height, width), device)
    ys = torch.linspace(-1, 1, height, device=device).view(1, 1, -1, 1)
    xs = torch.linspace(-1, 1, width, device=device).view(1, 1, 1, -1)
    wide = torch.empty(count, 1, 1, 1, device=device).uniform_(0.7, 1.1)
    high = torch.empty(count, 1, 1, 1, device=device).uniform_(0.2, 0.5)
    shoulders = ((xs / wide).square() + ((ys - 1.2) / high).square() < 1).float()
    dressed = (torch.rand(count, 1, 1, 1, device=device) < 0.7).float()
    cloth = torch.empty(count, 3, 1, 1, device=device).uniform_(-1, 0.9)
    scene = scene + shoulders * dressed * (cloth + 0.15 * (scene - scene.mean()) - scene)
    change = (torch.rand(count, 1, 1, 1, device=device) < probability).float()
    return photos + change * (1 - without_rim(masks)) * (scene - photos)


def without_rim(masks: Tensor) -> Tensor:
    """Tighten mattes: what is half a person only is background, whose light came with it.

    A rim of the studio's bright wall round every head taught drawings a glow.

    Args:
        masks: `(B, 1, H, W)` in [0, 1], 1 on the person.

    Returns:
        `(B, 1, H, W)` in [0, 1]; 0 and 1 stay what they are.
    """
    return ((masks - 0.5) / 0.45).clamp(0, 1)


def step_back(
    photos: Tensor, landmarks: Tensor, masks: Tensor, strength: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Let people stand farther off: smaller, at the foot of a made-up scene.

    Args:
        photos: `(B, 3, H, W)` in [-1, 1].
        landmarks: `(B, 68, 2)`, (x, y) in [-1, 1].
        masks: `(B, 1, H, W)` in [0, 1], 1 on the person. Without a matte (1 everywhere) a photo
            hangs in the scene as a picture.
        strength: 1 shrinks to 0.45 to 0.85 of the size.

    Returns:
        Pictures and landmarks of the same shapes.
    """
    count, _, height, width = photos.shape
    scale = 1 - torch.empty(count, device=photos.device).uniform_(0.15, 0.55) * strength
    aside = torch.empty(count, device=photos.device).uniform_(-0.9, 0.9) * (1 - scale)
    zero = torch.zeros_like(scale)
    forward = torch.stack(
        [torch.stack([scale, zero, aside], -1), torch.stack([zero, scale, 1 - scale], -1)], 1
    )
    grid = F.affine_grid(invert_affine(forward), list(photos.shape), align_corners=False)
    # Bilinear sampling skips pixels below half the size; a blur before stands for the camera's.
    soft = F.interpolate(
        F.interpolate(photos, scale_factor=0.5, mode="area"), (height, width), mode="bilinear"
    )
    near = ((0.6 - scale) / 0.15).clamp(0, 1).view(-1, 1, 1, 1)
    person = warp(photos + near * (soft - photos), grid)
    mask = warp(without_rim(masks), grid, padding_mode="zeros")
    scene = random_backgrounds(count, (height, width), photos.device)
    return scene + mask * (person - scene), apply_affine(forward, landmarks)


class PhotoAugmentation(nn.Module):
    """What happens to the photos of a batch before anything is drawn from them.

    Args:
        strength: 0 (nothing) to 1.
        backgrounds: probability of another background, where a photo has a matte.
        distance: probability that all people of a batch stand farther off.
    """

    def __init__(
        self, strength: float = 1.0, backgrounds: float = 0.6, distance: float = 0.0
    ) -> None:
        super().__init__()
        self.strength = strength
        self.distance = distance
        self.backgrounds = backgrounds
        self.camera = nn.Sequential(
            K.RandomGaussianBlur((5, 5), (0.3, 1.2), p=0.2 * strength),
            K.RandomGaussianNoise(std=0.04, p=0.25 * strength),
        )

    @torch.no_grad()
    def forward(
        self, photos: Tensor, landmarks: Tensor, masks: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Augment a batch.

        Args:
            photos: `(B, 3, H, W)` in [-1, 1].
            landmarks: `(B, 68, 2)` in [-1, 1].
            masks: `(B, 1, H, W)` in [0, 1].

        Returns:
            Photos and landmarks, of the same shapes, and the photos before the light
            was changed: what the drawing shall keep the content and the colours of.
        """
        if self.strength == 0:
            return photos, landmarks, photos
        photos = replace_background(photos, masks, self.backgrounds * self.strength)
        if self.distance and torch.rand(()) < self.distance:
            photos, landmarks = step_back(photos, landmarks, masks, self.strength)
        photos, landmarks = random_similarity(photos, landmarks, self.strength)
        even = random_colour(photos, self.strength)
        photos = self.camera(random_light(even, self.strength)).clamp(-1, 1)
        return photos, landmarks, even


class DiscriminatorAugmentation(nn.Module):
    """Differentiable augmentation of real and drawn pictures alike (Zhao et al., 2020).

    Geometry and light only a little: line belongs to the style, and colour unless told otherwise.

    Args:
        probability: of each change, for each picture.
        colour: probability of another hue and saturation. A discriminator that cannot rely on them
            lets the drawing keep colours that no example has, such as an orange suit.
    """

    def __init__(self, probability: float = 0.5, colour: float = 0.0) -> None:
        super().__init__()
        self.probability = probability
        self.colour = colour
        self.changes = nn.Sequential(
            K.RandomAffine(8.0, (0.06, 0.06), (0.9, 1.15), padding_mode=2, p=probability),
            K.RandomErasing((0.02, 0.12), (0.5, 2.0), value=0.0, p=0.5 * probability),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Change `(B, 3, H, W)` in [-1, 1]; gradients pass through."""
        pictures = random_hue(pictures, self.colour)
        if self.probability == 0:
            return pictures
        count = pictures.shape[0]
        changed: Tensor = self.changes(pictures)
        active = (torch.rand(count, 1, 1, 1, device=pictures.device) < self.probability).float()
        light = torch.empty(count, 1, 1, 1, device=pictures.device).uniform_(-0.15, 0.15)
        contrast = torch.empty(count, 1, 1, 1, device=pictures.device).uniform_(-0.15, 0.15)
        return changed * (1 + contrast * active) + light * active

    def recolour(self, crops: dict[str, Tensor]) -> dict[str, Tensor]:
        """Change colours only, of crops `(B, 3, s, s)` by name: their place is the point."""
        return {name: random_hue(crop, self.colour) for name, crop in crops.items()}


# RGB to luma, in-phase and quadrature (NTSC, 1953).
_YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))


def random_hue(pictures: Tensor, probability: float) -> Tensor:
    """Turn the hue by any angle and change the saturation by 0.3 to 1.5; luma stays.

    By any angle, since a judge learns where a narrower spread has its middle. Patches of another
    colour than their neighbours remain what they are.

    Args:
        pictures: `(B, 3, H, W)`; gradients pass through.
        probability: for each picture, in [0, 1].

    Returns:
        `(B, 3, H, W)`; values may leave [-1, 1].
    """
    if probability == 0:
        return pictures
    count, device = pictures.shape[0], pictures.device

    angle = torch.empty(count, device=device).uniform_(-math.pi, math.pi)
    saturation = torch.empty(count, device=device).uniform_(0.3, 1.5)
    change = (torch.rand(count, device=device) < probability).float()
    angle, saturation = angle * change, saturation**change
    to_yiq = torch.tensor(_YIQ, device=device)
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    cos, sin = angle.cos() * saturation, angle.sin() * saturation
    turn = torch.stack(
        [
            torch.stack([one, zero, zero], -1),
            torch.stack([zero, cos, -sin], -1),
            torch.stack([zero, sin, cos], -1),
        ],
        1,
    )
    mix = torch.linalg.inv(to_yiq) @ turn @ to_yiq
    return torch.einsum("bij,bjhw->bihw", mix.to(pictures.dtype), pictures)


def random_gradients(count: int, side: int, *, device: torch.device) -> Tensor:
    """Make pictures without any detail, in colours that few photos have: walls of all kinds.

    Args:
        count: how many.
        side: in pixels.
        device: where they are made.

    Returns:
        `(count, 3, side, side)` in [-1, 1]: nine random colours each, blended into each other.
    """
    colours = torch.rand(count, 3, 3, 3, device=device) * 2 - 1
    return F.interpolate(colours, (side, side), mode="bilinear", align_corners=True)


def random_deformation(
    batch: int, size: tuple[int, int], *, strength: float = 0.06, device: torch.device | None = None
) -> Tensor:
    """Sampling grid of a random smooth deformation W, for the deformation-invariance term.

    A spline through a 4x4 lattice of control points, each moved at random, with the corners of a
    slightly larger frame held.

    Args:
        batch: number of grids.
        size: (height, width).
        strength: standard deviation of the moves, in [-1, 1] units.
        device: where the grid shall lie.

    Returns:
        `(batch, H, W, 2)`, backward sampling grid in [-1, 1].
    """
    ticks = torch.linspace(-0.75, 0.75, 4, device=device)
    lattice = torch.stack(torch.meshgrid(ticks, ticks, indexing="xy"), -1).view(1, -1, 2)
    lattice = lattice.expand(batch, -1, -1)
    moved = lattice + torch.randn(batch, 16, 2, device=device) * strength
    corners = torch.tensor([[-1.2, -1.2], [1.2, -1.2], [-1.2, 1.2], [1.2, 1.2]], device=device)
    corners = corners.expand(batch, -1, -1)
    spline = fit_tps(torch.cat([lattice, corners], 1), torch.cat([moved, corners], 1))
    return tps_grid(spline, size)
