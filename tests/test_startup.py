"""Starting costs nothing: no heavy import before it is needed.

Processor time and not wall time, and the best of several runs: other work on the machine does not
count.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "PIL", "transformers", "diffusers", "huggingface_hub")


def _seconds(*arguments: str, runs: int = 5) -> float:
    """Least user and system time of a Python process, in seconds."""
    best = float("inf")
    for _ in range(runs):
        process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        best = min(best, usage.ru_utime + usage.ru_stime)
    return best


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="needs a POSIX system")
@pytest.mark.parametrize(
    ("arguments", "limit"),
    [
        (("-c", "import tps_portrait"), 0.3),
        (("-m", "tps_portrait", "--help"), 0.5),
        (("-m", "tps_portrait", "export", "--help"), 0.5),
        (("-m", "tps_portrait", "--version"), 0.5),
    ],
    ids=["import", "help", "export-help", "version"],
)
def test_starts_quickly(arguments: tuple[str, ...], limit: float) -> None:
    assert _seconds(*arguments) < limit


@pytest.mark.parametrize(
    "code", ["import tps_portrait", "from tps_portrait.cli import build_parser; build_parser()"]
)
def test_nothing_heavy_is_imported(code: str) -> None:
    check = f"{code}; import sys; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []
