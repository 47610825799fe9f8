"""Lines that are found in drawings, and layers of tone."""

from __future__ import annotations

import torch

from tps_portrait.training.lines import dark_lines, in_layers


def test_lines_are_dark_and_thin() -> None:
    drawn = torch.full((1, 3, 128, 128), 0.8)
    drawn[..., 20:22] = 0.2
    drawn[..., 60:100] = 0.2
    found = dark_lines(drawn, 512)[0, 0, 64]
    assert (found[20:22] > 1).all()
    assert found[23:].max() == 0


def test_layers_are_flat_at_whole_numbers_and_end_between_them() -> None:
    values = torch.linspace(-1, 2, 3001)
    layered = in_layers(values, 4.0)
    slopes = 1000 * layered.diff()
    assert (slopes >= 0).all()
    assert slopes[450:550].max() > 3 > 0.1 > slopes[[100, 900, 1100, 1900]].max()
    torch.testing.assert_close(in_layers(values, 1e-3), values, atol=1e-3, rtol=0)
