"""The README.md of a style: what is known about it in, Markdown out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import OutputError
from .facts import Collection, StyleFacts, read_facts, write_facts
from .machine import format_duration, hardware_name, package_versions
from .metrics import Metric, model_index
from .pins import METADATA_KEY, join_card
from .results import groups_table, results_section
from .styles import LIBRARY_NAME, README

__all__ = [
    "SAMPLES",
    "Collection",
    "Metric",
    "StyleFacts",
    "format_duration",
    "hardware_name",
    "model_index",
    "package_versions",
    "render_brief_card",
    "render_style_card",
    "style_tags",
    "update_card",
    "write_card",
]

SAMPLES = "samples"
"""Folder of a style with its pictures of photo and drawing."""

_HEAD = """# {style}

{description}A portrait style for the Python library tps_portrait: a photo in, a drawn \
portrait out, by one pass of a network with {parameters:,} parameters.

```python
from tps_portrait import TPSPortraitPipeline

pipe = TPSPortraitPipeline.from_pretrained({location!r})
pipe("me.jpg").images[0].save("portrait.png")
```
"""

_TRAINING = """
## Training data

| domain | pictures | from |
| --- | --- | --- |
{data}

{credits}
{held_out}
## Training

| | |
| --- | --- |
{training}

Losses at the end of training (unweighted; 0 weight means switched off):

| loss | value |
| --- | --- |
{losses}

Weights: {weights}.
{options}
Versions: {versions}.
"""

_USE = """
## Intended use

{intended_use}Portraits of people who agreed: avatars, gifts, illustration, film, live video. Not \
for telling who somebody is or what somebody is like, and not to deceive.
"""

_LIMITS = """
- It draws what {example_count} examples and {photo_count} photos could teach. Faces, ages, skin \
tones, light, glasses, headwear and poses that neither set shows are drawn worse; look at the \
results for the people you care about before you rely on them.
- It was trained on upright face crops of {resolution} x {resolution} pixels. The pipeline cuts \
such crops by itself; hands, text and backgrounds are drawn without special care.
"""

_UNKNOWN = """
## Limits

- Its author has not told what it was trained on{origin}. Look at the results for the people you \
care about before you rely on them.
- The pipeline draws faces on upright crops of {resolution} x {resolution} pixels; hands, text and \
backgrounds are drawn without special care.
"""

_TAIL = """- A drawing keeps the person recognisable: it does not anonymise anyone.

## Consent and misuse

Draw people who agreed to it. Do not use the portraits to mock, harass or impersonate anyone, or \
to pass a drawing off as the work of an artist. The style's licence is `{license}`; the pictures \
that you draw stay subject to the rights in their photos.

## Citation

The method:

```bibtex
@article{{wang2025realtime,
  title   = {{Real-Time Data-Efficient Portrait Stylization via Geometric Alignment}},
  author  = {{Wang, Xinrui and Li, Zhuoru and Yin, Xuanyu and Zhou, Xiao and Iwasawa, Yusuke and
             Matsuo, Yutaka and Guo, Jiaxian}},
  journal = {{Neural Networks}},
  volume  = {{191}},
  pages   = {{107774}},
  year    = {{2025}},
  doi     = {{10.1016/j.neunet.2025.107774}},
  note    = {{arXiv:2211.15549}}
}}
```

