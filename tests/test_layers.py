"""The house of DESIGN.md: imports only point down, and never round in a circle."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = "tps_portrait"
SRC = Path(__file__).parents[1] / "src"

# A module belongs to the longest prefix that names it. Rooms of one floor do not know one another.
FLOORS = {
    "errors": 0.0,
    "_bundled": 0.0,
    "_files": 0.0,
    "_numbers": 0.0,
    "_version": 0.0,
    "_transformers": 0.5,
    "ops": 1.0,
    "_imagefolder": 1.5,
    "models.base": 2.0,
    "models.aligner": 3.0,
    "models.discriminator": 3.0,
    "models.generator": 3.0,
    "models.landmarks": 3.0,
    "models": 3.5,
    "processing": 4.0,
    "evaluation": 5.0,
    "export": 5.0,
    "hub": 5.0,
    "preparation": 5.0,
    "training": 5.0,
    "_diffusers": 5.5,
    "pipeline": 6.0,
    "video": 6.5,
    "web": 6.5,
    "cli": 7.0,
    "__main__": 8.0,
    "": 9.0,
}

# What a room may import from outside the standard library and this package.
CORE = {"torch", "numpy"}
HUGGING_FACE = CORE | {"transformers", "huggingface_hub", "safetensors"}
TRAINING = {"accelerate", "datasets", "kornia", "yaml", "tensorboard", "PIL", "diffusers", "tqdm"}
OUTSIDE = {
    "errors": set(),
    "_bundled": set(),
    "_files": set(),
    "_numbers": set(),
    "_version": set(),
    "_transformers": set(),
    "": set(),
    "ops": CORE,
    "_imagefolder": CORE,
    "models": HUGGING_FACE,
    "processing": HUGGING_FACE | {"PIL", "diffusers"},
    "_diffusers": {"diffusers"},
    "pipeline": HUGGING_FACE | {"PIL", "diffusers", "tqdm"},
    "preparation": HUGGING_FACE | {"PIL"},
    "video": HUGGING_FACE | {"av"},
    "web": set(),
    "cli": HUGGING_FACE | {"PIL", "diffusers", "tqdm", "rich"},
    "training": HUGGING_FACE | TRAINING,
}


def modules() -> dict[str, Path]:
    """Every module of the package by dotted name, without the package's own."""
    found = {}
    for path in sorted((SRC / PACKAGE).rglob("*.py")):
        parts = path.relative_to(SRC / PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, path: Path, known: set[str], source: str | None = None) -> Iterator[str]:
    """Absolute dotted names of all that a module imports, also inside functions."""
    home = name.split(".") if name else []
    if path.name != "__init__.py":
        home = home[:-1]
    for node in ast.walk(ast.parse(source if source is not None else path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [PACKAGE, *home[: len(home) - node.level + 1]] if node.level else []
            stem = ".".join([*base, *(node.module or "").split(".")]).rstrip(".")
            for alias in node.names:
                inner = f"{stem}.{alias.name}"
                is_module = inner.removeprefix(f"{PACKAGE}.") in known
                yield inner if is_module else stem


def room(name: str) -> str:
    """The longest entry of `FLOORS` that a module lies in."""
    parts = name.split(".")
    while parts and ".".join(parts) not in FLOORS:
        parts.pop()
    return ".".join(parts)


def own(dotted: str) -> str | None:
    """The name inside the package, or None for what lies outside."""
    if dotted == PACKAGE:
        return ""
    return dotted.removeprefix(f"{PACKAGE}.") if dotted.startswith(f"{PACKAGE}.") else None


def complaint(importer: str, imported: str) -> str | None:
    """Say what is wrong with one import, if anything."""
    here, there = room(importer), room(imported)
    if here == there and importer != "":
        return None
    if importer == "" and there != "":
        return None
    if FLOORS[there] < FLOORS[here]:
        return None
    kind = "its sibling" if FLOORS[there] == FLOORS[here] else "upward,"
    return f"{importer or PACKAGE} imports {kind} {imported or PACKAGE}"


MODULES = modules()
EDGES = {
    name: {
        target
        for dotted in imports(name, path, set(MODULES))
        if (target := own(dotted)) is not None and target != name
    }
    for name, path in MODULES.items()
}


def test_every_module_has_a_floor() -> None:
    strays = [name for name in MODULES if name and room(name) == ""]
    assert not strays, f"give these a floor in FLOORS and in DESIGN: {strays}"


@pytest.mark.parametrize("name", [name for name in MODULES if name])
def test_imports_point_down(name: str) -> None:
    unknown = [target for target in EDGES[name] if target and target not in MODULES]
    assert not unknown, f"{name} imports modules that do not exist: {unknown}"
    wrong = [text for target in sorted(EDGES[name]) if (text := complaint(name, target))]
    assert not wrong, "\n".join(wrong)


def test_no_circle() -> None:
    try:
        list(TopologicalSorter({name: EDGES[name] for name in MODULES if name}).static_order())
    except CycleError as error:
        pytest.fail("circular imports: " + " -> ".join(error.args[1]))


@pytest.mark.parametrize("name", list(MODULES))
def test_outside_imports_are_declared(name: str) -> None:
    allowed = OUTSIDE.get(name.split(".")[0], HUGGING_FACE | TRAINING)
    roots = {
        dotted.split(".")[0]
        for dotted in imports(name, MODULES[name], set(MODULES))
        if own(dotted) is None
    }
    extra = roots - set(sys.stdlib_module_names) - allowed
    assert not extra, f"{name or PACKAGE} may not import {sorted(extra)}"


@pytest.mark.parametrize(
    ("importer", "source", "expected"),
    [
        ("ops.tps", "from ..models.base import PortraitConfig", "upward"),
        ("ops.tps", "def f():\n    from tps_portrait.pipeline import X", "upward"),
        ("models.generator.modeling_generator", "from ..aligner import TPSAligner", "sibling"),
        ("training.losses", "from .. import hub", "sibling"),
        ("processing", "from tps_portrait import TPSAligner", "upward"),
        ("errors", "import tps_portrait.ops.tps", "upward"),
        ("pipeline", "from .models.generator import StyleGenerator", None),
        ("training.losses", "from .data import x", None),
        ("models.generator.modeling_generator", "from ...errors import ConfigError", None),
        ("cli.doctor", "from .. import _version", None),
    ],
)
def test_the_check_itself(importer: str, source: str, expected: str | None) -> None:
    known = {*MODULES, "hub", "training.data"}
    found = [
        text
        for dotted in imports(importer, Path("module.py"), known, source)
        if (target := own(dotted)) is not None and (text := complaint(importer, target))
    ]
    if expected is None:
        assert not found
    else:
        assert any(expected in text for text in found)
