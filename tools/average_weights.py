"""Average the generators of two states of a training: more of the style, or more of the photo.

    python tools/average_weights.py runs/a/style runs/b/style runs/mean/style --share 0.4

Only for states of which one went on from the other, or that began with the same weights not long
ago: others do not lie near enough. Where one has noise that the other lacks, it is silent in the
other. Everything but the generator comes from the first folder; its card and pictures, which tell
of other weights, stay behind.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import torch

from tps_portrait import StyleGenerator, TPSPortraitError
from tps_portrait.models.generator.averaging import averaged, why_not_average, with_one_noise


def average(first: Path, second: Path, target: Path, share: float) -> None:
    """Write a style between two.

    Args:
        first: folder of a style.
        second: folder of a style with the same kind of generator.
        target: folder to write; it must not exist.
        share: of the second, 0 to 1.

    Raises:
        TPSPortraitError: a folder holds no style.
        SystemExit: their generators are of different kinds or have different noise.
    """
    generators = [
        StyleGenerator.from_pretrained(folder, subfolder="generator", dtype=torch.float32)
        for folder in (first, second)
    ]
    if reason := why_not_average(generators):
        raise SystemExit(f"error: {first} and {second} have no mean: {reason}.")
    mean = averaged(with_one_noise(generators), [1 - share, share])
    shutil.copytree(
        first,
        target,
        ignore=shutil.ignore_patterns("README.md", "samples", "thumbnail.jpg", "generator"),
    )
    mean.save_pretrained(target / "generator")


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
    try:
        average(args.first, args.second, args.target, args.share)
    except TPSPortraitError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
