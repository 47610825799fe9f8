"""Time and peak memory of the thin-plate spline warp beside kornia's.

Each measurement is a process of its own, the two libraries in turn for each case. Time is the
least of two to five calls after a warm-up: fit and warp of an RGB picture, `forward+backward` with
gradients for picture and source points. It is the CPU time of the process, which on one thread is
the wall time of a machine that does nothing else (`--clock wall` for the wall time itself). Peak
memory is the growth of the process's largest resident size (`ru_maxrss`) over its size with
libraries and inputs loaded. 68 points are real landmark pairs (tests/data/landmarks.json), 478 a
jittered lattice.

    python benchmarks/tps.py             # writes tps.json and its part of README.md
    python benchmarks/tps.py --report    # that part only
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import kornia.geometry.transform as kornia_transform
import torch
from torch import Tensor

import result_pages
from tps_portrait.ops.tps import warp_by_landmarks

LANDMARKS = Path(__file__).parents[1] / "tests" / "data" / "landmarks.json"
MODES = ("forward", "forward+backward")
PASSED = ("threads", "seed", "repeats", "seconds", "memory_gib", "clock")
CLOCKS = {"cpu": time.process_time, "wall": time.perf_counter}


def ours(image: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Fit and warp with tps_portrait."""
    return warp_by_landmarks(image, source, target)


def theirs(image: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Fit and warp with kornia, in the order of arguments that its documentation gives."""
    weights, affine = kornia_transform.get_tps_transform(target, source)
    return kornia_transform.warp_image_tps(image, source, weights, affine)


LIBRARIES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "tps_portrait": ours,
    "kornia": theirs,
}


def make_points(batch: int, count: int) -> tuple[Tensor, Tensor]:
    """Source and target points (B, count, 2)."""
    if count == 68:
        faces = json.loads(LANDMARKS.read_text("utf-8"))["faces"]
        landmarks = torch.tensor([face["landmarks"] for face in faces])
        return landmarks[:batch], landmarks.roll(5, 0)[:batch]
    side = math.ceil(math.sqrt(count))
    axis = torch.linspace(-0.8, 0.8, side)
    source = torch.cartesian_prod(axis, axis)[:count].expand(batch, -1, -1)
    source = source + 0.02 * (torch.rand(batch, count, 2) - 0.5)
    return source, source + 0.02 * (torch.rand(batch, count, 2) - 0.5)


def peak_mib() -> float:
    """Largest resident size of this process so far."""
    scale = 1024 if platform.system() == "Linux" else 1024**2
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def measure(args: argparse.Namespace) -> dict[str, float]:
    """Run one case in this process: seconds and MiB, or nothing if memory does not suffice."""
    limit = int(args.memory_gib * 1024**3)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    library, mode = args.case[0], args.case[4]
    batch, size, count = (int(x) for x in args.case[1:4])
    function = LIBRARIES[library]
    backward = mode == MODES[1]
    clock = CLOCKS[args.clock]
    image = torch.rand(batch, 3, size, size, requires_grad=backward)
    source, target = make_points(batch, count)
    source = source.contiguous().requires_grad_(backward)

    def call(image: Tensor, source: Tensor, target: Tensor) -> float:
        start = clock()
        with torch.set_grad_enabled(backward):
            result = function(image, source, target)
            if backward:
                result.square().mean().backward()
        return clock() - start

    # warm up on a corner and a few points, which leaves the peak of memory to the case itself
    call(image[:1, :, :32, :32], source[:1, :16], target[:1, :16])
    before = peak_mib()
    times: list[float] = []
    try:
        # two at least: the first also waits for the system to hand out the memory
        while len(times) < args.repeats and (len(times) < 2 or sum(times) < args.seconds):
            image.grad = source.grad = None
            times.append(call(image, source, target))
    except RuntimeError as error:
        if "memory" not in str(error):
            raise
        return {}
    mib = round(peak_mib() - before, 1)
    return {"seconds": round(min(times), 5), "calls": len(times), "mib": mib}


def spawn(args: argparse.Namespace, case: list[str]) -> dict[str, float]:
    """Measure one case in a process of its own."""
    passed = [f"--{name.replace('_', '-')}={getattr(args, name)}" for name in PASSED]
    command = [sys.executable, __file__, *passed, "--case", *case]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(case)} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def main() -> None:
    """Measure every case, and write the result file and the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--points", type=int, nargs="+", default=[68, 478], choices=[68, 478])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--clock", choices=list(CLOCKS), default="cpu")
    parser.add_argument("--seconds", type=float, default=8, help="start no third call after these")
    parser.add_argument("--memory-gib", type=float, default=10, help="address space of a process")
    parser.add_argument("--case", nargs=5, help=argparse.SUPPRESS)
    args = result_pages.parse(parser, "tps")
    if args.case:
        print(json.dumps(measure(args)))
        return
    run = result_pages.Run("tps", "torch", "kornia")
    rows = []
    for size, count, batch, mode in product(args.sizes, args.points, args.batches, MODES):
        case = [str(batch), str(size), str(count), mode]
        row = {"size": size, "points": count, "batch": batch, "pass": mode}
        rows.append({**row, **{name: spawn(args, [name, *case]) for name in LIBRARIES}})
        print(rows[-1], file=sys.stderr, flush=True)
    settings = {name: getattr(args, name) for name in (*PASSED, "batches", "sizes", "points")}
    run.write({"settings": settings, "rows": rows}, args.output)


if __name__ == "__main__":
    main()
