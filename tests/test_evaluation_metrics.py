"""The metrics of `tps_portrait.evaluation` by themselves, against other implementations."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from skimage.color import rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor, nn

from conftest import seeded, tiny_generator
from faces import make_landmarks
from tps_portrait.errors import ConfigError, LandmarkError
from tps_portrait.evaluation import (
    FeatureComparison,
    MobileNetV2,
    SFace,
    align_face,
    count_macs,
    count_parameters,
    embed_faces,
    feature_distance,
    flicker,
    identity_cosines,
    landmark_error,
    median_milliseconds,
    motion_errors,
    pooled_features,
    psnr,
    skin_colour,
    ssim,
)
from tps_portrait.evaluation.intervals import bootstrap_mean, quantiles, wilson
from tps_portrait.ops.landmarks import PARTS, apply_affine, mean_face, to_normalized


def features(count: int, width: int = 6, seed: int = 0, shift: float = 0.0) -> Tensor:
    """Correlated random features `(count, width)`."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(width, width, generator=torch.Generator().manual_seed(99))
    return torch.randn(count, width, generator=generator) @ mix + shift


def picture(seed: int = 0, side: int = 96) -> Tensor:
    """A smooth picture `(3, side, side)` uint8."""
    return torch.from_numpy(seeded(side, side, seed=seed)).permute(2, 0, 1)


def small_mobile() -> MobileNetV2:
    """A real MobileNetV2 of few channels."""
    torch.manual_seed(0)
    stages = ((1, 8, 1, 1), (4, 12, 2, 2), (4, 16, 1, 2))
    return MobileNetV2(stages, stem=8, last=24).eval().requires_grad_(False)


def small_sface() -> SFace:
    """A real SFace of few channels."""
    torch.manual_seed(0)
    return SFace((4, 8, 8, 16), embedding=12).eval().requires_grad_(False)


# Distributions


def direct_fid(a: np.ndarray, b: np.ndarray) -> float:
    """The definition, with a matrix square root."""
    root = sqrtm(np.cov(a.T) @ np.cov(b.T)).real
    between = np.square(a.mean(0) - b.mean(0)).sum()
    return float(between + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * root))


def direct_kid(a: np.ndarray, b: np.ndarray) -> float:
    """The definition, pair by pair."""

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return float((x @ y / len(x) + 1) ** 3)

    def within(x: np.ndarray) -> float:
        pairs = [kernel(p, q) for i, p in enumerate(x) for j, q in enumerate(x) if i != j]
        return float(np.mean(pairs))

    return within(a) + within(b) - 2 * float(np.mean([kernel(p, q) for p in a for q in b]))


def test_fid_is_that_of_the_definition() -> None:
    a, b = features(40), features(30, seed=1, shift=0.7)
    assert FeatureComparison(a, b).fid() == pytest.approx(
        direct_fid(a.double().numpy(), b.double().numpy()), rel=1e-6
    )


def test_kid_is_that_of_the_definition() -> None:
    a, b = features(9), features(7, seed=1, shift=0.7)
    expected = direct_kid(a.double().numpy(), b.double().numpy())
    assert FeatureComparison(a, b).kid() == pytest.approx(expected, rel=1e-9)


def test_counts_repeat_pictures() -> None:
    a, b = features(12), features(10, seed=1)
    counts = torch.tensor([2.0, 0, 3, 1, 1, 1, 0, 1, 1, 1, 1, 0], dtype=torch.float64)
    ones = torch.ones(10, dtype=torch.float64)
    repeated = a.repeat_interleave(counts.long(), 0)
    fid = FeatureComparison(a, b).fid((counts, ones))
    assert fid == pytest.approx(FeatureComparison(repeated, b).fid(), rel=1e-9)
    # Copies of one picture make no pair: doubling all of them changes nothing.
    twice = (2 * torch.ones(12, dtype=torch.float64), 2 * ones)
    comparison = FeatureComparison(a, b)
    assert comparison.kid(twice) == pytest.approx(comparison.kid(), rel=1e-9)


def test_same_distribution_is_near_zero_and_another_is_not() -> None:
    same = FeatureComparison(features(200), features(200, seed=1))
    other = FeatureComparison(features(200), features(200, seed=1, shift=1.5))
    low, high = same.kid_interval(samples=200)
    assert low < 0 < high
    assert other.kid_interval(samples=200)[0] > high
    assert other.fid_interval(samples=50)[0] > same.fid_interval(samples=50)[1]
    itself = FeatureComparison(features(50), features(50))
    assert itself.fid() == pytest.approx(0, abs=1e-6)


def test_fewer_pictures_than_features() -> None:
    a, b = features(5, 32), features(4, 32, seed=1, shift=1)
    comparison = FeatureComparison(a, b)
    root = sqrtm(np.cov(a.double().numpy().T) @ np.cov(b.double().numpy().T))
    # scipy's square root of a singular matrix is only roughly right.
    assert comparison.fid() == pytest.approx(
        direct_fid(a.double().numpy(), b.double().numpy()), rel=0.02
    ), root
    low, high = comparison.fid_interval(samples=40)
    assert low < comparison.fid() < high