tps_portrait is an independent implementation of it.
"""


def render_style_card(facts: StyleFacts, *, pictures: str | None = SAMPLES) -> str:
    """Write the README.md of a style.

    Args:
        facts: what to tell.
        pictures: where the samples lie, seen from the card; `None` leaves them out.

    Returns:
        Markdown with the YAML header that the Hub reads.
    """
    collections = [*facts.examples, *facts.photos]
    metadata = style_metadata(facts.style, facts.license)
    if hosted := [item.source for item in collections if item.hosted]:
        metadata["datasets"] = hosted
    if measured := _all_metrics(facts):
        metadata["model-index"] = model_index(facts.style, measured)
    if facts.description:
        metadata[METADATA_KEY] = {"description": facts.description}
    head = _HEAD.format(
        description=_paragraph(facts.description),
        style=facts.style,
        parameters=facts.parameters,
        location=facts.hub_id or facts.style,
    )
    parts = [
        head,
        _samples(facts, pictures),
        _training(facts),
        _section("How these weights came about", facts.history, numbered=True),
        results_section(facts),
        _USE.format(intended_use=_paragraph(facts.intended_use)),
        _section("Where it fails", facts.failures),
        _limits(facts),
        _TAIL.format(license=facts.license),
    ]
    return join_card(metadata, "".join(parts))


def write_card(folder: Path, facts: StyleFacts) -> None:
    """Write `facts.json` and the card made of it into the folder of a style.

    Args:
        folder: of the style; the samples of the card are those that lie in it.
        facts: what is known.

    Raises:
        OutputError: the files cannot be written.
    """
    write_facts(folder, facts)
    here = all((folder / SAMPLES / sample.file).is_file() for sample in facts.samples)
    text = render_style_card(facts, pictures=SAMPLES if here else None)
    try:
        (folder / README).write_text(text, "utf-8")
    except OSError as error:
        raise OutputError(f"Cannot write the card in {folder}: {error}.") from error


def update_card(folder: Path, report: Mapping[str, Any], held_out: str = "") -> StyleFacts:
    """Add an evaluation to the facts and the card of a style.

    Args:
        folder: of the style, with its `facts.json`.
        report: what `tps_portrait.evaluation` writes as `metrics.json`.
        held_out: how the photos relate to those of the training.

    Returns:
        The new facts.

    Raises:
        ModelFileError: the facts or the report are damaged.
        OutputError: there are no facts, or the folder cannot be written.
    """
    facts = read_facts(folder)
    if facts is None:
        raise OutputError(
            f"{folder} has no facts.json, so its card cannot be made anew. Styles that "
            "examples/train.py wrote have one."
        )
    facts = facts.with_report(report, held_out)
    write_card(folder, facts)
    return facts


def _all_metrics(facts: StyleFacts) -> list[Metric]:
    return [*facts.metrics, *(m for found in facts.measurements for m in found.metrics)]


def _samples(facts: StyleFacts, pictures: str | None) -> str:
    if pictures is None or not facts.samples:
        return ""
    shown = "\n\n".join(
        f"![{sample.caption}: photo and drawing]({pictures}/{sample.file})\n\n*{sample.caption}*"
        for sample in facts.samples
    )
    return f"\n## Before and after\n\n{shown}\n"


def _training(facts: StyleFacts) -> str:
    domains = [("style", item) for item in facts.examples]
    domains += [("photos", item) for item in facts.photos]
    training = {
        "Steps": f"{facts.steps:,}",
        "Resolution": f"{facts.resolution} x {facts.resolution}",
        "Photos per step": facts.batch_size,
        "Seed": facts.seed,
        "Mixed precision": facts.precision,
        "Hardware": facts.hardware,
        "Time": format_duration(facts.seconds),
    }
    credits = "\n".join(f"- {line}" for line in facts.credits)
    options = ", ".join(f"`{key}` {_plain(value)}" for key, value in facts.options.items())
    return _TRAINING.format(
        data="\n".join(f"| {kind} | {c.count} | {_shown(c)} |" for kind, c in domains),
        credits=f"Origins:\n\n{credits}" if credits else "The sets name no origins or licences.",
        held_out=f"\nHeld out: {facts.held_out}\n" if facts.held_out else "",
        training="\n".join(f"| {key} | {value} |" for key, value in training.items()),
        losses="\n".join(f"| {key} | {value:.4f} |" for key, value in facts.losses.items()),
        weights=", ".join(f"{key} {value:g}" for key, value in facts.weights.items()),
        options=f"\nOther options that differ from the defaults: {options}.\n" if options else "",
        versions=", ".join(f"{key} {value}" for key, value in facts.versions.items()),
    )


def _limits(facts: StyleFacts) -> str:
    text = _LIMITS.format(
        example_count=sum(item.count for item in facts.examples),
        photo_count=sum(item.count for item in facts.photos),
        resolution=facts.resolution,
    )
    return f"\n## Limits\n\n{groups_table(facts)}{text}"


def _section(title: str, lines: Sequence[str], *, numbered: bool = False) -> str:
    marks = [f"{index}." if numbered else "-" for index in range(1, len(lines) + 1)]
    text = "\n".join(f"{mark} {line}" for mark, line in zip(marks, lines, strict=True))
    return f"\n## {title}\n\n{text}\n" if lines else ""


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def render_brief_card(
    style: str,
    license: str,
    *,
    parameters: int,
    resolution: int,
    location: str,
    description: str = "",
    mix: Mapping[str, float] | None = None,
) -> str:
    """Write the README.md of a style whose training is not known.

    Args:
        style: its name.
        license: its licence, an identifier of the Hub.
        parameters: number of parameters of the generator.
        resolution: side in pixels at which faces are drawn.
        location: what the style is loaded by.
        description: one sentence about the style.
        mix: the styles whose weights were averaged into it, with their shares.

    Returns:
        Markdown with the YAML header that the Hub reads.
    """
    shares = " and ".join(f"{name} ({share:g})" for name, share in (mix or {}).items())
    body = (_HEAD + _UNKNOWN + _TAIL).format(
        style=style,
        description=_paragraph(description),
        parameters=parameters,
        location=location,
        origin=f"; its weights are an average of {shares}" if shares else "",
        resolution=resolution,
        license=license,
    )
    return join_card(style_metadata(style, license), body)


def style_metadata(style: str, license: str) -> dict[str, Any]:
    """Metadata that the card of every style has.

    Args:
        style: its name.
        license: its licence, an identifier of the Hub.
    """
    return {
        "license": license,
        "library_name": LIBRARY_NAME,
        "pipeline_tag": "image-to-image",
        "tags": style_tags(style),
    }


def style_tags(style: str) -> list[str]:
    """Tags of a style on the Hub.

    Args:
        style: its name.
    """
    return [LIBRARY_NAME, "portrait-stylization", "few-shot", f"style:{style}"]


def _paragraph(text: str) -> str:
    return f"{text}\n\n" if text else ""


def _shown(collection: Collection) -> str:
    """A link for the Hub, the last name of a folder: full paths tell about a machine, not a set."""
    if collection.hosted:
        return f"[{collection.source}](https://huggingface.co/datasets/{collection.source})"
    return f"`{Path(collection.source).name or collection.source}`"
