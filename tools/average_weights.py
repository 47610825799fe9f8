"""Average the generators of two states of a training: more of the style, or more of the photo.

    python tools/average_weights.py runs/a/style runs/b/style runs/mean/style --share 0.4

Only for states of which one went on from the other, or that began with the same weights not long
ago: others do not lie near enough. Everything but the generator's weights comes from the first
folder; its card and pictures, which tell of other weights, stay behind.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from safetensors.torch import load_file, save_file

WEIGHTS = Path("generator", "model.safetensors")
CONFIG = Path("generator", "config.json")


def average(first: Path, second: Path, target: Path, share: float) -> None:
    """Write a style between two.

    Args:
        first: folder of a style.
        second: folder of a style with the same kind of generator.
        target: folder to write; it must not exist.
        share: of the second, 0 to 1.
    """
    one, other = load_file(first / WEIGHTS), load_file(second / WEIGHTS)
    if kind(first) != kind(second) or one.keys() != other.keys():
        raise SystemExit(f"error: {first} and {second} have generators of different kinds.")
    shutil.copytree(
        first, target, ignore=shutil.ignore_patterns("README.md", "samples", "thumbnail.jpg")
    )
    mean = {
        key: value.float().lerp(other[key].float(), share).to(value.dtype).contiguous()
        for key, value in one.items()
    }
    save_file(mean, target / WEIGHTS, metadata={"format": "pt"})


def kind(style: Path) -> dict[str, object]:
    """What a generator is, apart from how and by what it was saved."""
    config = json.loads((style / CONFIG).read_text(encoding="utf-8"))
    return {k: v for k, v in config.items() if k not in ("dtype", "transformers_version")}


def main(arguments: list[str] | None = None) -> None:
    """Average the styles that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("first", "second", "target"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--share", type=float, default=0.5, help="of the second, 0 to 1")
    args = parser.parse_args(arguments)
    if not 0 <= args.share <= 1:
        sys.exit(f"error: --share must be 0 to 1; got {args.share}.")
    if args.target.exists():
        sys.exit(f"error: {args.target} exists. Choose another folder.")
    average(args.first, args.second, args.target, args.share)


if __name__ == "__main__":
    main()
