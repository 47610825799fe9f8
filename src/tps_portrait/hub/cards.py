"""The README.md of a style: what is known about it in, Markdown out."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import yaml

from .pins import METADATA_KEY
from .styles import LIBRARY_NAME

_PACKAGES = ("tps-portrait", "torch", "transformers", "diffusers", "accelerate", "kornia")

_HEAD = """---
{metadata}
---

# {style}

{description}A portrait style for the Python library tps_portrait: a photo in, a drawn \
portrait out, by one pass of a network with {parameters:,} parameters.

```python
from tps_portrait import TPSPortraitPipeline

pipe = TPSPortraitPipeline.from_pretrained({location!r})
pipe("photo.jpg").images[0].save("portrait.png")
```
"""

_TRAINING = """
## Training data

| domain | pictures | from |
| --- | --- | --- |
{data}

{credits}

## Training

| | |
| --- | --- |
{training}

Losses at the end of training (unweighted; 0 weight means switched off):

| loss | value |
| --- | --- |
{losses}

Weights: {weights}.

Versions: {versions}.

## Limits

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

## Consent

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


@dataclass(frozen=True)
class Collection:
    """A set of pictures that a style was trained on.

    Attributes:
        source: folder, or id of a dataset on the Hub.
        count: pictures used.
        hosted: `source` is an id on the Hub.
    """

    source: str
    count: int
    hosted: bool = False


@dataclass(frozen=True)
class Metric:
    """A measured result of a style.

    Attributes:
        type: what was measured, such as `fid` or `landmark-error`.
        value: the result.
        dataset: the pictures it was measured on.
        name: how it is shown; `type` by default.
    """

    type: str
    value: float
    dataset: str
    name: str | None = None


@dataclass(frozen=True)
class StyleFacts:
    """What a card tells about a style.

    Attributes:
        style: its name.
        license: its licence, an identifier of the Hub such as `apache-2.0`.
        examples: the style pictures.
        photos: the photos.
        steps: optimiser steps.
        resolution: side of the training pictures in pixels.
        batch_size: photos per optimiser step.
        seed: seed of the run.
        precision: `no`, `fp16` or `bf16`.
        hardware: see `hardware_name`.
        seconds: time spent in training.
        parameters: number of parameters of the generator.
        losses: last logged value of each loss.
        weights: weight of each loss.
        credits: origins and licences of the pictures.
        hub_id: repository of the style, if it has one.
        versions: versions of the packages; the installed ones by default.
        description: one sentence about the style.
        metrics: measured results, for the Hub's table.
    """

    style: str
    license: str
    examples: Sequence[Collection]
    photos: Sequence[Collection]
    steps: int
    resolution: int
    batch_size: int
    seed: int
    precision: str
    hardware: str
    seconds: float
    parameters: int
    losses: Mapping[str, float]
    weights: Mapping[str, float]
    credits: Sequence[str] = ()
    hub_id: str | None = None
    versions: Mapping[str, str] = field(default_factory=lambda: package_versions())
    description: str = ""
    metrics: Sequence[Metric] = ()


def render_style_card(facts: StyleFacts) -> str:
    """Write the README.md of a style.

    Args:
        facts: what to tell.

    Returns:
        Markdown with the YAML header that the Hub reads.
    """
    collections = [*facts.examples, *facts.photos]
    metadata: dict[str, Any] = {
        "license": facts.license,
        "library_name": LIBRARY_NAME,
        "pipeline_tag": "image-to-image",
        "tags": style_tags(facts.style),
    }
    if hosted := [item.source for item in collections if item.hosted]:
        metadata["datasets"] = hosted
    if facts.metrics:
        metadata["model-index"] = model_index(facts.style, facts.metrics)
    if facts.description:
        metadata[METADATA_KEY] = {"description": facts.description}
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
    return (_HEAD + _TRAINING + _TAIL).format(
        metadata=_yaml(metadata),
        description=_paragraph(facts.description),
        style=facts.style,
        parameters=facts.parameters,
        location=facts.hub_id or facts.style,
        data="\n".join(f"| {kind} | {c.count} | {_shown(c)} |" for kind, c in domains),
        credits=f"Origins:\n\n{credits}" if credits else "The sets name no origins or licences.",
        training="\n".join(f"| {key} | {value} |" for key, value in training.items()),
        losses="\n".join(f"| {key} | {value:.4f} |" for key, value in facts.losses.items()),
        weights=", ".join(f"{key} {value:g}" for key, value in facts.weights.items()),
        versions=", ".join(f"{key} {value}" for key, value in facts.versions.items()),
        example_count=sum(item.count for item in facts.examples),
        photo_count=sum(item.count for item in facts.photos),
        resolution=facts.resolution,
        license=facts.license,
    )


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
    metadata = {
        "license": license,
        "library_name": LIBRARY_NAME,
        "pipeline_tag": "image-to-image",
        "tags": style_tags(style),
    }
    shares = " and ".join(f"{name} ({share:g})" for name, share in (mix or {}).items())
    return (_HEAD + _UNKNOWN + _TAIL).format(
        metadata=_yaml(metadata),
        style=style,
        description=_paragraph(description),
        parameters=parameters,
        location=location,
        origin=f"; its weights are an average of {shares}" if shares else "",
        resolution=resolution,
        license=license,
    )


def style_tags(style: str) -> list[str]:
    """Tags of a style on the Hub.

    Args:
        style: its name.
    """
    return [LIBRARY_NAME, "portrait-stylization", "few-shot", f"style:{style}"]


def model_index(style: str, metrics: Sequence[Metric]) -> list[dict[str, Any]]:
    """Write results in the form of the Hub's `model-index`.

    Args:
        style: name of the style.
        metrics: the results.
    """
    results = []
    for dataset in dict.fromkeys(metric.dataset for metric in metrics):
        entries = [
            {"type": m.type, "value": m.value, "name": m.name or m.type}
            for m in metrics
            if m.dataset == dataset
        ]
        results.append(
            {
                "task": {"type": "image-to-image", "name": "Portrait stylization"},
                "dataset": {"type": dataset, "name": dataset},
                "metrics": entries,
            }
        )
    return [{"name": style, "results": results}]


def _yaml(metadata: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump(dict(metadata), sort_keys=False, allow_unicode=True, width=1000)
    return text.rstrip()


def _paragraph(text: str) -> str:
    return f"{text}\n\n" if text else ""


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that a training depends on, as far as installed."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def hardware_name(device: torch.device, processes: int = 1) -> str:
    """Name the machine of a training.

    Args:
        device: where it runs.
        processes: how many train together.

    Returns:
        Such as `2 x NVIDIA H100`, or `AMD EPYC 7B13, 8 threads`.
    """
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        return f"{processes} x {name}" if processes > 1 else name
    threads = torch.get_num_threads() * processes
    return f"{_cpu_name()}, {threads} thread{'s' if threads > 1 else ''}"


def format_duration(seconds: float) -> str:
    """Write a time as `2 h 5 min`, `12 min` or `40 s`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _shown(collection: Collection) -> str:
    """A link for the Hub, the last name of a folder: full paths tell about a machine, not a set."""
    if collection.hosted:
        return f"[{collection.source}](https://huggingface.co/datasets/{collection.source})"
    return f"`{Path(collection.source).name or collection.source}`"
