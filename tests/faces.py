"""Landmarks, pictures and training folders that several test files make for themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tps_portrait.ops.landmarks import apply_affine, mean_face

EXAMPLES = Path(__file__).parents[1] / "examples" / "data" / "styles" / "animation"


def make_landmarks(count: int, seed: int = 0, *, spread: float = 0.03) -> Tensor:
    """Plausible faces `(count, 68, 2)`: the mean face, turned, scaled, moved and deformed."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=generator) * spread

    angle, scale = 2 * normal(1, 1), normal(1, 1).exp()
    cos, sin = scale * angle.cos(), scale * angle.sin()
    linear = torch.cat([torch.cat([cos, -sin], 2), torch.cat([sin, cos], 2)], 1)
    faces = apply_affine(torch.cat([linear, normal(2, 1)], 2), mean_face()[None])
    # A smooth deformation: brows rise, the jaw widens, the mouth drops together.
    x, y = faces.unbind(-1)
    bend = normal(4, 1)
    moved_x = x + bend[:, 0] * x * y + bend[:, 1] * y.square()
    moved_y = y + bend[:, 2] * x * y + bend[:, 3] * x.square()
    return torch.stack([moved_x, moved_y], -1)


def make_picture(seed: int, side: int = 64) -> Image.Image:
    """Smooth seeded colours, square."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
    return small.resize((side, side), Image.Resampling.BICUBIC)


def write_faces(folder: Path, count: int, *, side: int = 64, seed: int = 0) -> list[dict[str, Any]]:
    """Write an imagefolder of square pictures with landmarks; return its rows."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for index, landmarks in enumerate(make_landmarks(count, seed)):
        name = f"face-{index}.png"
        make_picture(seed * 1000 + index, side).save(folder / name)
        rows.append({"file_name": name, "landmarks": landmarks.tolist(), "source": "test"})
    write_metadata(folder, rows)
    return rows


def write_metadata(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Write `metadata.jsonl`."""
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "metadata.jsonl").write_text(lines, encoding="utf-8")
