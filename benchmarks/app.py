"""Start-up time of the app: from the command to the line with its address.

    .venv-app/bin/python benchmarks/app.py             # after `make app` made the environment
    .venv-app/bin/python benchmarks/app.py --report    # writes its part of README.md only

CPU time is that of the app's process with one thread; other work on the machine lengthens the wall
time, and hardly the CPU time.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import result_pages
from tps_portrait.hub.styles import bundled_styles

APP = Path(__file__).resolve().parents[1] / "examples" / "app"


def start() -> tuple[float, float]:
    """Start the app, and stop it when it answers.

    Returns:
        Seconds of wall time until it serves; seconds of CPU time in all.
    """
    settings = {"GRADIO_SERVER_PORT": "7899", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=APP,
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        told = []
        for line in process.stdout or ():
            told.append(line)
            if "Running on local URL" in line:
                break
        else:
            sys.exit("".join(told))
        wall = time.monotonic() - began
        process.kill()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime


def main() -> None:
    """Start it several times, and write the result file and the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starts", type=int, default=3)
    options = result_pages.parse(parser, "app")
    run = result_pages.Run("app", "torch", "gradio", python=".venv-app/bin/python")
    starts = []
    for _ in range(options.starts):
        wall, cpu = start()
        starts.append({"wall": round(wall, 2), "cpu": round(cpu, 2)})
    run.write({"threads": 1, "styles": len(bundled_styles()), "starts": starts}, options.output)


if __name__ == "__main__":
    main()
