"""README and documentation do what they say: their code runs, what they name and link exists.

The blocks of a page are run in order, in one Python session and in one folder, as a reader would.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import tps_portrait
from conftest import ASTRONAUT
from faces import EXAMPLES
from readme_blocks import DATA, Block, check_syntax, commands, find_blocks, run_block
from tps_portrait.cli import build_parser

ROOT = Path(__file__).parents[1]
PATTERNS = (
    *("*.md", "docs/**/*.md", "benchmarks/**/*.md", "examples/**/README.md", "model_cards/*.md"),
)
BUILT = {"_generated", "_build", "node_modules"}
PAGES = sorted(
    {
        page
        for pattern in PATTERNS
        for page in ROOT.glob(pattern)
        if not BUILT & set(page.relative_to(ROOT).parts)
    }
)


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


ALL = [(_name(page), block) for page in PAGES for block in find_blocks(page.read_text("utf-8"))]
RUN = [
    (page, block)
    for page, block in ALL
    if block.reason is None and block.language in {"python", "bash"}
]


def _params(items: list[tuple[str, Block]]) -> list[Any]:
    return [pytest.param(block, id=f"{page}:{block.line}") for page, block in items]


@pytest.fixture(scope="module")
def desks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, Any]]]:
    """For each page a folder with the pictures that it talks about, and a Python session."""
    desks = {}
    for page in {page for page, _ in RUN}:
        folder = tmp_path_factory.mktemp("reader")
        for name in ("photos", "my_photos", "my_style"):
            (folder / name).mkdir()
        for name in ("me.jpg", "you.jpg", "photos/a.jpg", "photos/b.jpg"):
            shutil.copy(ASTRONAUT, folder / name)
        for picture in sorted(EXAMPLES.glob("*.jpg"))[:6]:
            shutil.copy(picture, folder / "my_style")
        for name in ("examples", "benchmarks", "tools", "tests"):
            (folder / name).symlink_to(ROOT / name)
        desks[page] = (folder, {"__name__": "__main__"})
    return desks


@pytest.mark.parametrize(
    ("page", "block"), [pytest.param(*item, id=f"{item[0]}:{item[1].line}") for item in RUN]
)
def test_block_runs(
    page: str,
    block: Block,
    desks: dict[str, tuple[Path, dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, session = desks[page]
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    run_block(block, folder, session, page)


@pytest.mark.parametrize("block", _params(ALL))
def test_block_runs_is_parsed_or_says_why_not(block: Block) -> None:
    known = block.language in {"python", "bash", *DATA}
    assert known or block.reason, f"say why this {block.language} block is not run"


@pytest.mark.parametrize("block", _params(ALL))
def test_block_is_well_formed(block: Block) -> None:
    check_syntax(block)


@pytest.mark.parametrize("block", _params([(p, b) for p, b in ALL if b.language == "bash"]))
def test_commands_and_files_exist(block: Block) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for words in commands(block) if "<<" not in block.code else ():
        if words[0] == "tps-portrait":
            build_parser().parse_args(words[1:])
        elif words[0] == "make":
            named = [word for word in words[1:] if "=" not in word and not word.startswith("-")]
            assert set(named) <= targets, f"the Makefile has no {set(named) - targets}"
        else:
            scripts = [w for w in words if w.startswith(("examples/", "benchmarks/", "tests/"))]
            # Without a suffix it is a folder to write into.
            named = [script for script in scripts if Path(script).suffix]
            missing = [script for script in named if not (ROOT / script).exists()]
            assert not missing, f"{words} names {missing}"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    linked = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
    local = [link.split("#")[0] for link in linked if not re.match(r"[a-z]+:", link)]
    # Pages that the site is built with; `make site` complains where one is missing.
    local = [link for link in local if "_generated/" not in link]
    missing = [link for link in local if link and not (page.parent / link).exists()]
    assert not missing


def _block(code: str, language: str = "python", reason: str | None = None) -> Block:
    return Block(line=1, language=language, code=code, reason=reason)


def test_finds_blocks_and_reasons() -> None:
    page = (
        "# T\n```python\na = 1\n```\ntext\n<!-- not run: needs a GPU -->\n```bash\nls\n```\n"
        "```text\nnot code\n```\n```{toctree}\na\n```\n```swift\nlet a = 1\n```\n"
        "<!-- a remark -->\n   ```sh\n   pwd\n   ```\n````md\n```python\nx\n```\n````\n"
    )
    blocks = find_blocks(page)
    assert [(b.line, b.language, b.code, b.reason) for b in blocks] == [
        (3, "python", "a = 1\n", None),
        (8, "bash", "ls\n", "needs a GPU"),
        (17, "swift", "let a = 1\n", None),
        (21, "bash", "pwd\n", None),
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
