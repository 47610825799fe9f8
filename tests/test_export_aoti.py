"""AOTInductor packages: compiled, loaded again and run; refused without a compiler."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from export_fixtures import tiny_style
from tps_portrait import ExportError, ModelFileError, TPSPortraitPipeline
from tps_portrait.export import load_runner


@pytest.fixture(scope="module")
def pipe() -> TPSPortraitPipeline:
    return tiny_style()


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_compiled_package_draws_as_pytorch(pipe: TPSPortraitPipeline, tmp_path: Path) -> None:
    report = pipe.export("aoti", tmp_path / "tiny.pt2", size=(64, 96))
    assert report.facts["input"]["shape"] == [1, 3, 64, 96]
    assert report.parity.passed
    x = torch.linspace(-1, 1, 3 * 64 * 96).reshape(1, 3, 64, 96).sin()
    with torch.no_grad():
        expected = pipe.generator(x).numpy()
    drawn = load_runner("aoti", report.path)(x.numpy())
    assert expected.std() > 0.1
    assert np.abs(drawn - expected).max() < 1e-4
    with pytest.raises(ModelFileError, match="not loaded here"):
        TPSPortraitPipeline.from_exported(report.path)


def test_missing_compiler_is_named(
    pipe: TPSPortraitPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._inductor import config

    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    name = next(str(c) for c in config.cpp.cxx if c)
    with pytest.raises(ExportError, match=f"no compiler {name.replace('+', '[+]')} here"):
        pipe.export("aoti", tmp_path / "tiny.pt2")
    assert [file.name for file in tmp_path.iterdir()] == ["empty"]
