"""Video files in and out: sound, moments, turned and odd clips, and runs that were stopped."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import weakref
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import tiny_pipeline
from tps_portrait import InputImageError, OutputError, TPSPortraitPipeline
from tps_portrait.cli import main
from tps_portrait.cli.files import VIDEOS, WRITABLE_VIDEOS
from tps_portrait.processing import Photo
from tps_portrait.video import VideoStylizer
from tps_portrait.video.reading import VideoReader

pytest.importorskip("av", reason="PyAV, the extra `video`, is not installed")

import av

from tps_portrait.video.segments import WRITABLE
from tps_portrait.video.transcoding import stylize_video
from video_clips import film, listen, pan, watch

STOPPED = """
import os, signal, sys
from conftest import tiny_pipeline
from tps_portrait.video import VideoStylizer
from tps_portrait.video.transcoding import stylize_video

def stop(done, total):
    if done == 11:
        os.kill(os.getpid(), signal.SIGKILL)

stylize_video(VideoStylizer(tiny_pipeline()), *sys.argv[1:], segment_frames=4, progress=stop)
"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """14 frames of 128x128 with sound."""
    return film(tmp_path_factory.mktemp("clips") / "clip.mp4", list(pan(14)), sound="aac")


@pytest.fixture(scope="module")
def style(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a style that draws quickly, and badly."""
    folder = tmp_path_factory.mktemp("styles") / "tiny"
    tiny_pipeline().save_pretrained(folder)
    return str(folder)


@pytest.fixture
def plain(pipe: TPSPortraitPipeline) -> VideoStylizer:
    """Gives back each frame as it is."""
    return VideoStylizer(pipe, strength=0, mode="frame")


