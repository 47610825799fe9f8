"""MACs, parameters and time of the default generator at 512x512.

Random weights from a fixed seed: they change neither MACs nor time. Each row is a process-local
median over `--runs` calls after three warm-ups, batch 1, wall clock.

    python benchmarks/generator.py                 # writes generator.json and its part of README.md
    python benchmarks/generator.py --report        # that part only
    python benchmarks/generator.py --threads 1 --runs 10 --no-compile
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

import result_pages
from tps_portrait import StyleGenerator, StyleGeneratorConfig
from tps_portrait.evaluation.cost import count_macs, count_parameters


def median_ms(call: Callable[[], Tensor], runs: int) -> float:
    """Median wall time of a call in milliseconds."""
    for _ in range(3):
        call()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


def variants(seed: int, size: int, compiled: bool) -> dict[str, Callable[[], Tensor]]:
    """The ways of running the generator, by name."""
    torch.manual_seed(seed)
    eager = StyleGenerator(StyleGeneratorConfig()).eval().requires_grad_(False)
    folded = eager.fuse()
    last = eager.fuse().to(memory_format=torch.channels_last)
    half = eager.fuse().to(memory_format=torch.channels_last, dtype=torch.bfloat16)
    picture = torch.rand(1, 3, size, size) * 2 - 1
    nhwc = picture.to(memory_format=torch.channels_last)
    calls: dict[str, Callable[[], Tensor]] = {
        "eager": lambda: eager(picture),
        "folded": lambda: folded(picture),
        "folded, channels_last": lambda: last(nhwc),
        "folded, channels_last, bf16": lambda: half(nhwc.bfloat16()),
    }
    if compiled:
        quick = torch.compile(last)
        calls["folded, channels_last, torch.compile"] = lambda: quick(nhwc)
    return calls


def main() -> None:
    """Measure, and write the result file and the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    args = result_pages.parse(parser, "generator")
    run = result_pages.Run("generator", "torch")
    network = StyleGenerator(StyleGeneratorConfig()).eval()
    rows: dict[str, list[float]] = {}
    for threads in args.threads:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            for name, call in variants(args.seed, args.size, args.compile).items():
                rows.setdefault(name, []).append(round(median_ms(call, args.runs), 2))
    figures = {
        "settings": {name: getattr(args, name) for name in ("threads", "runs", "size", "seed")},
        "macs": count_macs(network, args.size),
        "parameters": count_parameters(network),
        "rows": [{"variant": name, "ms": times} for name, times in rows.items()],
    }
    run.write(figures, args.output)


if __name__ == "__main__":
    main()
