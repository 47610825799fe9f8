"""Put a trained style into the package: float16 weights, the layout of a Hub repository, its facts.

    python tools/bundle_style.py runs/animation/style animation

Facts of the training come with the style. What people wrote about the bundled one (description,
history, failures, ...) stays where the new facts say nothing; numbers and pictures of other weights
do not. Photos for calibration come with the style, too; without any, those of the bundled one stay.
Then: docs/make_assets.py, examples/evaluate.py --update_card, tools/render_cards.py.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file

from tps_portrait import ConfigError, TPSPortraitError, TPSPortraitPipeline
from tps_portrait.hub.cards import write_card
from tps_portrait.hub.facts import StyleFacts, read_facts

STYLES = Path(__file__).resolve().parents[1] / "src" / "tps_portrait" / "styles"
WRITTEN = ("description", "held_out", "intended_use", "history", "failures", "limits")
MEASURED = ("metrics", "measurements", "samples")
WEIGHTS = Path("generator", "model.safetensors")


def bundled_facts(new: StyleFacts, old: StyleFacts | None, *, same_weights: bool) -> StyleFacts:
    """Facts of the bundled style.

    Args:
        new: of the training.
        old: of the style that was bundled before, if there was one.
        same_weights: it had the same weights, so that what was measured still holds.
    """
    kept: dict[str, object] = {"samples": ()}
    if old is not None:
        fields = (*WRITTEN, *MEASURED) if same_weights else WRITTEN
        kept |= {name: getattr(old, name) for name in fields if getattr(old, name)}
    told = {name: getattr(new, name) for name in WRITTEN if getattr(new, name)}
    if old is not None and old.history:
        told.pop("history", None)  # the line that every training writes says less
    return replace(new, **{**kept, **told})


def bundle(source: Path, target: Path) -> None:
    """Save a style with halved weights, its facts and its card.

    Args:
        source: folder that examples/train.py wrote.
        target: folder of the bundled style.

    Raises:
        ConfigError: the source has no facts.
    """
    new, old = read_facts(source), read_facts(target)
    if new is None:
        raise ConfigError(f"{source} has no facts.json. Train it with examples/train.py.")
    before = load_file(target / WEIGHTS) if (target / WEIGHTS).is_file() else {}
    pipe = TPSPortraitPipeline.from_pretrained(source)
    pipe.style, pipe.card = target.name, None
    if not pipe.calibration_photos:
        pipe._photos = target
    pipe.generator.half()
    pipe.save_pretrained(target)
    after = load_file(target / WEIGHTS)
    same = before.keys() == after.keys() and all(after[k].equal(before[k]) for k in after)
    facts = replace(new, style=target.name, hub_id=None)
    write_card(target, bundled_facts(facts, old, same_weights=same))


def main(arguments: list[str] | None = None) -> None:
    """Bundle the style that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="folder that examples/train.py wrote")
    parser.add_argument("name", help="name of the bundled style")
    args = parser.parse_args(arguments)
    bundle(args.source, STYLES / args.name)


if __name__ == "__main__":
    try:
        main()
    except TPSPortraitError as error:
        sys.exit(f"error: {error}")
