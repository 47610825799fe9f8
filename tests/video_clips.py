"""Small clips that the video tests film themselves, from the bundled photograph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from conftest import ASTRONAUT

RATE = 25
SOUND_RATE = 16000


def pan(count: int, size: tuple[int, int] = (128, 128)) -> Iterator[Image.Image]:
    """Frames of (height, width): the astronaut's face, moving slowly to the side."""
    height, width = size
    with Image.open(ASTRONAUT) as photo:
        scene = photo.convert("RGB")
    side = 320
    for index in range(count):
        left = 60 + 1.5 * index
        box = (left, 0, left + side * width / max(size), side * height / max(size))
        yield scene.resize((width, height), Image.Resampling.BICUBIC, box=box)


def film(
    path: Path,
    frames: Sequence[Image.Image],
    *,
    moments: Sequence[int] | None = None,
    rotation: int = 0,
    sound: str | None = None,
) -> Path:
    """Write a clip of frames at `moments` (units of 1 / 600 s), with a tone as sound.

    Without moments, frames are 1 / 25 s apart. `rotation` is counter-clockwise, in the metadata.
    """
    moments = [600 // RATE * index for index in range(len(frames))] if moments is None else moments
    codec = "libvpx-vp9" if path.suffix == ".webm" else "libx264"
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=RATE, options={"crf": "10"})
        stream.width, stream.height = frames[0].size
        odd = any(side % 2 for side in frames[0].size) and codec == "libx264"
        stream.pix_fmt = "yuv444p" if odd else "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 600)
        if rotation:
            stream.set_display_rotation(rotation)
        voice = out.add_stream(sound, rate=SOUND_RATE, layout="mono") if sound else None
        for frame, moment in zip(frames, moments, strict=True):
            picture = av.VideoFrame.from_image(frame)
            picture.pts, picture.time_base = moment, Fraction(1, 600)
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
        if voice is not None:
            seconds = moments[-1] / 600
            for start in range(0, int(seconds * SOUND_RATE) // 1024):
                time = np.arange(start * 1024, (start + 1) * 1024) / SOUND_RATE
                tone = (0.2 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)[None]
                kind = voice.codec_context.format.name
                if kind != "fltp":
                    tone = (tone * 32767).astype(np.int16)
                piece = av.AudioFrame.from_ndarray(tone, format=kind, layout="mono")
                piece.sample_rate, piece.pts = SOUND_RATE, start * 1024
                out.mux(voice.encode(piece))
            out.mux(voice.encode(None))
    return path


def watch(path: Path) -> tuple[list[Fraction], np.ndarray]:
    """Moments in seconds and frames `(n, H, W, 3)` of a clip, as they are stored."""
    moments, frames = [], []
    with av.open(str(path)) as clip:
        for frame in clip.decode(video=0):
            moments.append(frame.pts * frame.time_base)
            frames.append(frame.to_ndarray(format="rgb24"))
    return moments, np.stack(frames)


def listen(path: Path) -> list[bytes]:
    """The packets of the sound, as they are stored."""
    with av.open(str(path)) as clip:
        return [bytes(packet) for packet in clip.demux(audio=0) if packet.size]
