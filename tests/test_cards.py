"""The card of a style: valid metadata, every fact, and code that runs."""

from __future__ import annotations

import re

import pytest
import torch
from huggingface_hub import ModelCard

import tps_portrait
from tps_portrait.hub.cards import (
    Collection,
    StyleFacts,
    format_duration,
    hardware_name,
    package_versions,
    render_style_card,
)
from tps_portrait.hub.styles import LIBRARY_NAME


def facts(**changes: object) -> StyleFacts:
    values: dict[str, object] = {
        "style": "ink",
        "license": "cc-by-4.0",
        "examples": [Collection("owner/ink-faces", 98, hosted=True)],
        "photos": [Collection("/home/me/photos", 204), Collection("synthetic", 34)],
        "steps": 12000,
        "resolution": 384,
        "batch_size": 8,
        "seed": 17,
        "precision": "bf16",
        "hardware": "A Machine, 2 threads",
        "seconds": 7500.0,
        "parameters": 1_004_580,
        "losses": {"global": 0.25, "cycle": 0.125},
        "weights": {"global_adversarial": 1.0, "cycle": 2.0, "r1": 0.0},
        "credits": ["London set (CC BY 4.0)", "our renders (CC0-1.0)"],
        "versions": {"torch": "2.13.0", "diffusers": "0.42.1"},
    }
    return StyleFacts(**{**values, **changes})  # type: ignore[arg-type]


def test_metadata_is_what_the_hub_reads() -> None:
    data = ModelCard(render_style_card(facts())).data
    assert data.license == "cc-by-4.0"
    assert data.library_name == LIBRARY_NAME
    assert data.pipeline_tag == "image-to-image"
    assert data.datasets == ["owner/ink-faces"]
    assert {"style:ink", "portrait-stylization", "few-shot"} <= set(data.tags)


def test_folders_are_no_datasets() -> None:
    card = ModelCard(render_style_card(facts(examples=[Collection("/data/ink", 5)])))
    assert card.data.datasets is None
    assert "/home/me" not in card.content
    assert "| photos | 204 | `photos` |" in card.content
    assert "| style | 5 | `ink` |" in card.content


@pytest.mark.parametrize(
    "fact",
    [
        *("# ink", "12,000", "384 x 384", "| Seed | 17 |", "bf16", "A Machine, 2 threads"),
        *("2 h 5 min", "| global | 0.2500 |", "| cycle | 0.1250 |", "1,004,580", "torch 2.13.0"),
        *("global_adversarial 1, cycle 2, r1 0", "London set (CC BY 4.0)", "our renders"),
        *("98 examples and 238 photos", "2211.15549", "[owner/ink-faces](https://huggingface.co/"),
        *("## Limits", "## Consent", "`cc-by-4.0`"),
    ],
)
def test_facts_are_told(fact: str) -> None:
    assert fact in render_style_card(facts())


def test_nothing_is_left_of_the_template() -> None:
    text = render_style_card(facts(credits=()))
    assert not re.search(r"(?<!\{)\{[a-z_]+\}(?!\})", text.split("```bibtex")[0])
    assert "name no origins" in text
    assert "title   = {Real-Time" in text


@pytest.mark.parametrize(("hub_id", "expected"), [(None, "'ink'"), ("me/ink", "'me/ink'")])
def test_code_names_the_style(hub_id: str | None, expected: str) -> None:
    block = render_style_card(facts(hub_id=hub_id)).split("```python")[1].split("```")[0]
    compile(block, "card", "exec")
    assert f"from_pretrained({expected})" in block
    assert hasattr(tps_portrait.TPSPortraitPipeline, "from_pretrained")


def test_style_names_with_marks_stay_valid_yaml() -> None:
    card = ModelCard(render_style_card(facts(style="l'encre: n°1 {x}")))
    assert "style:l'encre: n°1 {x}" in card.data.tags


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "5 s"), (89.4, "89 s"), (600, "10 min"), (3600, "1 h 0 min"), (3570, "1 h 0 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_hardware_and_versions_of_this_machine() -> None:
    name = hardware_name(torch.device("cpu"), 2)
    assert name.endswith(f"{2 * torch.get_num_threads()} threads")
    assert not name.startswith(",")
    assert package_versions()["torch"] == torch.__version__
