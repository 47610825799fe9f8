"""The public surface: importable, lazy, and documented with the arguments it really takes."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import tps_portrait

SRC = Path(__file__).parents[1] / "src" / "tps_portrait"


@pytest.mark.parametrize("name", tps_portrait.__all__)
def test_public_name_is_importable(name: str) -> None:
    assert getattr(tps_portrait, name) is not None
    assert name in dir(tps_portrait)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'NoSuchThing'"):
        tps_portrait.NoSuchThing  # noqa: B018


def test_type_checkers_see_the_names_that_exist() -> None:
    tree = ast.parse((SRC / "__init__.py").read_text("utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name for node in ast.walk(guarded) for alias in getattr(node, "names", [])}
    assert seen == set(tps_portrait.__all__) - {"__version__"}


def _loaded_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(' '.join(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import tps_portrait",
        "from tps_portrait import NoFaceError",
        "from tps_portrait.cli import build_parser; build_parser().format_help()",
    ],
)
def test_import_is_light(statement: str) -> None:
    heavy = {"torch", "transformers", "diffusers", "numpy", "PIL"}
    assert not heavy & _loaded_after(statement)


@pytest.mark.parametrize("module", ["ops.tps", "ops.landmarks", "ops.blocks"])
def test_ops_need_torch_only(module: str) -> None:
    loaded = _loaded_after(f"import tps_portrait.{module}")
    assert "torch" in loaded
    assert not {"transformers", "diffusers", "PIL", "kornia"} & loaded


class Documented(NamedTuple):
    """A module, class or function and what it says about itself."""

    where: str
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    parent: ast.AST | None

    @property
    def doc(self) -> str | None:
        return ast.get_docstring(self.node)


def _walk(path: Path) -> Iterator[Documented]:
    tree = ast.parse(path.read_text("utf-8"))
    stem = path.relative_to(SRC.parent).as_posix()
    yield Documented(stem, tree, None)
    stack: list[tuple[str, ast.AST]] = [(stem, tree)]
    while stack:
        where, parent = stack.pop()
        for node in getattr(parent, "body", []):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                here = f"{where}::{node.name}"
                if node.name.startswith("_") and node.name != "__call__":
                    continue
                yield Documented(here, node, parent)
                if isinstance(node, ast.ClassDef):
                    stack.append((here, node))


PUBLIC = [item for path in sorted(SRC.rglob("*.py")) for item in _walk(path)]
FUNCTIONS = [item for item in PUBLIC if not isinstance(item.node, ast.Module | ast.ClassDef)]
CLASSES = [item for item in PUBLIC if isinstance(item.node, ast.ClassDef)]


def _ids(items: list[Documented]) -> list[str]:
    return [item.where for item in items]


@pytest.mark.parametrize("item", PUBLIC, ids=_ids(PUBLIC))
def test_has_a_docstring(item: Documented) -> None:
    if any(ast.unparse(d) in {"override", "overload"} for d in _decorators(item.node)):
        pytest.skip("documented where it is first defined")
    assert item.doc, f"{item.where} has no docstring"
    summary = item.doc.split("\n\n")[0]
    assert summary.rstrip().endswith((".", "!", "?", ":")), f"no full sentence: {summary!r}"


def _decorators(node: ast.AST) -> list[ast.expr]:
    return getattr(node, "decorator_list", [])


def described(doc: str, section: str) -> list[str] | None:
    """Names listed in a section of a Google-style docstring, or None if it has no such section."""
    lines = doc.splitlines()
    if f"{section}:" not in lines:
        return None
    names = []
    for line in lines[lines.index(f"{section}:") + 1 :]:
        if line and not line.startswith(" "):
            break
        if match := re.match(r" {4}(\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: \([^)]*\))?:(?: |$)", line):
            names += match[1].split(", ")
    return names


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef, bound: bool) -> list[str]:
    """Names of the parameters as a docstring lists them."""
    args = node.args
    names = [arg.arg for arg in (*args.posonlyargs, *args.args)]
    static = any(ast.unparse(decorator) == "staticmethod" for decorator in node.decorator_list)
    if bound and not static:
        names = names[1:]
    if args.vararg:
        names.append(f"*{args.vararg.arg}")
    names += [arg.arg for arg in args.kwonlyargs]
    if args.kwarg:
        names.append(f"**{args.kwarg.arg}")
    return names


def test_described_reads_google_style() -> None:
    doc = (
        "Do.\n\nArgs:\n    a: first\n        more: text\n    b (int): second\n    *c: rest\n"
        "    d, e: two.\n\nReturns:\n    f: not an argument\n"
    )
    assert described(doc, "Args") == ["a", "b", "*c", "d", "e"]
    assert described("Do.", "Args") is None


@pytest.mark.parametrize("item", FUNCTIONS, ids=_ids(FUNCTIONS))
def test_args_are_those_of_the_signature(item: Documented) -> None:
    names = described(item.doc or "", "Args")
    if names is None:
        return
    assert isinstance(item.node, ast.FunctionDef | ast.AsyncFunctionDef)
    bound = isinstance(item.parent, ast.ClassDef)
    assert names == parameters(item.node, bound), f"{item.where}: Args differ from the signature"


@pytest.mark.parametrize("item", CLASSES, ids=_ids(CLASSES))
def test_class_args_are_those_it_takes(item: Documented) -> None:
    assert isinstance(item.node, ast.ClassDef)
    names = described(item.doc or "", "Args") or described(item.doc or "", "Attributes")
    if names is None:
        return
    init = next(
        (n for n in item.node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None
    )
    if init is not None and described(item.doc or "", "Args"):
        expected = parameters(init, bound=True)
        assert names == expected, f"{item.where}: Args differ from __init__"
        return
    fields = [
        node.target.id
        for node in item.node.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    ]
    stored = {
        node.attr
        for node in ast.walk(item.node)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }
    methods = {node.name for node in item.node.body if isinstance(node, ast.FunctionDef)}
    unknown = set(names) - set(fields) - stored - methods
    assert not unknown, f"{item.where} describes {sorted(unknown)}, which it does not have"


# `kernel` and `checks` are the inner workings of `tps`.
OPS = [
    item
    for item in FUNCTIONS
    if re.search(r"/ops/(tps|landmarks|blocks)\.py", item.where)
    and isinstance(item.parent, ast.Module)
]


@pytest.mark.parametrize("item", OPS, ids=_ids(OPS))
def test_ops_describe_their_arguments(item: Documented) -> None:
    assert isinstance(item.node, ast.FunctionDef)
    doc = item.doc or ""
    names = set(parameters(item.node, bound=False)) - {"size", "dtype", "device"}
    if len(names) > 1 and not re.search(r"Arguments .*as `\w+`", doc):
        assert described(doc, "Args"), f"{item.where} does not describe its arguments"
