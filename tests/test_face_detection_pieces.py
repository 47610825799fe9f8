"""The pieces of face detection: crops, letterboxed views, tiles and the merging of candidates."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from tps_portrait.models.landmarks.cropping import Square, average_blocks, cut, letterbox
from tps_portrait.models.landmarks.detection import (
    Candidate,
    combine,
    tiles,
    unique,
    weighted_suppression,
)


def test_cut_of_pixels() -> None:
    """An upright crop of the same size is those very pixels; edges go on outside."""
    image = torch.randint(0, 256, (3, 40, 50), dtype=torch.uint8)
    crop = cut(image, Square(20, 15, 16), 16)
    torch.testing.assert_close(crop, image[:, 7:23, 12:28] / 255, atol=1e-5, rtol=0)
    corner = cut(image, Square(0, 0, 8), 8)
    torch.testing.assert_close(
        corner[:, :4, :4], (image[:, :1, :1] / 255).expand(3, 4, 4), atol=1e-5, rtol=0
    )


def test_cut_turns_clockwise() -> None:
    """A quarter turn: the crop's x axis is the picture's y axis."""
    image = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
    crop = cut(image, Square(16, 16, 32, math.pi / 2), 32)
    torch.testing.assert_close(crop, image.mT.flip(1) / 255, atol=1e-4, rtol=0)


@pytest.mark.parametrize("side", [96, 400, 1500])
def test_cut_reduces_without_aliasing(side: int) -> None:
    """A fine checkerboard becomes grey, a ramp keeps its place."""
    axis = torch.arange(1600)
    board = ((axis[:, None] + axis) % 2 * 255).byte().expand(3, 1600, 1600)
    crop = cut(board, Square(800, 800, side), 32)
    assert (crop - 0.5).abs().max() < 0.04
    ramp = (axis * 255 / 1600).round().byte().expand(3, 1600, 1600)
    crop = cut(ramp, Square(800, 800, side), 32)
    expected = (800 + ((torch.arange(32) + 0.5) / 32 - 0.5) * side - 0.5) / 1600
    assert (crop[0, 16] - expected).abs().max() < 0.004


def test_average_blocks() -> None:
    """Exact block means; the remainder is dropped."""
    image = torch.randint(0, 256, (3, 101, 67), dtype=torch.uint8)
    reduced, block = average_blocks(image, 0.05)
    assert block == 5
    exact = F.avg_pool2d(image[None, :, :100, :65].double(), 5).float()
    torch.testing.assert_close(reduced, exact)
    assert average_blocks(image, 0.5)[1] == 1


@pytest.mark.parametrize("size", [(300, 500), (700, 90), (4000, 3001)])
def test_letterbox_keeps_places(size: tuple[int, int]) -> None:
    """A bright spot is found where the frame says."""
    height, width = size
    image = torch.zeros((3, height, width), dtype=torch.uint8)
    x, y, r = round(0.7 * width), round(0.3 * height), max(height, width) // 20
    image[:, max(y - r, 0) : y + r, max(x - r, 0) : x + r] = 255
    view, frame = letterbox(image, 128)
    weight = (view[0] + 1) / 2
    axis = (torch.arange(128) + 0.5) / 128
    point = torch.stack(((weight * axis).sum(), (weight * axis[:, None]).sum())) / weight.sum()
    low, high = (max(x - r, 0), max(y - r, 0)), (min(x + r, width), min(y + r, height))
    expected = (torch.tensor(low) + torch.tensor(high)) / 2
    found = frame[0] + point * frame[1]
    assert (found - expected).abs().max() < 0.003 * max(height, width)


@pytest.mark.parametrize("size", [(1000, 700), (3000, 4000), (6000, 4000), (1200, 12000)])
def test_tiles_cover(size: tuple[int, int]) -> None:
    """Any face of up to a third of a tile is whole in one of them."""
    height, width = size
    views = tiles(0, height, width, 640, 8)
    side = max(views[0].box[2] - views[0].box[0], views[0].box[3] - views[0].box[1])
    face = side // 3 - 2
    for x in range(0, width - face, 37):
        for y in range(0, height - face, 53):
            assert any(
                v.box[0] <= x and v.box[1] <= y and x + face <= v.box[2] and y + face <= v.box[3]
                for v in views
            )
    assert all(v.box[2] <= width and v.box[3] <= height for v in views)
    assert tiles(0, 640, 500, 640, 8) == []


def test_weighted_suppression() -> None:
    """Overlapping detections become their weighted mean, others stay."""
    box = torch.tensor([[0.0, 0.0], [10.0, 10.0]] + [[5.0, 5.0]] * 6)
    merged = weighted_suppression(
        torch.tensor([0.6, 0.9, 0.8]), torch.stack((box + 1, box, box + 50))
    )
    assert [c.score for c in merged] == pytest.approx([0.9, 0.8])
    torch.testing.assert_close(merged[0].values, box + 0.4)
    assert weighted_suppression(torch.zeros(0), torch.zeros(0, 8, 2)) == []


def test_unique_and_combine() -> None:
    """Nested and overlapping ones are one face; the precise place and the better score stay."""
    box = torch.tensor([[0.0, 0.0], [10.0, 10.0]] + [[5.0, 5.0]] * 6)
    better, inside, far = Candidate(0.9, box), Candidate(0.7, box / 2), Candidate(0.6, box + 40)
    assert unique([far, inside, better], 0.3) == [better, far]
    joined = combine([inside], [better, far], 0.3)
    assert [c.score for c in joined] == [0.9, 0.6]
    assert joined[0].values is inside.values
