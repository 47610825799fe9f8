"""The first brush marks: what a generator learns of its noise before the training."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from faces import EXAMPLES
from tps_portrait import ConfigError, StyleGenerator, StyleGeneratorConfig
from tps_portrait.training import brush, losses
from tps_portrait.training.abstraction import simplify_photo
from tps_portrait.training.brush import lay_brush_marks
from tps_portrait.training.data import FaceSet, load_faces, to_float


def new_generator(noise_channels: int) -> StyleGenerator:
    torch.manual_seed(0)
    config = StyleGeneratorConfig(
        channels=(16, 16, 16, 16),
        head_channels=16,
        detail_channels=(8, 8),
        noise_channels=noise_channels,
    )
    return StyleGenerator(config)


@pytest.fixture(scope="module")
def photos() -> FaceSet:
    return load_faces(EXAMPLES, 64, limit=4)


def seen_marks(generator: StyleGenerator) -> float:
    """Correlation of the tones of the marks with what other noise changes in a drawing."""
    photo = torch.zeros(1, 3, 64, 64)
    noise = generator.tiled_noise((16, 16))
    silent = noise.clone()
    silent[:, 4:] = 0
    with torch.no_grad():
        change = generator(photo) - generator(photo, noise=silent)
    small = torch.nn.functional.avg_pool2d(change.mean(1, keepdim=True), 4)
    pair = torch.stack([small.flatten(), noise[:, 4].flatten()])
    return torch.corrcoef(pair)[0, 1].item()


def test_marks_of_the_noise_are_drawn(photos: FaceSet) -> None:
    generator = new_generator(6)
    before = copy.deepcopy(generator)
    first = lay_brush_marks(copy.deepcopy(generator), photos, 1)
    assert lay_brush_marks(generator, photos, 500) < 0.9 * first
    assert seen_marks(before) < 0.1
    assert seen_marks(generator) > 0.4
    assert all(p.requires_grad and p.grad is None for p in generator.parameters())
    assert torch.equal(generator.noise, before.noise)


def test_the_seed_decides(photos: FaceSet) -> None:
    results = []
    for seed in (3, 3, 4):
        generator = new_generator(6)
        lay_brush_marks(generator, photos, 3, seed=seed)
        results.append(torch.cat([p.detach().flatten() for p in generator.parameters()]))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_noise_without_marks_is_refused(photos: FaceSet) -> None:
    with pytest.raises(ConfigError, match="--noise_channels 6"):
        lay_brush_marks(new_generator(4), photos, 3)


def test_with_abstraction_marks_lie_on_painted_photos(photos: FaceSet) -> None:
    # What a new generator draws is grey; painted photos are far from that.
    assert lay_brush_marks(new_generator(6), photos, 1) < 0.2
    generator = new_generator(6)
    painted = simplify_photo(to_float(photos.images), photos.landmarks, 2)
    distances = []
    for steps in (1, 100):
        lay_brush_marks(generator, photos, steps, abstraction=2)
        with torch.no_grad():
            drawn = generator(to_float(photos.images))
        distances.append((drawn - painted).abs().mean())
    assert distances[1] < 0.7 * distances[0]


def test_patches_without_colours(photos: FaceSet, monkeypatch: pytest.MonkeyPatch) -> None:
    colours = []

    def watched(photo: Tensor, *others: Any) -> Tensor:
        colours.append((photo - losses.grey(photo)).abs().mean())
        return simplify_photo(photo, *others)

    monkeypatch.setattr(brush, "simplify_photo", watched)
    for without in (True, False):
        lay_brush_marks(new_generator(6), photos, 1, abstraction=2, grey=without)
    assert colours[0] < 1e-6
    assert colours[1] > 0.1
