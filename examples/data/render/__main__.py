"""Command line: ``python -m examples.data.render STYLE OUT --count 100 --seed 2000``."""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from . import ink_paint, oil_paint, portrait, watercolor
from .files import make_row, save_picture

QUALITY = {"animation": 92, "watercolor": 90, "oil_paint": 90, "ink_paint": 90}
RENDER = {
    "animation": portrait.render,
    "watercolor": watercolor.render,
    "oil_paint": oil_paint.render,
    "ink_paint": ink_paint.render,
}


def write_row(seed: int, style: str, out: Path, size: int) -> str:
    """Draw the portrait of a seed into a folder; return its line of ``metadata.jsonl``."""
    picture, points, _ = RENDER[style](seed, size)
    name = f"{style}-{seed:06d}.jpg"
    save_picture(picture, out / name, QUALITY[style])
    return make_row(name, points, seed)


def main() -> None:
    """Render a style set as a ``datasets`` imagefolder."""
    parser = argparse.ArgumentParser(prog="examples.data.render", description=main.__doc__)
    parser.add_argument("style", choices=list(RENDER))
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=2000, help="first seed")
    parser.add_argument("--size", type=int, default=512, help="side in pixels")
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    seeds = range(args.seed, args.seed + args.count)
    draw = partial(write_row, style=args.style, out=args.out, size=args.size)
    if args.workers > 1:
        with ProcessPoolExecutor(args.workers) as pool:
            rows = list(pool.map(draw, seeds))
    else:
        rows = [draw(seed) for seed in seeds]
    (args.out / "metadata.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    print(f"{len(rows)} pictures in {args.out}")


if __name__ == "__main__":
    main()