class TestStylizeVideo:
    def test_drawn_frames_moments_and_sound(
        self, pipe: TPSPortraitPipeline, clip: Path, tmp_path: Path
    ) -> None:
        calls: list[tuple[int, int | None]] = []
        report = stylize_video(
            VideoStylizer(pipe),
            clip,
            tmp_path / "out.mp4",
            progress=lambda *call: calls.append(call),
        )
        assert (report.frames, report.resumed) == (14, 0)
        assert calls == [(number, 14) for number in range(1, 15)]
        assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
        moments, frames = watch(report.path)
        assert moments == watch(clip)[0] == [Fraction(i, 25) for i in range(14)]
        assert listen(report.path) == listen(clip) != []
        with VideoReader(clip) as reader:
            photos = [pixels.permute(1, 2, 0).numpy() for _, pixels in reader.frames()]
        expected = VideoStylizer(pipe)(photos, fps=25)
        for drawn, wanted, photo in zip(frames, expected, photos, strict=True):
            # The tiny network draws noise, which H.264 at quality 18 and half the colour changes.
            luma = drawn.mean(-1)
            assert np.abs(luma - np.asarray(wanted).mean(-1)).mean() < 6
            assert np.abs(luma - photo.mean(-1)).mean() > 20

    def test_a_run_that_was_killed_goes_on(self, clip: Path, tmp_path: Path) -> None:
        target = tmp_path / "out.mp4"
        command = [sys.executable, "-c", STOPPED, str(clip), str(target)]
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True)
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()
        assert not target.exists()
        stylizer = VideoStylizer(tiny_pipeline())
        calls: list[int] = []
        report = stylize_video(
            stylizer, clip, target, segment_frames=4, progress=lambda n, _: calls.append(n)
        )
        assert (report.frames, report.resumed) == (14, 8)
        assert calls == list(range(8, 15))
        whole = stylize_video(
            VideoStylizer(tiny_pipeline()), clip, tmp_path / "whole.mp4", segment_frames=4
        )
        (moments, frames), (all_moments, all_frames) = watch(target), watch(whole.path)
        assert moments == all_moments
        assert np.array_equal(frames, all_frames)
        assert listen(target) == listen(clip)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4", "whole.mp4"]

    @pytest.mark.parametrize("change", ["options", "source", "damage"])
    def test_pieces_of_another_job_are_not_used(
        self, plain: VideoStylizer, pipe: TPSPortraitPipeline, tmp_path: Path, change: str
    ) -> None:
        clip, target = film(tmp_path / "a.mp4", list(pan(6))), tmp_path / "out.mp4"

        class StoppedError(Exception):
            pass

        def stop(done: int, total: int | None) -> None:
            if done == 5:
                raise StoppedError

        with pytest.raises(StoppedError):
            stylize_video(plain, clip, target, segment_frames=2, progress=stop)
        parts = tmp_path / ".out.mp4.parts"
        assert json.loads((parts / "job.json").read_text())["segment_frames"] == "2"
        stylizer, resumed = plain, 0
        if change == "options":
            stylizer = VideoStylizer(pipe, strength=0, mode="frame", size=64)
        elif change == "source":
            film(clip, list(pan(7))[1:])
        else:  # the second piece was written, but its state only in part
            state = parts / "000001.safetensors"
            state.write_bytes(state.read_bytes()[:20])
            resumed = 2
        assert stylize_video(stylizer, clip, target, segment_frames=2).resumed == resumed
        (moments, frames), (_, source) = watch(target), watch(clip)
        assert len(moments) == 6
        assert np.abs(frames.astype(float) - source).mean() < 4

    def test_variable_frame_rate(self, plain: VideoStylizer, tmp_path: Path) -> None:
        moments = [0, 20, 60, 61, 200, 210, 400, 1000]
        clip = film(tmp_path / "a.mp4", list(pan(8)), moments=moments)
        stylize_video(plain, clip, tmp_path / "out.mp4", segment_frames=3)
        assert watch(tmp_path / "out.mp4")[0] == [Fraction(m, 600) for m in moments]

    @pytest.mark.parametrize("rotation", [90, 180, -90])
    def test_turned_by_metadata(self, plain: VideoStylizer, tmp_path: Path, rotation: int) -> None:
        frames = list(pan(2, (96, 128)))
        clip = film(tmp_path / "a.mp4", frames, rotation=rotation)
        report = stylize_video(plain, clip, tmp_path / "out.mp4")
        with av.open(str(report.path)) as out:
            assert next(out.decode(video=0)).rotation == 0
        wanted = np.stack([np.rot90(np.asarray(f), rotation // 90) for f in frames])
        assert np.abs(watch(report.path)[1].astype(float) - wanted).mean() < 5

    @pytest.mark.parametrize(
        ("name", "size", "coded"),
        [
            ("out.mp4", (97, 125), (98, 126)),
            ("out.mkv", (96, 125), (96, 126)),
            ("out.webm", (97, 125), (97, 125)),
        ],
    )
    def test_odd_sizes(
        self,
        plain: VideoStylizer,
        tmp_path: Path,
        name: str,
        size: tuple[int, int],
        coded: tuple[int, int],
    ) -> None:
        frames = list(pan(2, size))
        clip = film(tmp_path / "a.mkv", frames)
        stylize_video(plain, clip, tmp_path / name)
        drawn = watch(tmp_path / name)[1]
        assert drawn.shape[1:3] == coded
        inside = drawn[:, : size[0], : size[1]].astype(float)
        assert np.abs(inside - np.stack([np.asarray(f) for f in frames])).mean() < 6

    def test_sound_that_does_not_fit_is_found_before_the_work(
        self, plain: VideoStylizer, tmp_path: Path
    ) -> None:
        clip = film(tmp_path / "a.mkv", list(pan(4)), sound="pcm_s16le")
        with pytest.raises(OutputError, match=r"cannot hold the sound.*pcm_s16le.*\.mkv"):
            stylize_video(plain, clip, tmp_path / "out.webm")
        assert [path.name for path in tmp_path.iterdir()] == ["a.mkv"]
        stylize_video(plain, clip, tmp_path / "out.mkv")
        assert b"".join(listen(tmp_path / "out.mkv")) == b"".join(listen(clip)) != b""

    def test_damaged_files_end_in_a_video_or_in_our_errors(
        self, plain: VideoStylizer, tmp_path: Path
    ) -> None:
        clip = film(tmp_path / "a.mkv", list(pan(12, (64, 64))), sound="aac")
        whole, bad = clip.read_bytes(), tmp_path / "bad.mkv"
        bad.write_bytes(whole[: len(whole) // 20])
        with pytest.raises(InputImageError, match=r"bad\.mkv"):
            stylize_video(plain, bad, tmp_path / "out.mkv")
        random = np.random.default_rng(0)
        ends: list[bool] = []
        for _ in range(10):
            content = np.frombuffer(whole, np.uint8).copy()
            content[random.integers(0, len(whole), 40)] = random.integers(0, 256, 40)
            bad.write_bytes(content.tobytes())
            try:
                ends.append(stylize_video(plain, bad, tmp_path / "out.mkv").frames > 0)
            except (InputImageError, OutputError):
                ends.append(False)
        assert any(ends)
        assert {path.name for path in tmp_path.iterdir()} == {"a.mkv", "bad.mkv", "out.mkv"}

    def test_sound_that_goes_back_in_time(self, clip: Path, tmp_path: Path) -> None:
        """As in files that were put together badly: in transport streams, nothing prevents it."""
        joined = tmp_path / "joined.ts"
        part = film(tmp_path / "a.ts", list(pan(6, (64, 64))), sound="aac").read_bytes()
        joined.write_bytes(part + part)
        with VideoReader(joined) as reader:
            moments = [packet.dts for packet in reader.audio_packets()]
        assert moments == sorted(set(moments))

    def test_memory_does_not_grow_with_the_clip(
        self, pipe: TPSPortraitPipeline, tmp_path: Path
    ) -> None:
        """The frame that is drawn and the next one are all that is alive."""
        clip = film(tmp_path / "a.mp4", list(pan(20, (64, 64))))
        seen: list[weakref.ref[torch.Tensor]] = []
        alive: list[int] = []

        class Watched(VideoStylizer):
            def draw(self, photo: Photo, time: float) -> Photo:
                seen.append(weakref.ref(photo.pixels))
                alive.append(sum(frame() is not None for frame in seen))
                return super().draw(photo, time)

        stylize_video(
            Watched(pipe, strength=0, mode="frame"), clip, tmp_path / "out.mp4", segment_frames=6
        )
        assert len(alive) == 20
        assert max(alive) <= 2


class TestVideoReader:
    def test_goes_on_after_a_moment(self, clip: Path) -> None:
        with VideoReader(clip) as reader:
            every = list(reader.frames())
            rest = list(reader.frames(every[8][0]))
        assert [moment for moment, _ in rest] == [moment for moment, _ in every[9:]]
        assert all(torch.equal(a, b) for (_, a), (_, b) in zip(rest, every[9:], strict=True))

    def test_colours(self, tmp_path: Path, plain: VideoStylizer) -> None:
        """Twice through the codec, pure colours come back, in the tagged matrix."""
        from PIL import Image

        colours = [(200, 40, 60), (30, 180, 90), (60, 70, 220), (250, 250, 250)]
        sheet = np.repeat(np.array(colours, np.uint8)[None], 64, 0).repeat(32, 1)
        clip = film(tmp_path / "a.mp4", [Image.fromarray(sheet)] * 2)
        stylize_video(plain, clip, tmp_path / "b.mp4")
        with VideoReader(tmp_path / "b.mp4") as reader:
            _, frame = next(reader.frames())
        got = frame.permute(1, 2, 0).numpy()[32, 16::32]
        assert np.abs(got.astype(int) - np.array(colours)).max() <= 4

    def test_refuses_what_is_no_video(self, tmp_path: Path) -> None:
        words, song = tmp_path / "words.mp4", tmp_path / "song.mp4"
        words.write_text("not a video")
        with pytest.raises(InputImageError, match=r"words\.mp4 cannot be read as a video"):
            VideoReader(words)
        with pytest.raises(InputImageError, match="No such file"):
            VideoReader(tmp_path / "absent.mp4")
        with av.open(str(song), "w") as out:
            stream = out.add_stream("aac", rate=16000, layout="mono")
            piece = av.AudioFrame.from_ndarray(
                np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
            )
            piece.sample_rate = 16000
            out.mux(stream.encode(piece))
            out.mux(stream.encode(None))
        with pytest.raises(InputImageError, match="no moving picture"):
            VideoReader(song)


class TestCommand:
    def test_endings_agree(self) -> None:
        assert frozenset(WRITABLE) == WRITABLE_VIDEOS
        assert WRITABLE_VIDEOS < VIDEOS

    def test_clip_to_file_and_folder(
        self, style: str, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "out.mp4"
        assert main(["stylize", str(clip), "-o", str(out), "--style", style]) == 0
        assert capsys.readouterr().out == f"{clip} -> {out} (14 frames)\n"
        assert len(watch(out)[0]) == 14
        assert main(["stylize", str(clip), "-o", str(out), "--style", style]) == 1
        assert "--overwrite" in capsys.readouterr().err
        broken = tmp_path / "broken.mp4"
        broken.write_bytes(b"no")
        inputs = [str(clip), str(broken)]
        folder = tmp_path / "drawn"
        assert main(["stylize", *inputs, "-o", str(folder), "--style", style]) == 1
        assert [path.name for path in folder.iterdir()] == ["clip-tiny.mp4"]
        errors = capsys.readouterr().err
        assert "broken.mp4 cannot be read as a video" in errors
        assert "1 of 2 videos failed" in errors

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["clip.mp4", "-o", "out.png"], "Use one of .m4v"),
            (["clip.mp4", "me.jpg", "-o", "out/"], "me.jpg is no video"),
            (["clip.mp4", "-o", "out.mp4", "--side-by-side"], "--side-by-side is for pictures"),
        ],
    )
    def test_refuses(
        self,
        arguments: list[str],
        message: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert main(["stylize", *arguments]) == 1
        assert message in capsys.readouterr().err

    def test_without_pyav(
        self,
        clip: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setitem(sys.modules, "av", None)
        assert main(["stylize", str(clip), "-o", str(tmp_path / "out.mp4")]) == 1
        assert 'pip install "tps-portrait[video]"' in capsys.readouterr().err

    def test_interrupt_says_how_to_go_on(
        self,
        style: str,
        clip: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def interrupt(*args: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(VideoStylizer, "draw", interrupt)
        assert main(["stylize", str(clip), "-o", str(tmp_path / "o.mp4"), "--style", style]) == 130
        assert "the same command goes on" in capsys.readouterr().err
