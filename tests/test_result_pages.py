"""The benchmark page and every figure quoted elsewhere are what the result files say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import load_script
from tps_portrait import ConfigError

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"

parts = load_script(ROOT / "tools" / "page_parts.py")
pages = load_script(BENCHMARKS / "result_pages.py")
peers = load_script(BENCHMARKS / "peers.py")

FACES = "src/tps_portrait/styles/animation/calibration"
LATENCY = json.loads((BENCHMARKS / "latency.json").read_text("utf-8"))


def milliseconds(table: str, **wanted: Any) -> float:
    """The median of the only row of a table of `latency.json` with these properties."""
    (row,) = (row for row in LATENCY[table] if wanted.items() <= row.items())
    return float(row["median_ms"])


def quotes() -> list[tuple[str, str]]:
    """Pages, and what they must say."""
    generator = pages.load("generator")
    (spline,) = pages.spline_rows(pages.load("tps"), **pages.QUOTED)
    gmac, millions = generator["macs"] / 1e9, generator["parameters"] / 1e6
    half = next(row for row in generator["rows"] if row["variant"].endswith("bf16"))
    still = {row["landmarks"]: row["jitter at rest"] for row in pages.load("video")["rows"]}
    start = f"starts in {pages.median_start(pages.load('app')):.1f} seconds"
    times = f"{pages.factor(spline):.0f} times"
    int8 = pages.load("int8")
    where = "{set}` at {size} px".format(**int8["settings"])

    large = {"size": 512, "threads": 2}
    ort = milliseconds("ours", runtime="onnxruntime", precision="fp32", **large)
    litert = milliseconds("ours", runtime="LiteRT", precision="int8", **large)
    rival = {"network": "AnimeGANv2-type", "runtime": "onnxruntime", **large}
    slower = milliseconds("peers", **rival) / ort
    costs = {row["network"]: row["gmacs"] for row in LATENCY["peers"] if row["size"] == 512}
    alone = {"runtime": "PyTorch, channels_last", "size": 512, "threads": 1}
    file_mb = next(row["file_mb"] for row in LATENCY["ours"])
    first, second = (
        [
            f"{milliseconds('face', runtime=runtime, frame=frame, side=side, part='all'):.0f}"
            for frame, side in ((640, 512), (640, 256), (1280, 512))
        ]
        for runtime in ("onnxruntime", "PyTorch, channels_last")
    )
    readme = (
        f"{gmac:.1f} GMAC ({gmac:.3f}) and {millions:.1f} M parameters for a 512x512 picture",
        f"| {gmac:.3f} GMAC, {millions:.3f} M parameters, {file_mb:.1f} MB |",
        f"| {ort:.1f} ms / {litert:.1f} ms a picture: {1e3 / ort:.0f} and {1e3 / litert:.0f} "
        "frames a second |",
        f"| {slower:.0f} times faster (onnxruntime), {costs[rival['network']] / gmac:.0f} times "
        "fewer MACs |",
        f"| {milliseconds('ours', **alone):.0f} ms (fp32), {half['ms'][0]:.0f} ms (bf16 with AMX)",
        f"| onnxruntime: {first[0]} ms (frame drawn at 640 px, face at 512), {first[1]} ms "
        f"(640, 256), {first[2]} ms (1280, 512); PyTorch: {second[0]}, {second[1]} and "
        f"{second[2]} ms |",
        f"| {spline['tps_portrait']['seconds'] * 1e3:.0f} ms to "
        f"{spline['kornia']['seconds'] * 1e3:.0f} ms, {times} faster |",
        "at rest the landmarks jitter "
        f"{still['detected in each frame'] / still['followed, smoothed']:.0f} times less",
    )
    return [
        *(("README.md", text) for text in readme),
        ("docs/tutorials/phone.md", f"{gmac:.3f} GMAC at 512 x 512"),
        ("docs/tutorials/phone.md", f"\n\n{pages.calibrations(int8)}\n\n"),
        ("docs/tutorials/phone.md", f"On {len(int8['portraits'])} portraits of `{where}"),
        ("docs/tutorials/phone.md", f"Measured by `{int8['facts']['command']}`"),
        ("docs/paper.md", f"{gmac:.1f} GMAC at 512 px"),
        ("docs/concepts/splines.md", f"{times} faster than kornia"),
        ("docs/demo.md", start),
        ("examples/app/README.md", start),
    ]


def test_quoted_figures_are_measured_ones() -> None:
    missing = [
        (page, text) for page, text in quotes() if text not in (ROOT / page).read_text("utf-8")
    ]
    assert not missing, "pages must say this, by the result files"


def test_the_page_is_what_the_numbers_say() -> None:
    page = pages.PAGE.read_text("utf-8")
    assert page == pages.rendered(page)
    assert page.count("<!-- written by") == len(pages.SECTIONS)


def test_costs_of_the_networks_are_those_of_the_code() -> None:
    record = pages.load("peers")
    assert record["rows"] == peers.costs(record["sizes"])


@pytest.mark.parametrize(
    ("script", "options", "says"),
    [
        (
            "generator",
            ["--threads", "1", "--runs", "1", "--size", "64", "--no-compile"],
            "| variant | ms, 1 thread |",
        ),
        ("video", ["--frames", "25", "--rest", "15", "--drawn", "3"], "0.5 seconds at rest"),
        (
            "int8",
            f"--count 2 --size 64 --targets onnx --styles ink_paint --portraits {FACES}".split(),
            "2 portraits of `calibration`",
        ),
    ],
)
def test_measures_writes_and_leaves_the_page_alone(
    script: str, options: list[str], says: str, tmp_path: Path
) -> None:
    if script == "int8":
        pytest.importorskip("onnxruntime", reason="needs the onnx extra")
        pytest.importorskip("onnxscript", reason="needs the onnx extra")
    before = pages.PAGE.read_bytes(), pages.result_file(script).read_bytes()
    command = [
        sys.executable,
        f"benchmarks/{script}.py",
        *options,
        "--output",
        tmp_path / "new.json",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    record = json.loads((tmp_path / "new.json").read_text("utf-8"))
    assert record["facts"]["command"].startswith(f"python benchmarks/{script}.py {options[0]}")
    assert pages.SECTIONS[script](record) in done.stdout
    assert says in done.stdout
    assert (pages.PAGE.read_bytes(), pages.result_file(script).read_bytes()) == before


def test_a_spline_case_in_a_process_of_its_own() -> None:
    command = [
        sys.executable,
        BENCHMARKS / "tps.py",
        "--case",
        "kornia",
        "1",
        "32",
        "68",
        "forward",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["seconds"] > 0


def test_what_else_ran_and_what_did_not_fit_are_told() -> None:
    record = pages.load("tps")
    record["facts"]["note"] = "A fan was on."
    record["rows"].append({**record["rows"][0], "kornia": {}, "batch": 990})
    text = pages.spline(record)
    assert " s in all. A fan was on." in text
    (row,) = (line.split(" | ") for line in text.splitlines() if " | 990 | " in line)
    assert row[5:7] == ["no memory", "-"]
    assert row[-1].startswith("> 10 GiB")


def test_only_the_text_between_the_marks_changes() -> None:
    page = "a\n<one>\nold\n<end>\nb\n<two>\n<end>\n"
    new = parts.replace_marked(page, "<one>", "<end>", "new")
    assert new == "a\n<one>\n\nnew\n\n<end>\nb\n<two>\n<end>\n"
    assert parts.replace_marked(new, "<one>", "<end>", "new") == new


@pytest.mark.parametrize("page", ["<end> <one>", "<one>", "<one> <end> <one> <end>"])
def test_marks_that_are_missing_or_twice_are_an_error(page: str) -> None:
    with pytest.raises(ConfigError, match="must hold the lines <one>, once, and <end> after it"):
        parts.replace_marked(page, "<one>", "<end>", "new")
