"""The weights of the losses, which are options of `examples/train.py`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def option(default: Any, text: str, **kwargs: Any) -> Any:
    """Return a field with a default, and the text that --help shows."""
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata={"help": text}, **kwargs)
    return field(default=default, metadata={"help": text}, **kwargs)


@dataclass
class LossWeights:
    """Weight of each loss; 0 switches a term off, and what only it needs is not computed."""

    global_adversarial_weight: float = option(1.5, "Whole picture against aligned examples.")
    local_adversarial_weight: float = option(2.0, "Eyes, nose, mouth against aligned examples.")
    unaligned_adversarial_weight: float = option(
        0.5, "Photo drawn in the example's geometry (feature warp) against untouched examples."
    )
    cycle_weight: float = option(2.0, "Geometry-aware cycle, both ways.")
    invariance_weight: float = option(2.0, "Deformation invariance G(W(x)) = W(G(x)).")
    anchor_weight: float = option(
        8.0, "Colour of large areas, and more finely of eyes, nose, mouth, stays that of the photo."
    )
    evenness_weight: float = option(0.0, "No halos, smears, blotches where the photo is even.")
    grid_weight: float = option(20.0, "No checkerboards or stripes tied to the pixel grid.")
    content_weight: float = option(
        0.0, "Content of the photo stays readable; needs --content_network."
    )
    contrast_weight: float = option(
        0.0, "CUT's PatchNCE: a place of the drawing tells of that place of the photo."
    )
    pattern_weight: float = option(
        0.0,
        "Lights and darks of eyes and mouth lie as in aligned examples, which then look where "
        "the photo looks; needs local alignment.",
    )
    texture_weight: float = option(
        0.0,
        "Strokes, washes and grain as aligned examples have them in the same place; needs "
        "--content_network.",
    )
    r1_weight: float = option(0.0, "R1 gradient penalty on real examples, whole and in parts.")
