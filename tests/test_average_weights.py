"""The tool that averages two states of a generator."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from conftest import tiny_generator
from tps_portrait import StyleGenerator, StyleGeneratorConfig

TOOL = Path(__file__).parents[1] / "tools" / "average_weights.py"
PHOTO = torch.linspace(-1, 1, 3 * 64 * 64).view(1, 3, 64, 64)


def style(folder: Path, generator: StyleGenerator) -> Path:
    generator.save_pretrained(folder / "generator")
    (folder / "facts.json").write_text(folder.name, "utf-8")
    (folder / "README.md").write_text("numbers of these weights", "utf-8")
    return folder


def other_generator(noise_channels: int = 0) -> StyleGenerator:
    torch.manual_seed(7)
    generator = tiny_generator()
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return generator.with_noise(noise_channels).eval()


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOL), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("half", [False, True])
def test_weights_lie_between(tmp_path: Path, half: bool) -> None:
    first = style(tmp_path / "a", tiny_generator())
    generator = other_generator()
    second = style(tmp_path / "b", generator.half() if half else generator)
    done = run(first, second, tmp_path / "c", "--share", 0.25)
    assert done.returncode == 0, done.stderr
    found = StyleGenerator.from_pretrained(tmp_path / "c", subfolder="generator").state_dict()
    one, other = tiny_generator().state_dict(), generator.float().state_dict()
    assert found.keys() == one.keys()
    for key, value in found.items():
        torch.testing.assert_close(value, 0.75 * one[key] + 0.25 * other[key])
    assert not (tmp_path / "c" / "README.md").exists()
    assert (tmp_path / "c" / "facts.json").read_text("utf-8") == "a"


@pytest.mark.parametrize("first_has", [0, 8])
def test_noise_that_one_lacks_is_silent_there(tmp_path: Path, first_has: int) -> None:
    with_noise, without = (
        style(tmp_path / "a", other_generator(8)),
        style(tmp_path / "b", tiny_generator()),
    )
    folders = (with_noise, without) if first_has else (without, with_noise)
    done = run(*folders, tmp_path / "c", "--share", 0 if not first_has else 1)
    assert done.returncode == 0, done.stderr
    found = StyleGenerator.from_pretrained(tmp_path / "c", subfolder="generator")
    assert found.config.noise_channels == 8
    with torch.no_grad():
        torch.testing.assert_close(found(PHOTO), tiny_generator()(PHOTO), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("width", "share", "exists", "message"),
    [(24, 0.5, False, "built differently"), (16, 2, False, "0 to 1"), (16, 0.5, True, "exists")],
)
def test_refuses(tmp_path: Path, width: int, share: float, exists: bool, message: str) -> None:
    generators = [
        StyleGenerator(StyleGeneratorConfig(channels=(16, 16, 16, 16), head_channels=head))
        for head in (16, width)
    ]
    first, second = (
        style(tmp_path / name, generator) for name, generator in zip("ab", generators, strict=True)
    )
    target = first if exists else tmp_path / "c"
    found = run(first, second, target, "--share", share)
    assert found.returncode != 0
    assert message in found.stderr
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("channels", [4, 8])
def test_other_noise_is_refused(tmp_path: Path, channels: int) -> None:
    first = style(tmp_path / "a", other_generator(4))
    changed = other_generator(channels)
    changed.noise.neg_()
    done = run(first, style(tmp_path / "b", changed), tmp_path / "c")
    assert done.returncode != 0
    assert "different noise" in done.stderr
    assert not (tmp_path / "c").exists()


def test_batch_norms_are_averaged(tmp_path: Path) -> None:
    config = StyleGeneratorConfig(channels=(16, 16, 16, 16), head_channels=16, norm="batch")
    folders = [style(tmp_path / name, StyleGenerator(config)) for name in "ab"]
    done = run(*folders, tmp_path / "c")
    assert done.returncode == 0, done.stderr
