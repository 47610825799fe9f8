"""The result files of the benchmarks, and what `README.md` says of them.

`tps.py`, `generator.py`, `peers.py`, `video.py`, `int8.py` and `app.py` each write `<script>.json`
beside themselves: `facts` (command, machine, versions, load), the settings and the figures.
Everything that the page says of them between two marks is written here, from these files alone, and
a test compares. What else ran during a measurement is no figure: put it as `note` into the facts.

    python benchmarks/result_pages.py        # writes the page anew, measures nothing
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tps_portrait._version import installed_versions

FOLDER = Path(__file__).resolve().parent
sys.path.append(str(FOLDER.parent / "tools"))

from page_parts import replace_marked, table  # noqa: E402

Record = dict[str, Any]

PAGE = FOLDER / "README.md"
QUOTED: Record = {"size": 512, "batch": 4, "points": 68, "pass": "forward"}
"""Row of `tps.py` that is quoted elsewhere."""
END = "<!-- up to here -->"


class Run:
    """One run of a script: its command line, its machine, and its file.

    Args:
        script: name without suffix.
        packages: distributions whose versions count.
        python: the interpreter, as a reader would call it.
    """

    def __init__(self, script: str, *packages: str, python: str = "python") -> None:
        from tps_portrait.hub.machine import cpu_name

        self.script, self.started = script, time.time()
        command = [python, f"benchmarks/{script}.py", *sys.argv[1:]]
        self.facts: Record = {
            "command": shlex.join(command),
            "machine": cpu_name(),
            "processors": os.cpu_count(),
            "versions": {"python": platform.python_version(), **installed_versions(packages)},
            "load": [_load()],
        }

    def write(self, figures: Record, output: Path) -> None:
        """Write the file and show what it says; renew the page if it is the page's file."""
        self.facts["load"].append(_load())
        self.facts["seconds"] = round(time.time() - self.started, 1)
        record = {"facts": self.facts, **figures}
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
        print(SECTIONS[self.script](record))
        if output.resolve() == result_file(self.script):
            write_page()


def _load() -> float:
    return round(os.getloadavg()[0], 1)


def parse(parser: argparse.ArgumentParser, script: str) -> argparse.Namespace:
    """Read the command line of a script; with `--report`, renew the page and end."""
    parser.add_argument("--report", action="store_true", help="measure nothing, only write")
    parser.add_argument(
        "--output",
        type=Path,
        default=result_file(script),
        help="result file; the page is only made from the one beside the script",
    )
    options = parser.parse_args()
    if options.report:
        write_page()
        sys.exit()
    return options


def result_file(script: str) -> Path:
    """The committed result file of a script."""
    return FOLDER / f"{script}.json"


def load(script: str) -> Record:
    """The committed results of a script."""
    return dict(json.loads(result_file(script).read_text("utf-8")))


def rendered(page: str) -> str:
    """The page with every part anew."""
    for script, section in SECTIONS.items():
        begin = f"<!-- written by benchmarks/{script}.py -->"
        page = replace_marked(page, begin, END, section(load(script)))
    return page


def write_page() -> None:
    """Write the page anew."""
    PAGE.write_text(rendered(PAGE.read_text("utf-8")), "utf-8")


# --- parts of the page -------------------------------------------------------------------------


def command(facts: Record, reason: str, *before: str) -> str:
    """The command of a run, as a block that the tests do not run."""
    lines = "\n".join([*before, facts["command"]])
    return f"<!-- not run: {reason} -->\n```bash\n{lines}\n```"


def machine(facts: Record) -> str:
    """Machine, versions and load of a run, in sentences."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    first, last = facts["load"]
    text = (
        f"{facts['machine']} (a machine with {facts['processors']} hardware threads), {versions}; "
        f"load {first} at the start, {last} at the end, {facts['seconds']:.0f} s in all."
    )
    return f"{text} {facts['note']}" if facts.get("note") else text


def plural(count: int, word: str) -> str:
    """`1 thread`, `2 threads`."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def factor(row: Record) -> float | None:
    """How many times longer kornia takes, where both could do it."""
    if row["tps_portrait"] and row["kornia"]:
        return float(row["kornia"]["seconds"] / row["tps_portrait"]["seconds"])
    return None


