"""One photo in, one stylized portrait out: `TPSPortraitPipeline`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from diffusers.utils import BaseOutput
from torch import Tensor

from ..errors import ConfigError, InputImageError, LandmarkError, ModelFileError, NoFaceError
from ..models.landmarks import Face
from ..processing import (
    Composition,
    ImageInput,
    OutputType,
    Photo,
    bend_faces,
    face_crops,
    load_photo,
)
from ..processing.image_processor import check_side
from ..processing.photo import check_output_type, describe
from .exporting import ExportPipeline

_BATCH_PIXELS = 1 << 24  # pixels in one batch, whatever `batch_size` says: 64 faces of 512 px


@dataclass
class TPSPortraitPipelineOutput(BaseOutput):
    """What a call of the pipeline returns.

    Attributes:
        images: a drawing for each picture, of its size, in the form `output_type` asks for; `None`
            where a picture of a list failed.
        faces: the faces found in each picture, largest first, in pixels of the upright photo; empty
            where none were looked for or found.
        errors: (index, exception) of the pictures of a list that failed.
    """

    images: list[Any]
    faces: list[list[Face]]
    errors: list[tuple[int, Exception]]


class TPSPortraitPipeline(ExportPipeline):
    """Draws portraits in one style; see `StylePipeline` for its components.

    Source: arXiv 2211.15549; at inference the method is one pass of a plain convolutional network.
    """

    @torch.no_grad()
    def __call__(
        self,
        image: ImageInput | Sequence[ImageInput],
        *,
        strength: float = 1.0,
        geometry_strength: float = 0.0,
        mode: Literal["face", "frame"] = "face",
        face_size: int | None = None,
        size: int | None = None,
        batch_size: int = 4,
        max_faces: int | None = None,
        on_no_face: Literal["warn", "error", "ignore"] = "warn",
        output_type: OutputType = "pil",
        return_dict: bool = True,
    ) -> TPSPortraitPipelineOutput | Any:
        """Draw one picture or several.

        In a list, a picture that cannot be drawn does not stop the others: its place in `images` is
        `None`, its reason is in `errors`, and a warning is given. A single picture raises.

        Args:
            image: a path, an http(s) address, a PIL picture, an array (H, W, C) or a tensor
                (C, H, W), uint8 or in [0, 1]; or a list of these, or a 4-D array or tensor. From 32
                px to 67 megapixels.
            strength: 1 is the drawing, 0 the photo.
            geometry_strength: moves each face toward the style's mean face; 0 leaves it alone, 1
                gives it those proportions. Acts on the photo, so also where `strength` shows it;
                less on faces turned aside, not at all in profile.
            mode: `face` draws every face on an upright crop and lays it over the drawn picture;
                `frame` draws the picture as a whole and does not look for faces.
            face_size: side in pixels at which faces are drawn; the style's by default.
            size: longest side in pixels at which the whole picture is drawn. Around a face it is
                a limit, as the face gives the scale. By default that of the picture, limited by
                the style. The result is always as large as the photo.
            batch_size: pictures loaded, and faces or frames drawn, at a time.
            max_faces: draw the largest faces only.
            on_no_face: what `face` mode does about a picture without a face: `warn` and `ignore`
                draw it as a whole, `error` refuses it.
            output_type: `pil`; `np` for arrays (H, W, C) or `pt` for tensors (C, H, W), both
                float32 in [0, 1].
            return_dict: return a `TPSPortraitPipelineOutput` and not a tuple.

        Returns:
            `images`, `faces` and `errors`, one entry for each picture in the first two.

        Raises:
            InputImageError: a single picture cannot be read.
            NoFaceError: it has no face, with `on_no_face="error"`.
            ConfigError: an option is not valid.
            ModelFileError: the generator gives values that are not finite.
        """
        check_options(strength, geometry_strength, mode, batch_size, max_faces, on_no_face)
        check_output_type(output_type)
        face_side = self.image_processor.face_size if face_size is None else face_size
        frame_side = self.image_processor.frame_size if size is None else size
        check_side("face_size", face_side)
        check_side("size", frame_side)
        several = isinstance(image, list | tuple) or getattr(image, "ndim", 0) == 4
        items: list[Any] = list(image) if several else [image]  # type: ignore[arg-type]
        output = TPSPortraitPipelineOutput(
            images=[None] * len(items), faces=[[] for _ in items], errors=[]
        )

        def fail(index: int, error: Exception) -> None:
            if not several:
                raise error
            output.errors.append((index, error))
            warnings.warn(f"Skipped: {error}", stacklevel=4)

        starts = range(0, len(items), batch_size)
        for start in self.progress_bar(starts) if len(starts) > 1 else starts:
            photos: dict[int, Photo] = {}
            for index in range(start, min(start + batch_size, len(items))):
                name = f"images[{index}], {describe(items[index])}," if several else None
                try:
                    photos[index] = load_photo(items[index], name)
                except InputImageError as error:
                    fail(index, error)
            if photos and (mode == "face" or geometry_strength):
                found = self.landmarker.detect(
                    [photo.visible() for photo in photos.values()], max_faces=max_faces
                )
                for index, faces in zip(photos, found, strict=True):
                    output.faces[index] = faces
            plans: dict[int, Composition] = {}
            for index, photo in photos.items():
                try:
                    plans[index] = self._plan(
                        photo,
                        output.faces[index],
                        geometry_strength,
                        draw_faces=mode == "face",
                        sizes={
                            "face_size": face_side,
                            "frame_size": frame_side,
                            "enlarge": size is not None,
                        },
                        on_no_face=on_no_face,
                    )
                except (InputImageError, LandmarkError) as error:
                    fail(index, error)
            inputs = {index: plan.inputs() if strength else [] for index, plan in plans.items()}
            drawings = iter(self._draw([x for group in inputs.values() for x in group], batch_size))
            for index, plan in plans.items():
                drawn = [next(drawings) for _ in inputs[index]]
                output.images[index] = plan.result(drawn, strength).convert(output_type)
        output.errors.sort(key=lambda item: item[0])
        self.maybe_free_model_hooks()
        return output if return_dict else output.to_tuple()

    def _plan(
        self,
        photo: Photo,
        faces: Sequence[Face],
        geometry_strength: float,
        *,
        draw_faces: bool,
        sizes: dict[str, Any],
        on_no_face: str,
    ) -> Composition:
        crops = face_crops([face.landmarks for face in faces], photo.size)
        if draw_faces and not crops:
            message = f"No face was found in {photo.name.rstrip(',')}"
            if on_no_face == "error":
                raise NoFaceError(
                    f'{message}. Pass a picture with a visible face, or mode="frame" to draw it as '
                    "a whole."
                )
            if on_no_face == "warn":
                warnings.warn(
                    f'{message}; it is drawn as a whole. mode="frame" or on_no_face="ignore" asks '
                    "for this without a warning.",
                    stacklevel=4,
                )
        if geometry_strength:

            def grid(landmarks: Tensor, side: int) -> Tensor:
                source = landmarks[None].to(self.aligner.device)
                target = self.aligner.exaggerated_landmarks(source, geometry_strength)
                return self.aligner.grid(source, target, (side, side), frame="picture")[0].cpu()

            photo = bend_faces(photo, crops, grid)
        return Composition.plan(photo, crops if draw_faces else (), **sizes)

    def _draw(self, pictures: Sequence[Tensor], batch_size: int) -> list[Tensor]:
        """Run pictures `(3, h, w)` uint8 through the generator, those of one size together."""
        network, processor = self.inference_network(), self.image_processor
        by_size: dict[tuple[int, int], list[int]] = {}
        for index, picture in enumerate(pictures):
            by_size.setdefault((picture.shape[1], picture.shape[2]), []).append(index)
        drawn: dict[int, Tensor] = {}
        for (height, width), members in by_size.items():
            step = max(1, min(batch_size, _BATCH_PIXELS // (height * width)))
            for start in range(0, len(members), step):
                chunk = members[start : start + step]
                batch = processor.to_model(torch.stack([pictures[i] for i in chunk]))
                batch = batch.to(self._execution_device, self.dtype)
                drawings = network(batch)
                # Drawings lie in [-1, 1]; their sum is finite if all of them are.
                if not bool(drawings.sum(dtype=torch.float32).isfinite()):
                    raise ModelFileError(
                        f"The style {self.style or ''} gives values that are NaN or infinite in "
                        f"{self.dtype}. Use torch.float32; if it stays so, the weights are damaged."
                    )
                drawn.update(zip(chunk, processor.from_model(drawings), strict=True))
        return [drawn[index] for index in range(len(pictures))]


def check_options(
    strength: float,
    geometry_strength: float,
    mode: str,
    batch_size: int,
    max_faces: int | None,
    on_no_face: str,
) -> None:
    """Refuse options of the pipeline's call that are not valid.

    Raises:
        ConfigError: the message names the option and what it may be.
    """
    for name, share in (("strength", strength), ("geometry_strength", geometry_strength)):
        if not isinstance(share, int | float | np.number) or not 0 <= share <= 1:
            raise ConfigError(f"{name} must be a number from 0 to 1, got {share!r}.")
    least = 1 if max_faces is None else max_faces
    for name, count in (("batch_size", batch_size), ("max_faces", least)):
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise ConfigError(f"{name} must be a whole number of at least 1, got {count!r}.")
    for name, word, allowed in (
        ("mode", mode, ("face", "frame")),
        ("on_no_face", on_no_face, ("warn", "error", "ignore")),
    ):
        if word not in allowed:
            raise ConfigError(f"{name} must be one of {', '.join(allowed)}, got {word!r}.")
