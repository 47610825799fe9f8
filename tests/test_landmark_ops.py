"""Landmark geometry: parts, mirror, similarities, crops."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tps_portrait.errors import ConfigError, LandmarkError
from tps_portrait.ops.landmarks import (
    CROP_EYE_CENTER,
    CROP_INTEROCULAR,
    FLIP_68,
    MEAN_FACE_68,
    PART_SCALES,
    PARTS,
    apply_affine,
    border_points,
    crop_transform,
    eye_centers,
    fit_similarity,
    flip_landmarks,
    inter_ocular_distance,
    invert_affine,
    mean_face,
    part_grid,
    to_normalized,
    to_pixels,
)
from tps_portrait.ops.tps import identity_grid, warp

FACES = json.loads((Path(__file__).parent / "data" / "landmarks.json").read_text())["faces"]
LANDMARKS = torch.tensor([face["landmarks"] for face in FACES], dtype=torch.float64)


def _turned(points: Tensor, degrees: float, scale: float, shift: tuple[float, float]) -> Tensor:
    angle = math.radians(degrees)
    rotation = points.new_tensor(
        [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    )
    return scale * points @ rotation + points.new_tensor(shift)


class TestLayout:
    def test_parts_cover_each_landmark_once(self) -> None:
        assert sorted(i for part in PARTS.values() for i in part) == list(range(68))
        assert set(PART_SCALES) == set(PARTS)

    def test_right_is_the_smaller_x(self) -> None:
        for part in ("brow", "eye"):
            right = LANDMARKS[:, PARTS[f"right_{part}"], 0].mean(1)
            left = LANDMARKS[:, PARTS[f"left_{part}"], 0].mean(1)
            assert (right < left).all()

    def test_parts_stand_in_order_from_brow_to_mouth(self) -> None:
        heights = [
            LANDMARKS[:, PARTS[part], 1].mean(1)
            for part in ("right_brow", "right_eye", "nose", "mouth")
        ]
        assert (torch.stack(heights).diff(dim=0) > 0).all()

    def test_flip_is_an_involution_between_mirror_parts(self) -> None:
        assert [FLIP_68[i] for i in FLIP_68] == list(range(68))
        for right, left in (("right_brow", "left_brow"), ("right_eye", "left_eye")):
            assert {FLIP_68[i] for i in PARTS[right]} == set(PARTS[left])
        for middle in ("jaw", "nose", "mouth"):
            assert {FLIP_68[i] for i in PARTS[middle]} == set(PARTS[middle])

    def test_flipped_faces_fit_a_face_as_well_as_unflipped_ones(self) -> None:
        template = mean_face(dtype=torch.float64)

        def misfit(faces: Tensor) -> Tensor:
            laid = apply_affine(fit_similarity(faces, template.expand_as(faces)), faces)
            return (laid - template).norm(dim=-1).mean(-1)

        torch.testing.assert_close(misfit(flip_landmarks(LANDMARKS)), misfit(LANDMARKS))
        wrong = LANDMARKS * torch.tensor([-1.0, 1.0])  # mirrored without reordering
        assert (misfit(wrong) > 2 * misfit(LANDMARKS)).all()
        assert torch.equal(flip_landmarks(flip_landmarks(LANDMARKS)), LANDMARKS)


def test_inter_ocular_distance_is_that_of_the_outer_eye_corners() -> None:
    by_hand = [math.dist(face[36].tolist(), face[45].tolist()) for face in LANDMARKS]
    torch.testing.assert_close(
        inter_ocular_distance(LANDMARKS), torch.tensor(by_hand, dtype=torch.float64)
    )
    with pytest.raises(LandmarkError, match="68, 2"):
        inter_ocular_distance(torch.zeros(1, 5, 2))


class TestMeanFace:
    def test_is_symmetric_and_lies_in_the_crop_frame(self) -> None:
        face = mean_face(dtype=torch.float64)
        assert torch.equal(flip_landmarks(face), face)
        eyes = eye_centers(face)
        torch.testing.assert_close(
            eyes.mean(0), torch.tensor(CROP_EYE_CENTER, dtype=torch.float64), rtol=0, atol=1e-4
        )
        assert abs(float(eyes[1, 0] - eyes[0, 0]) - CROP_INTEROCULAR) < 1e-4
        assert face.abs().max() < 1
        assert len(MEAN_FACE_68) == 68

    def test_its_points_are_apart(self) -> None:
        face = mean_face(dtype=torch.float64)
        distance = torch.cdist(face, face) + 9 * torch.eye(68)
        assert distance.min() * 256 > 2  # pixels at 512


class TestCoordinates:
    def test_pixel_convention(self) -> None:
        # the centres of the first and the last pixel of a row of 4, and both edges
        pixels = torch.tensor([[0.5, 1.0], [3.5, 1.0], [0.0, 0.0], [4.0, 2.0]])
        expected = torch.tensor([[-0.75, 0.0], [0.75, 0.0], [-1.0, -1.0], [1.0, 1.0]])
        torch.testing.assert_close(to_normalized(pixels, (2, 4)), expected)
        torch.testing.assert_close(to_pixels(expected, (2, 4)), pixels)
        corner = identity_grid((2, 4))[0, 0, 0]
        torch.testing.assert_close(to_pixels(corner, (2, 4)), torch.tensor([0.5, 0.5]))

    def test_round_trip(self) -> None:
        there = to_pixels(LANDMARKS, (333, 517))
        torch.testing.assert_close(to_normalized(there, (333, 517)), LANDMARKS)


class TestSimilarity:
    def test_recovers_a_known_similarity(self) -> None:
        target = _turned(LANDMARKS, 37, 0.6, (0.2, -0.5))
        matrix = fit_similarity(LANDMARKS, target)
        assert matrix.shape == (16, 2, 3)
        torch.testing.assert_close(apply_affine(matrix, LANDMARKS), target)

    def test_is_the_least_squares_solution(self) -> None:
        matrix = fit_similarity(LANDMARKS[:8], LANDMARKS[8:])
        for item in range(8):
            x, y = LANDMARKS[item].numpy().T
            one, zero = np.ones_like(x), np.zeros_like(x)
            rows = np.concatenate([np.stack([x, -y, one, zero], 1), np.stack([y, x, zero, one], 1)])
            (a, b, tx, ty), *_ = np.linalg.lstsq(rows, LANDMARKS[8 + item].numpy().T.ravel())
            expected = [[a, -b, tx], [b, a, ty]]
            np.testing.assert_allclose(matrix[item].numpy(), expected, rtol=0, atol=1e-9)

    def test_never_reflects(self) -> None:
        mirrored = LANDMARKS * torch.tensor([-1.0, 1.0])
        assert (torch.linalg.det(fit_similarity(LANDMARKS, mirrored)[..., :2]) > 0).all()

    def test_inverse(self) -> None:
        generator = torch.Generator().manual_seed(0)
        matrix = torch.rand(5, 2, 3, generator=generator, dtype=torch.float64)
        matrix[:, 0, 0] += 1
        matrix[:, 1, 1] += 1
        points = LANDMARKS[:5]
        back = apply_affine(invert_affine(matrix), apply_affine(matrix, points))
        torch.testing.assert_close(back, points)

    def test_gradients(self) -> None:
        source, target = LANDMARKS[:2, :5].clone(), LANDMARKS[2:4, :5].clone()
        inputs = (source.requires_grad_(), target.requires_grad_())
        assert torch.autograd.gradcheck(fit_similarity, inputs)

    def test_errors(self) -> None:
        with pytest.raises(LandmarkError, match="equal N"):
            fit_similarity(LANDMARKS, LANDMARKS[:, :5])
        with pytest.raises(LandmarkError, match="coincide"):
            fit_similarity(torch.ones(2, 5, 2), LANDMARKS[:2, :5])


@pytest.mark.parametrize("count", [1, 3])
def test_border_points_stand_on_the_frame(count: int) -> None:
    points = border_points(count, dtype=torch.float64)
    assert points.shape == (4 * count, 2)
    assert torch.equal(points.abs().amax(-1), torch.ones(4 * count, dtype=torch.float64))
    assert len({tuple(p) for p in points.tolist()}) == 4 * count
    for corner in ([-1, -1], [1, -1], [1, 1], [-1, 1]):
        assert corner in points.tolist()
    # clockwise on the screen: each step turns by less than half a turn to the right
    following = points.roll(-1, 0)
    cross = points[:, 0] * following[:, 1] - points[:, 1] * following[:, 0]
    assert (cross > 0).all()
    with pytest.raises(ConfigError, match="n_per_side"):
        border_points(0)


class TestCrop:
    SIZE = (400, 600)

    def _in_picture(self) -> Tensor:
        """The mean face, tilted, in pixels of a wide picture."""
        return _turned(mean_face(dtype=torch.float64), 25, 120, (380, 170))

    def test_puts_the_eyes_where_the_constants_say(self) -> None:
        landmarks = self._in_picture()
        matrix = crop_transform(landmarks, self.SIZE)
        in_crop = apply_affine(invert_affine(matrix), to_normalized(landmarks, self.SIZE))
        torch.testing.assert_close(in_crop, mean_face(dtype=torch.float64), rtol=0, atol=2e-4)

    def test_eyes_alone_suffice_and_batches_work(self) -> None:
        landmarks = to_pixels(LANDMARKS, (384, 384))
        from_eyes = crop_transform(eye_centers(landmarks), (384, 384))
        torch.testing.assert_close(crop_transform(landmarks, (384, 384)), from_eyes)
        in_crop = apply_affine(invert_affine(from_eyes), LANDMARKS)
        eyes = eye_centers(in_crop)
        offset = torch.tensor([CROP_INTEROCULAR / 2, 0.0], dtype=torch.float64)
        middle = torch.tensor(CROP_EYE_CENTER, dtype=torch.float64)
        expected = torch.stack([middle - offset, middle + offset])
        torch.testing.assert_close(eyes, expected.expand_as(eyes))

    def test_is_a_similarity_in_pixels(self) -> None:
        matrix = crop_transform(self._in_picture(), self.SIZE)
        square = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
        corners = to_pixels(apply_affine(matrix, square.double()), self.SIZE)
        sides = corners.roll(-1, 0) - corners
        torch.testing.assert_close(sides.norm(dim=-1), sides.norm(dim=-1).mean().expand(4))
        dots = (sides * sides.roll(-1, 0)).sum(-1)
        torch.testing.assert_close(dots, torch.zeros_like(dots), rtol=0, atol=1e-8)

    def test_errors(self) -> None:
        with pytest.raises(LandmarkError, match="eyes coincide"):
            crop_transform(torch.ones(2, 2), (10, 10))
        with pytest.raises(LandmarkError, match=r"\(5, 2\)"):
            crop_transform(torch.ones(5, 2), (10, 10))


class TestPartGrid:
    @pytest.mark.parametrize("part", PARTS)
    def test_centre_side_and_roll(self, part: str) -> None:
        grid = part_grid(LANDMARKS, part, 32)
        assert grid.shape == (16, 32, 32, 2)
        torch.testing.assert_close(grid.mean((1, 2)), LANDMARKS[:, PARTS[part]].mean(1))
        eyes = eye_centers(LANDMARKS)
        line = eyes[:, 1] - eyes[:, 0]
        step = grid[:, 0, 1] - grid[:, 0, 0]
        torch.testing.assert_close(step * 32, line * PART_SCALES[part])
        down = grid[:, 1, 0] - grid[:, 0, 0]
        torch.testing.assert_close(down, torch.stack([-step[:, 1], step[:, 0]], -1))

    @pytest.mark.parametrize("part", PARTS)
    def test_default_scale_holds_the_part(self, part: str) -> None:
        face = mean_face()[None]
        grid = part_grid(face, part, 64)
        low, high = grid.amin((1, 2)), grid.amax((1, 2))
        points = face[:, PARTS[part]]
        assert (points > low.unsqueeze(1)).all()
        assert (points < high.unsqueeze(1)).all()

    def test_cuts_what_is_there(self) -> None:
        # a picture whose colours are its coordinates gives back the grid
        pixels = identity_grid((256, 256), dtype=torch.float64)
        grid = part_grid(LANDMARKS, "mouth", 16, scale=0.8)
        cut = warp(pixels.permute(0, 3, 1, 2), grid)
        torch.testing.assert_close(cut.permute(0, 2, 3, 1), grid, rtol=0, atol=1e-6)

    def test_gradients(self) -> None:
        landmarks = LANDMARKS[:2].clone().requires_grad_()
        assert torch.autograd.gradcheck(lambda x: part_grid(x, "left_eye", 3), (landmarks,))

    def test_errors(self) -> None:
        with pytest.raises(ConfigError, match="unknown part 'ear'; choose one of jaw"):
            part_grid(LANDMARKS, "ear", 8)
        with pytest.raises(ConfigError, match="scale"):
            part_grid(LANDMARKS, "nose", 8, scale=0.0)
        with pytest.raises(ConfigError, match="size"):
            part_grid(LANDMARKS, "nose", 0)
        with pytest.raises(LandmarkError, match="68, 2"):
            part_grid(LANDMARKS[:, :67], "nose", 8)
