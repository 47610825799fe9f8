"""The tool that averages two states of a generator."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

TOOL = Path(__file__).parents[1] / "tools" / "average_weights.py"


def style(folder: Path, value: float, size: int = 3, dtype: torch.dtype = torch.float16) -> Path:
    (folder / "generator").mkdir(parents=True)
    weights = {"w": torch.full((size,), value, dtype=dtype)}
    config = {"size": size, "dtype": str(dtype)}
    save_file(weights, folder / "generator" / "model.safetensors")
    (folder / "generator" / "config.json").write_text(json.dumps(config), "utf-8")
    (folder / "facts.json").write_text(str(value), "utf-8")
    (folder / "README.md").write_text("numbers of these weights", "utf-8")
    return folder


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOL), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_weights_lie_between(tmp_path: Path) -> None:
    first, second = style(tmp_path / "a", 1.0), style(tmp_path / "b", 2.0)
    assert run(first, second, tmp_path / "c", "--share", 0.25).returncode == 0
    found = load_file(tmp_path / "c" / "generator" / "model.safetensors")["w"]
    assert found.dtype == torch.float16
    assert found.tolist() == [1.25] * 3
    assert not (tmp_path / "c" / "README.md").exists()
    assert (tmp_path / "c" / "facts.json").read_text("utf-8") == "1.0"


def test_a_trained_style_and_a_bundled_one(tmp_path: Path) -> None:
    first = style(tmp_path / "a", 1.0, dtype=torch.float32)
    second = style(tmp_path / "b", 2.0)
    assert run(first, second, tmp_path / "c", "--share", 0.5).returncode == 0
    found = load_file(tmp_path / "c" / "generator" / "model.safetensors")["w"]
    assert found.dtype == torch.float32
    assert found.tolist() == [1.5] * 3


@pytest.mark.parametrize(
    ("size", "share", "exists", "message"),
    [(4, 0.5, False, "different kinds"), (3, 2, False, "0 to 1"), (3, 0.5, True, "exists")],
)
def test_refuses(tmp_path: Path, size: int, share: float, exists: bool, message: str) -> None:
    first, second = style(tmp_path / "a", 1.0), style(tmp_path / "b", 2.0, size)
    target = first if exists else tmp_path / "c"
    found = run(first, second, target, "--share", share)
    assert found.returncode != 0
    assert message in found.stderr
