"""Washes: tones of paint on paper, and what is painted where."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from conftest import tiny_generator
from faces import EXAMPLES, make_landmarks
from tps_portrait import ConfigError
from tps_portrait.models.generator.noise import make_noise
from tps_portrait.training.data import FaceSet, load_faces, to_float
from tps_portrait.training.lines import dark_lines
from tps_portrait.training.washes import Washes

SIDE = 256
PAPER = torch.tensor([1.0, 0.95, 0.9]).view(1, 3, 1, 1)


def flat(value: float) -> Tensor:
    """A picture of one grey, in [-1, 1]."""
    return torch.full((1, 3, SIDE, SIDE), 2 * value - 1)


@pytest.fixture(scope="module")
def face() -> Tensor:
    """Landmarks of a small face in the middle."""
    return 0.3 * make_landmarks(1)


@pytest.fixture(scope="module")
def noise() -> Tensor:
    return make_noise(8)[..., : SIDE // 4, : SIDE // 4]


def tones(washes: Washes, picture: Tensor) -> Tensor:
    """What becomes of a picture where neither noise nor a face is near, `(3, W)` in [0, 1]."""
    far = torch.full((1, 68, 2), 5.0)
    still = torch.zeros(1, 8, picture.shape[-2] // 4, picture.shape[-1] // 4)
    return washes.painted(picture, far, still, picture)[0, :, 4] / 2 + 0.5


class TestTones:
    def test_white_is_bare_paper_and_black_the_darkest_paint(self) -> None:
        white = tones(Washes(1.4, PAPER), flat(1.0))[:, 4]
        torch.testing.assert_close(white, PAPER.flatten())
        black = tones(Washes(1.4, PAPER), flat(0.0))[:, 4]
        darkest = PAPER.flatten() * torch.exp(torch.tensor(-1.4))
        torch.testing.assert_close(black, darkest, atol=0.02, rtol=0)

    def test_darker_is_darker(self) -> None:
        values = torch.linspace(0.1, 0.9, 9).tolist()
        found = torch.stack([tones(Washes(1.4, PAPER), flat(value))[0, 4] for value in values])
        assert (found.diff() > 0.01).all()

    def test_tones_end_in_layers(self) -> None:
        ramp = torch.linspace(-1, 1, 512).expand(1, 3, 512, 512)
        slopes = tones(Washes(1.4, PAPER), ramp)[0, 32:-32].diff()
        assert (slopes > -1e-3).all()
        assert slopes.max() > 2.5 * slopes.median()

    def test_what_is_nearly_white_is_paper(self) -> None:
        light = tones(Washes(1.4, torch.ones(1, 3, 1, 1)), flat(0.95))
        assert light.mean() > 0.98

    def test_colours_stay(self) -> None:
        red = torch.tensor([0.6, -0.4, -0.5]).view(1, 3, 1, 1).expand(1, 3, 64, 64)
        found = tones(Washes(1.4, torch.ones(1, 3, 1, 1)), red)[:, 4]
        assert found[0] > found[1] > found[2]
        assert found[0] - found[2] > 0.5, "purer than density alone makes it: 0.45"

    def test_paper_is_the_lightest_of_the_examples(self) -> None:
        images = torch.full((2, 3, 64, 64), 90, dtype=torch.uint8)
        images[:, :, :8] = torch.tensor([250, 240, 220], dtype=torch.uint8).view(1, 3, 1, 1)
        examples = FaceSet(images, make_landmarks(2), ("a", "b"), images[:, :1])
        paper = Washes.of_examples(1.4, examples).paper
        wanted = torch.tensor([250, 240, 220]).view(1, 3, 1, 1) / 255
        torch.testing.assert_close(paper, wanted, atol=5e-3, rtol=0)

    def test_large_sets_have_a_paper(self) -> None:
        images = torch.full((1, 3, 8, 8), 200, dtype=torch.uint8).expand(5000, 3, 8, 8)
        names = ("a",) * len(images)
        examples = FaceSet(images, make_landmarks(1).expand(5000, -1, -1), names, images[:, :1])
        paper = Washes.of_examples(1.4, examples).paper
        torch.testing.assert_close(paper, torch.full((1, 3, 1, 1), 200 / 255), atol=5e-3, rtol=0)


class TestPainted:
    def test_blots_lie_where_the_noise_has_them(self, face: Tensor, noise: Tensor) -> None:
        wall = flat(0.5)
        painted = Washes(1.4, PAPER).painted(wall, face, noise, wall)
        small = torch.nn.functional.avg_pool2d(painted.mean(1, keepdim=True), 4)
        away = slice(0, 12)  # places above the face
        pair = torch.stack([small[0, 0, away].flatten(), noise[0, 6, away].flatten()])
        assert torch.corrcoef(pair)[0, 1] < -0.7, "more paint is darker"

    @pytest.mark.parametrize("channel", [0, 7])
    def test_grain_and_rims_are_darker(self, channel: int) -> None:
        wall, far = flat(0.5), torch.full((1, 68, 2), 5.0)
        one = torch.zeros(1, 8, SIDE // 4, SIDE // 4)
        one[:, channel, :, SIDE // 8 :] = 1
        row = Washes(1.4, PAPER).painted(wall, far, one, wall)[0, 0, SIDE // 2]
        assert row[-16] < row[16] - 0.015

    def test_paper_has_a_tooth(self) -> None:
        wall, far = flat(1.0), torch.full((1, 68, 2), 5.0)
        one = torch.zeros(1, 8, SIDE // 4, SIDE // 4)
        one[:, 0, :, SIDE // 8 :] = -1
        row = Washes(1.4, PAPER).painted(wall, far, one, wall)[0, 0, SIDE // 2]
        assert row[-16] < row[16] - 0.005

    def test_eyes_are_those_of_the_start(self, noise: Tensor) -> None:
        faces = load_faces(EXAMPLES, SIDE, limit=1, minimum=1)
        photo, start = to_float(faces.images), tiny_generator()
        with torch.no_grad():
            bare, whole = (
                Washes(1.4, PAPER, by).painted(photo, faces.landmarks, noise, photo)
                for by in (None, start)
            )
            drawn = Washes(1.4, PAPER).painted(start(photo), faces.landmarks, noise, photo)
        x, y = ((faces.landmarks[0, 36:42].mean(0) + 1) * SIDE / 2).round().int().tolist()
        eye = (..., slice(y - 2, y + 3), slice(x - 2, x + 3))
        assert (whole - drawn)[eye].abs().mean() < 0.7 * (bare - drawn)[eye].abs().mean()

    def test_bare_paper_has_none(self, face: Tensor, noise: Tensor) -> None:
        paper = Washes(1.4, PAPER).painted(flat(1.0), face, noise, flat(1.0))
        wall = Washes(1.4, PAPER).painted(flat(0.5), face, noise, flat(0.5))
        assert paper.std((2, 3)).mean() < 0.3 * wall.std((2, 3)).mean()

    def test_faces_have_fewer(self, face: Tensor, noise: Tensor) -> None:
        wall = flat(0.5)
        calm = torch.cat([torch.zeros(1, 6, *noise.shape[-2:]), noise[:, 6:]], 1)
        painted = Washes(1.4, PAPER).painted(wall, face, calm, wall)[0].mean(0)
        x, y = ((face[0, 27:].mean(0) + 1) * SIDE / 2).round().int().tolist()
        near = painted[y - 12 : y + 12, x - 12 : x + 12]
        assert near.std() < 0.6 * painted[:48].std()

    def test_edges_of_a_wash_are_darker(self, face: Tensor) -> None:
        half = flat(0.9)
        half[..., SIDE // 2 :] = 0.0
        still = torch.zeros(1, 8, SIDE // 4, SIDE // 4)
        row = Washes(1.4, PAPER).painted(half, face, still, half)[0, 0, 4]
        assert row[SIDE // 2 + 1] < row[-8] - 0.05
        assert row[SIDE // 2 - 2] == pytest.approx(row[8].item(), abs=0.02)

    def test_lines_are_those_of_the_start(self, face: Tensor, noise: Tensor) -> None:
        photo = to_float(load_faces(EXAMPLES, SIDE, limit=1, minimum=1).images)
        start = tiny_generator()
        with torch.no_grad():
            bare = Washes(1.4, PAPER).painted(photo, face, noise, photo)
            drawn = Washes(1.4, PAPER, start).painted(photo, face, noise, photo)
            lines = dark_lines(start(photo).clamp(-1, 1) / 2 + 0.5, SIDE)[0, 0, :64]
        change = (bare - drawn)[0].mean(0)[:64]
        assert (change[lines > 0.05] > 0).all()
        assert change[lines == 0].abs().max() < 1e-6

    def test_other_noise_is_refused(self, face: Tensor, noise: Tensor) -> None:
        for other, count in ((noise[:, :6], 6), (None, 0)):
            with pytest.raises(ConfigError, match=f"has {count}. Give --noise_channels 8"):
                Washes(1.4, PAPER).painted(flat(0.5), face, other, flat(0.5))

    def test_half_precision_is_painted_in_full(self, face: Tensor, noise: Tensor) -> None:
        wall = flat(0.5)
        whole = Washes(1.4, PAPER).painted(wall, face, noise, wall)
        half = Washes(1.4, PAPER).painted(wall.bfloat16(), face, noise.bfloat16(), wall)
        assert half.dtype == torch.float32
        torch.testing.assert_close(half, whole, atol=0.02, rtol=0)
