"""MACs, parameters and time of the default generator at 512x512, as a Markdown table.

Random weights from a fixed seed: they change neither MACs nor time. Each row is a process-local
median over `--runs` calls after three warm-ups, batch 1, wall clock.

    python benchmarks/generator.py                 # 1 and 2 threads
    python benchmarks/generator.py --threads 1 --runs 10 --no-compile
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from tps_portrait import StyleGenerator, StyleGeneratorConfig
from tps_portrait.evaluation.cost import count_macs
from tps_portrait.hub.machine import cpu_name

SIZE = 512


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


def variants(seed: int, compiled: bool) -> dict[str, Callable[[], Tensor]]:
    """The ways of running the generator, by name."""
    torch.manual_seed(seed)
    eager = StyleGenerator(StyleGeneratorConfig()).eval().requires_grad_(False)
    folded = eager.fuse()
    last = eager.fuse().to(memory_format=torch.channels_last)
    half = eager.fuse().to(memory_format=torch.channels_last, dtype=torch.bfloat16)
    picture = torch.rand(1, 3, SIZE, SIZE) * 2 - 1
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
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    args = parser.parse_args()
    generator = StyleGenerator(StyleGeneratorConfig()).eval()
    parameters = sum(p.numel() for p in generator.parameters())
    print(
        f"{count_macs(generator, SIZE) / 1e9:.3f} GMAC and {parameters / 1e6:.3f} M parameters at "
        f"{SIZE}x{SIZE}. Seed {args.seed}, median of {args.runs} calls, torch {torch.__version__}, "
        f"{cpu_name()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start.\n"
    )
    heads = [f"ms, {n} thread{'s' if n > 1 else ''}" for n in args.threads]
    print(f"| variant | {' | '.join(heads)} |")
    print(f"|---|{'---:|' * len(heads)}")
    rows: dict[str, list[float]] = {}
    for threads in args.threads:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            for name, call in variants(args.seed, args.compile).items():
                rows.setdefault(name, []).append(median_ms(call, args.runs))
    for name, times in rows.items():
        print(f"| {name} | {' | '.join(f'{t:.1f}' for t in times)} |")


if __name__ == "__main__":
    main()
