"""An exported file in the place of a generator."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ConfigError, ModelFileError
from .options import STRIDE, as_array
from .targets import load_runner, read_facts


class ExportedGenerator(nn.Module):
    """Draws with an exported file as a `StyleGenerator` draws, on the CPU.

    Pictures of another size than a fixed file's are shrunk to fit and padded; the drawing is
    cropped and enlarged again.

    Args:
        path: file written by `export`, with its JSON beside it.
        threads: threads of one run; as many as PyTorch uses by default.

    Attributes:
        facts: what the JSON says.

    Raises:
        ModelFileError: the file or its JSON is missing or damaged, of a format that is not
            loaded, or no generator.
        ExportError: the runtime is not installed or cannot load the file.
    """

    def __init__(self, path: str | os.PathLike[str], threads: int | None = None) -> None:
        super().__init__()
        path = Path(path)
        self.facts, target = read_facts(path)
        if self.facts.get("network"):
            raise ModelFileError(f"{path} finds faces and draws nothing. Load the file of a style.")
        self.facts_input: dict[str, Any] = self.facts["input"]
        self._run = load_runner(target.name, path, threads)

    @property
    def dtype(self) -> torch.dtype:
        """Type of pictures and drawings, whatever the file computes in."""
        return torch.float32

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return torch.device("cpu")

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) of a fixed file, `None` of a dynamic one."""
        height, width = self._sides()
        return None if isinstance(height, str) else (height, width)

    def fuse(self) -> ExportedGenerator:
        """Return the generator itself: its norms were folded when it was exported."""
        return self

    def forward(self, pixel_values: Tensor, grid: Tensor | None = None) -> Tensor:
        """Stylize pictures.

        Args:
            pixel_values: `(B, 3, H, W)`, RGB in [-1, 1].
            grid: must be `None`; exported files draw in place.

        Returns:
            `(B, 3, H, W)` float32 RGB in [-1, 1].

        Raises:
            ConfigError: a grid was given.
        """
        if grid is not None:
            raise ConfigError("An exported file takes no grid. Use the style in PyTorch for that.")
        x, (height, width) = pixel_values.float(), pixel_values.shape[-2:]
        if self.size is None:
            target = (-(-height // STRIDE) * STRIDE, -(-width // STRIDE) * STRIDE)
        else:
            target = self.size
            scale = min(1.0, target[0] / height, target[1] / width)
            if scale < 1:
                inner = (max(1, round(height * scale)), max(1, round(width * scale)))
                x = F.interpolate(x, inner, mode="bilinear", antialias=True, align_corners=False)
        inner = (x.shape[-2], x.shape[-1])
        if inner != target:
            x = F.pad(x, (0, target[1] - inner[1], 0, target[0] - inner[0]), mode="replicate")
        x = self._draw(x)[..., : inner[0], : inner[1]]
        if inner != (height, width):
            x = F.interpolate(x, (height, width), mode="bicubic", align_corners=False).clamp(-1, 1)
        return x.to(pixel_values.device)

    def _draw(self, x: Tensor) -> Tensor:
        """Draw pictures of a size that the file takes, in batches that it takes."""
        pixels, last = self.facts_input["dtype"] == "uint8", self.facts_input["layout"] == "NHWC"
        if pixels:
            x = ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        images = as_array(x.permute(0, 2, 3, 1) if last else x)
        step = self.facts_input["shape"][0]
        step = len(images) if isinstance(step, str) else step
        parts = []
        for start in range(0, len(images), step):
            chunk = images[start : start + step]
            missing = step - len(chunk)
            if missing:
                chunk = np.concatenate([chunk, np.repeat(chunk[-1:], missing, axis=0)])
            parts.append(torch.from_numpy(self._run(chunk))[: step - missing])
        drawn = torch.cat(parts) if len(parts) > 1 else parts[0]
        drawn = drawn.permute(0, 3, 1, 2) if last else drawn
        return drawn.float() / 127.5 - 1 if pixels else drawn.float()

    def _sides(self) -> tuple[Any, Any]:
        shape, first = self.facts_input["shape"], self.facts_input["layout"].index("H")
        return shape[first], shape[first + 1]