def spline(record: Record) -> str:
    """Of `tps.py`."""
    facts, settings, rows = record["facts"], record["settings"], record["rows"]
    limit = f"{settings['memory_gib']:g} GiB"
    lines = []
    for row in rows:
        both = row["tps_portrait"], row["kornia"]
        times = factor(row)
        lines.append(
            [
                row["pass"],
                *(str(row[name]) for name in ("size", "points", "batch")),
                *(f"{found['seconds'] * 1e3:.0f}" if found else "no memory" for found in both),
                f"{times:.1f}" if times else "-",
                *(f"{found['mib']:.0f}" if found else f"> {limit}" for found in both),
            ]
        )
    found = [row[name] for row in rows for name in ("tps_portrait", "kornia") if row[name]]
    counts = sorted({one["calls"] for one in found})
    calls = " to ".join(dict.fromkeys((str(counts[0]), str(counts[-1]))))
    clock = {"cpu": "CPU time"}.get(settings["clock"], "wall time")
    head = "pass", "px", "points", "batch", "ours, ms", "kornia, ms", "ratio"
    parts = [
        command(facts, "measures for minutes"),
        "Fit and warp of RGB pictures, beside `kornia.geometry.transform.get_tps_transform` "
        f"and `warp_image_tps` in the same run: least {clock} of {calls} calls on "
        f"{plural(settings['threads'], 'thread')}, seed {settings['seed']}, address space limited "
        f"to {limit}. Peak memory is the growth of `ru_maxrss` in a process of its own, over its "
        f"size with libraries and inputs loaded. {machine(facts)}",
        table([*head, "ours, MiB", "kornia, MiB"], lines),
    ]
    for row in spline_rows(record, **QUOTED):
        factors = [times for other in rows if (times := factor(other))]
        parts.append(
            "At {size} px, batch {batch}, {points} points, {pass}, ".format(**row)
            + f"the factor is {factor(row):.0f}; over all rows that both can compute it is "
            f"{min(factors):.0f} to {max(factors):.0f}."
        )
    return "\n\n".join(parts)


def spline_rows(record: Record, **wanted: Any) -> list[Record]:
    """The rows of `tps.py` with these properties, as far as both could compute them."""
    rows = [row for row in record["rows"] if wanted.items() <= row.items()]
    return [row for row in rows if factor(row)]


def generator(record: Record) -> str:
    """Of `generator.py`."""
    facts, settings = record["facts"], record["settings"]
    heads = [f"ms, {plural(count, 'thread')}" for count in settings["threads"]]
    rows = [[row["variant"], *(f"{t:.1f}" for t in row["ms"])] for row in record["rows"]]
    size = settings["size"]
    return "\n\n".join(
        [
            command(facts, "measures for minutes"),
            f"The default `StyleGenerator` at {size}x{size}, batch 1: "
            f"**{record['macs'] / 1e9:.3f} GMAC and {record['parameters'] / 1e6:.3f} M "
            "parameters** (`torch.utils.flop_counter`, FLOPs divided by two). Milliseconds a "
            f"picture, on a CPU: median wall time of {plural(settings['runs'], 'call')} after 3 "
            f"warm-ups, seed {settings['seed']}. {machine(facts)}",
            table(["variant", *heads], rows),
        ]
    )


def peers(record: Record) -> str:
    """Of `peers.py`."""
    sizes = record["sizes"]
    rows = []
    for row in record["rows"]:
        costs = [f"{cost:.2f}" if cost < 2 else f"{cost:.1f}" for cost in row["gmacs"]]
        rows.append([row["name"], f"{row['parameters'] / 1e6:.2f}", *costs])
    return "\n\n".join(
        [
            command(record["facts"], "rewrites the page"),
            "Cost of these generators, counted and not timed (`torch.utils.flop_counter`, FLOPs "
            "divided by two).",
            table(["generator", "M parameters", *(f"GMAC, {size} px" for size in sizes)], rows),
        ]
    )


