"""Make docs/assets/styles-table.jpg and styles-gallery.jpg: `tps-portrait styles` and its gallery.

    python docs/make_screenshots.py

It needs Chromium. Only bundled styles are shown, and nothing is asked of a network. The same styles
make the same pictures.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from html import escape
from pathlib import Path

from PIL import Image, ImageChops

ROOT = Path(__file__).resolve().parents[1]
ASSETS = ROOT / "docs" / "assets"
COMMAND = ("styles", "--source", "bundled")
TERMINAL = """<!DOCTYPE html><meta charset="utf-8">
<style>html {{ background: #1e1f24; }} body {{ margin: 0; padding: 20px 24px; color: #e4e4e8;
font: 15px/1.3 'DejaVu Sans Mono', monospace; white-space: pre; }} b {{ color: #8fd18f; }}</style>
<body><b>$ {command}</b>
{text}</body>"""


def run(*arguments: str) -> str:
    """Run the command line without a network and return what it prints."""
    settings = {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT / "src"), "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tps_portrait", *arguments],
        env={**os.environ, **settings},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return done.stdout


def chromium() -> str:
    """The browser's program."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        sys.exit("error: there is no Chromium. Install it, such as with: apt-get install chromium")
    return found


def photograph(page: Path, target: Path, size: tuple[int, int], edge: int = 16) -> None:
    """Write the picture of a page as JPEG, without what is empty around it.

    Args:
        page: HTML.
        target: JPEG.
        size: of the window in pixels.
        edge: pixels left around what the page shows.
    """
    shot = page.with_suffix(".png")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    flags += [f"--user-data-dir={page.parent / 'profile'}", f"--window-size={size[0]},{size[1]}"]
    subprocess.run(
        [chromium(), *flags, f"--screenshot={shot}", page.as_uri()], check=True, capture_output=True
    )
    picture = Image.open(shot).convert("RGB")
    empty = Image.new("RGB", picture.size, picture.getpixel((0, picture.height - 1)))
    box = ImageChops.difference(picture, empty).getbbox() or (0, 0, *picture.size)
    right, bottom = min(box[2] + edge, picture.width), min(box[3] + edge, picture.height)
    picture.crop((max(box[0] - edge, 0), 0, right, bottom)).save(target, quality=88)


def main() -> None:
    """Write both pictures."""
    lines = [line.strip() for line in run(*COMMAND).splitlines() if line.strip()]
    text = escape("\n".join(lines))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        page = folder / "table.html"
        page.write_text(TERMINAL.format(command="tps-portrait " + " ".join(COMMAND), text=text))
        photograph(page, ASSETS / "styles-table.jpg", (1400, 400))
        run(*COMMAND, "--gallery", str(folder / "gallery.html"))
        photograph(folder / "gallery.html", ASSETS / "styles-gallery.jpg", (1240, 700))


if __name__ == "__main__":
    main()
