"""A style out of the pipeline into other formats, and such a file back into a pipeline."""

from __future__ import annotations

import copy
import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch

from .._bundled import PORTRAIT
from ..errors import ConfigError, ModelFileError, NoFaceError
from ..export import (
    ExportedGenerator,
    ExportedMesh,
    ExportOptions,
    ExportReport,
    export_generator,
    export_landmarks,
    find_target,
)
from ..hub.styles import shared_landmarks
from ..models.aligner import TPSAligner, TPSAlignerConfig
from ..models.landmarks import FaceLandmarker
from ..ops.landmarks import CROP_EYE_CENTER, CROP_INTEROCULAR
from ..processing import ImageInput, PortraitImageProcessor, face_crops, load_photo
from ..processing.composition import FRAME_MARGIN
from ..processing.faces import FADE, MOUTH_TO_EYES, cut_face
from ..processing.photo import MIN_SIDE
from .mixing import BlendedGenerator
from .publishing import PublishingPipeline

_LICENSE = re.compile(r"^license:\s*(\S+)\s*$", re.MULTILINE)

_Pipeline = TypeVar("_Pipeline", bound="ExportPipeline")

UNCALIBRATED = (
    "This style carries no photos of its training, so int8 was calibrated on one bundled portrait. "
    "Pass photos like those to be drawn: calibration=, or --calibration on the command line."
)
"""Said where a style has no photos of its own and the user gives none."""


