"""The report as a page with the pictures beside the numbers, and all files of an evaluation."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image
from torch import Tensor

from .._numbers import interval_text, number_text
from ..errors import OutputError
from .record import Evaluation
from .report import SHARES, Report

_CASES = 6  # worst and best of each metric
_BINS = 16

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem;
       color: #222; background: #fff; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .25rem .8rem .25rem 0; text-align: left; border-bottom: 1px solid #ddd;
         vertical-align: middle; }
.cases { display: grid; grid-template-columns: repeat(auto-fill, minmax(22rem, 1fr)); gap: 1rem; }
figure { margin: 0; } figure div { display: flex; gap: 2px; }
figure img { flex: 1; min-width: 0; width: 100%; }
figcaption { font-size: 12px; color: #555; overflow-wrap: anywhere; }
figcaption b { color: #222; } svg { vertical-align: middle; }
"""


def write_report(evaluation: Evaluation, folder: str | Path) -> dict[str, Path]:
    """Write metrics.json, metrics.md, and report.html with its pictures.

    Args:
        evaluation: what was measured.
        folder: where to; created when missing, files of the same names are replaced.

    Returns:
        The three files by suffix: `json`, `md` and `html`.

    Raises:
        OutputError: the folder cannot be written.
    """
    root = Path(folder)
    report = evaluation.report
    files = {"json": root / "metrics.json", "md": root / "metrics.md", "html": root / "report.html"}
    try:
        pictures = _write_pictures(evaluation, root / "pictures")
        files["json"].write_text(report.to_json(), encoding="utf-8")
        files["md"].write_text(report.to_markdown(), encoding="utf-8")
        files["html"].write_text(render_html(report, pictures), encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"Cannot write the report to {root}: {error}. Choose a folder that can be written."
        ) from error
    return files


def render_html(report: Report, pictures: Sequence[Sequence[str]]) -> str:
    """Write the page.

    Args:
        report: the numbers.
        pictures: addresses of photo, drawing and maybe truth, for each photo.

    Returns:
        HTML without scripts; nothing in it comes from elsewhere but the pictures.
    """
    title = f"Evaluation of {html.escape(report.name)}"
    overall = report.overall_ranking()
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>{title}</h1>",
        f"<p>{len(report.pictures)} photos of {html.escape(report.dataset)}. Intervals: 95 %. "
        "Each case: photo, drawing, and the right drawing where there is one.</p>",
        _table(report),
        *_notes("Left out", report.skipped),
        *_section("Worst first, all metrics together", overall[:_CASES], report, pictures),
        *_section("Best, all metrics together", overall[::-1][:_CASES], report, pictures),
    ]
    for name, metric in report.metrics.items():
        told = name.startswith("landmark_error_") or name in SHARES
        if name not in report.values or not metric.better or told:
            continue
        order = report.ranking(name)
        parts += _section(f"{name}: worst", order[:_CASES], report, pictures, name)
        parts += _section(f"{name}: best", order[::-1][:_CASES], report, pictures, name)
    parts += _section("All, worst first", overall, report, pictures)
    parts += _notes("How it was measured", report.settings)
    return "\n".join([*parts, "</body></html>"]) + "\n"


def _table(report: Report) -> str:
    heads = (
        "metric",
        "value",
        "interval",
        "5 to 95 % of pictures",
        "pictures",
        "for comparison",
        "",
    )
    rows = ["<tr>" + "".join(f"<th>{head}</th>" for head in heads) + "</tr>"]
    for name, row in zip(report.metrics, report.rows(), strict=True):
        cells = [html.escape(cell.replace("`", "")) for cell in row]
        cells.append(_histogram([v for v in report.values.get(name, ()) if v is not None]))
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return "<table>\n" + "\n".join(rows) + "\n</table>"


def _histogram(values: Sequence[float]) -> str:
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    counts = [0] * _BINS
    for value in values:
        counts[min(_BINS - 1, int((value - low) / ((high - low) or 1) * _BINS))] += 1
    bars = "".join(
        f'<rect x="{6 * i}" y="{24 - 24 * n / max(counts):.1f}" width="5" '
        f'height="{24 * n / max(counts):.1f}"/>'
        for i, n in enumerate(counts)
    )
    label = interval_text((low, high))
    return (
        f'<svg width="{6 * _BINS}" height="24" fill="#567" role="img"><title>{label}</title>'
        f"{bars}</svg>"
    )


def _notes(title: str, notes: Mapping[str, object]) -> list[str]:
    if not notes:
        return []
    lines = "".join(
        f"<li>{html.escape(key)}: {html.escape(str(value))}</li>" for key, value in notes.items()
    )
    return [f"<h2>{title}</h2><ul>{lines}</ul>"]


def _section(
    title: str,
    order: Sequence[int],
    report: Report,
    pictures: Sequence[Sequence[str]],
    chosen: str | None = None,
) -> list[str]:
    figures = []
    for index in order:
        names = [chosen] if chosen else [n for n in report.values if "landmark_error_" not in n]
        numbers = [
            f"{html.escape(name)} <b>{number_text(value)}</b>"
            for name in names
            if (value := report.values[name][index]) is not None
        ]
        shots = "".join(
            f'<img src="{html.escape(address)}" alt="" loading="lazy">'
            for address in pictures[index]
        )
        caption = ", ".join([html.escape(report.pictures[index]), *numbers])
        figures.append(f"<figure><div>{shots}</div><figcaption>{caption}</figcaption></figure>")
    return [f"<h2>{html.escape(title)}</h2>", '<div class="cases">', *figures, "</div>"]


def _write_pictures(evaluation: Evaluation, folder: Path) -> list[list[str]]:
    folder.mkdir(parents=True, exist_ok=True)
    addresses = []
    for index, (photo, drawing) in enumerate(
        zip(evaluation.photos.images, evaluation.drawings, strict=True)
    ):
        shots = {"photo": photo, "drawing": drawing}
        if index in evaluation.truth:
            shots["truth"] = evaluation.truth[index]
        # Numbers and not the names of the files, which may be anything.
        names = {kind: f"{index:04d}-{kind}.jpg" for kind in shots}
        for kind, name in names.items():
            _picture(shots[kind]).save(folder / name, quality=90)
        addresses.append([f"{folder.name}/{name}" for name in names.values()])
    return addresses


def _picture(pixels: Tensor) -> Image.Image:
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
