"""Pages that are made from the code and the result files, so that they cannot disagree with them.

Written to docs/_generated before Sphinx looks for its sources: the reference (one page for each
package of the library, one section for each module), the command line, the card of every bundled
style, and the benchmark reports.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
PACKAGE = ROOT / "src" / "tps_portrait"
OUT = DOCS / "_generated"

# From what most people call to what holds it up; packages that are new stand at the end.
ORDER = ("pipeline", "processing", "models", "ops", "hub", "export", "training", "errors")
LINK = re.compile(r"(?P<bang>!?)\[(?P<text>[^\]]*)\]\((?![a-z]+:|#|/)(?P<path>[^)\s]+)\)")


class Pages:
    """The folder of generated pages.

    Attributes:
        written: the pages of this build; what else lies in the folder is left from an older one.
    """

    def __init__(self) -> None:
        self.written: set[Path] = set()

    def write(self, name: str, text: str) -> None:
        """Write a page unless it already has this text, so that Sphinx rebuilds what changed."""
        path = OUT / name
        self.written.add(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")

    def sweep(self) -> None:
        """Remove the pages that no longer exist."""
        for path in OUT.rglob("*"):
            if path.is_file() and path not in self.written:
                path.unlink()


def toctree(entries: list[str], depth: int = 1) -> str:
    """A MyST table of contents."""
    return "\n".join(["```{toctree}", f":maxdepth: {depth}", "", *entries, "```", ""])


# Pages of the repository that are shown as they are, by their place in OUT.
ADOPTED = {
    "examples/README.md": "examples/training.md",
    "examples/data/README.md": "examples/data.md",
    "examples/data/render/README.md": "examples/renderer.md",
    "examples/app/README.md": "examples/app.md",
    "benchmarks/README.md": "benchmarks/overview.md",
}


def adopt(page: Path, folder: str) -> str:
    """Text of a Markdown page of the repository for a folder of OUT, with links that still lead."""

    def relink(match: re.Match[str]) -> str:
        path, _, anchor = match["path"].partition("#")
        found = (page.parent / path).resolve()
        if found.is_relative_to(ROOT) and found.relative_to(ROOT).as_posix() in ADOPTED:
            found = OUT / ADOPTED[found.relative_to(ROOT).as_posix()]
        elif not found.is_file() or (found.suffix == ".md" and not found.is_relative_to(DOCS)):
            return match["text"]
        suffix = f"#{anchor}" if anchor and found.is_relative_to(DOCS) else ""
        moved = os.path.relpath(found, OUT / folder)
        return f"{match['bang']}[{match['text']}]({moved}{suffix})"

    text = re.sub(r"\A---\n.*?\n---\n", "", page.read_text("utf-8"), flags=re.DOTALL)
    return LINK.sub(relink, text)


# --- reference ---------------------------------------------------------------------------------


def modules_of(path: Path) -> list[str]:
    """Dotted names of the modules of a package or of a single file, without private ones."""
    files = [path] if path.is_file() else sorted(path.rglob("*.py"))
    names = []
    for file in files:
        parts = list(file.relative_to(PACKAGE.parent).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        if not any(part.startswith("_") for part in parts):
            names.append(".".join(parts))
    return names


def rooms() -> dict[str, list[str]]:
    """Modules by the package of the library that they belong to."""
    found = {}
    for path in sorted(PACKAGE.iterdir()):
        package = path.is_dir() and (path / "__init__.py").is_file()
        if path.name.startswith("_") or path.stem == "cli":
            continue
        if (package or path.suffix == ".py") and (names := modules_of(path)):
            found[path.stem] = names
    rank = {name: index for index, name in enumerate(ORDER)}
    return dict(sorted(found.items(), key=lambda item: (rank.get(item[0], len(ORDER)), item[0])))


def reference(pages: Pages) -> None:
    """Write a page for each package."""
    names = []
    for room, modules in rooms().items():
        head = importlib.import_module(f"tps_portrait.{room}")
        lines = [f"tps_portrait.{room}", "=" * (13 + len(room)), ""]
        summary = " ".join((head.__doc__ or "").split("\n\n")[0].split())
        lines += [summary, ""]
        for name in modules:
            short = name.removeprefix("tps_portrait.")
            if len(modules) > 1:
                if name == f"tps_portrait.{room}":
                    continue  # only re-exports: what it holds is shown where it is defined
                module = importlib.import_module(name)
                if not public_members(module):
                    continue
                lines += [short, "-" * len(short), ""]
            lines += [f".. automodule:: {name}", ""]
        pages.write(f"reference/{room}.rst", "\n".join(lines))
        names.append(room)
    text = (
        "# Reference\n\nFrom the docstrings. The names below can be imported from `tps_portrait` "
        "itself; the pages show each where it is defined.\n\n"
        + "".join(f"- {line}\n" for line in public_names())
        + "\n"
        + toctree([*names, "../cli"])
    )
    pages.write("reference/index.md", text)


def public_members(module: Any) -> list[str]:
    """Names that a module itself defines and does not hide."""
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]


def public_names() -> Iterator[str]:
    """One line for each name of the package, with the first sentence of its docstring."""
    import tps_portrait

    for name in sorted(tps_portrait.__all__):
        value = getattr(tps_portrait, name)
        if name.startswith("__") or not value.__doc__:
            continue
        kind = "class" if isinstance(value, type) else "func"
        sentence = " ".join(value.__doc__.split("\n\n")[0].split())
        yield f"{{py:{kind}}}`~{value.__module__}.{value.__qualname__}`: {sentence}"


# --- command line ------------------------------------------------------------------------------


def command_line(pages: Pages) -> None:
    """Write the help of every command."""
    os.environ["COLUMNS"] = "96"
    from tps_portrait.cli import build_parser

    parser = build_parser()
    lines = ["# Command line", "", *help_of(parser, "tps-portrait")]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                lines += [f"## {name}", "", *help_of(command, f"tps-portrait {name}")]
    pages.write("cli.md", "\n".join(lines))


def help_of(parser: argparse.ArgumentParser, prog: str) -> list[str]:
    """Help of one parser as a block of text."""
    parser.prog = prog
    if hasattr(parser, "color"):
        parser.color = False
    return ["```text", parser.format_help().rstrip(), "```", ""]


# --- styles and benchmarks ---------------------------------------------------------------------


def styles(pages: Pages) -> None:
    """Write a page for each bundled style from its card."""
    from tps_portrait.hub.styles import bundled_styles

    for name in bundled_styles():
        pages.write(f"styles/{name}.md", adopt(ROOT / "model_cards" / f"{name}.md", "styles"))
    text = (
        "# Bundled styles\n\nThe cards of the styles that come with the package: what they were "
        "trained on, how, and where they fail.\n\n" + toctree(bundled_styles())
    )
    pages.write("styles/index.md", text)


def benchmarks(pages: Pages) -> None:
    """Write a page for each report in benchmarks/, from the report itself."""
    reports = sorted((ROOT / "benchmarks").rglob("*.md"), key=lambda p: (p.name != "README.md", p))
    names = []
    for report in reports:
        name = "overview" if report.name == "README.md" else report.stem
        pages.write(f"benchmarks/{name}.md", adopt(report, "benchmarks"))
        names.append(name)
    text = (
        "# Benchmarks\n\nThese pages are the reports in `benchmarks/`, taken over when the site is "
        "built. Each is made of result files beside it, and names commands and machine.\n\n"
        + toctree(names, depth=2)
    )
    pages.write("benchmarks/index.md", text)


def examples(pages: Pages) -> None:
    """Write the pages about the examples from those that lie beside them."""
    names = []
    for source, target in ADOPTED.items():
        if target.startswith("examples/"):
            pages.write(target, adopt(ROOT / source, "examples"))
            names.append(Path(target).stem)
    text = "# Examples\n\nThe pages that lie beside the examples in the repository.\n\n" + toctree(
        names
    )
    pages.write("examples/index.md", text)


def generate(app: Sphinx) -> None:
    """Write all pages."""
    pages = Pages()
    for make in (reference, command_line, styles, benchmarks, examples):
        make(pages)
    pages.sweep()


def relink_cards(app: Sphinx, docname: str, source: list[str]) -> None:
    """Let links to the cards, which lie outside of docs/, lead to their pages of the site."""
    source[0] = re.sub(r"\(\.\./model_cards/(\w+)\.md\)", r"(_generated/styles/\1.md)", source[0])


def escape_bars(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Let |x| in a docstring be a norm: reStructuredText would look for a substitution."""
    for index, line in enumerate(lines):
        parts = line.split("`")
        parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
        lines[index] = "`".join(parts)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("builder-inited", generate, priority=100)
    app.connect("source-read", relink_cards)
    app.connect("autodoc-process-docstring", escape_bars, priority=100)
    return {"parallel_read_safe": True}
