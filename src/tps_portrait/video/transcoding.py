"""A video file in, the drawn video file out."""

from __future__ import annotations

import hashlib
import heapq
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from .._version import __version__
from ..errors import InputImageError, OutputError
from ..export.sidecar import weights_hash
from ..processing.photo import Photo
from .reading import VideoReader, require_av
from .segments import WRITABLE, Picture, SegmentStore, SegmentWriter
from .stylizer import VideoStylizer

Progress = Callable[[int, "int | None"], None]


@dataclass(frozen=True)
class VideoReport:
    """What was drawn.

    Attributes:
        path: the drawn video.
        frames: number of its frames.
        resumed: how many of them an earlier run had drawn.
    """

    path: Path
    frames: int
    resumed: int


def stylize_video(
    stylizer: VideoStylizer,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    segment_frames: int = 120,
    progress: Progress | None = None,
) -> VideoReport:
    """Draw a video file; the sound is copied as it is.

    Frames keep their moments, so a variable frame rate stays as it is. A video that is turned by
    its metadata comes out upright; sides that H.264 cannot hold, the odd ones, grow by one pixel.
    Memory holds a few frames, however long the video is.

    The drawing is written in pieces into a folder beside the target, `.<target>.parts`. When a run
    is stopped, another one with the same source, target and options goes on after the last whole
    piece, and the result is that of one run. The folder is deleted in the end.

    Args:
        stylizer: draws the frames.
        source: the video.
        target: file to write: .mp4, .m4v, .mov, .mkv or .webm. An existing one is replaced.
        segment_frames: frames in a piece.
        progress: called after each frame with the number of frames drawn so far and that of all
            frames, if known.

    Raises:
        InputImageError: the video cannot be read.
        OutputError: the target cannot be written, or cannot hold the sound.
        ConfigError: PyAV is not installed.
    """
    path = Path(target)
    codec = WRITABLE.get(path.suffix.lower())
    if codec is None:
        raise OutputError(
            f"Cannot write {path}: {path.suffix or 'no ending'} is not a video format that is "
            f"written. Use one of {', '.join(sorted(WRITABLE))}."
        )
    with VideoReader(source) as reader:
        picture = Picture(reader.size, reader.rate, reader.time_base, reader.aspect, codec)
        store = SegmentStore(
            path.with_name(f".{path.name}.parts"),
            _describe(stylizer, reader, picture, segment_frames),
        )
        resumed = store.frames
        stylizer.reset()
        try:
            _check_sound(reader, store.folder / f"probe{path.suffix}")
            if store.segments:
                stylizer.restore(store.last_state())
            _draw(stylizer, reader, store, picture, segment_frames, progress)
            if not store.segments:
                raise InputImageError(f"{reader.path} has no frame that can be read.")
            staged = store.folder / f"joined{path.suffix}"
            _join(reader, store, picture, staged)
            os.replace(staged, path)
        except (OSError, require_av().FFmpegError) as error:
            if isinstance(error, OutputError):
                raise
            kept = f" What has been drawn is kept in {store.folder}." if store.segments else ""
            raise OutputError(f"Cannot write {path}: {error}.{kept}") from error
        finally:
            if not store.segments:
                store.remove()
        store.remove()
        return VideoReport(path, store.frames, resumed)


def _draw(
    stylizer: VideoStylizer,
    reader: VideoReader,
    store: SegmentStore,
    picture: Picture,
    segment_frames: int,
    progress: Progress | None,
) -> None:
    done = store.frames
    frames = reader.frames(store.segments[-1].last if store.segments else None)
    if progress and done:
        progress(done, reader.frame_count)
    pending = next(frames, None)
    while pending is not None:
        part = store.folder / "next.part"
        with SegmentWriter(part, picture) as writer:
            while pending is not None and writer.frames < segment_frames:
                moment, pixels = pending
                photo = Photo(pixels, None, f"{reader.path}, frame {done}")
                drawn = stylizer.draw(photo, float(moment * reader.time_base))
                writer.write(moment, np.asarray(drawn.convert("pil")))
                done += 1
                if progress:
                    progress(done, reader.frame_count)
                pending = next(frames, None)
            writer.close()
        store.commit(part, writer.first, writer.last, writer.frames, stylizer.state())


def _join(reader: VideoReader, store: SegmentStore, picture: Picture, target: Path) -> None:
    """Put pictures and sound together, packet by packet."""
    av = require_av()
    with (
        av.open(str(store.segments[0].path)) as first,
        av.open(str(target), "w", options=_muxer_options(target)) as out,
    ):
        video = out.add_stream_from_template(first.streams.video[0])
        video.time_base = picture.time_base
        sound = {stream.index: out.add_stream_from_template(stream) for stream in reader.audio}
        out.metadata.update(reader.metadata)
        pictures = ((time, 0, packet, video) for time, packet in _pictures(store, picture))
        sounds = (
            (packet.dts * packet.time_base, 1, packet, sound[packet.stream.index])
            for packet in reader.audio_packets()
        )
        for _, _, packet, stream in heapq.merge(pictures, sounds, key=lambda item: item[:2]):
            packet.stream = stream
            out.mux(packet)


def _pictures(store: SegmentStore, picture: Picture) -> Iterator[tuple[Fraction, Any]]:
    av = require_av()
    for segment in store.segments:
        with av.open(str(segment.path)) as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.dts is None:
                    continue
                unit = packet.time_base / picture.time_base
                packet.pts = packet.dts = segment.first + round(packet.pts * unit)
                packet.duration = round((packet.duration or 0) * unit)
                packet.time_base = picture.time_base
                yield packet.dts * picture.time_base, packet


def _check_sound(reader: VideoReader, probe: Path) -> None:
    """Find out before the work whether the target can hold the sound of the source."""
    if not reader.audio:
        return
    av = require_av()
    try:
        with av.open(str(probe), "w") as out:
            for stream in reader.audio:
                out.add_stream_from_template(stream)
            out.start_encoding()
    except (OSError, ValueError, av.FFmpegError) as error:
        names = ", ".join(stream.codec_context.name for stream in reader.audio)
        raise OutputError(
            f"A {probe.suffix} file cannot hold the sound of {reader.path} ({names}): {error}. "
            "Choose an output that ends in .mkv."
        ) from error
    finally:
        probe.unlink(missing_ok=True)


def _describe(
    stylizer: VideoStylizer, reader: VideoReader, picture: Picture, segment_frames: int
) -> dict[str, str]:
    """All that decides what the pieces of a clip look like."""
    status = os.stat(reader.path)
    weights = hashlib.sha256(weights_hash(stylizer.pipe.generator).encode())
    weights.update(weights_hash(stylizer.pipe.aligner).encode())
    return {
        "library": __version__,
        "source": f"{os.path.realpath(reader.path)} {status.st_size} {status.st_mtime_ns}",
        "weights": weights.hexdigest(),
        "options": stylizer.describe(),
        "picture": repr(picture),
        "segment_frames": str(segment_frames),
    }


def _muxer_options(target: Path) -> dict[str, str]:
    movie = target.suffix.lower() in {".mp4", ".m4v", ".mov"}
    return {"movflags": "+faststart"} if movie else {}
