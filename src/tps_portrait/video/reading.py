"""Frames out of a video file: upright, RGB, each with its moment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..errors import ConfigError, InputImageError
from ..processing.photo import check_size

if TYPE_CHECKING:
    import av

# Pixels of video without a colour tag: standard definition is BT.601, from this height on BT.709.
_HD_HEIGHT = 720
_UNSPECIFIED = 2


def require_av() -> Any:
    """Import PyAV on first use.

    Raises:
        ConfigError: it is not installed; the message has the pip command.
    """
    try:
        return import_module("av")
    except ImportError as error:
        raise ConfigError(
            f"Videos need PyAV, which cannot be imported ({error}). Install it: "
            'pip install "tps-portrait[video]"'
        ) from error


class VideoReader:
    """A video file, open for reading.

    Args:
        path: the file.

    Raises:
        ConfigError: PyAV is not installed.
        InputImageError: the file cannot be read, or shows no moving picture of a size that is
            drawn.

    Attributes:
        path: the file.
        size: (height, width) of the upright frames in pixels.
        time_base: seconds of one unit of a frame's moment.
        rate: mean frames a second.
        aspect: width of a pixel over its height.
        frame_count: about how many frames there are; `None` if the file does not say.
        audio: the sound streams, for copying.
        metadata: title and so on.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._av = require_av()
        try:
            self._container: av.container.InputContainer = self._av.open(self.path)
        except (OSError, ValueError, self._av.FFmpegError) as error:
            raise self._unreadable(error) from error
        try:
            self._examine()
        except self._av.FFmpegError as error:
            self.close()
            raise self._unreadable(error) from error
        except BaseException:
            self.close()
            raise

    def _examine(self) -> None:
        stream = self._container.streams.best("video")
        if stream is None or not isinstance(stream, self._av.VideoStream):
            raise InputImageError(f"{self.path} has no moving picture. Pass a video.")
        stream.thread_type = "AUTO"
        self._stream = stream
        first = next(self._decode(None), None)
        if first is None:
            raise InputImageError(f"{self.path} has no frame that can be read. Pass a whole file.")
        turned = round(first.rotation / 90) % 2
        self.size = (first.width, first.height) if turned else (first.height, first.width)
        check_size(self.size, self.path)
        self.time_base: Fraction = stream.time_base or Fraction(1, 1000)
        self.rate: Fraction = stream.average_rate or stream.guessed_rate or Fraction(30)
        aspect = stream.sample_aspect_ratio or Fraction(1)
        self.aspect = 1 / aspect if turned and aspect else aspect or Fraction(1)
        self.audio = list(self._container.streams.audio)
        self.metadata = dict(self._container.metadata)
        seconds = stream.duration and stream.duration * self.time_base
        if not seconds and self._container.duration:
            seconds = Fraction(self._container.duration, 1_000_000)
        self.frame_count: int | None = stream.frames or int((seconds or 0) * self.rate) or None

    def __enter__(self) -> VideoReader:
        """Return the reader itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def frames(self, after: int | None = None) -> Iterator[tuple[int, Tensor]]:
        """Decode the frames in the order in which they are shown.

        Parts of a damaged file that cannot be decoded are left out.

        Args:
            after: leave out the frames up to this moment.

        Yields:
            The moment, in units of `time_base`, always rising; and the frame, uint8 RGB
            `(3, H, W)`, turned upright.

        Raises:
            InputImageError: the file cannot be read on.
        """
        try:
            yield from self._frames(after)
        except self._av.FFmpegError as error:
            raise self._unreadable(error) from error

    def _frames(self, after: int | None) -> Iterator[tuple[int, Tensor]]:
        last = after
        for number, frame in enumerate(self._decode(after)):
            moment = frame.pts
            if moment is None:
                moment = round(number / (self.rate * self.time_base))
            if after is not None and moment <= after:
                continue
            if last is not None and moment <= last:
                moment = last + 1
            last = moment
            yield moment, self._pixels(frame)

    def audio_packets(self) -> Iterator[av.Packet]:
        """The packets of all sound streams, as they are in the file.

        In a damaged file, those that go back in time are left out.
        """
        if not self.audio:
            return
        last: dict[int, int] = {}
        with self._av.open(self.path) as container:
            streams = [container.streams[stream.index] for stream in self.audio]
            for packet in container.demux(*streams):
                index = packet.stream.index
                if packet.dts is not None and packet.dts > last.get(index, packet.dts - 1):
                    last[index] = packet.dts
                    yield packet

    def _decode(self, after: int | None) -> Iterator[av.VideoFrame]:
        """Decode from the start of the file, or from a key frame at or before `after`."""
        container, stream = self._container, self._stream
        start = stream.start_time or 0
        if after is not None and after > start:
            container.seek(after, stream=stream, backward=True)
            first = next(self._packets(), None)
            if first is None or first.pts is None:
                return
            if first.pts > after:  # the index of the file is wrong: read it from the start
                after = None
        if after is None or after <= start:
            container.seek(start, stream=stream, backward=True)
            yield from self._packets()
        else:
            container.seek(after, stream=stream, backward=True)
            yield from self._packets()

    def _packets(self) -> Iterator[av.VideoFrame]:
        for packet in self._container.demux(self._stream):
            try:
                yield from packet.decode()
            except self._av.FFmpegError:  # of a damaged part; what can be decoded goes on after it
                continue

    def _pixels(self, frame: av.VideoFrame) -> Tensor:
        guess = frame.colorspace == _UNSPECIFIED and frame.height >= _HD_HEIGHT
        array = frame.to_ndarray(format="rgb24", src_colorspace="ITU709" if guess else None)
        turns = round(frame.rotation / 90) % 4
        upright = np.ascontiguousarray(np.rot90(array, turns))
        return torch.from_numpy(upright).permute(2, 0, 1)

    def _unreadable(self, error: Exception) -> InputImageError:
        reason = getattr(error, "strerror", None) or str(error)
        return InputImageError(f"{self.path} cannot be read as a video: {reason}. Check the file.")
