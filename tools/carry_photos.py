"""Give a style photos of its training, for a style that was trained before trainings did it.

    python tools/carry_photos.py src/tps_portrait/styles/animation examples/data/photos/studio

At most 8 are chosen, as a training chooses them, of the photos whose metadata.jsonl names a licence
to pass them on. Exports to int8 measure the values of the network on them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tps_portrait import ConfigError, TPSPortraitError
from tps_portrait.hub.calibration import save_calibration
from tps_portrait.hub.styles import INDEX
from tps_portrait.training.data import load_faces


def carry(style: Path, folders: list[Path], resolution: int = 512) -> list[Path]:
    """Choose photos and put them into a style, in place of earlier ones.

    Args:
        style: folder of the style.
        folders: the sets of photos that it was trained on.
        resolution: side of the training pictures.

    Returns:
        Files of the photos.

    Raises:
        ConfigError: the folder holds no style, or no photo may be passed on.
        DatasetError: a set cannot be read.
    """
    if not (style / INDEX).is_file():
        raise ConfigError(f"{style} holds no style: there is no {INDEX} in it.")
    sets = [load_faces(folder, resolution) for folder in folders]
    photos = sum(sets[1:], sets[0])
    written = save_calibration(style, list(photos.images), photos.rows)
    if not written:
        raise ConfigError("No metadata.jsonl of these photos names a licence to pass one on.")
    return written


def main(arguments: list[str] | None = None) -> None:
    """Choose photos for the style that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("style", type=Path, help="folder of the style")
    parser.add_argument("photos", type=Path, nargs="+", help="sets that it was trained on")
    parser.add_argument("--resolution", type=int, default=512, help="of the training")
    args = parser.parse_args(arguments)
    for path in carry(args.style, args.photos, args.resolution):
        print(f"{path} ({path.stat().st_size / 1e3:.0f} kB)")


if __name__ == "__main__":
    try:
        main()
    except TPSPortraitError as error:
        sys.exit(f"error: {error}")
