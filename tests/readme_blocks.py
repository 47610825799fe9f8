"""Finds the code blocks of a Markdown page and runs them as a reader would.

A block is run unless an HTML comment right above its fence says why it cannot be:
`<!-- not run: needs a GPU -->`. JSON and YAML are parsed; code in other languages is listed so that
it, too, has to say why it is not run. What is fenced as `text`, or as nothing, is not code.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tps_portrait.cli import main

LANGUAGES = {"python": "python", "py": "python", "bash": "bash", "sh": "bash", "shell": "bash"}
DATA: dict[str, Callable[[str], Any]] = {
    "json": json.loads,
    "yaml": yaml.safe_load,
}
NOT_CODE = {"", "text", "md", "toctree", "bibtex", "mermaid", "eval-rst", "math"}
# A shell does something with these; without them a command can be run in this process.
_SHELL = re.compile(r"[|&;<>()$`*?\[\]{}~!=]")
_FENCE = re.compile(r"^(?P<indent> {0,3})(?P<ticks>`{3,})[ \t]*(?P<language>[\w+-]*|\{[\w-]+\})")
_COMMENT = re.compile(r"<!--\s*not run:\s*(?P<reason>(?:(?!-->).)*?)\s*-->\s*\Z", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of code.

    Attributes:
        line: line of the page on which its code begins, from 1.
        language: `python`, `bash`, or the word after the fence.
        code: the text between the fences.
        reason: why it is not run, or None if it is.
    """

    line: int
    language: str
    code: str
    reason: str | None


def find_blocks(markdown: str) -> list[Block]:
    """List the blocks of code of a page, in order.

    Raises:
        ValueError: a fence is not closed, or a block is marked as not run without a reason.
    """
    blocks = []
    lines = markdown.splitlines()
    start: int | None = None
    fence = language = indent = ""
    for number, line in enumerate(lines):
        match = _FENCE.match(line)
        if start is None and match:
            start, fence, indent = number + 1, match["ticks"], match["indent"]
            word = match["language"].lower()
            language = LANGUAGES.get(word, "" if word in NOT_CODE else word)
        elif start is not None and line.strip().startswith(fence) and not line.strip(" `"):
            if language:
                code = "\n".join(text.removeprefix(indent) for text in lines[start:number]) + "\n"
                marked = _COMMENT.search("\n".join(lines[: start - 1]))
                if marked and not marked["reason"]:
                    raise ValueError(f"line {start}: say why this block is not run")
                blocks.append(Block(start + 1, language, code, marked and marked["reason"]))
            start = None
    if start is not None:
        raise ValueError(f"line {start}: this fence is not closed")
    return blocks


def run_block(
    block: Block, folder: Path, namespace: dict[str, Any], page: str = "README.md"
) -> str:
    """Run one block in a folder.

    Args:
        block: what to run.
        folder: current directory while it runs; the caller has changed to it.
        namespace: variables that the Python blocks of one page share, as in one session.
        page: name of the page, for tracebacks.

    Returns:
        What a shell block printed; nothing for Python.

    Raises:
        Exception: whatever a Python block raises.
        AssertionError: a command of a shell block failed.
    """
    if block.language == "python":
        # Padding makes tracebacks point to the line of the page.
        padded = "\n" * (block.line - 1) + block.code
        exec(compile(padded, page, "exec"), namespace)
        return ""
    words = commands(block)
    if all(line[0] == "tps-portrait" for line in words) and not _SHELL.search(block.code):
        return "".join(_run_here(line[1:], block) for line in words)
    beside_python = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": beside_python + os.pathsep + os.environ["PATH"]}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.code],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"line {block.line} of the page:\n{block.code}\n{done.stdout}"
    return done.stdout


def _run_here(words: list[str], block: Block) -> str:
    """Run our own command without the seconds that a new process needs to import torch."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        status = main(words)
    assert status == 0, f"line {block.line} of the page: {words}\n{printed.getvalue()}"
    return printed.getvalue()


def check_syntax(block: Block) -> None:
    """Parse a block that may not be run; other languages are left alone.

    Raises:
        ValueError: it is not valid JSON or YAML; SyntaxError: not valid Python.
        AssertionError: it is not a valid shell script.
    """
    if block.language in DATA:
        DATA[block.language](block.code)
    if block.language not in LANGUAGES.values():
        return
    if block.language == "python":
        ast.parse(block.code)
        return
    done = subprocess.run(["bash", "-n", "-c", block.code], capture_output=True, text=True)
    assert done.returncode == 0, f"line {block.line}: {done.stderr}"


def commands(block: Block) -> list[list[str]]:
    """Split the lines of a shell block into words, without comments, joining continued lines."""
    joined = re.sub(r"\\\n\s*", " ", block.code)
    split = (shlex.split(line, comments=True) for line in joined.splitlines())
    return [words for words in split if words]
