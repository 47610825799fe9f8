"""`tps-portrait doctor`: is everything here, and does it work?"""

from __future__ import annotations

import argparse
import json
import platform
import time
import traceback
from typing import TYPE_CHECKING, Any

from .._bundled import PORTRAIT
from .._version import __version__, installed_versions
from ..errors import TPSPortraitError
from ..hub.styles import BUNDLED_FOLDER, bundled_styles
from .runtime import choose_device, load_pipeline, one_line, quiet_libraries

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]

_NEEDED = (
    "torch",
    "transformers",
    "diffusers",
    "huggingface_hub",
    "safetensors",
    "numpy",
    "pillow",
)
_OPTIONAL = ("accelerate", "datasets", "kornia")


def add_parser(commands: _Commands, common: argparse.ArgumentParser) -> None:
    """Add the command and its options.

    Args:
        commands: the sub-parsers of `tps-portrait`.
        common: options that all commands have.
    """
    parser = commands.add_parser(
        "doctor",
        parents=[common],
        help="show versions, device and styles, and test the installation",
        description="Show versions, device and bundled styles, and draw the bundled photograph to "
        "test the installation. The exit status is 1 if that fails.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--style", default="animation", help="style of the test")
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, mps, … (default: the fastest here)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Examine the installation and print what was found.

    Args:
        options: the parsed command line.

    Returns:
        0 if the self-test passed, else 1.

    Raises:
        ConfigError: the device cannot be used.
    """
    if not options.debug:
        quiet_libraries()
    installed = installed_versions((*_NEEDED, *_OPTIONAL))
    report: dict[str, Any] = {
        "tps_portrait": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: installed.get(name) for name in (*_NEEDED, *_OPTIONAL)},
        "device": _device_facts(options.device),
        "styles": _style_sizes(),
    }
    try:
        report["self_test"] = {"passed": True, **_self_test(options.style, options.device)}
    except Exception as error:  # whatever it is, finding it is what this command is for
        if options.debug:
            traceback.print_exc()
        report["self_test"] = {"passed": False, "error": one_line(error)}
    print(json.dumps(report, indent=2) if options.json else _as_text(report))
    return 0 if report["self_test"]["passed"] else 1


def _device_facts(name: str) -> dict[str, Any]:
    import torch

    device = choose_device(name)
    facts: dict[str, Any] = {"chosen": str(device), "cpu_threads": torch.get_num_threads()}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        facts |= {"name": properties.name, "memory_gb": round(properties.total_memory / 1e9, 1)}
    return facts


def _style_sizes() -> dict[str, float]:
    """Megabytes of each bundled style's files."""
    return {
        name: round(sum(f.stat().st_size for f in (BUNDLED_FOLDER / name).rglob("*")) / 1e6, 2)
        for name in bundled_styles()
    }


def _self_test(style: str, device: str) -> dict[str, Any]:
    import torch

    start = time.perf_counter()
    pipe = load_pipeline(style, device)
    loaded = time.perf_counter() - start
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        result = pipe(str(PORTRAIT), output_type="pt", on_no_face="ignore")
        seconds.append(time.perf_counter() - start)
    drawing, faces = result.images[0], len(result.faces[0])
    if faces != 1:
        raise TPSPortraitError(
            f"{faces} faces were found in {PORTRAIT.name}, which shows one. Install the package "
            "again."
        )
    if not bool(torch.isfinite(drawing).all()) or float(drawing.float().std()) < 0.02:
        raise TPSPortraitError(
            f"The drawing of {PORTRAIT.name} is blank or not finite. Install the package again; if "
            "it stays so, report it with the output of `tps-portrait doctor --json`."
        )
    return {
        "style": style,
        "picture": f"{PORTRAIT.name}, {drawing.shape[-1]}x{drawing.shape[-2]}",
        "faces": faces,
        "load_seconds": round(loaded, 2),
        "first_seconds": round(seconds[0], 2),
        "best_seconds": round(min(seconds), 2),
    }


def _as_text(report: dict[str, Any]) -> str:
    lines = [f"{key:<16}{report[key]}" for key in ("tps_portrait", "python", "platform")]
    for name, found in report["packages"].items():
        absent = "missing" if name in _NEEDED else "not installed (only for training)"
        lines.append(f"{name:<16}{found or absent}")
    device = dict(report["device"])
    more = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in device.items())
    lines.append(f"{'device':<16}{more.removeprefix('chosen ')}")
    styles = ", ".join(f"{name} ({size} MB)" for name, size in report["styles"].items())
    lines.append(f"{'styles':<16}{styles or 'none'}")
    test = report["self_test"]
    if test["passed"]:
        result = (
            f"passed: {test['style']}, {test['picture']}, loaded in {test['load_seconds']} s, "
            f"drawn in {test['best_seconds']} s (first {test['first_seconds']} s)"
        )
    else:
        result = f"FAILED: {test['error']}"
    lines.append(f"{'self-test':<16}{result}")
    return "\n".join(lines)
