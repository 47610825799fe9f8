"""Cost of a network: parameters, multiply-accumulates, milliseconds."""

from __future__ import annotations

import statistics
import time

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

_WARM_UP = 2


def count_parameters(network: nn.Module) -> int:
    """Number of parameters.

    Args:
        network: any module.
    """
    return sum(parameter.numel() for parameter in network.parameters())


def count_macs(network: nn.Module, size: int = 512) -> int:
    """Multiply-accumulates of one picture: half the floating-point operations that torch counts.

    Args:
        network: takes `(1, 3, size, size)`.
        size: side in pixels.
    """
    parameter = next(network.parameters())
    picture = torch.zeros(1, 3, size, size, device=parameter.device, dtype=parameter.dtype)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(picture)
    return int(counter.get_total_flops()) // 2


def median_milliseconds(network: nn.Module, size: int = 512, *, runs: int = 9) -> float:
    """Median wall time of one picture after two warm-up calls.

    Args:
        network: takes `(1, 3, size, size)`.
        size: side in pixels.
        runs: how many calls are timed.
    """
    parameter = next(network.parameters())
    picture = torch.zeros(1, 3, size, size, device=parameter.device, dtype=parameter.dtype)
    times = []
    with torch.inference_mode():
        for _ in range(_WARM_UP + runs):
            start = time.perf_counter()
            network(picture)
            if parameter.device.type == "cuda":
                torch.cuda.synchronize(parameter.device)
            times.append(time.perf_counter() - start)
    return statistics.median(times[_WARM_UP:]) * 1e3
