"""The face landmarker: detection, 478-point mesh and 68 landmarks for a batch of pictures."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ...errors import ConfigError, InputImageError
from ..base import PortraitPreTrainedModel
from . import topology as top
from .blazeface import FullRangeDetector, ShortRangeDetector
from .configuration_landmarks import FaceLandmarkerConfig
from .cropping import Square, cut
from .detection import Candidate, View, combine, same_place, search, tiles, unique
from .face_mesh import CROP_SIZE, AttentionMesh, MeshOutput
from .faces import Face

_CHUNK = 32
_MIN_SIDE = 32


class FaceLandmarker(PortraitPreTrainedModel):
    """Finds faces and their landmarks in photographs, paintings and drawings.

    Two BlazeFace detectors propose faces: both over the whole picture, and full range also over
    overlapping tiles where the picture is large and shows no large face. An attention mesh then
    places 478 points, twice: the second crop follows the first landmarks. It always computes in
    float32, whatever type it is loaded as or moved to; files hold float16, which is exact for
    these weights.

    Source: BlazeFace, arXiv 1907.05047; attention mesh, arXiv 2006.10962; weights of MediaPipe
    (Apache-2.0), see NOTICE.
    """

    config: FaceLandmarkerConfig
    config_class = FaceLandmarkerConfig

    def __init__(self, config: FaceLandmarkerConfig) -> None:
        super().__init__(config)
        self.short_range = ShortRangeDetector()
        self.full_range = FullRangeDetector()
        self.mesh = AttentionMesh()
        self.post_init()

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str],
        *model_args: Any,
        **kwargs: Any,
    ) -> FaceLandmarker:
        """Load as `PortraitPreTrainedModel.from_pretrained` does, always in float32.

        Args:
            pretrained_model_name_or_path: a folder or Hub id.
            *model_args: passed on.
            **kwargs: passed on; `dtype` and `torch_dtype` have no effect.

        Returns:
            The landmarker in evaluation mode.

        Raises:
            ModelFileError: files are missing or do not fit.
        """
        kwargs.pop("torch_dtype", None)
        kwargs["dtype"] = torch.float32
        return super().from_pretrained(pretrained_model_name_or_path, *model_args, **kwargs)

    def save_pretrained(self, save_directory: str | os.PathLike[str], **kwargs: Any) -> None:
        """Save with weights in float16.

        Args:
            save_directory: folder to write to.
            **kwargs: passed on to transformers.
        """
        kwargs.setdefault("state_dict", {k: v.half() for k, v in self.state_dict().items()})
        super().save_pretrained(save_directory, **kwargs)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> FaceLandmarker:
        def keep_float32(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            wrong = moved.is_floating_point() and moved.dtype != torch.float32
            return tensor.to(moved.device) if wrong else moved

        return super()._apply(keep_float32, recurse)

    def forward(self, pixel_values: Tensor) -> MeshOutput:
        """Place the mesh in face crops.

        Args:
            pixel_values: `(B, 3, 192, 192)` RGB in [0, 1], eyes level, the face's box about two
                thirds of the side.

        Returns:
            `mesh` `(B, 478, 3)` in crop pixels and `presence` `(B,)`.
        """
        output: MeshOutput = self.mesh(pixel_values)
        return output

    @torch.no_grad()
    def detect(
        self,
        images: Sequence[Tensor] | Tensor,
        *,
        threshold: float | None = None,
        max_faces: int | None = None,
    ) -> list[list[Face]]:
        """Find all faces in pictures.

        A batch gives the same result as its pictures one by one.

        Args:
            images: uint8 RGB pictures `(3, H, W)` of any sizes from 32 px, on any device; or one
                tensor `(B, 3, H, W)`.
            threshold: least score, in [0, 1]; the configuration's when `None`.
            max_faces: keep the largest faces only; all when `None`.

        Returns:
            For each picture its faces, largest box first; an empty list where there is none.
            Coordinates in pixels, see `Face`.

        Raises:
            InputImageError: a picture has another type or shape; the message has its index.
            ConfigError: `threshold` or `max_faces` is out of range.
        """
        threshold = self.config.score_threshold if threshold is None else threshold
        if not 0 <= threshold <= 1:
            raise ConfigError(f"threshold must lie in [0, 1], got {threshold}.")
        if max_faces is not None and max_faces < 1:
            raise ConfigError(f"max_faces must be at least 1 or None, got {max_faces}.")
        pictures = [self._picture(image, index) for index, image in enumerate(images)]
        with torch.autocast(self.device.type, enabled=False):
            found = [
                (item, candidate)
                for item, candidates in enumerate(self._candidates(pictures, threshold))
                for candidate in candidates
            ]
            squares = [(item, c.square(self.config.crop_scale)) for item, c in found]
            meshes, presences = self._landmark(pictures, squares)
        faces: list[list[Face]] = [[] for _ in pictures]
        for (item, candidate), mesh, presence in zip(found, meshes, presences, strict=True):
            face = Face.from_mesh(mesh, candidate.score)
            if self._agrees(candidate, face, presence) and not any(
                same_place(face.box, other.box, self.config.overlap_threshold)
                for other in faces[item]
            ):
                faces[item].append(face)
        return [sorted(some, key=_area, reverse=True)[:max_faces] for some in faces]

    @torch.no_grad()
    def track(self, image: Tensor, previous: Face) -> Face | None:
        """Follow a face into the next frame of a video, without detection.

        Args:
            image: uint8 RGB frame `(3, H, W)`.
            previous: the face in the frame before.

        Returns:
            The face, its score being the mesh's own probability; `None` when it is lost.

        Raises:
            InputImageError: the frame has another type or shape.
        """
        picture = self._picture(image, 0)
        square = self._follow(previous.mesh)
        with torch.autocast(self.device.type, enabled=False):
            meshes, presences = self._landmark([picture], [(0, square)], refinements=0)
        if presences[0] < self.config.presence_threshold:
            return None
        return Face.from_mesh(meshes[0], presences[0])

    def _picture(self, image: Tensor, index: int) -> Tensor:
        if not isinstance(image, Tensor):
            raise InputImageError(
                f"images[{index}] must be a torch.Tensor, got {type(image).__name__}. "
                "Convert it to a uint8 RGB tensor of shape (3, H, W)."
            )
        if image.dtype != torch.uint8 or image.ndim != 3 or image.shape[0] != 3:
            raise InputImageError(
                f"images[{index}] must be a uint8 RGB tensor of shape (3, H, W), got "
                f"{image.dtype} of shape {tuple(image.shape)}."
            )
        if min(image.shape[1:]) < _MIN_SIDE:
            raise InputImageError(
                f"images[{index}] is {image.shape[2]}x{image.shape[1]} px; the least side is "
                f"{_MIN_SIDE} px. Enlarge it."
            )
        return image.to(self.device)

    def _candidates(self, pictures: list[Tensor], threshold: float) -> list[list[Candidate]]:
        config = self.config
        whole = [
            View(item, (0, 0, picture.shape[2], picture.shape[1]))
            for item, picture in enumerate(pictures)
        ]
        fine = search(self.full_range, pictures, whole, threshold)
        parts = [
            view
            for item, picture in enumerate(pictures)
            if not _has_large(fine[item], config.prominent_size * max(picture.shape[1:]))
            for view in tiles(
                item, picture.shape[1], picture.shape[2], config.tile_size, config.max_tiles
            )
        ]
        strict_threshold = max(threshold, config.tile_threshold)
        found = search(self.full_range, pictures, parts, strict_threshold)
        for view, candidates in zip(parts, found, strict=True):
            fine[view.item] += candidates
        rough = search(self.short_range, pictures, whole, threshold)
        overlap = config.overlap_threshold
        return [
            combine(unique(precise, overlap), unique(others, overlap), overlap)
            for precise, others in zip(fine, rough, strict=True)
        ]

    def _landmark(
        self,
        pictures: list[Tensor],
        squares: list[tuple[int, Square]],
        refinements: int | None = None,
    ) -> tuple[list[Tensor], list[float]]:
        passes = 1 + (self.config.refinements if refinements is None else refinements)
        meshes: list[Tensor] = []
        presences: list[float] = []
        for start in range(0, len(squares), _CHUNK):
            chunk = squares[start : start + _CHUNK]
            for _ in range(passes):
                crops = torch.stack([cut(pictures[i], s, CROP_SIZE) for i, s in chunk])
                output = self(crops.contiguous(memory_format=torch.channels_last))
                placed = [
                    _to_picture(mesh, square)
                    for mesh, (_, square) in zip(output.mesh.cpu(), chunk, strict=True)
                ]
                chunk = [
                    (item, self._follow(mesh))
                    for mesh, (item, _) in zip(placed, chunk, strict=True)
                ]
            meshes += placed
            presences += output.presence.tolist()
        return meshes, presences

    def _agrees(self, candidate: Candidate, face: Face, presence: float) -> bool:
        """Whether detector and mesh mean the same face: fists and discs fool one, seldom both."""
        distance = (candidate.keypoints[:4] - face.keypoints[:4]).norm(dim=1).mean()
        side = (face.box[2:] - face.box[:2]).max()
        return (
            presence >= self.config.presence_threshold
            and float(distance / side) <= self.config.keypoint_tolerance
        )

    def _follow(self, mesh: Tensor) -> Square:
        """The crop around landmarks, level with the outer eye corners."""
        plane = mesh[:, :2]
        dx, dy = (plane[top.EYE_LINE[1]] - plane[top.EYE_LINE[0]]).tolist()
        angle = math.atan2(dy, dx)
        cos, sin = math.cos(angle), math.sin(angle)
        turn = plane.new_tensor([[cos, -sin], [sin, cos]])
        turned = plane @ turn
        low, high = turned.amin(0), turned.amax(0)
        x, y = ((low + high) / 2 @ turn.T).tolist()
        return Square(x, y, float((high - low).max()) * self.config.crop_scale, angle)


def _to_picture(mesh: Tensor, square: Square) -> Tensor:
    plane = square.to_picture(mesh[:, :2] / CROP_SIZE)
    return torch.cat((plane, mesh[:, 2:] * (square.side / CROP_SIZE)), 1)


def _has_large(candidates: list[Candidate], side: float) -> bool:
    return any(float((c.box[2:] - c.box[:2]).max()) >= side for c in candidates)


def _area(face: Face) -> float:
    return float((face.box[2:] - face.box[:2]).prod())
