"""Cut people out of studio portraits, so that training can put them before other backgrounds.

    pip install opencv-python-headless
    python examples/data/mattes.py FOLDER

FOLDER is an imagefolder of upright, square face crops: pictures and a `metadata.jsonl` with
`file_name` and `landmarks` (68 points in [-1, 1]). Mattes are written to `FOLDER/masks`, white on
the person, and named in a `mask` field of each row. Made for plain backgrounds: GrabCut (Rother et
al., 2004) starts from the landmarks and separates by colour, so look at the results, and delete the
`mask` of rows where it failed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

try:
    import cv2
except ImportError:
    raise SystemExit("error: mattes need OpenCV: pip install opencv-python-headless") from None

SIDE = 256
"""Side of the mattes in pixels; training resizes them to its own resolution."""

_BORDER = 5
_SMALLEST_HOLE = 60


def first_guess(points: np.ndarray) -> np.ndarray:
    """Mark what must, may and cannot be the person.

    Args:
        points: `(68, 2)` landmarks in pixels of a picture of `SIDE`.

    Returns:
        `(SIDE, SIDE)` uint8 of OpenCV's GrabCut classes.
    """
    guess = np.full((SIDE, SIDE), cv2.GC_PR_BGD, np.uint8)
    x, y = points[27]
    eyes = float(np.linalg.norm(points[36:42].mean(0) - points[42:48].mean(0)))
    chin = int(points[8, 1])
    head = (int(eyes * 1.75), int(eyes * 2.1))
    cv2.ellipse(guess, (int(x), int(y + eyes * 0.2)), head, 0, 0, 360, int(cv2.GC_PR_FGD), -1)
    guess[int(chin + eyes * 0.5) :] = cv2.GC_PR_FGD
    forehead = points[17:27] - [0, eyes * 0.55]
    face = cv2.convexHull(np.concatenate([points, forehead]).astype(np.int32))
    cv2.fillConvexPoly(guess, face, int(cv2.GC_FGD))
    neck = slice(int(points[4, 0]) + 10, int(points[12, 0]) - 9)
    guess[chin:, neck] = cv2.GC_FGD
    # The corners beside the hair and the sides above the shoulders are never the person.
    guess[:chin, :_BORDER] = guess[:chin, -_BORDER:] = cv2.GC_BGD
    beside = np.abs(np.arange(SIDE) - x) > eyes * 1.4
    guess[:_BORDER] = np.where(beside, cv2.GC_BGD, cv2.GC_PR_FGD)
    return guess


def cut_out(picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Separate a person from the background.

    Args:
        picture: `(H, W, 3)` uint8, a square face crop.
        landmarks: `(68, 2)` in [-1, 1].

    Returns:
        `(SIDE, SIDE)` uint8, 255 on the person, with soft edges.
    """
    picture = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    points = (landmarks + 1) / 2 * SIDE
    classes = first_guess(points)
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(picture, classes, None, *models, 6, cv2.GC_INIT_WITH_MASK)
    person = np.isin(classes, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    _, labels = cv2.connectedComponents(person)
    nose_x, nose_y = np.clip(points[30].astype(int), 0, SIDE - 1)
    person = (labels == labels[nose_y, nose_x]).astype(np.uint8)
    person = cv2.morphologyEx(person, cv2.MORPH_CLOSE, np.ones((5, 5)))
    person = cv2.morphologyEx(person, cv2.MORPH_OPEN, np.ones((3, 3)))
    count, labels, facts, _ = cv2.connectedComponentsWithStats(1 - person)
    for label in range(1, count):
        if facts[label, cv2.CC_STAT_AREA] < _SMALLEST_HOLE:
            person[labels == label] = 1
    soft = cv2.GaussianBlur(person.astype(np.float32), (0, 0), 1.0)
    return (soft * 255).astype(np.uint8)


def write_mattes(folder: Path) -> int:
    """Write the mattes of a folder and name them in its metadata.

    Args:
        folder: an imagefolder with landmarks.

    Returns:
        How many were written.
    """
    metadata = folder / "metadata.jsonl"
    if not metadata.is_file():
        raise SystemExit(f"error: {folder} has no metadata.jsonl with landmarks.")
    rows: list[dict[str, Any]] = [
        json.loads(line) for line in metadata.read_text("utf-8").splitlines() if line.strip()
    ]
    (folder / "masks").mkdir(exist_ok=True)
    for row in rows:
        name = row["file_name"]
        picture = cv2.imread(str(folder / name))
        landmarks = np.array(row.get("landmarks", ()), dtype=np.float32)
        if picture is None or landmarks.shape != (68, 2):
            raise SystemExit(f"error: {name} is no picture with 68 landmarks. Remove its row.")
        row["mask"] = f"masks/{Path(name).stem}.png"
        cv2.imwrite(str(folder / row["mask"]), cut_out(picture, landmarks))
    complete = metadata.with_suffix(".partial")
    complete.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    complete.replace(metadata)
    return len(rows)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="imagefolder of face crops with landmarks")
    folder = parser.parse_args().folder
    print(f"{write_mattes(folder)} mattes in {folder / 'masks'}")


if __name__ == "__main__":
    main()
