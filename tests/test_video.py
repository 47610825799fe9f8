"""Frames in, steady drawings out: the filter, the tracker and the stylizer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import seeded
from tps_portrait import ConfigError, InputImageError, TPSPortraitPipeline
from tps_portrait.ops.landmarks import eye_centers
from tps_portrait.processing import face_crops, load_photo
from tps_portrait.video import FaceTracker, OneEuroFilter, VideoStylizer

SIDE = 128


def _tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def _noisy(astronaut: Image.Image, count: int, *, seed: int = 0) -> list[Image.Image]:
    """The same view over and over, as a cheap camera sees it."""
    rng = np.random.default_rng(seed)
    still = np.asarray(astronaut.crop((60, 0, 380, 320)).resize((SIDE, SIDE)), np.float32)
    return [
        Image.fromarray((still + rng.normal(0, 8, still.shape)).clip(0, 255).astype(np.uint8))
        for _ in range(count)
    ]


class TestOneEuroFilter:
    def test_is_the_published_algorithm(self) -> None:
        """Algorithm 1 of the paper, in scalars."""
        rng = np.random.default_rng(0)
        values = np.cumsum(rng.normal(0, 1, 40)) + rng.normal(0, 0.3, 40)
        rate, mincutoff, beta, dcutoff = 30.0, 0.7, 0.4, 1.2

        def alpha(cutoff: float) -> float:
            tau = 1 / (2 * math.pi * cutoff)
            return 1 / (1 + tau * rate)

        smooth = OneEuroFilter(mincutoff, beta, dcutoff)
        hat, dhat = None, 0.0
        for index, value in enumerate(values):
            if hat is None:
                hat = value
            else:
                dvalue = (value - hat) * rate
                dhat = alpha(dcutoff) * dvalue + (1 - alpha(dcutoff)) * dhat
                share = alpha(mincutoff + beta * abs(dhat))
                hat = share * value + (1 - share) * hat
            got = smooth(torch.tensor([value], dtype=torch.float64), index / rate)
            assert float(got) == pytest.approx(hat, abs=1e-9)

    def test_steady_at_rest_and_quick_in_motion(self) -> None:
        rng = np.random.default_rng(1)
        times = np.arange(120) / 30
        truth = np.where(times < 2, 0.0, (times - 2) * 300)
        noisy = truth + rng.normal(0, 0.3, 120)
        smooth = OneEuroFilter()
        got = np.array(
            [
                float(smooth(torch.tensor(v), t, scale=50.0))
                for v, t in zip(noisy, times, strict=True)
            ]
        )
        assert np.diff(got[20:60]).std() < 0.3 * np.diff(noisy[20:60]).std()
        assert np.abs(got[70:] - truth[70:]).mean() < 3  # of 10 px from frame to frame

    def test_scale_makes_near_and_far_alike(self) -> None:
        values = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
        near, far = OneEuroFilter(), OneEuroFilter()
        for index, value in enumerate(values):
            small = far(value, index / 30, scale=1.0)
            assert torch.allclose(near(value * 40, index / 30, scale=40.0), small * 40, atol=1e-3)

    def test_time_that_stands_still_starts_anew(self) -> None:
        smooth = OneEuroFilter()
        smooth(torch.tensor(0.0), 1.0)
        assert float(smooth(torch.tensor(5.0), 1.0)) == 5.0

    @pytest.mark.parametrize("values", [(0, 1, 1), (1, -1, 1), (1, 1, 0), (math.nan, 1, 1)])
    def test_refuses(self, values: tuple[float, float, float]) -> None:
        with pytest.raises(ConfigError, match="must be a number of at least"):
            OneEuroFilter(*values)


class TestFaceTracker:
    def test_detects_once_and_follows(
        self, pipe: TPSPortraitPipeline, astronaut: Image.Image
    ) -> None:
        tracker = FaceTracker(pipe.landmarker, smoothing=False)
        for index in range(6):
            view = astronaut.crop((60 + 4 * index, 0, 380 + 4 * index, 320))
            frame = _tensor(view.resize((SIDE, SIDE)))
            (face,) = tracker.update(frame, index / 25)
            (found,) = pipe.landmarker.detect([frame])[0]
            eyes = eye_centers(found.landmarks)
            distance = (face.landmarks - found.landmarks).norm(dim=1).mean()
            assert distance < 0.06 * (eyes[1] - eyes[0]).norm()
        assert tracker.detections == 1

    def test_lost_and_found(self, pipe: TPSPortraitPipeline, astronaut: Image.Image) -> None:
        face = _tensor(astronaut.crop((60, 0, 380, 320)).resize((SIDE, SIDE)))
        empty = torch.from_numpy(seeded(SIDE, SIDE)).permute(2, 0, 1)
        tracker = FaceTracker(pipe.landmarker, search_every=3)
        frames = [face, empty, empty, empty, face, face]
        counts = [len(tracker.update(frame, index / 25)) for index, frame in enumerate(frames)]
        assert counts == [1, 0, 0, 0, 1, 1]
        # The first frame, the one that lost the face, and the third after it.
        assert tracker.detections == 3

    def test_new_faces_are_found_in_time(
        self, pipe: TPSPortraitPipeline, two_faces: Image.Image
    ) -> None:
        both = two_faces.resize((406, 256))
        one = both.copy()
        one.paste((140, 140, 150), (256, 0, 406, 256))
        tracker = FaceTracker(pipe.landmarker, detect_every=3)
        frames = [one, both, both, both]
        counts = [len(tracker.update(_tensor(f), i / 25)) for i, f in enumerate(frames)]
        assert counts == [1, 1, 1, 2]
        largest = FaceTracker(pipe.landmarker, max_faces=1).update(_tensor(both), 0.0)
        assert len(largest) == 1

    def test_smoothing_steadies_the_crop(
        self, pipe: TPSPortraitPipeline, astronaut: Image.Image
    ) -> None:
        frames = [_tensor(frame) for frame in _noisy(astronaut, 16)]
        jitter = {}
        for smoothing in (False, True):
            tracker = FaceTracker(pipe.landmarker, smoothing=smoothing)
            crops = []
            for index, frame in enumerate(frames):
                (face,) = tracker.update(frame, index / 30)
                crops.append(face_crops([face.landmarks], (SIDE, SIDE))[0].matrix[:, 2])
            jitter[smoothing] = float(torch.stack(crops)[4:].diff(dim=0).norm(dim=1).mean())
        assert jitter[True] < 0.6 * jitter[False]

    def test_a_cut_is_not_smoothed(self, pipe: TPSPortraitPipeline, astronaut: Image.Image) -> None:
        near = _tensor(astronaut.crop((130, 20, 330, 220)).resize((SIDE, SIDE)))
        far = _tensor(astronaut.crop((90, 0, 380, 290)).resize((SIDE, SIDE)))
        tracker = FaceTracker(pipe.landmarker)
        for index in range(3):
            tracker.update(near, index / 25)
        (after,) = tracker.update(far, 3 / 25)
        (truth,) = pipe.landmarker.detect([far])[0]
        assert (after.landmarks - truth.landmarks).norm(dim=1).mean() < 2.0

    def test_state_goes_on_exactly(self, pipe: TPSPortraitPipeline, astronaut: Image.Image) -> None:
        frames = [_tensor(frame) for frame in _noisy(astronaut, 6)]
        whole, other = FaceTracker(pipe.landmarker), FaceTracker(pipe.landmarker)
        for index, frame in enumerate(frames[:3]):
            whole.update(frame, index / 30)
        other.restore(whole.state())
        for index, frame in enumerate(frames[3:], 3):
            (one,), (two,) = whole.update(frame, index / 30), other.update(frame, index / 30)
            assert torch.equal(one.mesh, two.mesh)
        assert other.detections == 1

    @pytest.mark.parametrize("option", ["detect_every", "search_every", "max_faces"])
    @pytest.mark.parametrize("value", [0, 2.5, True])
    def test_refuses(self, pipe: TPSPortraitPipeline, option: str, value: float) -> None:
        with pytest.raises(ConfigError, match=option):
            FaceTracker(pipe.landmarker, **{option: value})  # type: ignore[arg-type]


class TestVideoStylizer:
    def test_is_a_generator_over_frames(
        self, pipe: TPSPortraitPipeline, astronaut: Image.Image
    ) -> None:
        taken = []

        def frames() -> Iterator[Image.Image]:
            for frame in itertools.cycle(_noisy(astronaut, 2)):
                taken.append(frame)
                yield frame

        drawings = VideoStylizer(pipe)(frames())  # endless: nothing is read ahead
        assert taken == []
        first = next(drawings)
        assert len(taken) == 1
        assert first.size == (SIDE, SIDE)
        next(drawings)
        assert len(taken) == 2

    def test_first_frame_is_the_pipelines_drawing(
        self, pipe: TPSPortraitPipeline, astronaut: Image.Image
    ) -> None:
        frame = _noisy(astronaut, 1)[0]
        for options in ({}, {"mode": "frame"}, {"strength": 0.5, "geometry_strength": 0.5}):
            expected = pipe(frame, output_type="np", **options).images[0]
            (drawn,) = VideoStylizer(pipe, output_type="np", **options)([frame])
            assert np.array_equal(drawn, expected)

    def test_strength_zero_is_the_frame(
        self, pipe: TPSPortraitPipeline, astronaut: Image.Image
    ) -> None:
        frame = _noisy(astronaut, 1)[0]
        (drawn,) = VideoStylizer(pipe, strength=0)([frame])
        assert np.array_equal(np.asarray(drawn), np.asarray(frame))

    def test_takes_what_the_pipeline_takes(
        self, pipe: TPSPortraitPipeline, astronaut: Image.Image
    ) -> None:
        frame = _noisy(astronaut, 1)[0]
        forms = [frame, np.asarray(frame), _tensor(frame)]
        drawn = [np.asarray(next(VideoStylizer(pipe)([form]))) for form in forms]
        assert np.array_equal(drawn[0], drawn[1])
        assert np.array_equal(drawn[0], drawn[2])

    def test_size_of_the_drawn_frame_does_not_flutter(
        self, pipe: TPSPortraitPipeline, astronaut: Image.Image
    ) -> None:
        stylizer = VideoStylizer(pipe)
        sizes = []
        for shift in (0, 3, 6, 9, 140):  # a slow approach, then a cut
            view = astronaut.crop((60 + shift, shift // 2, 380 - shift, 320 - 3 * shift // 2))
            stylizer.draw(load_photo(view.resize((SIDE, SIDE))), len(sizes) / 25)
            assert stylizer._held is not None
            sizes.append(stylizer._held[1])
        assert len(set(sizes[:4])) == 1

    def test_times(self, pipe: TPSPortraitPipeline, astronaut: Image.Image) -> None:
        frames = _noisy(astronaut, 3)
        even = [np.asarray(d) for d in VideoStylizer(pipe)(frames, fps=10)]
        given = [np.asarray(d) for d in VideoStylizer(pipe)(frames, times=[0.0, 0.1, 0.2])]
        assert all(np.array_equal(a, b) for a, b in zip(even, given, strict=True))
        with pytest.raises(ConfigError, match="times ends after 2 frames"):
            list(VideoStylizer(pipe)(frames, times=[0.0, 0.1]))
        with pytest.raises(ConfigError, match="fps"):
            list(VideoStylizer(pipe)(frames, fps=0))

    def test_a_bad_frame_is_named(self, pipe: TPSPortraitPipeline, astronaut: Image.Image) -> None:
        drawings = VideoStylizer(pipe)([_noisy(astronaut, 1)[0], np.zeros((4, 4, 3), np.uint8)])
        next(drawings)
        with pytest.raises(InputImageError, match="frame 1"):
            next(drawings)

    @pytest.mark.parametrize(
        "options",
        [
            {"mode": "nose"},
            {"strength": 2},
            {"size": 8},
            {"face_size": 8},
            {"detect_every": 0},
            {"output_type": "gif"},
        ],
    )
    def test_refuses(self, pipe: TPSPortraitPipeline, options: dict[str, object]) -> None:
        with pytest.raises(ConfigError):
            VideoStylizer(pipe, **options)  # type: ignore[arg-type]
