"""The TPS aligner: brings pictures, feature maps and face parts into another face's geometry."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from ...errors import LandmarkError
from ...ops.landmarks import PARTS, apply_affine, border_points, fit_similarity
from ...ops.mean_face import MEAN_FACE_68
from ...ops.tps import ThinPlateSpline, evaluate_tps, fit_tps, tps_grid, warp
from ..base import PortraitPreTrainedModel
from .configuration_aligner import TPSAlignerConfig

# Landmarks of each region that has a local discriminator (arXiv 2211.15549 aligns "locally"
# without naming the parts; these are ours). Brows go with their eye.
REGIONS: dict[str, tuple[int, ...]] = {
    "right_eye": (*range(17, 22), *range(36, 42)),
    "left_eye": (*range(22, 27), *range(42, 48)),
    "nose": (*range(27, 36),),
    "mouth": (*range(48, 60),),
}

# What in a region has the same make in every face, by the landmarks of its outline.
FEATURES: dict[str, tuple[int, ...]] = {
    "right_eye": PARTS["right_eye"],
    "left_eye": PARTS["left_eye"],
    "mouth": REGIONS["mouth"],
}

# Landmarks of the outer and the inner edge of the lips above and below the middle of the mouth.
_LIPS = ((50, 51, 52, 56, 57, 58), (61, 62, 63, 65, 66, 67))

_Method = TypeVar("_Method", bound=Callable[..., Any])


def _without_autocast(method: _Method) -> _Method:
    """Keep autocast from rounding coordinates to bfloat16, which moves them by a pixel and more."""

    @wraps(method)
    def exact(self: TPSAligner, *args: Any, **kwargs: Any) -> Any:
        with torch.autocast(self.template.device.type, enabled=False):
            return method(self, *args, **kwargs)

    return cast(_Method, exact)


class TPSAligner(PortraitPreTrainedModel):
    """Warps by thin-plate splines between 68-point faces.

    Landmarks are `(B, 68, 2)`, (x, y) in [-1, 1] of their picture, align_corners=False. Splines are
    fitted backwards, from the target to the source, since a sampling grid asks for each place of
    the output where it comes from.

    Outside the face the spline follows the similarity transform between the two faces
    (`frame="face"`), or leaves the frame of the picture where it is (`frame="picture"`).

    Attributes:
        template: `(68, 2)` parameter without gradient: the mean face of the style, toward which
            `exaggerate` moves a face. Starts as the mean photographed face.

    Source: arXiv 2211.15549, TPS alignment in pixel and feature space, global and local.
    """

    config: TPSAlignerConfig
    config_class = TPSAlignerConfig
    main_input_name = "image"

    def __init__(self, config: TPSAlignerConfig) -> None:
        super().__init__(config)
        self.template = nn.Parameter(torch.tensor(MEAN_FACE_68), requires_grad=False)
        self.post_init()

    @_without_autocast
    def spline(self, source: Tensor, target: Tensor, *, frame: str = "face") -> ThinPlateSpline:
        """Fit the backward spline: target places to source places.

        Args:
            source: `(B, 68, 2)` landmarks of the picture to be warped.
            target: `(B, 68, 2)` landmarks it shall have.
            frame: `face` or `picture`, see the class.

        Raises:
            LandmarkError: the landmarks are not `(B, 68, 2)`, not finite, or degenerate.
        """
        _check(source, "source")
        _check(target, "target")
        index = list(self.config.control_points)
        border = self._border(target)
        moved = border
        if frame == "face":
            moved = apply_affine(fit_similarity(target, source), border)
        return fit_tps(
            torch.cat([target[:, index], border], 1),
            torch.cat([source[:, index], moved], 1),
            self.config.regularization,
        )

    def grid(
        self, source: Tensor, target: Tensor, size: tuple[int, int], *, frame: str = "face"
    ) -> Tensor:
        """Return the backward sampling grid `(B, H, W, 2)` that moves `source` onto `target`.

        Args:
            source: `(B, 68, 2)` landmarks of the picture or feature map to be warped.
            target: `(B, 68, 2)` landmarks it shall have.
            size: (height, width) of the output.
            frame: `face` or `picture`, see the class.
        """
        return tps_grid(self.spline(source, target, frame=frame), size)

    def align(
        self, image: Tensor, source: Tensor, target: Tensor, *, frame: str = "face"
    ) -> Tensor:
        """Warp pictures or feature maps so that what is at `source` comes to `target`.

        The inverse alignment is the same call with `source` and `target` exchanged: it refits the
        spline the other way round.

        Args:
            image: `(B, C, H, W)`, any values.
            source: `(B, 68, 2)` landmarks of `image`.
            target: `(B, 68, 2)` landmarks of the result.
            frame: `face` or `picture`, see the class.

        Returns:
            `(B, C, H, W)`.
        """
        size = (image.shape[-2], image.shape[-1])
        return warp(image, self.grid(source, target, size, frame=frame))

    @_without_autocast
    def crop_regions(self, image: Tensor, landmarks: Tensor) -> dict[str, Tensor]:
        """Cut the face regions out upright, without bending them.

        Args:
            image: `(B, C, H, W)`.
            landmarks: `(B, 68, 2)` landmarks of `image`.

        Returns:
            Crops `(B, C, s, s)` by region name; s is `config.region_size`.
        """
        return {name: warp(image, self._region_grid(landmarks, name)) for name in REGIONS}

    @_without_autocast
    def align_regions(
        self,
        image: Tensor,
        source: Tensor,
        target: Tensor,
        pupils: tuple[Tensor, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Cut the regions of `image` out as they would look on the target face.

        Each region is bent by a spline of its own landmarks alone (local alignment), for a mouth
        the inner edges of its lips among them: closer at the part than the global spline, and
        sampled from the picture in one step. Between an open and a closed mouth it may fold.

        Args:
            image: `(B, C, H, W)`.
            source: `(B, 68, 2)` landmarks of `image`.
            target: `(B, 68, 2)` landmarks whose crops the result shall fit.
            pupils: `(B, 2, 2)` of `image` and of the target, the eye of landmarks 36 to 41 first:
                the aligned eyes then look where those of the target look.

        Returns:
            Crops `(B, C, s, s)` by region name, aligned with `crop_regions(…, target)`.
        """
        crops = {}
        for name in REGIONS:
            grid = self._region_grid(target, name)
            inside, outside = _control_points(target, name), _control_points(source, name)
            corners = grid[:, :: grid.shape[1] - 1, :: grid.shape[2] - 1].flatten(1, 2)
            similarity = fit_similarity(inside, outside)
            if pupils is not None and name.endswith("eye"):
                one = slice(0, 1) if name.startswith("right") else slice(1, 2)
                # The centre alone: an iris moved as a whole would tear the lids.
                inside = torch.cat([inside, pupils[1][:, one]], 1)
                outside = torch.cat([outside, pupils[0][:, one]], 1)
            # In units of the crop, or the stiffness would grow as the part gets smaller.
            middle = corners.mean(1, keepdim=True)
            unit = (corners - middle).norm(dim=-1).mean(1)[:, None, None].clamp_min(1e-6)
            spline = fit_tps(
                (torch.cat([inside, corners], 1) - middle) / unit,
                torch.cat([outside, apply_affine(similarity, corners)], 1),
                self.config.regularization,
            )
            places = (grid.flatten(1, 2) - middle) / unit
            crops[name] = warp(image, evaluate_tps(spline, places).view_as(grid))
        return crops

    @_without_autocast
    def feature_masks(self, landmarks: Tensor) -> dict[str, Tensor]:
        """Soft masks of the eyes and the lips, a little beyond them, in the crops of their regions.

        Args:
            landmarks: `(B, 68, 2)`.

        Returns:
            `(B, 1, s, s)` in [0, 1] by region name, aligned with `crop_regions(…, landmarks)`.
        """
        axes = _upright(landmarks)
        masks = {}
        for name, index in FEATURES.items():
            local = landmarks[:, list(index)] @ axes.transpose(1, 2)
            low, high = local.amin(1, keepdim=True), local.amax(1, keepdim=True)
            half = (high - low) / 2
            # A closed eye or mouth is a line: it gets the lids or lips beside it.
            floor = half[..., :1] * half.new_tensor([1.0, 0.35])
            half = torch.maximum(half, floor).clamp_min(1e-6)
            grid = self._region_grid(landmarks, name)
            places = grid.flatten(1, 2) @ axes.transpose(1, 2)
            radius = ((places - (low + high) / 2) / half).norm(dim=-1)
            masks[name] = ((1.5 - radius) / 0.3).clamp(0, 1).view(grid.shape[:3])[:, None]
        return masks

    def exaggerate(self, image: Tensor, landmarks: Tensor, strength: float = 1.0) -> Tensor:
        """Move a face toward the style's mean face; `geometry_strength` of the pipeline.

        The template is laid over the face by a similarity transform first, so that place, size and
        turn of the face stay, and the frame of the picture is held.

        Args:
            image: `(B, C, H, W)`.
            landmarks: `(B, 68, 2)` landmarks of `image`.
            strength: 0 leaves the face alone, 1 gives it the proportions of the template.

        Returns:
            `(B, C, H, W)`.
        """
        if strength == 0:
            return image
        target = self.exaggerated_landmarks(landmarks, strength)
        return self.align(image, landmarks, target, frame="picture")

    @_without_autocast
    def exaggerated_landmarks(self, landmarks: Tensor, strength: float) -> Tensor:
        """Return the landmarks `(B, 68, 2)` that `exaggerate` gives to a face."""
        _check(landmarks, "landmarks")
        template = self.template.to(landmarks).expand_as(landmarks)
        laid = apply_affine(fit_similarity(template, landmarks), template)
        return landmarks + strength * (laid - landmarks)

    def forward(self, image: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """Align pictures; the same as `align`."""
        return self.align(image, source, target)

    def _border(self, like: Tensor) -> Tensor:
        border = border_points(self.config.border_points, dtype=like.dtype, device=like.device)
        return border.expand(like.shape[0], -1, -1)

    def _region_grid(self, landmarks: Tensor, name: str) -> Tensor:
        """Sampling grid of an upright square around a region, as wide as its landmarks ask for."""
        points = landmarks[:, list(REGIONS[name])]
        axes = _upright(landmarks)
        local = points @ axes.transpose(1, 2)
        low, high = local.amin(1), local.amax(1)
        # A mouth is wide and flat; half the eye distance keeps a closed one from filling the crop.
        floor = 0.5 * _between_eyes(landmarks).norm(dim=-1)
        half = torch.maximum((high - low).amax(-1), floor) * (0.5 * self.config.region_margin)
        centre = ((low + high) / 2)[:, None] @ axes
        size = self.config.region_size
        ticks = (torch.arange(size, device=points.device, dtype=points.dtype) * 2 + 1) / size - 1
        square = torch.stack(torch.meshgrid(ticks, ticks, indexing="xy"), -1).view(1, -1, 2)
        grid = centre + (square * half[:, None, None]) @ axes
        return grid.view(-1, size, size, 2)


def _control_points(landmarks: Tensor, name: str) -> Tensor:
    """What bends a region: its landmarks, and for a mouth points just off the inner edges.

    The edges themselves meet in a closed mouth; two control points in one place bend nothing.
    """
    points = landmarks[:, list(REGIONS[name])]
    if name != "mouth":
        return points
    outer, inner = (landmarks[:, list(edge)] for edge in _LIPS)
    return torch.cat([points, 0.25 * outer + 0.75 * inner], 1)


def _between_eyes(landmarks: Tensor) -> Tensor:
    return landmarks[:, 42:48].mean(1) - landmarks[:, 36:42].mean(1)


def _upright(landmarks: Tensor) -> Tensor:
    """Axes of an upright face, `(B, 2, 2)`: along the line of the eyes, and down."""
    eyes = _between_eyes(landmarks)
    along = eyes / eyes.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    return torch.stack([along, torch.stack([-along[:, 1], along[:, 0]], -1)], 1)


def _check(landmarks: Tensor, name: str) -> None:
    if landmarks.ndim != 3 or landmarks.shape[1:] != (68, 2):
        raise LandmarkError(
            f"{name} must be landmarks of shape (B, 68, 2), got {tuple(landmarks.shape)}."
        )
    if torch.compiler.is_compiling():
        return
    finite = landmarks.detach().isfinite().flatten(1).all(1)
    if not bool(finite.all()):
        items = ", ".join(map(str, (~finite).nonzero().flatten().tolist()))
        raise LandmarkError(f"{name} must be finite; batch item {items} is not.")
