"""The files that `ablation.py` leaves: the report, drawings side by side, and the plot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ablation_report import (
    METRICS,
    TITLES,
    Record,
    gallery,
    order,
    pick,
    render,
    stem,
    styles_of,
    value,
    with_fewer,
    words,
)


def sheet(work: Path, runs: Sequence[Record], target: Path, *, tile: int = 224) -> None:
    """The portraits that may be shown, drawn by each run of the first seed; styles across."""
    done = pick(runs, seed=min(run["seed"] for run in pick(runs)))
    styles = styles_of(done)
    rows = {_label(run): {} for run in sorted(done, key=lambda run: order(run)[1:])}
    for run in done:
        name = f"{run['style']}-{run['variant']}-{run['examples']}-s{run['seed']}.png"
        rows[_label(run)][run["style"]] = work / "results" / name
    cells = {"photo": dict.fromkeys(styles, work / "portraits.png"), **rows}
    with Image.open(work / "portraits.png") as photos:
        width = tile * photos.width // photos.height
    head = 30
    page = Image.new("RGB", (200 + width * len(styles), head + tile * len(cells)), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(15)
    for column, style in enumerate(styles):
        pen.text((204 + width * column, 6), words(style), fill="black", font=font)
    for row, (label, pictures) in enumerate(cells.items()):
        top = head + row * tile
        pen.multiline_text((8, top + tile // 2 - 18), label, fill="black", font=font)
        for style, path in pictures.items():
            with Image.open(path) as picture:
                small = picture.convert("RGB").resize((width, tile), Image.Resampling.LANCZOS)
            page.paste(small, (200 + width * styles.index(style), top))
    page.save(target, quality=88)


def curve(runs: Sequence[Record], target: Path, note: str) -> None:
    """Plot metrics over the number of examples, with and without alignment."""
    from matplotlib.figure import Figure

    shown = ("kid_mobilenet_v2", "identity_cosine_sface", "landmark_error")
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    pairs = with_fewer(pick(runs)) or pick(runs)
    counts = sorted({run["examples"] for run in pairs})
    for axes, metric in zip(figure.subplots(1, len(shown)), shown, strict=True):
        title, factor, _ = METRICS[metric]
        for variant, label, color in (
            ("full", "aligned", "#1b6ca8"),
            ("no_alignment", "not aligned", "#c8553d"),
        ):
            means: list[tuple[int, float]] = []
            for count in counts:
                found = pick(pairs, variant=variant, examples=count)
                values = [factor * v for run in found if (v := value(run, metric)) is not None]
                axes.plot([count] * len(values), values, "o", color=color, alpha=0.35, ms=4)
                if values:
                    means.append((count, sum(values) / len(values)))
            axes.plot(*zip(*means, strict=True), "-", color=color, label=label) if means else None
        axes.set_xscale("log", base=2)
        axes.set_xticks(counts, [str(count) for count in counts])
        axes.minorticks_off()
        axes.set_xlabel("examples")
        axes.set_title(
            title.replace("↓", "(less is better)").replace("↑", "(more is better)"), size=9
        )
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False)
    figure.suptitle(note, size=9, color="0.4")
    figure.savefig(target, dpi=110)


def write(work: Path, out: Path, plot: Path, page: Path) -> None:
    """Collect the results of a work folder and write everything about them.

    Args:
        work: where the runs are.
        out: folder of the report and its pictures.
        plot: file of the data-efficiency curve; of runs from nothing it goes to `out`.
        page: Markdown file with marks, between which the tables go, but those from nothing.
    """
    files = sorted((work / "results").glob("*.json"))
    runs = sorted((json.loads(file.read_text("utf-8")) for file in files), key=order)
    if not runs:
        raise SystemExit(f"No run in {work} is finished.")
    settings = json.loads((work / "settings.json").read_text("utf-8"))
    record, name = {"settings": settings, "runs": runs}, stem(settings)
    (out / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    (out / f"{name}.md").write_text(render(record), "utf-8")
    if settings.get("from_nothing"):
        plot = out / f"{name}.png"
    else:
        page.write_text(gallery(page.read_text("utf-8"), record), "utf-8")
    if pick(runs):
        sheet(work, runs, out / f"{name}.jpg")
        side, steps = settings["resolution"], settings["steps"]
        seeds = len({run["seed"] for run in runs})
        note = f"{side} px, {steps} steps; points: seeds, {seeds} at most; lines: their mean"
        if with_fewer(runs) or not settings.get("from_nothing"):
            curve(runs, plot, note)


def _label(run: Record) -> str:
    return f"{TITLES[run['variant']]}\n{run['examples']} examples"
