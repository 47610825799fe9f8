"""The parts of a card that show what was measured, and what was not."""

from __future__ import annotations

from collections.abc import Sequence

from .._numbers import ARROWS, interval_text, number_text
from .facts import ASPECTS, Group, Measurement, StyleFacts
from .metrics import Metric

_UNMEASURED = "not measured"
_ENOUGH = 5  # pictures of a group that is compared with others


def results_section(facts: StyleFacts) -> str:
    """All metrics, with their intervals and the commands that repeat them.

    Args:
        facts: of the style.

    Returns:
        Markdown, with its heading.
    """
    parts = [_measurement(found) for found in facts.measurements]
    for dataset in dict.fromkeys(metric.dataset for metric in facts.metrics):
        rows = [metric for metric in facts.metrics if metric.dataset == dataset]
        parts.append(f"On `{dataset}`:\n\n{_table(rows)}")
    if not parts:
        parts = [
            "Not measured. `examples/evaluate.py` with `--update_card` measures a style and adds "
            "the numbers here."
        ]
    else:
        parts.insert(
            0,
            "Intervals cover 95 %; arrows point to the better side. A number of MobileNetV2 is no "
            "FID and no LPIPS. docs/evaluation.md of tps_portrait says what each metric is.",
        )
    return "\n## Results\n\n" + "\n\n".join(parts) + "\n"


def groups_table(facts: StyleFacts) -> str:
    """What was measured, and what was only seen, by skin tone, age, pose and accessories.

    Args:
        facts: of the style.

    Returns:
        Markdown: a table for each set with what it tells, and what was seen.
    """
    parts = []
    for found in facts.measurements or [Measurement("", 0)]:
        if len(facts.measurements) > 1:
            parts.append(f"On the {found.pictures} photos of `{found.dataset}`:")
        parts.append(_groups(found))
        if findings := _findings(found):
            parts.append(
                f"Best and worst groups of at least {_ENOUGH} of these photos, where their "
                "intervals are apart; groups of one kind differ in other things too:\n\n"
                + "\n".join(findings)
            )
    seen = [
        f"- {_begin(aspect)}, as seen, not measured: {text}"
        for aspect, text in facts.limits.items()
    ]
    return "\n\n".join([*parts, "\n".join(seen)] if seen else parts) + "\n"


def _groups(found: Measurement) -> str:
    names = list(dict.fromkeys(m.type for group in found.groups for m in group.metrics))
    titles = [_title(_first(name, found.groups)) for name in names]
    rows = []
    for aspect in dict.fromkeys([*ASPECTS, *(group.aspect for group in found.groups)]):
        groups = [group for group in found.groups if group.aspect == aspect]
        if not groups:
            rows.append([aspect, "", "", *[_UNMEASURED] * max(len(names), 1)])
        for group in groups:
            known = {metric.type: _value(metric) for metric in group.metrics}
            values = [known.get(name, _UNMEASURED) for name in names]
            rows.append([aspect, group.name, str(group.count), *values])
    head = ["by", "group", "pictures", *(titles or ["measured"])]
    return "\n".join(_lines(head, rows, numbers=2))


SIGNED = ("skin_lightness_change",)
"""Metrics that may go either way, of which the difference between groups is what counts."""


def _findings(found: Measurement) -> list[str]:
    """For each aspect with groups to compare, in which metrics both ends clearly differ."""
    lines = []
    for aspect in dict.fromkeys(group.aspect for group in found.groups):
        groups = [g for g in found.groups if g.aspect == aspect and g.count >= _ENOUGH]
        if len(groups) < 2:
            continue
        apart = []
        for name in dict.fromkeys(m.type for group in groups for m in group.metrics):
            pairs = [(m, group) for group in groups for m in group.metrics if m.type == name]
            pairs.sort(key=lambda pair: pair[0].value, reverse=pairs[0][0].better == "higher")
            (best, _), (worst, _) = ends = pairs[0], pairs[-1]
            if (best.better or name in SIGNED) and _apart(best.interval, worst.interval):
                values = [f"{number_text(m.value)} for {group.name}" for m, group in ends]
                apart.append(f"{best.name or name} {', '.join(values)}{_noise(name, ends)}")
        lines.append(f"- {_begin(aspect)}: {'; '.join(apart) or 'no clear difference'}.")
    return lines


def _noise(name: str, ends: Sequence[tuple[Metric, Group]]) -> str:
    """What the landmarker errs on the photos of two groups, without any drawing."""
    known = [m for _, group in ends for m in group.metrics if m.type == "landmark_noise"]
    if name != "landmark_error" or len(known) < len(ends):
        return ""
    return f" (noise of the landmarker: {', '.join(number_text(m.value) for m in known)})"


def _apart(first: tuple[float, float] | None, other: tuple[float, float] | None) -> bool:
    if first is None or other is None:
        return False
    return first[1] < other[0] or other[1] < first[0]


def _begin(text: str) -> str:
    return text[:1].upper() + text[1:]


def _measurement(found: Measurement) -> str:
    about = f"{found.pictures} photos of `{found.dataset}`"
    about += f"; {found.held_out}" if found.held_out else ""
    about += f". On {found.hardware}." if found.hardware else "."
    parts = [about]
    if found.command:
        why = "<!-- not run: needs photos and measures for minutes -->"
        parts.append(f"{why}\n```bash\n{found.command}\n```")
    parts.append(_table(found.metrics))
    if found.skipped:
        left = "\n".join(f"- `{name}`: {reason}" for name, reason in found.skipped.items())
        parts.append(f"Left out:\n\n{left}")
    return "\n\n".join(parts)


def _table(metrics: Sequence[Metric]) -> str:
    rows = [
        [
            _title(metric),
            number_text(metric.value) + (f" {metric.unit}" if metric.unit else ""),
            interval_text(metric.interval),
            str(metric.count or ""),
            "; ".join(f"{what}: {number_text(v)}" for what, v in metric.references.items()),
        ]
        for metric in metrics
    ]
    return "\n".join(
        _lines(["metric", "value", "interval", "pictures", "for comparison"], rows, numbers=3)
    )


def _lines(head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: int) -> list[str]:
    rule = ["---:" if index == numbers else "---" for index in range(len(head))]
    return [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]


def _first(name: str, groups: Sequence[Group]) -> Metric:
    return next(metric for group in groups for metric in group.metrics if metric.type == name)


def _title(metric: Metric) -> str:
    return f"{metric.name or metric.type}{ARROWS.get(metric.better, '')}"


def _value(metric: Metric) -> str:
    return number_text(metric.value) + (
        f" ({interval_text(metric.interval)})" if metric.interval else ""
    )
