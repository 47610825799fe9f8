"""The committed style examples: complete, ordered and framed like the photo crops."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

STYLES = Path(__file__).parents[1] / "examples" / "data" / "styles"
FIRST_SEED = {"animation": 2000, "watercolor": 3000, "oil_paint": 4000, "ink_paint": 5000}


@pytest.fixture(scope="module", params=sorted(FIRST_SEED))
def style(request: pytest.FixtureRequest) -> Path:
    return STYLES / str(request.param)


@pytest.fixture(scope="module")
def rows(style: Path) -> list[dict[str, object]]:
    text = (style / "metadata.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def points(rows: list[dict[str, object]]) -> np.ndarray:
    return np.array([row["landmarks"] for row in rows], dtype=float)


def test_rows_and_files_match(style: Path, rows: list[dict[str, object]]) -> None:
    names = [str(row["file_name"]) for row in rows]
    assert len(names) == len(set(names)) == 100
    assert sorted(names) == sorted(p.name for p in style.glob("*.jpg"))
    first = FIRST_SEED[style.name]
    assert [row["seed"] for row in rows] == list(range(first, first + 100))
    assert {row["license"] for row in rows} == {"CC0-1.0"}
    assert sum(p.stat().st_size for p in style.iterdir()) <= 6e6


def test_pictures_are_512_rgb_and_differ(style: Path, rows: list[dict[str, object]]) -> None:
    small = []
    for row in rows:
        with Image.open(style / str(row["file_name"])) as image:
            assert image.size == (512, 512)
            assert image.mode == "RGB"
            small.append(np.asarray(image.resize((16, 16)), dtype=float).ravel())
    pictures = np.stack(small)
    apart = np.abs(pictures[:, None] - pictures[None]).mean(-1) + np.eye(100) * 255
    assert apart.min() > 2


def test_landmarks_are_finite_and_in_range(points: np.ndarray) -> None:
    assert points.shape == (100, 68, 2)
    assert np.isfinite(points).all()
    assert np.abs(points).max() < 1


def test_landmarks_are_ordered(points: np.ndarray) -> None:
    x, y = points[..., 0], points[..., 1]
    right_eye, left_eye = points[:, 36:42].mean(1), points[:, 42:48].mean(1)
    assert (right_eye[:, 0] < left_eye[:, 0] - 0.3).all()
    assert (np.diff(x[:, 0:17][:, 3:14]) > 0).all(), "jaw runs from left to right"
    assert (np.diff(x[:, 17:27]) > 0).all(), "brows run from left to right"
    assert (np.diff(y[:, 27:31]) > 0).all(), "nose ridge runs down"
    assert (np.diff(x[:, 31:36]) > 0).all(), "nose base runs from left to right"
    assert (np.diff(x[:, 36:40]) > 0).all()
    assert (np.diff(x[:, 42:46]) > 0).all()
    assert (np.diff(x[:, 48:55]) > 0).all()
    assert (np.diff(x[:, 54:60]) < 0).all()
    assert (y[:, [37, 38, 43, 44]] < y[:, [41, 40, 47, 46]]).all(), "lids do not cross"
    assert (y[:, 61:64] <= y[:, [67, 66, 65]]).all(), "lips do not cross"
    assert (y[:, 17:27].max(1) < y[:, 36:48].min(1) + 0.03).all(), "brows above eyes"
    assert (y[:, 8] > y[:, 57] + 0.1).all(), "chin below lips"


def test_framing_matches_the_photo_crops(points: np.ndarray) -> None:
    middle = (points[:, 36:42].mean(1) + points[:, 42:48].mean(1)) / 2
    distance = np.linalg.norm(points[:, 45] - points[:, 36], axis=1)
    assert np.abs(middle.mean(0) - [0.0, -0.06]).max() < 0.01
    assert abs(distance.mean() - 0.663) < 0.015
    across = points[:, 42:48].mean(1) - points[:, 36:42].mean(1)
    assert np.degrees(np.abs(np.arctan2(across[:, 1], across[:, 0]))).max() < 6


def test_most_faces_are_nearly_frontal(points: np.ndarray) -> None:
    left = points[:, 30, 0] - points[:, 2, 0]
    right = points[:, 14, 0] - points[:, 30, 0]
    turned = np.abs(left - right) / (left + right)
    assert np.quantile(turned, 0.5) < 0.25
    assert turned.max() < 0.75
