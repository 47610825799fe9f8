"""What a card tells about the machine and the software of a training."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from .._version import installed_versions

_PACKAGES = ("tps-portrait", "torch", "transformers", "diffusers", "accelerate", "kornia")


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that a training depends on, as far as installed."""
    return {"python": platform.python_version(), **installed_versions(_PACKAGES)}


def hardware_name(device: torch.device, processes: int = 1) -> str:
    """Name the machine of a training.

    Args:
        device: where it runs.
        processes: how many train together.

    Returns:
        Such as `2 x NVIDIA H100`, or `AMD EPYC 7B13, 8 threads`.
    """
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        return f"{processes} x {name}" if processes > 1 else name
    threads = torch.get_num_threads() * processes
    return f"{cpu_name()}, {threads} thread{'s' if threads > 1 else ''}"


def format_duration(seconds: float) -> str:
    """Write a time as `2 h 5 min`, `12 min` or `40 s`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def cpu_name() -> str:
    """Model of the processor, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
