"""Write a Gradio Space that needs nothing but its own folder and requirements.txt.

python examples/app/make_space.py out/space
hf upload YOUR_NAME/portraits out/space --repo-type space
"""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FILES = (
    *("app.py", "drawing.py", "limits.py", "paste.js", "storage.py", "training.py"),
    "requirements.txt",
)


def main() -> None:
    """Copy the app, the library, the training script, its photos and networks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="new folder")
    folder = parser.parse_args().folder
    if folder.exists():
        parser.error(f"{folder} exists already; name a new folder")
    folder.mkdir(parents=True)
    for name in FILES:
        shutil.copy(HERE / name, folder)
    for path in (ROOT / "LICENSE", ROOT / "NOTICE", ROOT / "examples" / "train.py"):
        shutil.copy(path, folder)
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(ROOT / "src" / "tps_portrait", folder / "tps_portrait", ignore=ignored)
    for source, name in (("photos/synthetic", "photos"), ("networks", "networks")):
        shutil.copytree(ROOT / "examples" / "data" / source, folder / name, ignore=ignored)
    # The picture of the card is not part of the Space.
    card = (HERE / "README.md").read_text("utf-8")
    (folder / "README.md").write_text(re.sub(r"!\[.*?\]\(.*?\)\n\n", "", card), "utf-8")
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {total / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
