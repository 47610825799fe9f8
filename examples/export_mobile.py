"""Write a style for phones and browsers, each file proven by running it here.

pip install "tps-portrait[mobile]", or only the extras of the formats that you name:

    python examples/export_mobile.py --style animation --out exported --targets onnx litert coreml

int8 is calibrated on photos of its training that the style carries. For a style without any, pass
real faces in different light: --calibration my_photos/
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tps_portrait import ExportError, TPSPortraitPipeline
from tps_portrait.cli.files import collect_inputs
from tps_portrait.export import TARGETS
from tps_portrait.export.pictures import MOST_PICTURES

# What an app usually ships. uint8 files take the camera's pixels as they are; int8 is the smallest.
FORMS = {
    "onnx": {"precision": "fp32", "dynamic": True, "io": "uint8", "layout": "nhwc"},
    "openvino": {"precision": "int8"},
    "litert": {"precision": "int8", "io": "uint8"},
    "executorch": {"precision": "int8"},
    "ncnn": {"precision": "fp16"},
    "coreml": {"precision": "fp16"},
    "pt2": {"precision": "fp32", "dynamic": True},
}


def main() -> None:
    """Export, and draw with what can be loaded again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--style", default="animation")
    parser.add_argument("--out", type=Path, default=Path("exported"))
    parser.add_argument("--targets", nargs="+", choices=sorted(FORMS), default=["onnx"])
    parser.add_argument("--size", type=int, help="side in pixels; the style's by default")
    parser.add_argument("--photo", help="draw this photo with every file")
    parser.add_argument(
        "--calibration",
        nargs="+",
        metavar="IN",
        help="files or folders with photos of faces to calibrate int8 with; the first "
        f"{MOST_PICTURES} count (default: the style's own photos, else a bundled portrait)",
    )
    options = parser.parse_args()
    calibration = options.calibration and collect_inputs(options.calibration)[:MOST_PICTURES]

    options.out.mkdir(parents=True, exist_ok=True)
    pipe = TPSPortraitPipeline.from_pretrained(options.style)
    for target in options.targets:
        path = options.out / f"{pipe.style}{TARGETS[target].suffix}"
        try:
            report = pipe.export(
                target,
                path,
                size=options.size,
                calibration=calibration,
                **FORMS[target],
            )
        except ExportError as error:
            print(f"{target}: {error}")
            continue
        size = sum(file["bytes"] for file in report.facts["files"].values()) / 1e6
        quality = f"{report.parity.psnr:.1f} dB" if report.parity else "not run on this system"
        print(f"{path}: {size:.2f} MB, {quality}")
        if options.photo and report.parity and TARGETS[target].loadable:
            drawing = TPSPortraitPipeline.from_exported(path)(options.photo).images[0]
            drawing.save(options.out / f"{target}.png")


if __name__ == "__main__":
    main()
