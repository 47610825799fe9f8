"""Time, memory and size of a style in every runtime, beside other networks, in one run.

Each figure is measured in a process of its own that has as many processors as threads, by
`latency_worker.py`. What is not installed is a row that says so. Writes JSON and Markdown:

    python benchmarks/latency.py --output benchmarks/latency              # under ten minutes
    python benchmarks/latency.py --sizes 256 --threads 1 --budget 0.5     # a quick look
    python benchmarks/latency.py --output benchmarks/latency --report     # the page alone

What else ran during a measurement is no figure: put it as `note` into the facts of the JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import tps_portrait
from latency_report import FACE_PARTS, markdown
from peers import PEERS
from tps_portrait import ExportError, TPSPortraitError, TPSPortraitPipeline
from tps_portrait.export import TARGETS, ExportReport
from tps_portrait.export.quiet import quiet
from tps_portrait.hub.cards import hardware_name
from tps_portrait.hub.styles import locate_style

Row = dict[str, Any]

WORKER = Path(__file__).with_name("latency_worker.py")
PHOTO = Path(tps_portrait.__file__).parent / "assets" / "astronaut.jpg"
FORMS = ("eager", "folded", "channels_last", "compile")
EXPORTS = (
    *(("onnx", "fp32"), ("onnx", "fp16"), ("onnx", "int8")),
    *(("openvino", "fp32"), ("openvino", "int8")),
    *(("executorch", "fp32"), ("executorch", "int8")),
    *(("litert", "fp32"), ("litert", "int8")),
    *(("ncnn", "fp32"), ("ncnn", "fp16")),
)
TIME_IS_UP = "not measured: the time was up, see --limit"
RUNTIMES = {
    "onnx": "onnxruntime",
    "openvino": "OpenVINO",
    "executorch": "ExecuTorch",
    "litert": "LiteRT",
    "ncnn": "ncnn",
}
# Longest side of the drawn frame and side of the drawn face, in pixels.
FACE_SIZES = ((1280, 512), (640, 512), (640, 256))


def worker(job: Row, limit: float = 240.0) -> Row:
    """Run one measurement of at most `limit` seconds; a failure is a result too."""
    if limit <= 0:
        return {"note": TIME_IS_UP}
    environment = os.environ | {"OMP_NUM_THREADS": str(job["threads"]), "TQDM_DISABLE": "1"}
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", str(WORKER), json.dumps(job)],
            capture_output=True,
            text=True,
            env=environment,
            timeout=limit,
        )
    except subprocess.TimeoutExpired:
        return {"note": f"did not end in {limit:.0f} seconds"}
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        return {"note": lines[-1][:200]}
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def gmacs(network: nn.Module, size: int) -> float:
    """Multiply-accumulates of one picture, in 1e9 (a FLOP count divided by two)."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, size, size))
    return counter.get_total_flops() / 2e9


