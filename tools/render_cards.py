"""Write the cards of the bundled styles anew from the facts in their folders.

    python tools/render_cards.py             # all of them
    python tools/render_cards.py --check     # say what is out of date, change nothing
    python tools/render_cards.py --style animation --metrics out/animation/metrics.json

From `src/tps_portrait/styles/<style>/facts.json` come `README.md` beside it, which travels in the
wheel and has no pictures, `model_cards/<style>.md` with those of docs/assets/styles/<style>/, and
the styles' part of docs/styles.md. Edit the facts, never the cards.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from page_parts import replace_marked
from tps_portrait import ConfigError, TPSPortraitError
from tps_portrait.hub.cards import render_style_card, update_card
from tps_portrait.hub.facts import StyleFacts, read_facts
from tps_portrait.hub.styles import BUNDLED_FOLDER, README, bundled_styles

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "styles.md"
SHOWN = (
    "landmark_error",
    "identity_cosine_sface",
    "identity_lost_sface",
    "face_found",
    "motion_error",
)
BEGIN, END = "<!-- written by tools/render_cards.py -->", "<!-- up to here -->"


def facts_of(style: str) -> StyleFacts:
    """Facts of a bundled style.

    Raises:
        ConfigError: it has none.
    """
    facts = read_facts(BUNDLED_FOLDER / style)
    if facts is None:
        raise ConfigError(f"The bundled style {style} has no facts.json; see bundle_style.py.")
    return facts


def cards(style: str, facts: StyleFacts) -> dict[Path, str]:
    """Both cards of a style, by file."""
    return {
        BUNDLED_FOLDER / style / README: render_style_card(facts, pictures=None),
        ROOT / "model_cards" / f"{style}.md": render_style_card(
            facts, pictures=f"../docs/assets/styles/{style}"
        ),
    }


def notes(style: str, facts: StyleFacts) -> str:
    """What docs/styles.md says of a style."""
    examples, photos = (sum(c.count for c in part) for part in (facts.examples, facts.photos))
    parts = [f"## {style.replace('_', ' ').capitalize()}", facts.description]
    parts += [
        f"![{sample.caption}: photo and drawing](assets/styles/{style}/{sample.file})"
        for sample in facts.samples[:1]
    ]
    parts.append(
        f"{examples} examples, {photos} photos, {facts.steps:,} steps in the last training."
    )
    measured = []
    for found in facts.measurements:
        known = {metric.type: metric for metric in found.metrics}
        shown = [f"{known[m].name} {known[m].value:.3g}" for m in SHOWN if m in known]
        whose = f" ({found.held_out})" if found.held_out else ""
        measured.append(
            f"On {found.pictures} photos of `{found.dataset}`{whose}: {', '.join(shown)}."
        )
    parts.append(" ".join(measured))
    if facts.failures:
        parts.append("Worst cases:\n\n" + "\n".join(f"- {line}" for line in facts.failures))
    if (ROOT / "docs" / "assets" / f"curves_{style}.png").is_file():
        parts.append(f"![Losses of its training](assets/curves_{style}.png)")
    parts.append(
        f"Training, all numbers, limits: [the card of {style}](../model_cards/{style}.md)."
    )
    return "\n\n".join(filter(None, parts))


def page(facts: dict[str, StyleFacts]) -> str:
    """docs/styles.md with the styles' part anew.

    Raises:
        ConfigError: the marks around that part are gone.
    """
    middle = "\n\n".join(notes(style, found) for style, found in facts.items())
    return replace_marked(PAGE.read_text("utf-8"), BEGIN, END, middle)


def rendered() -> dict[Path, str]:
    """All files that are made of facts, with the text that they must have."""
    facts = {style: facts_of(style) for style in bundled_styles()}
    files = {path: text for style in facts for path, text in cards(style, facts[style]).items()}
    return {**files, PAGE: page(facts)}


def outdated() -> dict[Path, str]:
    """Files that differ from what the facts say, with the text that they must have."""
    return {
        path: text
        for path, text in rendered().items()
        if not path.is_file() or path.read_text("utf-8") != text
    }


def main(arguments: list[str] | None = None) -> None:
    """Render, or compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail where a card is out of date")
    parser.add_argument("--style", help="bundled style that --metrics are of")
    parser.add_argument("--metrics", type=Path, help="metrics.json of an evaluation")
    parser.add_argument("--held_out", default="", help="how its photos relate to the training's")
    args = parser.parse_args(arguments)
    if (args.metrics is None) != (args.style is None):
        parser.error("--style and --metrics belong together")
    if args.metrics is not None:
        report = json.loads(args.metrics.read_text("utf-8"))
        update_card(BUNDLED_FOLDER / args.style, report, args.held_out)
    late = outdated()
    for path in late:
        print(path.relative_to(ROOT))
    if args.check:
        sys.exit("error: out of date; run tools/render_cards.py" if late else 0)
    for path, text in late.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    try:
        main()
    except TPSPortraitError as error:
        sys.exit(f"error: {error}")
