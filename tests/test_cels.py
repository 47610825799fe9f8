"""Cels: flat tones, kept colours, and the lines of the start."""

from __future__ import annotations

import torch
from torch import Tensor

from conftest import tiny_generator
from faces import EXAMPLES
from tps_portrait.training.cels import Cels
from tps_portrait.training.data import load_faces, to_float
from tps_portrait.training.lines import dark_lines

FAR = torch.full((1, 68, 2), 5.0)


def cel(picture: Tensor, layers: float = 5.0) -> Tensor:
    return Cels(layers).painted(picture, FAR, None, picture)


def test_a_gradient_becomes_tones_with_edges() -> None:
    ramp = torch.linspace(-0.9, 0.9, 512).expand(1, 3, 512, 512)
    slopes = cel(ramp)[0, 0, 4, 8:-8].diff()
    flat = slopes < 0.4 * ramp[0, 0, 0].diff().mean()
    assert flat.float().mean() > 0.25
    assert slopes.max() > 2 * ramp[0, 0, 0].diff().mean()
    assert slopes.min() > -1e-4
    # An edge between tones is where flat ends and begins again.
    assert 3 <= (flat[1:] & ~flat[:-1]).sum() <= 5


def test_fewer_layers_change_more() -> None:
    ramp = torch.linspace(-0.9, 0.9, 256).expand(1, 3, 256, 256)
    few, many = ((cel(ramp, layers) - ramp).abs().mean() for layers in (3.0, 12.0))
    assert few > 1.5 * many


def test_colours_keep_their_order() -> None:
    red = torch.tensor([0.6, -0.2, -0.4]).view(1, 3, 1, 1).expand(1, 3, 64, 64)
    found = cel(red)[0, :, 32, 32]
    assert found[0] > found[1] > found[2]
    assert found[0] - found[2] > 0.9


def test_lines_eyes_and_mouth_are_those_of_the_start() -> None:
    faces = load_faces(EXAMPLES, 256, limit=1, minimum=1)
    photo, start = to_float(faces.images), tiny_generator()
    with torch.no_grad():
        bare = Cels(5).painted(photo, faces.landmarks, None, photo)
        whole = Cels(5, start).painted(photo, faces.landmarks, None, photo)
        drawn = start(photo).clamp(-1, 1)
    lines = dark_lines(drawn / 2 + 0.5, 256)[0, 0, :32]
    change = (bare - whole)[0].mean(0)[:32]
    assert change[lines == 0].abs().max() < 1e-6
    dark = bare[0].mean(0)[:32] > -0.9
    assert (change[(lines > 0.05) & dark] > 0).all()
    x, y = ((faces.landmarks[0, 36:42].mean(0) + 1) * 128).round().int().tolist()
    eye = (..., slice(y - 2, y + 3), slice(x - 2, x + 3))
    assert (whole - drawn)[eye].abs().mean() < 0.6 * (bare - drawn)[eye].abs().mean()
