"""The renderer of the style examples: what is committed is what it draws, and pairs match."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tps_portrait import FaceLandmarker
from tps_portrait.evaluation import find_face, landmark_error, read_faces, read_truth
from tps_portrait.hub.styles import shared_landmarks

# Skia also fails to import where the machine lacks a library of its own.
pytest.importorskip("skia", reason="needs skia-python, libEGL and libGL", exc_type=ImportError)
pytest.importorskip("cv2", reason="needs OpenCV", exc_type=ImportError)

ROOT = Path(__file__).parents[1]
STYLES = ROOT / "examples" / "data" / "styles"
SEEDS = {"animation": 2003, "watercolor": 3042, "oil_paint": 4048, "ink_paint": 5017}


@pytest.fixture(scope="module", autouse=True)
def examples_can_be_imported() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield


@pytest.fixture(scope="module")
def pairs() -> ModuleType:
    from examples.data.render import pairs

    return pairs


@pytest.mark.parametrize(("style", "seed"), SEEDS.items())
def test_the_committed_examples_are_what_the_renderer_draws(
    style: str, seed: int, tmp_path: Path
) -> None:
    from examples.data.render.__main__ import write_row

    row = json.loads(write_row(seed, style, tmp_path, 512))
    rows = (STYLES / style / "metadata.jsonl").read_text("utf-8").splitlines()
    assert row in [json.loads(line) for line in rows]
    found, kept = (
        np.asarray(Image.open(folder / row["file_name"]), dtype=float)
        for folder in (tmp_path, STYLES / style)
    )
    # Another processor may round a stroke's edge otherwise; another recipe moves all of them.
    assert np.abs(found - kept).mean() < 0.3


@pytest.mark.parametrize("style", SEEDS)
def test_pairs_show_one_person_in_register(style: str, pairs: ModuleType, tmp_path: Path) -> None:
    pairs.write_pairs(style, tmp_path, range(9000, 9002), 256)
    photos = read_faces(tmp_path / "rendered", 256)
    truth = read_truth(tmp_path / "truth", photos, 256)
    assert photos.names == [f"{style}-009000.jpg", f"{style}-009001.jpg"]
    assert sorted(truth) == [0, 1]
    assert "CC0-1.0" in (tmp_path / "truth" / "metadata.jsonl").read_text("utf-8")
    landmarker = FaceLandmarker.from_pretrained(shared_landmarks())
    for index, drawing in truth.items():
        told = photos.landmarks[index]
        for picture in (photos.images[index], drawing):
            found = find_face(landmarker, picture, told)
            assert found is not None
            assert landmark_error(found, told)["all"] < 9
        # The same person, differently made.
        apart = (drawing.float() - photos.images[index].float()).abs().mean()
        assert 4 < apart < 60


def test_the_background_is_that_of_the_drawing_without_the_person(pairs: ModuleType) -> None:
    photo, drawing, _ = pairs.pair("oil_paint", 9001, 192)
    corner = (slice(0, 24), slice(0, 24))
    seen, wanted = photo[corner].astype(float), drawing[corner].astype(float)
    assert np.abs(seen.mean((0, 1)) - wanted.mean((0, 1))).max() < 12
    assert seen.std((0, 1)).max() < 0.7 * wanted.std((0, 1)).max(), "out of focus"


def test_a_pair_is_the_same_every_time(pairs: ModuleType) -> None:
    first, second = (pairs.pair("animation", 9005, 128) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    other = pairs.pair("animation", 9006, 128)
    assert np.abs(first[0].astype(float) - other[0]).mean() > 5
