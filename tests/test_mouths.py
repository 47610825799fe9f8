"""How open mouths are, by hand."""

from __future__ import annotations

import pytest
import torch

from faces import make_landmarks
from tps_portrait.training.mouths import mouth_opening, same_mouth


def face_with(gap: float) -> torch.Tensor:
    face = make_landmarks(1)[0]
    face[48], face[54] = torch.tensor([-0.25, 0.4]), torch.tensor([0.25, 0.4])
    face[62], face[66] = torch.tensor([0.0, 0.4]), torch.tensor([0.0, 0.4 + gap])
    return face


@pytest.mark.parametrize("gap", [0.0, 0.05, 0.3])
def test_opening_is_in_widths_of_the_mouth(gap: float) -> None:
    assert mouth_opening(face_with(gap)).item() == pytest.approx(2 * gap, abs=1e-5)
    assert mouth_opening(face_with(gap) * 37 + 5).item() == pytest.approx(2 * gap, abs=1e-4)


def test_same_when_about_as_open() -> None:
    mouths = torch.stack([face_with(gap) for gap in (0.0, 0.03, 0.06)])
    found = same_mouth(mouths[:, None], mouths[None])
    assert found.tolist() == [[True, True, False], [True, True, True], [False, True, True]]
