"""The README does what it says: its code runs, its commands, targets, links and pictures exist."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import tps_portrait
from conftest import ASTRONAUT
from readme_blocks import Block, check_syntax, commands, find_blocks, run_block
from tps_portrait.cli import build_parser

ROOT = Path(__file__).parents[1]
PATTERNS = ("*.md", "docs/**/*.md", "benchmarks/*.md", "examples/**/README.md", "model_cards/*.md")
PAGES = sorted({page for pattern in PATTERNS for page in ROOT.glob(pattern)})


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


README = find_blocks((ROOT / "README.md").read_text("utf-8"))
ALL = [(_name(page), block) for page in PAGES for block in find_blocks(page.read_text("utf-8"))]


def _params(items: list[tuple[str, Block]]) -> list[Any]:
    return [pytest.param(block, id=f"{page}:{block.line}") for page, block in items]


@pytest.fixture(scope="module")
def session() -> dict[str, Any]:
    """The Python session in which a reader tries one block after the other."""
    return {"__name__": "__main__"}


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with the pictures that the README talks about."""
    (tmp_path / "photos").mkdir()
    for name in ("me.jpg", "you.jpg", "photos/a.jpg", "photos/b.jpg"):
        shutil.copy(ASTRONAUT, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("block", _params([("README.md", b) for b in README if b.reason is None]))
def test_readme_block_runs(block: Block, reader: Path, session: dict[str, Any]) -> None:
    run_block(block, reader, session)


@pytest.mark.parametrize("block", _params(ALL))
def test_block_is_well_formed(block: Block) -> None:
    check_syntax(block)


@pytest.mark.parametrize("block", _params([(p, b) for p, b in ALL if b.language == "bash"]))
def test_commands_and_files_exist(block: Block) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for words in commands(block):
        if words[0] == "tps-portrait":
            build_parser().parse_args(words[1:])
        elif words[0] == "make":
            named = [word for word in words[1:] if "=" not in word and not word.startswith("-")]
            assert set(named) <= targets, f"the Makefile has no {set(named) - targets}"
        else:
            scripts = [w for w in words if w.startswith(("examples/", "benchmarks/", "tests/"))]
            missing = [script for script in scripts if not (ROOT / script).exists()]
            assert not missing, f"{words} names {missing}"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    linked = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
    local = [link.split("#")[0] for link in linked if not re.match(r"[a-z]+:", link)]
    missing = [link for link in local if link and not (page.parent / link).exists()]
    assert not missing


def _block(code: str, language: str = "python", reason: str | None = None) -> Block:
    return Block(line=1, language=language, code=code, reason=reason)


def test_finds_blocks_and_reasons() -> None:
    page = (
        "# T\n```python\na = 1\n```\ntext\n<!-- not run: needs a GPU -->\n```bash\nls\n```\n"
        "```text\nnot code\n```\n   ```sh\n   pwd\n   ```\n````md\n```python\nx\n```\n````\n"
    )
    blocks = find_blocks(page)
    assert [(b.line, b.language, b.code, b.reason) for b in blocks] == [
        (3, "python", "a = 1\n", None),
        (8, "bash", "ls\n", "needs a GPU"),
        (14, "bash", "pwd\n", None),
    ]


@pytest.mark.parametrize(
    "page", ["<!-- not run: -->\n```bash\nls\n```\n", "```python\na = 1\n"], ids=["mute", "open"]
)
def test_refuses_blocks_without_reason_or_end(page: str) -> None:
    with pytest.raises(ValueError, match=r"line [12]"):
        find_blocks(page)


def test_runner_notices_failures(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        run_block(_block("1 / 0"), tmp_path, {})
    with pytest.raises(AssertionError, match="no-such-file"):
        run_block(_block("ls no-such-file\ntrue", "bash"), tmp_path, {})
    with pytest.raises(SyntaxError):
        check_syntax(_block("def"))
    with pytest.raises(AssertionError):
        check_syntax(_block("if true; then", "bash"))


def test_runner_shares_names_and_folder(tmp_path: Path) -> None:
    namespace: dict[str, Any] = {}
    run_block(_block("a = 20"), tmp_path, namespace)
    run_block(_block("b = a + 1"), tmp_path, namespace)
    assert namespace["b"] == 21
    run_block(_block("tps-portrait --version > v.txt", "bash"), tmp_path, {})
    assert tps_portrait.__version__ in (tmp_path / "v.txt").read_text()


def test_commands_join_lines_and_drop_comments() -> None:
    block = _block("tps-portrait doctor \\\n  --json   # all of it\n# nothing\n", "bash")
    assert commands(block) == [["tps-portrait", "doctor", "--json"]]
