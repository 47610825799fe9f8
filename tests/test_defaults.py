"""What docstrings and help texts say about defaults is what the signatures have.

A default may be stated as a value ("`pil` by default", "0.5 by default", "default: 4") and must
then be that value, or in words ("the style's by default", "if not given") and must then be None or
computed, so that no number can hide behind the words. Words may also say what a string does.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields
from typing import Any, NamedTuple

import pytest

from test_public_api import PUBLIC, Documented
from tps_portrait.cli import build_parser
from tps_portrait.training.arguments import TrainingArguments

_ENTRY = re.compile(r" {4}(?P<names>\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: \([^)]*\))?: (?P<text>.*)")
_VALUE = r"(`[^`]+`|-?\d+(?:\.\d+)?(?:e-?\d+)?|\"[^\"]*\"|None|True|False)"
_STATED = (
    re.compile(rf"[Dd]efault(?:s to| is|:)? {_VALUE}"),
    re.compile(rf"{_VALUE}(?: \w+)?,? by default"),
)
_IN_WORDS = re.compile(r"\bby default\b|\bBy default\b|\bif not given\b|\bwhen `None`|\bif `None`")
COMPUTED = object()


class Claim(NamedTuple):
    """What a docstring says about the default of a parameter."""

    where: str
    parameter: str
    text: str
    default: Any


def entries(doc: str, section: str) -> dict[str, str]:
    """Descriptions of the parameters in a Google-style section, by name, each on one line."""
    lines = inspect.cleandoc(doc).splitlines()
    if f"{section}:" not in lines:
        return {}
    found: dict[str, str] = {}
    names: list[str] = []
    for line in lines[lines.index(f"{section}:") + 1 :]:
        if line and not line.startswith(" "):
            break
        if match := _ENTRY.match(line):
            names = [name.strip(" *") for name in match["names"].split(",")]
            found.update(dict.fromkeys(names, match["text"]))
        else:
            found.update({name: f"{found[name]} {line.strip()}" for name in names})
    return found


def defaults(node: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, Any]:
    """Default of each parameter that has one; `COMPUTED` where it is no literal."""
    args = node.args
    positional = [*args.posonlyargs, *args.args]
    last = positional[len(positional) - len(args.defaults) :]
    given = list(zip(last, args.defaults, strict=True))
    given += [(a, d) for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True) if d]
    return {argument.arg: literal(value) for argument, value in given}


def literal(node: ast.expr) -> Any:
    """Value of a literal, `COMPUTED` for anything else."""
    try:
        return ast.literal_eval(node)
    except ValueError:
        return COMPUTED


def claims_of(item: Documented) -> Iterator[Claim]:
    """Claims in the docstring of a function, or of a class about its constructor or its fields."""
    if isinstance(item.node, ast.Module) or not item.doc:
        return
    if isinstance(item.node, ast.ClassDef):
        body = item.node.body
        init = [n for n in body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
        known = defaults(init[0]) if init else {}
        known |= {
            n.target.id: literal(n.value)
            for n in body
            if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name) and n.value
        }
        told = entries(item.doc, "Args") | entries(item.doc, "Attributes")
    else:
        known, told = defaults(item.node), entries(item.doc, "Args")
    for name, text in told.items():
        if name in known and _states_a_default(text):
            yield Claim(item.where, name, text, known[name])


def _states_a_default(text: str) -> bool:
    return bool(_IN_WORDS.search(text)) or any(pattern.search(text) for pattern in _STATED)


def check(claim: Claim) -> None:
    """Compare a claim with the signature.

    Raises:
        AssertionError: they differ.
    """
    for pattern in _STATED:
        for stated in pattern.findall(claim.text):
            try:
                value = ast.literal_eval(stated.strip("`"))
            except (ValueError, SyntaxError):
                word = stated.strip("`")
                # A bare word is a string where the default is one, and else names what it is
                # computed from.
                value = word if isinstance(claim.default, str) else None
            assert claim.default is COMPUTED or claim.default == value, claim
            return
    explained = isinstance(claim.default, str) and "by default" in claim.text
    assert explained or claim.default in (None, (), COMPUTED), claim


CLAIMS = [claim for item in PUBLIC for claim in claims_of(item)]


@pytest.mark.parametrize("claim", CLAIMS, ids=[f"{c.where}({c.parameter})" for c in CLAIMS])
def test_docstring_agrees_with_signature(claim: Claim) -> None:
    check(claim)


def test_claims_are_found() -> None:
    assert len(CLAIMS) >= 20
    assert any(claim.where.endswith("::__call__") for claim in CLAIMS)


@pytest.mark.parametrize(
    ("text", "default", "agrees"),
    [
        ("side; 512 by default.", 512, True),
        ("side; 512 by default.", 256, False),
        ("kind; `pil` by default.", "pil", True),
        ("kind; `pil` by default.", "np", False),
        ("side; the style's by default.", None, True),
        ("side; the style's by default.", 512, False),
        ("share (default: 0.5).", 0.5, True),
        ("share, default 0.5.", 0.25, False),
        ("longest side; `frame_size` by default.", None, True),
        ("longest side; `frame_size` by default.", 7, False),
        ("name; that of the process if not given.", "me", False),
    ],
)
def test_check_notices(text: str, default: Any, agrees: bool) -> None:
    claim = Claim("f", "x", text, default)
    if agrees:
        check(claim)
    else:
        with pytest.raises(AssertionError):
            check(claim)


def test_entries_reads_continued_lines() -> None:
    doc = "Do.\n\nArgs:\n    a, b: one\n        line; 3 by default.\n    *c: rest\n\nReturns:\n"
    told = "one line; 3 by default."
    assert {k: v.strip() for k, v in entries(doc, "Args").items()} == {
        "a": told,
        "b": told,
        "c": "rest",
    }


@pytest.mark.parametrize("option", fields(TrainingArguments), ids=lambda option: option.name)
def test_training_options_agree(option: Any) -> None:
    text = option.metadata["help"]
    default = option.default if option.default is not MISSING else option.default_factory()
    if "if not given" in text or "if none" in text:
        assert default in (None, [], ()), text
    # The value itself is added to the help from the field, see `arguments._parser`.
    assert "efault" not in text


def _options() -> Iterator[Any]:
    def walk(parser: argparse.ArgumentParser) -> Iterator[Any]:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for command in action.choices.values():
                    yield from walk(command)
            elif "default" in (action.help or ""):
                name = "/".join(action.option_strings) or action.dest
                yield pytest.param(action, id=f"{parser.prog} {name}")

    yield from walk(build_parser())


@pytest.mark.parametrize("action", [*_options()])
def test_command_line_help_agrees(action: argparse.Action) -> None:
    stated = re.search(r"\(default: ([^;)]+)", action.help or "")
    assert stated, action.help
    text = " ".join(stated[1].split()).rstrip(".")
    if "%(default)s" in text:
        return
    if action.default in (None, "auto"):
        # In words, or the name of something elsewhere; never a number.
        assert not re.fullmatch(r"-?[\d.]+", text), action.help
    elif not (isinstance(action.default, str) and " " in text):  # words that say what it does
        number = isinstance(action.default, float)
        value = f"{action.default:g}" if number else str(action.default)
        assert text.split()[0] == value, action.help
