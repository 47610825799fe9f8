"""Put a trained style into the package: float16 weights, the layout of a Hub repository.

python tools/bundle_style.py runs/animation/style animation
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tps_portrait import TPSPortraitPipeline

STYLES = Path(__file__).resolve().parents[1] / "src" / "tps_portrait" / "styles"


def main() -> None:
    """Load the style, halve its weights, and save it among the bundled ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", help="folder that examples/train.py wrote")
    parser.add_argument("name", help="name of the bundled style")
    args = parser.parse_args()
    pipe = TPSPortraitPipeline.from_pretrained(args.source)
    pipe.style = args.name
    pipe.generator.half()
    pipe.save_pretrained(STYLES / args.name)


if __name__ == "__main__":
    main()