class ExportPipeline(PublishingPipeline):
    """A style that can be written in other formats and read back; see `StylePipeline`."""

    def export(
        self,
        target: str,
        path: str | os.PathLike[str],
        *,
        precision: str | None = None,
        size: int | tuple[int, int] | None = None,
        batch_size: int = 1,
        dynamic: bool = False,
        io: str | None = None,
        layout: str | None = None,
        portraits: Sequence[ImageInput] | None = None,
        calibration: Sequence[ImageInput] | None = None,
    ) -> ExportReport:
        """Write the generator for another runtime, with a JSON that says how to feed it.

        The file is loaded by its runtime and draws real portraits. It is kept only if the drawings
        agree with PyTorch's: `fp32` within 1e-3, `fp16` by 45 dB, `int8` by 32 dB.

        For `int8` the values of the network are measured on photos: those that are given; else
        those of its training that the style carries, `calibration_photos`; else, with a warning,
        the bundled portrait. The JSON says on which.

        Args:
            target: the format, one of `tps_portrait.export.TARGETS`: `onnx`, `openvino`, …
            path: of the file, with the suffix of the format; an existing file is replaced.
            precision: `fp32`, `fp16` or `int8`; the format's usual one by default.
            size: side or (height, width) of the pictures in pixels, multiples of 32; the style's
                size for faces by default.
            batch_size: pictures in one run.
            dynamic: accept any batch size, height and width (multiples of 32), where the format
                can.
            io: `float`, RGB in [-1, 1], or `uint8`, RGB from 0 to 255, for input and output; the
                format's usual one by default.
            layout: `nchw` or `nhwc`; the format's usual one by default.
            portraits: photos with a face, to check the file with; the bundled one by default.
            calibration: photos with a face, to calibrate `int8` with, like those to be drawn; the
                first 48 count, each in one of six lights.

        Returns:
            Where the files are and how well they draw.

        Raises:
            ConfigError: the format cannot hold what was asked for.
            ExportError: packages are missing (the message has the pip command), the conversion
                failed, or the drawings differ too much; no file is left.
            InputImageError: a photo cannot be read or shows no face.
            OutputError: the file cannot be written.
        """
        if isinstance(self.generator, BlendedGenerator):
            raise ConfigError(
                "A blend of outputs is several networks and cannot be exported. Choose one style "
                "with `set_style`, or mix styles that share a base."
            )
        kind = find_target(target)
        io, layout = kind.form(io, layout)
        side = self.image_processor.face_size if size is None else size
        options = ExportOptions(
            precision=precision or kind.precisions[0],
            size=(side, side) if isinstance(side, int) else (side[0], side[1]),
            batch_size=batch_size,
            dynamic=dynamic,
            io=io,
            layout=layout,
        )
        kind.check(options)
        found = _LICENSE.search(self.card or "")
        photos: list[torch.Tensor] = []
        origin: dict[str, Any] = {}
        if options.precision == "int8" and kind.calibrated:
            photos, origin = self._photos_to_measure(calibration, max(options.size))
        return export_generator(
            self.generator,
            target,
            path,
            options,
            portraits=self._faces(portraits or [PORTRAIT], max(options.size)),
            calibration=photos,
            calibrated_on=origin,
            facts={
                "style": self.style or Path(path).stem,
                "license": found[1] if found else "unknown",
                "face_size": self.image_processor.face_size,
                "frame_size": self.image_processor.frame_size,
                "mean_face": self.aligner.template.detach().cpu().tolist(),
                "face_crop": {
                    "eye_center": list(CROP_EYE_CENTER),
                    "interocular": CROP_INTEROCULAR,
                    "mouth_to_eyes": MOUTH_TO_EYES,
                    "fade": list(FADE),
                    "frame_margin": FRAME_MARGIN,
                },
            },
        )

    def export_landmarks(
        self,
        target: str,
        folder: str | os.PathLike[str],
        *,
        precision: str = "fp32",
        io: str | None = None,
        layout: str | None = None,
        portraits: Sequence[ImageInput] | None = None,
    ) -> list[ExportReport]:
        """Write the networks that find faces: both detectors and the mesh, each with a JSON.

        With these and the file of a style, `examples/host/` draws as face mode does, without
        PyTorch. The files are `face-short`, `face-full` and `face-mesh`, with the format's suffix;
        they are kept only if they agree with PyTorch, `fp32` within 1e-3 of the side of their
        input, `fp16` within 5e-3.

        Args:
            target: the format; `ncnn` cannot hold the mesh.
            folder: where to write; created when missing.
            precision: `fp32` or `fp16`.
            io: as for `export`, for the input only: `float` by default.
            layout: as for `export`.
            portraits: photos with a face, to check the files with; the bundled one by default.

        Returns:
            Where the files are and how well they agree.

        Raises:
            ConfigError: the format cannot hold what was asked for.
            ExportError: packages are missing, the conversion failed, or the numbers differ too
                much.
            InputImageError: a photo cannot be read or shows no face.
            OutputError: the files cannot be written.
        """
        io, layout = find_target(target).form(io or "float", layout)
        return export_landmarks(
            self.landmarker,
            target,
            folder,
            ExportOptions(precision=precision, io=io, layout=layout),
            portraits=self._faces(portraits or [PORTRAIT], 192),
        )

    @classmethod
    def from_exported(
        cls: type[_Pipeline],
        path: str | os.PathLike[str],
        *,
        landmarks: FaceLandmarker | None = None,
        mesh: str | os.PathLike[str] | None = None,
        threads: int | None = None,
    ) -> _Pipeline:
        """Draw with an exported file: the same call, the same results.

        Faces are found by PyTorch, pictures are drawn by the file's runtime on the CPU. With `mesh`
        landmarks are placed by a runtime too, in half the time.

        Args:
            path: a file that `export` wrote, with its JSON beside it.
            landmarks: finds faces; the bundled one when `None`.
            mesh: the file `face-mesh` that `export_landmarks` wrote, to place landmarks with.
            threads: of the runtime; as many as PyTorch uses by default.

        Raises:
            ModelFileError: the file or its JSON is missing, damaged or of a format that is not
                loaded.
            ExportError: the runtime is not installed; the message has the pip command.
        """
        generator = ExportedGenerator(path, threads)
        facts, size = generator.facts, generator.size
        aligner = TPSAligner(TPSAlignerConfig())
        try:
            aligner.template.data.copy_(torch.tensor(facts["mean_face"]))
            faces, frame = facts["face_size"], facts["frame_size"]
            if size is not None:
                # The frame is drawn with a margin, which must fit into the file too.
                faces, frame = min(size), max(MIN_SIDE, max(size) - 2 * FRAME_MARGIN)
            processor = PortraitImageProcessor(faces, frame)
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise ModelFileError(
                f"The JSON beside {path} lacks sizes or mean face ({error}). Export again."
            ) from error
        if mesh is not None:
            placer = ExportedMesh(mesh)
            if landmarks is None:
                landmarks = FaceLandmarker.from_pretrained(shared_landmarks())
            else:
                landmarks = copy.deepcopy(landmarks)
            landmarks.mesh = placer  # type: ignore[assignment]
        pipe = cls(generator, aligner, processor, landmarks)  # type: ignore[arg-type]
        pipe.style = facts.get("style")
        return pipe

    def save_pretrained(
        self, save_directory: str | os.PathLike[str], *args: Any, **kwargs: Any
    ) -> None:
        """Write the style as a folder; see `StylePipeline.save_pretrained`.

        Args:
            save_directory: folder; created when missing.
            *args: passed on.
            **kwargs: passed on.

        Raises:
            ConfigError: the generator is an exported file, which holds no style.
        """
        if isinstance(self.generator, ExportedGenerator):
            raise ConfigError("An exported file cannot be saved as a style. Copy the file instead.")
        super().save_pretrained(save_directory, *args, **kwargs)

    def _photos_to_measure(
        self, given: Sequence[ImageInput] | None, side: int
    ) -> tuple[list[torch.Tensor], dict[str, Any]]:
        """Face crops `(3, H, W)` uint8 to calibrate with, and what the JSON says of them."""
        if given:
            return self._faces(given, side), {"source": "given"}
        if own := self.calibration_photos:
            crops = [load_photo(path).visible() for path in own]
            return crops, {"source": "style", "names": [path.name for path in own]}
        warnings.warn(UNCALIBRATED, stacklevel=3)
        return self._faces([PORTRAIT], side), {"source": "bundled portrait"}

    def _faces(self, pictures: Sequence[ImageInput], side: int) -> list[torch.Tensor]:
        """Cut the largest face out of each photo, `(3, side, side)` uint8."""
        results = []
        for picture in pictures:
            photo = load_photo(picture)
            found = self.landmarker.detect([photo.visible()], max_faces=1)[0]
            crops = face_crops([face.landmarks for face in found], photo.size)
            if not crops:
                raise NoFaceError(
                    f"No face was found in {photo.name.rstrip(',')}. Check and calibrate with "
                    "photos that show a face."
                )
            results.append(cut_face(photo.visible(), crops[0], side))
        return results
