"""How well int8 files draw: calibrated on photos of the style's training, and on one portrait.

Each style is exported as `TPSPortraitPipeline.export` does, and the file is run by its runtime on
portraits that no training saw: `wild`, which `examples/data/photos/packages.py` makes. The figures
are PSNR in dB against the style in PyTorch, over all portraits and for the worst of them.

    pip install "tps-portrait[mobile]"
    python benchmarks/int8.py             # writes int8.json and its part of README.md
    python benchmarks/int8.py --report    # that part only
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import result_pages
from tps_portrait import TPSPortraitPipeline
from tps_portrait._bundled import PORTRAIT
from tps_portrait.export import TARGETS, ExportedGenerator
from tps_portrait.export.parity import compare
from tps_portrait.export.pictures import fit
from tps_portrait.processing import load_photo

ABLE = [name for name, kind in TARGETS.items() if kind.calibrated and "int8" in kind.precisions]
WILD = result_pages.FOLDER.parent / "examples" / "data" / "photos" / "wild"
CALIBRATIONS: dict[str, list[Path] | None] = {"own": None, "portrait": [PORTRAIT]}
"""What is passed as `calibration`; nothing takes the photos that the style carries."""


def portraits(folder: Path, count: int) -> list[Path]:
    """Face crops, evenly out of the sorted names."""
    # The bundled portrait is one of them, and would be drawn well by the files calibrated on it.
    files = [path for path in sorted(folder.glob("*.jpg")) if PORTRAIT.stem not in path.stem]
    if len(files) < count:
        raise SystemExit(
            f"There are {len(files)} portraits in {folder}, of {count}. Make them: "
            "python examples/data/photos/packages.py"
        )
    return [files[round(place * (len(files) - 1) / max(1, count - 1))] for place in range(count)]


def agreement(file: Path, inputs: list[Tensor], expected: list[Tensor]) -> dict[str, float]:
    """PSNR of a file's drawings in dB, over all and of the worst."""
    generator = ExportedGenerator(file, threads=torch.get_num_threads())
    pairs = [(generator(x).numpy(), y.numpy()) for x, y in zip(inputs, expected, strict=True)]
    drawn, wanted = zip(*pairs, strict=True)
    worst = min(compare([ours], [theirs], "int8").psnr for ours, theirs in pairs)
    return {"all": round(compare(drawn, wanted, "int8").psnr, 4), "worst": round(worst, 4)}


def measure(
    pipe: TPSPortraitPipeline, target: str, side: int, inputs: list[Tensor], expected: list[Tensor]
) -> dict[str, Any]:
    """Export a style with each calibration, and compare the drawings."""
    row: dict[str, Any] = {"target": target, "style": pipe.style}
    for name, photos in CALIBRATIONS.items():
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"{name}{TARGETS[target].suffix}"
            done = pipe.export(target, file, precision="int8", size=side, calibration=photos)
            facts = done.facts["calibration"]
            if photos is None and facts["source"] != "style":
                raise SystemExit(f"The style {pipe.style} carries no photos of its training.")
            row[name] = {"photos": facts["photos"], **agreement(file, inputs, expected)}
    return {**row, "weights": done.facts["weights_sha256"]}


def main() -> None:
    """Measure, and write the result file and the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--styles", nargs="+", default=["animation", "ink_paint"])
    parser.add_argument("--targets", nargs="+", choices=ABLE, default=["litert", "onnx"])
    parser.add_argument("--portraits", type=Path, default=WILD, help="folder of face crops")
    parser.add_argument("--count", type=int, default=16, help="portraits that are drawn")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    options = result_pages.parse(parser, "int8")
    runtimes = (TARGETS[target].runtime for target in options.targets)
    run = result_pages.Run("int8", "torch", *runtimes)
    torch.set_num_threads(options.threads)

    files = portraits(options.portraits, options.count)
    crops = fit([load_photo(path).visible() for path in files], (options.size, options.size))
    inputs = [crop[None].float() / 127.5 - 1 for crop in crops]
    rows = []
    for style in options.styles:
        pipe = TPSPortraitPipeline.from_pretrained(style)
        with torch.inference_mode():
            expected = [pipe.generator(x) for x in inputs]
        for target in options.targets:
            rows.append(measure(pipe, target, options.size, inputs, expected))
            print(rows[-1], flush=True)
    settings = {"size": options.size, "set": options.portraits.name, "threads": options.threads}
    names = [path.name for path in files]
    run.write({"settings": settings, "portraits": names, "rows": rows}, options.output)


if __name__ == "__main__":
    main()