def test_intervals_come_from_the_seed() -> None:
    comparison = FeatureComparison(features(20), features(20, seed=1))
    first = comparison.kid_interval(samples=60, seed=3)
    assert first == comparison.kid_interval(samples=60, seed=3)
    assert first != comparison.kid_interval(samples=60, seed=4)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (features(1), features(5)),
        (features(5), features(5)[0]),
        (features(5), features(5, 7)),
        (features(5) * math.nan, features(5)),
    ],
    ids=["one picture", "shape", "two networks", "nan"],
)
def test_unusable_features(a: Tensor, b: Tensor) -> None:
    with pytest.raises(ConfigError):
        FeatureComparison(a, b)


# Intervals


def test_bootstrap_of_a_mean_agrees_with_the_normal_one() -> None:
    values = np.random.default_rng(0).normal(5, 2, 400)
    interval = bootstrap_mean(list(values), samples=2000)
    half = 1.96 * values.std() / 20
    assert interval == pytest.approx((values.mean() - half, values.mean() + half), abs=0.03)
    assert bootstrap_mean([3.0]) is None


@pytest.mark.parametrize(
    ("successes", "trials", "expected"),
    [(0, 40, (0, 0.0876)), (40, 40, (0.9124, 1)), (7, 20, (0.1812, 0.5671))],
)
def test_wilson(successes: int, trials: int, expected: tuple[float, float]) -> None:
    assert wilson(successes, trials) == pytest.approx(expected, abs=1e-4)


def test_rates_and_quantiles() -> None:
    assert quantiles(range(101)) == pytest.approx((5, 25, 50, 75, 95))
    with pytest.raises(ConfigError):
        wilson(3, 2)


# Agreement with ground truth


def test_ssim_and_psnr_agree_with_scikit_image() -> None:
    a, b = picture(0), picture(0).float().add(picture(1).float() / 8).clamp(0, 255).byte()
    x, y = (image.permute(1, 2, 0).numpy() for image in (a, b))
    theirs = structural_similarity(
        x,
        y,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
    )
    assert ssim(a, b) == pytest.approx(theirs, abs=1e-3)
    assert psnr(a, b) == pytest.approx(peak_signal_noise_ratio(x, y), abs=1e-3)
    assert (ssim(a, a), psnr(a, a)) == (pytest.approx(1), 100)


def test_feature_distance_grows_with_the_difference() -> None:
    network = small_mobile()
    a = picture(0)
    noise = torch.randn(a.shape, generator=torch.Generator().manual_seed(0))
    distances = [
        feature_distance(network, a, (a + level * noise).clamp(0, 255).byte())
        for level in (0, 10, 40)
    ]
    assert distances[0] == 0
    assert 0 < distances[1] < distances[2]


def test_features_do_not_depend_on_the_batch() -> None:
    network = small_mobile()
    images = [picture(seed) for seed in range(5)]
    one, all_ = (pooled_features(network, images, batch_size=size) for size in (1, 5))
    assert one.shape == (5, 24)
    torch.testing.assert_close(one, all_, rtol=1e-4, atol=1e-5)
    scales = [tuple(maps.shape[1:]) for maps in network.maps(torch.rand(1, 3, 64, 64))]
    assert scales == [(8, 32, 32), (12, 16, 16), (24, 8, 8)]


# Identity


def test_aligned_faces_do_not_depend_on_the_place() -> None:
    """The same face, turned, smaller and elsewhere, is cut out the same."""
    from tps_portrait.evaluation.stability import motion_matrix, move
    from tps_portrait.ops.landmarks import invert_affine

    image = torch.from_numpy(seeded(256, 256)).permute(2, 0, 1)
    matrix = motion_matrix(12, 0.8, 20, -10)
    moved = move(image[None].float() / 255, matrix)[0].mul(255).round().byte()
    landmarks = mean_face() * 0.6
    straight = align_face(image, landmarks)
    turned = align_face(moved, apply_affine(invert_affine(matrix), landmarks))
    assert straight.shape == (3, 112, 112)
    assert float((straight - turned).abs().mean()) < 0.01


def test_the_template_is_where_the_five_points_go() -> None:
    """A picture whose five points are where ArcFace wants them, counted from pixel centres."""
    points = torch.zeros(68, 2)
    points[36:42], points[42:48] = (
        torch.tensor((38.2946, 51.6963)),
        torch.tensor((73.5318, 51.5014)),
    )
    points[30] = torch.tensor((56.0252, 71.7366))
    points[48], points[54] = torch.tensor((41.5493, 92.3655)), torch.tensor((70.7299, 92.2041))
    image = picture(0, 112)
    cut = align_face(image, to_normalized(points + 0.5, (112, 112)))
    torch.testing.assert_close(cut, image.float() / 255, atol=1e-4, rtol=0)


