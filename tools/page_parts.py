"""Parts of Markdown pages that scripts write: tables, and the text between two marks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tps_portrait import ConfigError


def table(head: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """A Markdown table, its first columns of words."""
    rule = ["---"] * words + ["---:"] * (len(head) - words)
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


def replace_marked(page: str, begin: str, end: str, text: str) -> str:
    """A page with another text between two marks, which stay.

    Args:
        page: the whole page.
        begin: mark that is there once.
        end: mark that comes after it; other parts may end with the same one.
        text: what shall stand between them.

    Raises:
        ConfigError: a mark is missing, or it is not clear which one is meant.
    """
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed or begin in rest:
        raise ConfigError(f"The page must hold the lines {begin}, once, and {end} after it.")
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"