class Benchmark:
    """Everything that is measured, row by row.

    Args:
        options: the parsed command line.
        folder: for exported files.
    """

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder = options, folder
        self.pipe = TPSPortraitPipeline.from_pretrained(options.style)
        self.weights = Path(locate_style(options.style)) / "generator"
        self.peaks: dict[int, float] = {}
        self.end = time.time() + options.limit

    def rows(self) -> Iterator[tuple[str, Row]]:
        """Everything, each row with its part: one size after the other, what matters most first."""
        yield from (("peak", row) for row in self.peak())
        for index, size in enumerate(self.options.sizes):
            for part, rows in (("ours", self.ours), ("peers", self.peers)):
                if part in self.options.parts:
                    yield from ((part, row) for row in rows(size))
            if index == 0 and "face" in self.options.parts:
                yield from (("face", row) for row in self.face())

    def measure(self, job: Row) -> Row:
        """Run one measurement in what is left of the time."""
        return worker(job, min(240.0, self.end - time.time()))

    def peak(self) -> Iterator[Row]:
        """The matmul peak of each number of threads, in GFLOP/s."""
        for threads in self.options.threads:
            side = 2048
            found = worker({"kind": "matmul", "side": side, "threads": threads, "budget": 2.0})
            self.peaks[threads] = 2e-6 * side**3 / found["median_ms"]
            yield {"threads": threads, "gflops": round(self.peaks[threads], 1)}

    def ours(self, size: int) -> Iterator[Row]:
        """The style in PyTorch and in the exported files."""
        megabytes = (self.weights / "model.safetensors").stat().st_size / 1e6
        cost = gmacs(self.pipe.generator, size)
        common: Row = {"network": self.options.style, "size": size, "gmacs": round(cost, 4)}
        for form in FORMS:
            job = {"kind": "pytorch", "network": None, "form": form, "size": size}
            row = {"runtime": f"PyTorch, {form}", "precision": "fp32", "file_mb": megabytes}
            yield from self._rows(common | row, job | {"weights": str(self.weights)})
        for target, precision in EXPORTS:
            row = common | {"runtime": RUNTIMES[target], "precision": precision}
            path = self.folder / f"{precision}-{size}{TARGETS[target].suffix}"
            try:
                report = self._export(target, path, precision=precision, size=size)
            except ExportError as error:
                yield row | {"note": str(error)}
                continue
            row["file_mb"] = sum(f["bytes"] for f in report.facts["files"].values()) / 1e6
            row["psnr_db"] = report.facts["parity"]["psnr"]
            shape = report.facts["input"]["shape"]
            yield from self._rows(row, {"kind": target, "path": str(path), "shape": shape})

    def peers(self, size: int) -> Iterator[Row]:
        """Other networks, on all threads: the slowest would take minutes on one."""
        for name, make in PEERS.items():
            torch.manual_seed(0)
            network = make().eval().requires_grad_(False)
            path = self.folder / "peer.onnx"
            cost = round(gmacs(network, size), 4)
            common: Row = {"network": name, "size": size, "precision": "fp32", "gmacs": cost}
            threads = [max(self.options.threads)]
            row = common | {"runtime": RUNTIMES["onnx"]}
            shape = [1, 3, size, size]
            try:
                with quiet():
                    torch.onnx.export(network, (torch.zeros(shape),), str(path), dynamo=False)
                row["file_mb"] = path.stat().st_size / 1e6
                job: Row = {"kind": "onnx", "path": str(path), "shape": shape}
                yield from self._rows(row, job, threads)
            except (ImportError, RuntimeError) as error:
                yield row | {"note": f"not exported: {error}"}
            if size == max(self.options.sizes):
                job = {"kind": "pytorch", "network": name, "form": "eager", "size": size}
                yield from self._rows(common | {"runtime": "PyTorch, eager"}, job, threads)

    def face(self) -> Iterator[Row]:
        """The whole of face mode on a 720p clip with one tracked face."""
        files: dict[str, Path | None] = {"PyTorch, channels_last": None}
        for target in ("onnx", "openvino"):
            path = self.folder / f"dynamic{TARGETS[target].suffix}"
            try:
                self._export(target, path, dynamic=True)
                with quiet():
                    self.pipe.export_landmarks(target, self.folder)
                files[RUNTIMES[target]] = path
            except ExportError as error:
                yield {"runtime": RUNTIMES[target], "note": str(error)}
        threads = max(self.options.threads)
        job: Row = {"kind": "face", "photo": str(PHOTO), "style": self.options.style}
        job |= {"threads": threads, "budget": self.options.budget, "most": 60}
        for part in FACE_PARTS:
            alone = {"frame": 640, "side": 256, "path": "", "part": part}
            yield {"part": part, "threads": threads, **self.measure(job | alone)}
        for runtime, path in files.items():
            for frame, side in FACE_SIZES:
                sizes = {"frame": frame, "side": side}
                row = {"runtime": runtime, "threads": threads, "part": "all", **sizes}
                yield row | self.measure(job | sizes | {"path": str(path or ""), "part": "all"})

    def _export(self, target: str, path: Path, **form: Any) -> ExportReport:
        if time.time() > self.end:
            raise ExportError(TIME_IS_UP)
        with quiet():
            return self.pipe.export(target, path, **form)

    def _rows(self, row: Row, job: Row, threads: list[int] | None = None) -> Iterator[Row]:
        for count in threads or self.options.threads:
            found = self.measure({"budget": self.options.budget, **job, "threads": count})
            if "median_ms" in found:
                gflops = 2e3 * row["gmacs"] / found["median_ms"]
                found["gflops"] = round(gflops, 1)
                found["peak_share"] = round(gflops / self.peaks[count], 3)
            yield row | {"threads": count} | found


def main() -> None:
    """Measure, and write `OUTPUT.json` and `OUTPUT.md`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--style", default="animation")
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 256])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--budget", type=float, default=1.5, help="seconds for each measurement")
    parser.add_argument(
        "--limit",
        type=float,
        default=570,
        help="seconds for all; what is left then is not measured",
    )
    parser.add_argument(
        "--parts", nargs="+", choices=("ours", "peers", "face"), default=["ours", "peers", "face"]
    )
    parser.add_argument("--output", type=Path, default=Path("out/latency"))
    parser.add_argument(
        "--report", action="store_true", help="measure nothing, only write the page"
    )
    options = parser.parse_args()
    file, page = options.output.with_suffix(".json"), options.output.with_suffix(".md")
    if options.report:
        page.write_text(markdown(json.loads(file.read_text("utf-8"))), "utf-8")
        return
    start, load = time.time(), os.getloadavg()[0]
    results: Row = {"facts": {}, "peak": [], "ours": [], "peers": [], "face": []}
    with tempfile.TemporaryDirectory() as folder:
        try:
            benchmark = Benchmark(options, Path(folder))
        except TPSPortraitError as error:
            parser.error(str(error))
        for part, row in benchmark.rows():
            results[part].append(row)
            print(f"{time.time() - start:5.0f} s", part, json.dumps(row), flush=True)
    packages = ["torch", *(TARGETS[target].runtime for target in RUNTIMES)]
    installed = [f"{name} {_version(name)}" for name in packages]
    results["facts"] = {
        "command": " ".join(["python", "benchmarks/latency.py", *sys.argv[1:]]),
        "machine": hardware_name(torch.device("cpu")).rpartition(",")[0],
        "processors": os.cpu_count(),
        "load": round(load, 1),
        "versions": ", ".join(installed),
        "seconds": round(time.time() - start, 1),
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    page.write_text(markdown(results), "utf-8")
    print(markdown(results))


def _version(name: str) -> str:
    try:
        return version(name)
    except ImportError:
        return "(not installed)"


if __name__ == "__main__":
    main()