def test_cosines_of_own_and_other_faces() -> None:
    network = small_sface()
    images, landmarks = [picture(seed) for seed in range(3)], list(make_landmarks(3))
    embedded = embed_faces(network, images, landmarks, batch_size=2)
    torch.testing.assert_close(embedded.norm(dim=1), torch.ones(3))
    own, strangers = identity_cosines(embedded, embedded)
    assert own == pytest.approx([1, 1, 1])
    table = embedded @ embedded.T
    assert strangers == pytest.approx(float(table[~torch.eye(3, dtype=torch.bool)].mean()))
    assert identity_cosines(embedded[:1], embedded[:1])[1] is None


# Geometry


def test_skin_colour_is_the_mean_light_of_both_cheeks() -> None:
    face = mean_face()
    picture = torch.full((3, 256, 256), 255, dtype=torch.uint8)
    # Squares round both cheeks; nose, mouth, eyes and jaw stay white.
    for colour, below, corner, jaw in (((120, 80, 60), 41, 48, 3), ((60, 30, 20), 46, 54, 13)):
        x, y = ((0.45 * face[below] + 0.35 * face[corner] + 0.2 * face[jaw] + 1) * 128).int()
        half = int(0.17 * (face[45, 0] - face[36, 0]) * 128)
        around = slice(y - half, y + half), slice(x - half, x + half)
        picture[(slice(None), *around)] = torch.tensor(colour, dtype=torch.uint8)[:, None, None]
    light = [((np.array(c) / 255 + 0.055) / 1.055) ** 2.4 for c in ((120, 80, 60), (60, 30, 20))]
    mean = 1.055 * np.mean(light, 0) ** (1 / 2.4) - 0.055
    expected = rgb2lab(mean[None, None])[0, 0]
    np.testing.assert_allclose(skin_colour(picture, face), expected, atol=0.6)


def test_skin_colour_of_hatching_is_that_from_afar() -> None:
    hatched = torch.zeros(3, 256, 256, dtype=torch.uint8)
    hatched[:, ::2] = 255
    assert skin_colour(hatched, mean_face())[0] == pytest.approx(76.2, abs=0.5)


def test_skin_colour_needs_a_cheek_in_the_picture() -> None:
    picture = torch.zeros(3, 64, 64, dtype=torch.uint8)
    with pytest.raises(LandmarkError, match="outside the picture"):
        skin_colour(picture, mean_face() + 4)
    with pytest.raises(LandmarkError, match=r"\(68, 2\)"):
        skin_colour(picture, mean_face()[:5])


def test_landmark_error_is_in_percent_of_the_eye_distance() -> None:
    expected = mean_face()
    eyes = float((expected[45] - expected[36]).norm())
    moved = expected.clone()
    moved[list(PARTS["mouth"]), 1] += 0.1 * eyes
    errors = landmark_error(moved, expected)
    assert errors["mouth"] == pytest.approx(10, rel=1e-4)
    assert errors["nose"] == errors["jaw"] == 0
    assert errors["all"] == pytest.approx(10 * 20 / 68, rel=1e-4)
    assert set(errors) == {"all", *PARTS}


def test_unusable_landmarks() -> None:
    with pytest.raises(LandmarkError, match=r"\(68, 2\)"):
        landmark_error(mean_face()[:5], mean_face()[:5])
    with pytest.raises(LandmarkError, match="eye corners"):
        landmark_error(mean_face(), torch.zeros(68, 2))


# Stability


def same(pictures: Sequence[Tensor]) -> list[Tensor]:
    """Draws nothing: moves perfectly with the photo."""
    return list(pictures)


def fixed_grain(pictures: Sequence[Tensor]) -> list[Tensor]:
    """Lays a grain over pictures that stays where it is while the photo moves."""
    grain = torch.randint(0, 2, pictures[0].shape[1:], generator=torch.Generator().manual_seed(0))
    return [(picture.int() + 40 * grain).clamp(0, 255).byte() for picture in pictures]


def test_a_still_style_is_still() -> None:
    photo = picture(3, 128)
    assert max(motion_errors(same, photo, photo)) < 0.5  # rounding to 255 levels
    value, still = flicker(same, photo, photo, frames=4)
    assert value == pytest.approx(still, abs=1e-6)
    assert value < 0.6


def test_a_grain_that_does_not_move_is_seen() -> None:
    photo = picture(3, 128)
    drawing = fixed_grain([photo])[0]
    assert min(motion_errors(fixed_grain, photo, drawing)) > 10
    value, still = flicker(fixed_grain, photo, drawing, frames=4)
    assert value > 1.3 * still


# Cost


def test_cost_of_a_known_network() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False))
    assert count_parameters(network) == 3 * 8 * 9
    assert count_macs(network, 64) == 64 * 64 * 3 * 8 * 9
    assert 0 < median_milliseconds(network, 64, runs=3) < 1000
    generator = tiny_generator()
    assert count_macs(generator, 64) * 4 == count_macs(generator, 128)