def video(record: Record) -> str:
    """Of `video.py`."""
    facts, settings, rows = record["facts"], record["settings"], record["rows"]
    names = [name for name in rows[0] if name != "landmarks"]
    lines = []
    for row in rows:
        digits = (0 if name == "ms a frame" else 2 for name in names)
        cells = (f"{row[name]:.{count}f}" for name, count in zip(names, digits, strict=True))
        lines.append([row["landmarks"], *cells])
    side, fps = settings["side"], settings["fps"]
    return "\n\n".join(
        [
            command(facts, "measures for minutes"),
            "How still the landmarks, the face crop and the drawing are, on a synthetic clip of "
            "the bundled photograph whose motion is known: "
            f"{settings['frames']} frames of {side}x{side} at {fps} fps, "
            f"{settings['rest'] / fps:g} seconds at rest, then moving, turning and coming nearer, "
            f"with sensor noise of {settings['noise']:g} levels; seed {settings['seed']}, style "
            f"`{settings['style']}`, {plural(settings['threads'], 'thread')}. {machine(facts)}",
            table(["landmarks", *names], lines),
        ]
    )


def int8(record: Record) -> str:
    """Of `int8.py`."""
    facts, settings, rows = record["facts"], record["settings"], record["rows"]
    weights = {row["style"]: row["weights"][:8] for row in rows}
    return "\n\n".join(
        [
            command(
                facts,
                "exports for minutes",
                'pip install "tps-portrait[mobile]"',
                "python examples/data/photos/packages.py",
            ),
            f"How well int8 files of {settings['size']}x{settings['size']} draw "
            f"{plural(len(record['portraits']), 'portrait')} of `{settings['set']}`, which no "
            "style was trained on, run by their runtimes: PSNR in dB against the style in PyTorch, "
            "over all portraits (and for the worst of them). `weights_sha256` begins with "
            + " and ".join(f"`{start}` for `{style}`" for style, start in weights.items())
            + f". {machine(facts)}",
            calibrations(record),
        ]
    )


def calibrations(record: Record) -> str:
    """The table of `int8.py` and what it shows; `docs/tutorials/phone.md` says it, too."""
    rows = record["rows"]
    lines = [
        [
            f"`{row['target']}`",
            f"`{row['style']}`",
            *(f"{row[name]['all']:.1f} ({row[name]['worst']:.1f})" for name in ("own", "portrait")),
        ]
        for row in rows
    ]
    counts = "/".join(map(str, sorted({row["own"]["photos"] for row in rows})))
    own = f"calibrated on the style's {counts} photos"
    more, kept = (
        sum(row["own"][name] > row["portrait"][name] for row in rows) for name in ("all", "worst")
    )
    return "\n\n".join(
        [
            table(["format", "style", own, "on the bundled portrait"], lines, words=2),
            f"The style's photos give more than the portrait in {more} of "
            f"{plural(len(rows), 'row')} over all, and in {kept} for the worst.",
        ]
    )


def app(record: Record) -> str:
    """Of `app.py`."""
    facts = record["facts"]
    rows = [[f"{row['wall']:.1f}", f"{row['cpu']:.1f}"] for row in record["starts"]]
    return "\n\n".join(
        [
            command(facts, "starts servers"),
            "From the command to the line with the address that the app serves, with "
            f"{plural(record['styles'], 'bundled style')} and "
            f"{plural(record['threads'], 'thread')}: {median_start(record):.1f} seconds, the "
            f"median of {plural(len(rows), 'start')}. {machine(facts)}",
            table(["wall time, s", "CPU time, s"], rows, words=0),
        ]
    )


def median_start(record: Record) -> float:
    """Seconds until the app serves."""
    return statistics.median(row["wall"] for row in record["starts"])


SECTIONS: dict[str, Callable[[Record], str]] = {
    "tps": spline,
    "generator": generator,
    "peers": peers,
    "video": video,
    "int8": int8,
    "app": app,
}
"""What the page says of each script."""


if __name__ == "__main__":
    write_page()
