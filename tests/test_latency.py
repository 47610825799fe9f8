"""The latency benchmark: the networks it compares with, how it measures, and its page."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import latency  # noqa: E402
import latency_report  # noqa: E402
import latency_worker  # noqa: E402
from peers import PEERS  # noqa: E402
from readme_blocks import find_blocks  # noqa: E402


@pytest.mark.parametrize(
    ("name", "millions", "gmacs"),
    [
        ("AnimeGANv2-type", 2.14, 26.3),
        ("CycleGAN resnet-9", 11.38, 49.6),
        ("White-box U-Net", 1.47, 8.2),
        ("AnimeGANv2-lite", 0.70, 7.1),
    ],
)
def test_peers_have_the_published_size(name: str, millions: float, gmacs: float) -> None:
    network, x = PEERS[name]().eval(), torch.zeros(1, 3, 64, 64)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        assert network(x).shape == x.shape
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=5e-3)
    at_256 = counter.get_total_flops() / 2e9 * 16
    assert at_256 == pytest.approx(gmacs, abs=0.05)


def test_measures_calls_within_the_budget() -> None:
    found = latency_worker.measure(lambda: time.sleep(0.01), budget=0.2, most=5)
    assert found["runs"] == 5
    assert 10 <= found["median_ms"] <= found["p95_ms"]
    slow = latency_worker.measure(lambda: time.sleep(0.02), budget=0.01, most=100)
    assert slow["runs"] == 3


def test_worker_measures_a_network_in_a_process_of_its_own() -> None:
    job = {"kind": "pytorch", "network": "AnimeGANv2-lite", "form": "eager", "size": 32}
    job |= {"threads": 1, "budget": 0.05}
    command = [sys.executable, BENCHMARKS / "latency_worker.py", json.dumps(job)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["median_ms"] > 0
    assert found["peak_mib"] > 1, "the weights alone take more"


def test_a_failure_is_a_row_that_says_so() -> None:
    job = {"kind": "onnx", "path": "no/such.onnx", "shape": [1, 3, 32, 32]}
    found = latency.worker(job | {"threads": 1, "budget": 0.1})
    assert "median_ms" not in found
    assert "no/such.onnx" in found["note"] or "onnxruntime" in found["note"]


def test_page_states_goals_and_gaps() -> None:
    figures = {"p95_ms": 12.0, "runs": 9, "peak_mib": 30.0, "gflops": 200.0, "peak_share": 0.8}
    common = {"size": 512, "threads": 2, "precision": "fp32", "runtime": "onnxruntime"}
    ours = common | figures | {"network": "animation", "gmacs": 1.0, "median_ms": 10.0}
    rival = common | figures | {"network": "AnimeGANv2-type", "gmacs": 105.0, "median_ms": 900.0}
    missing = {"network": "animation", "runtime": "ncnn", "precision": "fp16", "size": 512}
    missing |= {"note": 'ncnn cannot be imported. pip install "tps-portrait[ncnn]"'}
    face = {"part": "all", "runtime": "onnxruntime", "threads": 2, "frame": 640, "side": 256}
    facts = {"command": "python benchmarks/latency.py", "machine": "a machine", "processors": 2}
    facts |= {"load": 0.1, "versions": "torch 2", "seconds": 300.0, "note": "A fan was on."}
    page = latency_report.markdown(
        {
            "facts": facts,
            "peak": [{"threads": 2, "gflops": 250.0}],
            "ours": [ours, missing],
            "peers": [rival],
            "face": [face | figures | {"median_ms": 55.0}],
        }
    )
    assert "| 30 frames a second at 512 px, 2 threads, fp32 | 100 (10.0 ms, onnxruntime) |" in page
    assert "| 90 times |" in page
    assert "300 s in all. A fan was on. Batch 1" in page
    assert "| 100 times fewer MACs at 512 px | 105 times |" in page
    assert "face 256 px) | 55 ms |" in page
    assert 'pip install "tps-portrait[ncnn]"' in page
    tables = [line for line in page.splitlines() if line.startswith("| animation")]
    assert len({line.count("|") for line in tables}) == 1
    assert all(block.reason for block in find_blocks(page)), "the tests run the blocks of all pages"


def test_the_page_is_what_the_numbers_say() -> None:
    results = json.loads((BENCHMARKS / "latency.json").read_text("utf-8"))
    assert (BENCHMARKS / "latency.md").read_text("utf-8") == latency_report.markdown(results)
