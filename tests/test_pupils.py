"""Pupils: against the irises of the face mesh on a photo, against themselves on drawings."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from faces import EXAMPLES
from tps_portrait import TPSPortraitPipeline
from tps_portrait.ops.landmarks import apply_affine, flip_landmarks, to_normalized
from tps_portrait.ops.tps import warp
from tps_portrait.training.data import FaceSet, load_faces, to_float
from tps_portrait.training.pupils import locate_pupils

# Landmarks of the mesh at the centres of the irises: first the eye that is left in the picture.
_IRISES = [468, 473]


@pytest.fixture(scope="module")
def drawn() -> FaceSet:
    return load_faces(EXAMPLES, 256, limit=12)


def eye_widths(landmarks: Tensor) -> Tensor:
    corners = landmarks[:, [39, 45]] - landmarks[:, [36, 42]]
    return corners.norm(dim=-1)


def test_agree_with_the_irises_of_a_photo(
    pipe: TPSPortraitPipeline, astronaut: Image.Image
) -> None:
    photo = torch.from_numpy(np.array(astronaut)).permute(2, 0, 1)
    face = pipe.landmarker.detect([photo])[0][0]
    size = (photo.shape[-2], photo.shape[-1])
    landmarks = to_normalized(face.landmarks[None], size)
    irises = to_normalized(face.mesh[None, _IRISES, :2], size)
    found = locate_pupils(photo[None], landmarks)
    assert ((found - irises).norm(dim=-1) / eye_widths(landmarks)).max() < 0.12


def test_are_dark_places_inside_drawn_eyes(drawn: FaceSet) -> None:
    pictures = to_float(drawn.images)
    pupils = locate_pupils(pictures, drawn.landmarks)
    for index, eye in enumerate((slice(36, 42), slice(42, 48))):
        low, high = drawn.landmarks[:, eye].amin(1), drawn.landmarks[:, eye].amax(1)
        assert (pupils[:, index] > low).all()
        assert (pupils[:, index] < high).all()
    seen = torch.nn.functional.grid_sample(pictures, pupils[:, None], align_corners=False)
    assert seen.mean(1).median() < -0.6


def test_mirror_with_the_picture(drawn: FaceSet) -> None:
    pictures = to_float(drawn.images)
    once = locate_pupils(pictures, drawn.landmarks)
    again = locate_pupils(pictures.flip(-1), flip_landmarks(drawn.landmarks))
    torch.testing.assert_close(again.flip(1) * torch.tensor([-1.0, 1.0]), once, atol=1e-3, rtol=0)


def test_turn_with_the_picture(drawn: FaceSet) -> None:
    pictures = to_float(drawn.images)
    angle = torch.tensor(0.3)
    turn = torch.tensor([[angle.cos(), -angle.sin(), 0.0], [angle.sin(), angle.cos(), 0.0]])
    back = torch.tensor([[angle.cos(), angle.sin(), 0.0], [-angle.sin(), angle.cos(), 0.0]])
    grid = torch.nn.functional.affine_grid(
        back.expand(len(drawn), -1, -1), list(pictures.shape), align_corners=False
    )
    turned = locate_pupils(warp(pictures, grid), apply_affine(turn, drawn.landmarks))
    wanted = apply_affine(turn, locate_pupils(pictures, drawn.landmarks))
    assert ((turned - wanted).norm(dim=-1) / eye_widths(drawn.landmarks)).max() < 0.05


def test_an_even_picture_has_them_in_the_middle(drawn: FaceSet) -> None:
    landmarks = drawn.landmarks[:1]
    pupils = locate_pupils(torch.zeros(1, 3, 64, 64), landmarks)
    assert pupils.isfinite().all()
    middles = torch.stack([landmarks[:, 36:42].mean(1), landmarks[:, 42:48].mean(1)], 1)
    assert ((pupils - middles).norm(dim=-1) / eye_widths(landmarks)).max() < 0.1
