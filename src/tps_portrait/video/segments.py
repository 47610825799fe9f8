"""A clip in the making: pieces on the disk, from which an interrupted run goes on.

Each piece of a clip is encoded into a file of its own and committed, by renaming, together with
the state of the stylizer after it. A run that is stopped at any moment loses at most the piece it
was in, and what follows is drawn from exactly the state in which it would have been.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .._files import atomic_write
from ..errors import OutputError
from .reading import require_av

if TYPE_CHECKING:
    import av

WRITABLE = {
    ".m4v": "libx264",
    ".mkv": "libx264",
    ".mov": "libx264",
    ".mp4": "libx264",
    ".webm": "libvpx-vp9",
}
"""Endings of files that can be written, and the encoder of each."""

_QUALITY = {
    "libx264": {"crf": "18", "preset": "medium"},
    "libvpx-vp9": {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"},
}
_BT709, _LIMITED = 1, 1  # values of AVColorSpace and its kin, and of AVColorRange


@dataclass(frozen=True)
class Picture:
    """The form of a clip's pictures.

    Attributes:
        size: (height, width) in pixels.
        rate: mean frames a second; each frame has its own moment all the same.
        time_base: seconds of one unit of a moment.
        aspect: width of a pixel over its height.
        codec: name of the encoder, a value of `WRITABLE`.
    """

    size: tuple[int, int]
    rate: Fraction
    time_base: Fraction
    aspect: Fraction
    codec: str

    @property
    def coded_size(self) -> tuple[int, int]:
        """(height, width) in the file: H.264 with subsampled colours has even sides only."""
        height, width = self.size
        if self.codec == "libx264":
            return height + height % 2, width + width % 2
        return height, width


@dataclass(frozen=True)
class Segment:
    """A finished piece.

    Attributes:
        path: file with the encoded frames; their moments count from the first one.
        first: moment of the first frame in the clip.
        last: moment of the last frame.
        frames: number of frames.
        state: file with the state after the last frame.
    """

    path: Path
    first: int
    last: int
    frames: int
    state: Path


class SegmentStore:
    """The folder of the pieces of one clip.

    Args:
        folder: where; created when missing. Pieces of another job are deleted.
        job: what is drawn, and how; strings by name. Pieces are used only for an equal job.

    Raises:
        OutputError: the folder cannot be written.
    """

    def __init__(self, folder: Path, job: Mapping[str, str]) -> None:
        self.folder = folder
        description = json.dumps(dict(job), indent=2, sort_keys=True)
        note = folder / "job.json"
        try:
            if folder.exists() and (
                not note.is_file() or note.read_text("utf-8", errors="replace") != description
            ):
                self.remove()
            folder.mkdir(exist_ok=True)
            _replace(note, description.encode())
        except OSError as error:
            raise OutputError(
                f"Cannot write to {folder}: {error}. Choose another place with -o."
            ) from error
        self.segments = list(self._found())

    @property
    def frames(self) -> int:
        """Number of finished frames."""
        return sum(segment.frames for segment in self.segments)

    def paths(self) -> tuple[Path, Path]:
        """Files of the next piece: its frames, and its state."""
        stem = self.folder / f"{len(self.segments):06d}"
        return stem.with_suffix(".mp4"), stem.with_suffix(".safetensors")

    def commit(
        self, part: Path, first: int, last: int, frames: int, state: Mapping[str, Tensor]
    ) -> None:
        """Count a piece as finished.

        Args:
            part: its file, complete, in the folder.
            first: moment of its first frame.
            last: moment of its last frame.
            frames: number of its frames.
            state: state of the stylizer after it.
        """
        path, state_path = self.paths()
        os.replace(part, path)
        facts = {"first": str(first), "last": str(last), "frames": str(frames)}
        with atomic_write(state_path) as staged:
            save_file(dict(state), staged, metadata=facts)
        self.segments.append(Segment(path, first, last, frames, state_path))

    def last_state(self) -> dict[str, Tensor]:
        """Return the state after the last finished piece."""
        with safe_open(self.segments[-1].state, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder)

    def _found(self) -> Iterator[Segment]:
        number = 0
        while True:
            stem = self.folder / f"{number:06d}"
            path, state = stem.with_suffix(".mp4"), stem.with_suffix(".safetensors")
            if not path.is_file() or not state.is_file():
                return
            try:
                with safe_open(state, framework="pt") as file:
                    facts = file.metadata()
                first, last, frames = (int(facts[key]) for key in ("first", "last", "frames"))
            except (SafetensorError, OSError, KeyError, ValueError):
                return
            yield Segment(path, first, last, frames, state)
            number += 1


class SegmentWriter:
    """Encodes the frames of one piece.

    There are no B-frames, so that pieces can be joined without touching a packet.

    Args:
        path: file to write.
        picture: form of the frames.
    """

    def __init__(self, path: Path, picture: Picture) -> None:
        self._av = require_av()
        self.path = path
        self.picture = picture
        self.first = self.last = 0
        self.frames = 0
        self._container: av.container.OutputContainer = self._av.open(str(path), "w", format="mp4")
        stream: Any = self._container.add_stream(
            picture.codec, rate=picture.rate, options=_QUALITY[picture.codec]
        )
        stream.height, stream.width = picture.coded_size
        stream.pix_fmt = "yuv420p"
        stream.time_base = picture.time_base
        context = stream.codec_context
        context.time_base = picture.time_base
        context.sample_aspect_ratio = picture.aspect
        context.max_b_frames = 0
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED
        self._stream = stream

    def write(self, moment: int, pixels: np.ndarray) -> None:
        """Encode the next frame.

        Args:
            moment: in units of the picture's time base.
            pixels: uint8 RGB (H, W, 3).
        """
        rows, columns = (
            coded - side
            for coded, side in zip(self.picture.coded_size, self.picture.size, strict=True)
        )
        if rows or columns:
            pixels = np.pad(pixels, ((0, rows), (0, columns), (0, 0)), mode="edge")
        frame = self._av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
            format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
        )
        if not self.frames:
            self.first = moment
        frame.pts, frame.time_base = moment - self.first, self.picture.time_base
        self._container.mux(self._stream.encode(frame))
        self.last = moment
        self.frames += 1

    def close(self) -> None:
        """Finish the file."""
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def __enter__(self) -> SegmentWriter:
        """Return the writer itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file, also where it is incomplete."""
        self._container.close()


def _replace(path: Path, content: bytes) -> None:
    with atomic_write(path) as staged:
        staged.write_bytes(content)
