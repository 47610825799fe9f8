"""Make docs/assets/warp.jpg: a style example, its bent grid, aligned with a photo, and back.

python docs/make_figures.py
"""

from __future__ import annotations

import json

import numpy as np
import torch
from make_assets import ASSETS, PORTRAITS, ROOT, _dots, _lines, beside, face_crop
from PIL import Image

from tps_portrait import TPSPortraitPipeline
from tps_portrait.training.tracking import to_image


def main(size: int = 320, number: int = 12) -> None:
    """Write the picture; it depends on the landmarks only, not on a style's weights."""
    pipe = TPSPortraitPipeline.from_pretrained("animation")
    folder = ROOT / "examples/data/styles/animation"
    row = json.loads((folder / "metadata.jsonl").read_text("utf-8").splitlines()[number])
    example = Image.open(folder / row["file_name"]).convert("RGB").resize((size, size))
    q = torch.tensor(row["landmarks"])[None]
    _, landmarks = face_crop(pipe, Image.open(PORTRAITS["astronaut"]), size)
    p = landmarks[None]
    pixels = torch.from_numpy(np.array(example)).permute(2, 0, 1)[None].float() / 127.5 - 1
    aligned = pipe.aligner.align(pixels, q, p)
    back = pipe.aligner.align(aligned, p, q)
    beside(
        _dots(example, q[0]),
        _lines(example, pipe.aligner.grid(q, p, (size, size))[0]),
        _dots(to_image(aligned[0]), p[0]),
        _dots(to_image(back[0]), q[0]),
    ).save(ASSETS / "warp.jpg", quality=88)


if __name__ == "__main__":
    main()
