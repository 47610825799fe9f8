"""Tables, verdicts, pictures and the plot of `ablation.py`, all from what its runs left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from result_pages import replace_marked, table

Record = dict[str, Any]

METRICS: dict[str, tuple[str, float, bool]] = {
    "kid_mobilenet_v2": ("KID (MobileNetV2), x 1000 ↓", 1000, False),
    "identity_cosine_sface": ("identity cosine ↑", 1, True),
    "landmark_error": ("landmark error, % ↓", 1, False),
    "face_found": ("faces found ↑", 1, True),
    "motion_error": ("motion error, of 255 ↓", 1, False),
    "feature_distance_mobilenet_v2": ("distance to the right drawing ↓", 1, False),
    "ssim": ("SSIM to the right drawing ↑", 1, True),
}
"""Of the tables: title, factor, and whether more is better."""
TITLES = {
    "full": "full method",
    "no_alignment": "no alignment of any kind",
    "no_pixel_alignment": "no pixel alignment",
    "no_feature_alignment": "no feature alignment",
    "no_local_alignment": "no local alignment",
    "no_cycle": "no cycle",
    "no_invariance": "no deformation invariance",
    "cyclegan_type": "CycleGAN-type",
    "cut_type": "CUT-type",
    "animegan_type": "AnimeGAN-type",
    "texture": "texture and noise",
    "texture_no_alignment": "texture and noise, no alignment",
}
ALIGNED_OR_NOT = {
    "efficiency": ("full", "no_alignment"),
    "texture": ("texture", "texture_no_alignment"),
}
"""Variants with and without alignment, by the claims that are tested with fewer examples, too."""
_TEXTURE = (
    "With noise in the generator and the texture term (`--noise_channels 4 --texture_weight 6`), "
    "which are not in the paper and made the painted styles: strokes are compared with those of "
    "the example, window by window, aligned or not."
)
NOT_SHOWN = "not shown"
BEGIN, END = "<!-- written by benchmarks/ablation.py -->", "<!-- end of the claims -->"


def stem(settings: Record) -> str:
    """Of the files of a report; runs from nothing in fp32 have one of their own, or a name."""
    if not settings.get("from_nothing"):
        return "ablation"
    return "_".join(["ablation_from_nothing", *_ending(settings)])


def _ending(settings: Record) -> list[str]:
    """What tells reports from nothing apart, if anything does."""
    end = settings.get("name") or ("fp32" if settings["mixed_precision"] == "no" else "")
    return [end] if end else []


def value(run: Record, metric: str) -> float | None:
    """A metric of a run, if it was measured; what shows no face does not move either."""
    found = run.get("metrics", {}).get(metric)
    if metric == "motion_error" and broke_down(run):
        return None
    return None if found is None else float(found["value"])


def broke_down(run: Record) -> bool:
    """Whether no drawing of a run shows a face that is found."""
    return value(run, "face_found") == 0


def pick(runs: Iterable[Record], **wanted: Any) -> list[Record]:
    """The finished runs with these properties."""
    return [
        run
        for run in runs
        if "metrics" in run and all(run[key] == want for key, want in wanted.items())
    ]


def cell(runs: Sequence[Record], metric: str) -> str:
    """The mean over runs, with the lowest and the highest where there are several."""
    _, factor, _ = METRICS[metric]
    values = [factor * found for run in runs if (found := value(run, metric)) is not None]
    if not values:
        return "-"

    def shown(number: float) -> str:
        return f"{number:.{3 if abs(number) < 2 else 2 if abs(number) < 10 else 1}f}"

    mean = shown(sum(values) / len(values))
    return mean if len(values) == 1 else f"{mean} ({shown(min(values))} to {shown(max(values))})"


def wins(runs: Sequence[Record], metric: str, first: Record, second: Record) -> tuple[int, int]:
    """In how many pairs of one style and seed `first` is at least as good as `second`."""
    higher = METRICS[metric][2]
    won = pairs = 0
    for left in pick(runs, **first):
        for right in pick(runs, **second, style=left["style"], seed=left["seed"]):
            a, b = value(left, metric), value(right, metric)
            if a is None or b is None:
                continue
            pairs += 1
            won += a >= b if higher else a <= b
    return won, pairs


def verdict(won: int, pairs: int) -> str:
    """What so many wins say: something only if there are two pairs at least, and they agree."""
    if pairs < 2 or 0 < won < pairs:
        return f"{NOT_SHOWN} ({won}/{pairs})"
    return f"yes ({won}/{pairs})" if won else f"**no** (0/{pairs})"


def compared(runs: Sequence[Record], first: str = "full") -> str:
    """The table of a claim: each style and variant, then in how many pairs the first one wins."""
    titles = [title for title, _, _ in METRICS.values()]
    rows = []
    for style in styles_of(runs):
        for variant, title in TITLES.items():
            found = pick(runs, style=style, variant=variant)
            if found:
                rows.append(
                    [words(style), title, str(len(found)), *(cell(found, m) for m in METRICS)]
                )
    parts = [table(["style", "variant", "runs", *titles], rows, words=2)]
    rows = []
    for variant, title in TITLES.items():
        if variant == first or not pick(runs, variant=variant):
            continue
        pair = {"variant": first}, {"variant": variant}
        rows.append([title, *(verdict(*wins(runs, metric, *pair)) for metric in METRICS)])
    if rows:
        parts += [
            f"Is the {'full method' if first == 'full' else 'aligned training'} at least as good "
            "as the variant, in every pair of runs?",
            table(["against", *titles], rows),
        ]
    return "\n\n".join(parts)


def efficiency(runs: Sequence[Record], claim: str = "efficiency") -> str:
    """The tables of data efficiency."""
    aligned, unaligned = ALIGNED_OR_NOT[claim]
    counts = sorted({run["examples"] for run in runs})
    names = " and ".join(words(style) for style in styles_of(runs))
    titles = [title for title, _, _ in METRICS.values()]
    rows = []
    for count in counts:
        for variant in (aligned, unaligned):
            found = pick(runs, examples=count, variant=variant)
            if found:
                cells = (cell(found, metric) for metric in METRICS)
                rows.append([f"{count}, {TITLES[variant]}", str(len(found)), *cells])
    parts = [f"Style: {names}.", table(["examples", "runs", *titles], rows)]
    rows = []
    for half, whole in pairwise(counts):
        pair = {"variant": aligned, "examples": half}, {"variant": unaligned, "examples": whole}
        if pick(runs, **pair[0]) and pick(runs, **pair[1]):
            cells = (verdict(*wins(runs, metric, *pair)) for metric in METRICS)
            rows.append([f"aligned, {half} and unaligned, {whole}", *cells])
    if rows:
        parts += [
            "Is aligned training with half the examples at least as good as unaligned training, "
            "in every pair of runs?",
            table(["", *titles], rows),
        ]
    return "\n\n".join(parts)


def render(record: Record) -> str:
    """The page, from `ablation.json` alone."""
    runs, settings = record["runs"], record["settings"]
    steps, side, batch = settings["steps"], settings["resolution"], settings["batch"]
    machines = "; ".join(sorted({_machine(run, settings) for run in runs}))
    seeds = ", ".join(str(seed) for seed in sorted({run["seed"] for run in runs}))
    failed = [
        f"{run['style']}, {run['variant']}: {run['failed']}" for run in runs if "failed" in run
    ]
    name, from_nothing = stem(settings), bool(settings.get("from_nothing"))
    title = "Ablation"
    if from_nothing:
        title = ", ".join(["Ablation from nothing", *map(words, _ending(settings))])
    lines = [
        f"# {title}",
        "<!-- Written by benchmarks/ablation.py; a test compares it with ablation.json. -->",
        "<!-- not run: trains for hours -->\n```bash\npython examples/data/photos/download.py\n"
        "python examples/data/photos/packages.py\npython benchmarks/ablation.py "
        f"{_command(record)}\n```",
        f"**Short: {steps} adversarial steps at {side} px, batch {batch}.** {_beginning(settings)}",
        f"Seeds: {seeds}. Machine: {machines}. Measured on {settings['held_out_photos']} portraits "
        "that none of the networks saw in any training, and against "
        f"{settings['held_out_examples']} held-out drawings of the style. "
        "Where a number has a range, it is the mean over runs, with the lowest and the highest. "
        "KID, identity and landmarks pull in different directions: a network that changes "
        "nothing keeps identity and geometry best. "
        f"`{NOT_SHOWN}` in the verdicts: fewer than two pairs of runs, or pairs that disagree. "
        "[What the metrics are](../docs/evaluation.md).",
    ]
    if any("activation" not in run for run in runs):
        lines += [
            "These runs were made when the generator ended in a plain tanh, whose gradient is lost "
            "where a drawing is all white; today's leads back "
            "([why](../docs/concepts/losses.md#a-way-back-from-white)), and the command gives "
            "something else."
        ]
    for said in (_distances, _pairs):
        lines += [text for style in styles_of(runs) if (text := said(pick(runs, style=style)))]
    plot = f"{name}.png" if from_nothing else "../docs/assets/data_efficiency.png"
    lines += sections(runs, sheet=f"{name}.jpg", plot=plot)
    if broken := [run for run in runs if broke_down(run)]:
        told = [
            f"- {words(run['style'])}, {TITLES[run['variant']]}, {run['examples']} examples, seed "
            f"{run['seed']}: no face is found in any drawing. It counts in the tables, but for "
            "motion."
            for run in broken
        ]
        lines += ["## Runs that broke down", "\n".join(told)]
    if failed:
        lines += ["## Runs that diverged", "\n".join(f"- {line}" for line in failed)]
    return "\n\n".join(lines) + "\n"


def sections(runs: Sequence[Record], *, plot: str, sheet: str = "") -> list[str]:
    """The tables of each claim, with links to the pictures."""
    # Where the aligned runs had fewer, they are compared with those that had as many.
    most = max((run["examples"] for run in pick(runs, variant="full") or runs), default=0)
    textured = [run for run in runs if run["variant"] in ALIGNED_OR_NOT["texture"]]
    runs = [run for run in runs if run["variant"] not in ALIGNED_OR_NOT["texture"]]
    whole = [run for run in runs if run["examples"] == most]
    lines = []
    if any(run["variant"].startswith("no_") for run in whole):
        ours = [run for run in whole if not run["variant"].endswith("_type")]
        only = {run["variant"] for run in ours} <= set(ALIGNED_OR_NOT["efficiency"])
        title = "With and without alignment" if only else "Each part left out"
        if any(run["examples"] > most for run in runs):
            title += f", {most} examples"
        lines += [f"## {title}", compared(ours)]
    if fewer := with_fewer(runs):
        lines += ["## Data efficiency", efficiency(fewer), f"![Data efficiency]({plot})"]
    if found := [run for run in textured if run["examples"] == most]:
        lines += ["## With texture and noise", _TEXTURE, compared(found, "texture")]
        if fewer := with_fewer(textured, "texture"):
            lines += [efficiency(fewer, "texture")]
    if any(run["variant"].endswith("_type") for run in whole):
        other = [run for run in whole if run["variant"].endswith("_type")]
        lines += ["## Other methods", compared([*pick(whole, variant="full"), *other])]
    if sheet and lines:
        lines += ["## Drawings", f"![Portraits, drawn by the runs of one seed]({sheet})"]
    return lines


def with_fewer(runs: Sequence[Record], claim: str = "efficiency") -> list[Record]:
    """The runs, aligned and not, of styles that were trained with several numbers of examples."""
    pairs = [run for run in runs if run["variant"] in ALIGNED_OR_NOT[claim]]
    return [
        run
        for run in pairs
        if len({other["examples"] for other in pairs if other["style"] == run["style"]}) > 1
    ]


def gallery(page: str, record: Record) -> str:
    """`docs/styles.md` with its part about the claims anew."""
    lines = sections(record["runs"], plot="assets/data_efficiency.png")
    return replace_marked(page, BEGIN, END, "\n\n".join(lines).replace("## ", "### "))


def _machine(run: Record, settings: Record) -> str:
    """Where a run was trained, and in which arithmetic."""
    precision = run.get("precision", settings["mixed_precision"])
    return f"{run['machine']}, {'fp32' if precision == 'no' else precision}"


def _command(record: Record) -> str:
    """The options of the script that made the runs."""
    settings, runs = record["settings"], record["runs"]
    chosen = {key: settings[key] for key in ("resolution", "batch", "steps", "mixed_precision")}
    options = [f"--{key} {value}" for key, value in chosen.items()]
    if settings.get("from_nothing"):
        counts = sorted({run["examples"] for run in runs})
        options += [f"--from_nothing --warmup {settings['warmup']} --claims efficiency"]
        options += ["--counts", *map(str, counts), "--styles", *styles_of(runs)]
        seeds = sorted({run["seed"] for run in runs})
        options += ["--seeds", *map(str, seeds)] if seeds != [0, 1] else []
        options += [f"--name {settings['name']}"] if settings.get("name") else []
        options += [f"--work runs/{stem(settings)}"]
    return " ".join(options)


def _beginning(settings: Record) -> str:
    """Where the runs start from, and what that lets them say."""
    if settings.get("from_nothing"):
        return (
            f"All runs of a seed follow one warm-up of {settings['warmup']} steps, in which new "
            "networks learn to repeat photos: nothing here saw a face, a style or an alignment "
            "before. The losses are those of the paper (adversarial, cycle, deformation "
            "invariance) and the grid term, which knows of pixels only; nothing else holds the "
            "photo's content or colours. Only the variant's options differ. Small and short: "
            "sketches, not drawings that anyone would use."
        )
    short = (
        "These numbers say what the parts do in the first steps towards a new style, which are "
        "the ones that a user waits for, and nothing certain about longer trainings."
    )
    if settings["warmup"]:
        return (
            f"They follow a warm-up of {settings['warmup']} steps that all runs of a seed share, "
            f"in which the networks learn to repeat photos. {short}"
        )
    return (
        "Each run is a recipe of `benchmarks/recipes`, an earlier one of the bundled style, which "
        "starts from the networks of `animation`: generator, way back and discriminators, whose "
        "own training was aligned. The pattern and evenness terms, judging without colour and "
        "distance are left out, texture and noise too where they are not named. Only the "
        f"variant's options differ. {short}"
    )


def _distances(runs: Sequence[Record]) -> str:
    """How near to a style its photos and the best of its runs are, if that was measured."""
    kid = "kid_mobilenet_v2"
    known = [run["metrics"][kid].get("references", {}) for run in runs if kid in run["metrics"]]
    if not known or not {"photos", "halves of the examples"} <= known[0].keys():
        return ""
    photos, halves = known[0]["photos"], known[0]["halves of the examples"]
    best = min(found for run in runs if (found := value(run, kid)) is not None)
    text = (
        f"KID x 1000 to {words(runs[0]['style'])}: photos undrawn {1000 * photos:.1f}, one half "
        f"of the held-out drawings to the other {1000 * halves:.1f}, the best run {1000 * best:.1f}"
    )
    return text + (
        ": **no run is nearer to the style than the photos are.**" if best >= photos else "."
    )


def _pairs(runs: Sequence[Record]) -> str:
    """What the right drawing is, and how near the undrawn photos are to it."""
    found = []
    for metric in ("feature_distance_mobilenet_v2", "ssim"):
        known = [run for run in runs if value(run, metric) is not None]
        if not known:
            return ""
        photos = known[0]["metrics"][metric]["references"]["photos"]
        values = [value(run, metric) or 0.0 for run in known]
        best = max(values) if METRICS[metric][2] else min(values)
        found.append(f"{METRICS[metric][0][:-2]} {photos:.2f}, the best run {best:.2f}")
    return (
        f"The right drawing, {words(runs[0]['style'])}: the renderer of the examples makes a "
        "smoothly lit picture and a drawing of the same person, in register "
        "(`examples/data/render/pairs.py`); the networks draw the picture. Undrawn: "
        f"{'; '.join(found)}. Computer graphics are near to drawings from the start: compare runs "
        "with each other."
    )


def styles_of(runs: Iterable[Record]) -> list[str]:
    return sorted({run["style"] for run in runs})


def words(style: str) -> str:
    return style.replace("_", " ")


def order(run: Record) -> tuple[str, int, int, int]:
    return run["style"], list(TITLES).index(run["variant"]), -run["examples"], run["seed"]
