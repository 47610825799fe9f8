"""A style out of the pipeline onto the Hub."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from huggingface_hub import CommitInfo
from PIL import Image

from .._bundled import PORTRAIT
from .._files import unique_name
from ..errors import OutputError, TPSPortraitError
from ..hub.calibration import drop_private
from ..hub.cards import SAMPLES, Metric, render_brief_card
from ..hub.publish import (
    METRICS,
    check_repo_id,
    complete_card,
    copy_style,
    create_repository,
    read_metrics,
    upload_style,
)
from ..hub.styles import README, THUMBNAIL, shared_landmarks
from ..processing import ImageInput, load_image
from .mixing import MixingPipeline

logger = logging.getLogger(__name__)

_THUMBNAIL_SIDE = 384
_SAMPLE_HEIGHT = 512
_FACE_SHARE = 0.6  # of the thumbnail's side that the face box takes
_HUB_OPTIONS = ("repo_id", "commit_message", "private", "token", "create_pr", "revision")


class PublishingPipeline(MixingPipeline):
    """A style that can be published; see `StylePipeline`."""

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        commit_message: str | None = None,
        token: str | bool | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        license: str | None = None,
        description: str | None = None,
        metrics: Sequence[Metric | Mapping[str, Any]] = (),
        samples: Sequence[ImageInput] | None = None,
        variant: str | None = None,
        folder: str | os.PathLike[str] | None = None,
        with_landmarks: bool = True,
    ) -> CommitInfo:
        """Publish the style on the Hub, in one commit.

        The repository gets the files of `save_pretrained`, a thumbnail, samples, and the card with
        the metadata that the Hub reads and the sha256 of every file. Files of an earlier
        version of the style that are gone now are removed. Photos for calibration go along if
        their licence lets them.

        Args:
            repo_id: `user/name`, or a name in the space of whoever is logged in.
            private: make the repository private, if it is new.
            commit_message: of the commit.
            token: of the Hub; the one that is logged in by default.
            revision: branch to commit to; `main` by default.
            create_pr: propose the commit as a pull request.
            license: identifier such as `cc-by-4.0`; that of the card by default.
            description: one sentence about the style; that of the card by default.
            metrics: measured results for the card, or a model-index, such as
                `report.to_model_index()` of an evaluation; those in `folder`/metrics.json, or of
                the card, by default.
            samples: photos to show with their drawings; a bundled portrait by default. They become
                public.
            variant: `fp16` or `bf16` add a copy of the weights in that type.
            folder: publish the files of this folder, from which the pipeline was loaded, as they
                are, and do not save the pipeline.
            with_landmarks: put the bundled face landmarker beside the style, so that
                `FaceLandmarker.from_pretrained(repo_id, subfolder="landmarks")` finds it. Pipelines
                do not download it.

        Returns:
            The commit, as huggingface_hub describes it.

        Raises:
            HubError: the Hub refuses or does not answer; nothing was changed there but, at most, an
                empty repository made.
            ConfigError: no licence is known, or the style is a blend of outputs.
            ModelFileError: `folder` or the repository holds pickles or code.
        """
        check_repo_id(repo_id)
        with TemporaryDirectory() as temporary:
            stage = Path(temporary) / (self.style or repo_id.rpartition("/")[2])
            stage.mkdir()
            if folder is not None:
                copy_style(Path(folder), stage)
                metrics = metrics or read_metrics(Path(folder) / METRICS)
            else:
                self.save_pretrained(stage)
                if variant is not None:
                    self.save_pretrained(stage, variant=variant)
            if private_photos := drop_private(stage):
                logger.warning(
                    "Not published: %s. Nothing in calibration/metadata.jsonl says that these may "
                    "be passed on.",
                    ", ".join(private_photos),
                )
            self._add_card(stage, repo_id, license, description)
            fresh = samples is not None or not (stage / THUMBNAIL).is_file()
            if fresh or not (stage / SAMPLES).is_dir():
                self.save_pictures(stage, samples, thumbnail=fresh)
            if with_landmarks and self.landmarks is None:
                target = stage / "landmarks"
                shutil.copytree(shared_landmarks(), target, dirs_exist_ok=True)
            settings: dict[str, Any] = {
                "license": license,
                "description": description,
                "metrics": metrics,
            }
            complete_card(stage, repo_id, **settings)  # before anything happens on the Hub
            full = create_repository(repo_id, private=private, token=token)
            if full != repo_id:
                complete_card(stage, full, **settings)
            return upload_style(
                stage,
                full,
                commit_message=commit_message,
                token=token,
                revision=revision,
                create_pr=create_pr,
            )

    def thumbnail(self, photo: ImageInput | None = None, side: int = 384) -> Image.Image:
        """Draw the square around the largest face of a photo.

        Args:
            photo: see `TPSPortraitPipeline.__call__`; a bundled portrait by default.
            side: of the result in pixels.

        Returns:
            A picture (side, side), RGB.

        Raises:
            InputImageError: the photo cannot be read.
        """
        return self._drawn(load_image(photo or PORTRAIT).convert("RGB"), side)[1]

    def save_pretrained(
        self, save_directory: str | os.PathLike[str], *args: Any, **kwargs: Any
    ) -> None:
        """Write the style as a folder; see `StylePipeline.save_pretrained`.

        Args:
            save_directory: folder; created when missing.
            *args: passed on.
            **kwargs: passed on; `push_to_hub=True` publishes with `push_to_hub`, which takes
                `repo_id` (the folder's name by default), `private`, `commit_message`, `token`,
                `revision` and `create_pr`.
        """
        publish = bool(kwargs.pop("push_to_hub", False))
        options = {key: kwargs.pop(key) for key in _HUB_OPTIONS if key in kwargs}
        super().save_pretrained(save_directory, *args, **kwargs)
        if publish:
            repo_id = options.pop("repo_id", None) or Path(save_directory).resolve().name
            self.push_to_hub(repo_id, **options)

    def _add_card(
        self, folder: Path, repo_id: str, license: str | None, description: str | None
    ) -> None:
        card = folder / README
        if card.is_file():
            return
        text = render_brief_card(
            self.style or repo_id.rpartition("/")[2],
            license or "unknown",
            parameters=sum(p.numel() for p in self.generator.parameters()),
            resolution=self.image_processor.face_size,
            location=repo_id,
            description=description or "",
            mix=self.recipe,
        )
        card.write_text(text, "utf-8")

    def save_pictures(
        self,
        folder: str | os.PathLike[str],
        photos: Sequence[ImageInput] | None = None,
        *,
        thumbnail: bool = True,
    ) -> list[Path]:
        """Draw the samples of a style's card and its thumbnail, in place of earlier ones.

        Args:
            folder: of the style.
            photos: see `TPSPortraitPipeline.__call__`; a bundled portrait in the public domain by
                default.
            thumbnail: draw it of the first photo; otherwise it stays as it is.

        Returns:
            Files of the samples: a photo at the left, its drawing at the right.

        Raises:
            InputImageError: a photo cannot be read.
            OutputError: the folder cannot be written.
        """
        samples = Path(folder) / SAMPLES
        try:
            shutil.rmtree(samples, ignore_errors=True)
            samples.mkdir(parents=True, exist_ok=True)
            written: list[Path] = []
            taken: set[str] = set()
            for index, item in enumerate(photos or [PORTRAIT]):
                photo = load_image(item).convert("RGB")
                drawing, portrait = self._drawn(photo, _THUMBNAIL_SIDE)
                if index == 0 and thumbnail:
                    portrait.save(Path(folder) / THUMBNAIL, quality=88)
                named = isinstance(item, str | os.PathLike) and "://" not in str(item)
                stem = Path(os.fspath(item)).stem if named else f"sample-{index}"  # type: ignore[arg-type]
                written.append(samples / f"{unique_name(stem, taken)}.jpg")
                _beside(photo, drawing).save(written[-1], quality=88)
        except OSError as error:
            if isinstance(error, TPSPortraitError):
                raise
            raise OutputError(f"Cannot write the pictures of {folder}: {error}.") from error
        return written

    def _drawn(self, photo: Image.Image, side: int) -> tuple[Image.Image, Image.Image]:
        """Draw a photo, and cut the square around its largest face."""
        result = self(photo, on_no_face="ignore")
        drawing: Image.Image = result.images[0].convert("RGB")
        length = float(min(drawing.size))
        x, y = drawing.width / 2, drawing.height / 2
        if result.faces[0]:
            left, top, right, bottom = result.faces[0][0].box.tolist()
            length = min(length, max(right - left, bottom - top) / _FACE_SHARE)
            x, y = (left + right) / 2, (top + bottom) / 2
        x = min(max(x, length / 2), drawing.width - length / 2)
        y = min(max(y, length / 2), drawing.height - length / 2)
        box = (x - length / 2, y - length / 2, x + length / 2, y + length / 2)
        return drawing, drawing.resize((side, side), Image.Resampling.LANCZOS, box)


def _beside(photo: Image.Image, drawing: Image.Image) -> Image.Image:
    sheet = Image.new("RGB", (photo.width + drawing.width, drawing.height))
    sheet.paste(photo, (0, 0))
    sheet.paste(drawing, (photo.width, 0))
    if sheet.height > _SAMPLE_HEIGHT:
        width = round(sheet.width * _SAMPLE_HEIGHT / sheet.height)
        sheet = sheet.resize((width, _SAMPLE_HEIGHT), Image.Resampling.LANCZOS)
    return sheet
