"""Facts, the cards and pages made of them, and the tools that bundle and show styles."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import PartialState
from huggingface_hub import ModelCard
from PIL import Image

from conftest import load_script, tiny_pipeline
from hub_fixtures import OWNER, hub
from hub_server import HubServer
from test_cards import facts
from tps_portrait import ConfigError, ModelFileError, OutputError
from tps_portrait.evaluation.report import GroupResult, Report
from tps_portrait.evaluation.report import Metric as Measured
from tps_portrait.hub.cards import render_style_card, update_card, write_card
from tps_portrait.hub.facts import (
    Collection,
    Sample,
    StyleFacts,
    history_from,
    read_facts,
    write_facts,
)

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def assets() -> ModuleType:
    return load_script(ROOT / "docs/make_assets.py")


@pytest.fixture(scope="module")
def bundling() -> ModuleType:
    return load_script(ROOT / "tools/bundle_style.py")


@pytest.fixture(scope="module")
def rendering() -> ModuleType:
    load_script(ROOT / "tools/page_parts.py")
    return load_script(ROOT / "tools/render_cards.py")


def report() -> dict[str, Any]:
    """What an evaluation of three photos writes."""
    found = Report("ink", "people", ["a.jpg", "b.jpg", "c.jpg"])
    error = Measured(
        "landmark_error", 2.5, 3, "%", "lower", (2.0, 3.0), references={"mirrored photos": 1.0}
    )
    found.add(error)
    found.add(Measured("macs", 997_000_000, 0))
    dark = Measured("landmark_error", 3.5, 1, "%", "lower", (3.5, 3.5))
    found.groups = [GroupResult("skin tone", "dark", 1, {"landmark_error": dark})]
    found.skipped = {"kid_inception_v3": "not at hand", "pictures of people": "/home/me/x.jpg"}
    found.settings = {
        "command": "python examples/evaluate.py --photos /home/me/people --style 'my ink'",
        "hardware": "A Machine",
    }
    return json.loads(found.to_json())


# Facts


def test_facts_come_back_from_json(tmp_path: Path) -> None:
    full = facts(
        examples=(Collection("a", 3),),
        photos=(Collection("b", 4, hosted=True),),
        credits=("one", "two"),
        options={"anchor_luma": 0.2, "content_network": None, "cpu": True},
        history=("First.", "Then."),
        samples=(Sample("a.jpg", "A"),),
        failures=("Hats.",),
        limits={"age": "old skin"},
    ).with_report(report(), "strangers")
    write_facts(tmp_path, full)
    assert read_facts(tmp_path) == full
    assert StyleFacts.from_json(full.to_json()).to_json() == full.to_json()
    assert read_facts(tmp_path / "nowhere") is None
    with pytest.raises(OutputError, match="can be written"):
        write_facts(tmp_path / "nowhere", full)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"mood": "calm"}, "mood"),
        ({"history": "one line"}, "history must be a list"),
        ({"samples": [{"file": "a.jpg"}]}, "caption"),
        ({"examples": 5}, "facts.json cannot be read"),
    ],
)
def test_damaged_facts(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ModelFileError, match=why):
        StyleFacts.from_json(json.dumps({**asdict(facts()), **changes}))
    with pytest.raises(ModelFileError, match=r"facts\.json cannot be read"):
        StyleFacts.from_json("no json")


def test_a_new_evaluation_replaces_that_of_the_same_photos() -> None:
    once = facts().with_report(report())
    again = report()
    again["metrics"]["landmark_error"]["value"] = 1.5
    twice = once.with_report(again)
    assert [found.metrics[0].value for found in twice.measurements] == [1.5]
    other = {**report(), "dataset": "others"}
    assert [m.dataset for m in twice.with_report(other).measurements] == ["people", "others"]
    with pytest.raises(ModelFileError, match=r"not one of examples/evaluate\.py"):
        facts().with_report({"metrics": {}})


def test_history_names_the_start(tmp_path: Path) -> None:
    assert history_from(None) == ()
    tiny_pipeline().save_pretrained(tmp_path / "wash")
    assert "`wash`." in history_from(str(tmp_path / "wash"))[0]
    write_facts(tmp_path / "wash", facts())
    assert "`wash`, which had 12,000 steps" in history_from(str(tmp_path / "wash"))[0]
    assert "`me/ink`." in history_from("me/ink")[0]


# Cards


def test_card_of_a_measured_style() -> None:
    card = ModelCard(
        render_style_card(facts(failures=["Hats."]).with_report(report(), "strangers"))
    )
    for line in (
        "3 photos of `people`; strangers. On A Machine.",
        "python examples/evaluate.py --photos people --style 'my ink'",
        "| landmark error ↓ | 2.5 % | 2 to 3 | 3 | mirrored photos: 1 |",
        "| macs | 997,000,000 |  |  |  |",
        "- `kid_inception_v3`: not at hand",
        "| skin tone | dark | 1 | 3.5 (3.5 to 3.5) |",
        "| age |  |  | not measured |",
        "- Hats.",
    ):
        assert line in card.content
    assert "/home/me" not in card.content
    first, macs = card.data.eval_results
    assert (first.metric_type, first.metric_value, first.dataset_name) == (
        "landmark_error",
        2.5,
        "people",
    )
    assert first.metric_args == {"interval_95": [2.0, 3.0]}
    assert macs.metric_value == 997_000_000


def test_card_with_two_evaluations() -> None:
    """Each set has its table; groups are compared where they are large enough and differ."""
    second = report() | {"dataset": "strangers"}
    second["groups"] = [
        {
            "aspect": aspect,
            "name": name,
            "count": count,
            "metrics": {"landmark_error": error, "landmark_noise": {"value": value - 1}},
        }
        for aspect, name, count, value in (
            ("skin tone", "dark", 6, 2.0),
            ("skin tone", "light", 9, 2.5),
            ("pose", "frontal", 9, 2.0),
            ("pose", "profile", 5, 7.0),
            ("pose", "from behind", 4, 9.0),
        )
        for error in [
            {"value": value, "better": "lower", "interval_95": [value - 0.4, value + 0.4]}
        ]
    ]
    told = facts().with_report(report(), "known").with_report(second, "never seen")
    text = render_style_card(told)
    assert text.index("`people`; known.") < text.index("`strangers`; never seen.")
    limits = text[text.index("## Limits") :]
    assert "On the 3 photos of `people`:\n\n| by |" in limits
    assert "| pose | profile | 5 | 7 (6.6 to 7.4) | 6 |" in limits
    assert "- Skin tone: no clear difference." in limits
    assert (
        "- Pose: landmark error 2 for frontal, 7 for profile (noise of the landmarker: "
        "1, 6)." in limits
    )


def test_card_says_what_was_not_measured() -> None:
    text = render_style_card(facts(limits={"age": "old skin is smoothed."}))
    assert "## Results\n\nNot measured." in text
    for aspect in ("skin tone", "age", "pose", "accessories"):
        assert f"| {aspect} |  |  | not measured |" in text
    assert "- Age, as seen, not measured: old skin is smoothed." in text
    assert "## Where it fails" not in text
    assert "## How these weights came about" not in text


def test_update_card(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"has no facts\.json"):
        update_card(tmp_path, report())
    write_card(tmp_path, facts(samples=(Sample("me.jpg", "Me"),)))
    assert "samples/me.jpg" not in (tmp_path / "README.md").read_text()
    (tmp_path / "samples").mkdir()
    Image.new("RGB", (8, 4)).save(tmp_path / "samples" / "me.jpg")
    update_card(tmp_path, report())
    text = (tmp_path / "README.md").read_text()
    assert "](samples/me.jpg)" in text
    assert "landmark error" in text
    assert update_card(tmp_path, report()) == read_facts(tmp_path)
    assert (tmp_path / "README.md").read_text() == text


# Bundled styles


def test_cards_of_bundled_styles_are_those_of_their_facts(rendering: ModuleType) -> None:
    assert rendering.outdated() == {}


def test_every_bundled_style_has_a_card_with_pictures(rendering: ModuleType) -> None:
    for style in rendering.bundled_styles():
        told = rendering.facts_of(style)
        assert told.style == style
        assert told.description
        assert told.samples
        for sample in told.samples:
            assert Image.open(ROOT / "docs/assets/styles" / style / sample.file).width > 512
        page = (ROOT / "docs" / "styles.md").read_text("utf-8")
        assert f"](../model_cards/{style}.md)" in page


def test_rendering_notices_and_repairs(
    rendering: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("docs", "styles/ink"):
        (tmp_path / folder).mkdir(parents=True)
    page = tmp_path / "docs" / "styles.md"
    page.write_text(f"Above\n{rendering.BEGIN}\nold\n{rendering.END}\nBelow\n")
    monkeypatch.setattr(rendering, "ROOT", tmp_path)
    monkeypatch.setattr(rendering, "PAGE", page)
    monkeypatch.setattr(rendering, "BUNDLED_FOLDER", tmp_path / "styles")
    monkeypatch.setattr(rendering, "bundled_styles", lambda: ["ink"])
    with pytest.raises(ConfigError, match="ink has no facts"):
        rendering.main([])
    write_facts(tmp_path / "styles/ink", facts(failures=("Hats.",)))
    with pytest.raises(SystemExit, match="out of date"):
        rendering.main(["--check"])
    metrics = tmp_path / "metrics.json"
    metrics.write_text(json.dumps(report()))
    rendering.main(["--style", "ink", "--metrics", str(metrics)])
    text = page.read_text()
    assert text.startswith("Above\n")
    assert text.endswith("\nBelow\n")
    assert "On 3 photos of `people`: landmark error 2.5." in text
    assert "- Hats." in text
    with pytest.raises(SystemExit) as stopped:
        rendering.main(["--check"])
    assert stopped.value.code == 0
    page.write_text("no marks")
    with pytest.raises(ConfigError, match="must hold the lines"):
        rendering.main([])


def test_bundling_carries_facts(bundling: ModuleType, tmp_path: Path) -> None:
    source, target = tmp_path / "run", tmp_path / "ink"
    pipe = tiny_pipeline(seed=1)
    pipe.save_pretrained(source)
    with pytest.raises(ConfigError, match=r"has no facts\.json"):
        bundling.bundle(source, target)
    write_card(source, facts(style="run", hub_id="me/run", history=("Began anew.",)))
    bundling.bundle(source, target)
    first = read_facts(target)
    assert first is not None
    assert (first.style, first.hub_id, first.history) == ("ink", None, ("Began anew.",))
    written = replace(first, failures=("Hats.",), history=("Two stages.",))
    write_card(target, written.with_report(report()))
    for weights in ("same", "new"):
        if weights == "new":
            with torch.no_grad():
                next(pipe.generator.parameters()).add_(1)
            pipe.save_pretrained(source)
            write_card(source, facts(steps=5))
        bundling.bundle(source, target)
        told = read_facts(target)
        assert told is not None
        assert (told.failures, told.history) == (("Hats.",), ("Two stages.",))
        assert bool(told.measurements) == (weights == "same")
        assert told.steps == (12000 if weights == "same" else 5)
        assert "from_pretrained('ink')" in (target / "README.md").read_text()


# Pictures


@pytest.mark.parametrize("count", [1, 3])
def test_figure_of_any_number_of_styles(assets: ModuleType, count: int) -> None:
    photos = {name: Image.new("RGB", (64, 64), "red") for name in ("one", "two")}
    colors = ("blue", "lime", "black")[:count]
    drawn = {
        color: {name: Image.new("RGB", (64, 64), color) for name in photos} for color in colors
    }
    figure = assets.styles_figure(photos, drawn, cell=48)
    gap = assets.GAP
    assert figure.size == (48 * (count + 1) + gap * count, 6 + 2 * 48 + 2 * gap)
    middle = 6 + gap + 24
    shown = [figure.getpixel((24 + index * (48 + gap), middle)) for index in range(count + 1)]
    expected = [Image.new("RGB", (1, 1), c).getpixel((0, 0)) for c in ("red", *colors)]
    assert shown == expected


def test_drawings_samples_and_figure_of_a_real_style(
    assets: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_pipeline(face_size=64).save_pretrained(tmp_path / "ink")
    monkeypatch.setattr(assets, "SHOWN", {"astronaut": assets.PORTRAITS["astronaut"]})
    monkeypatch.setattr(assets, "SAMPLES", {"astronaut": "Astronaut"})
    landmarker = tiny_pipeline().landmarker
    photos, drawn = assets.drawings([str(tmp_path / "ink")], landmarker)
    (pictures,) = drawn.values()
    assert photos["astronaut"].size == pictures["astronaut"].size == (512, 512)
    samples = assets.save_samples("ink", photos, pictures, tmp_path / "samples")
    assert samples == [Sample("astronaut.jpg", "Astronaut")]
    assert Image.open(tmp_path / "samples" / "astronaut.jpg").size == (384 * 2 + 8, 384)


def test_curves(assets: ModuleType, tmp_path: Path) -> None:
    log = tmp_path / "losses.jsonl"
    rows = [{"step": s, "global": 1 / s, "d_global": -1.0, "learning_rate": 1} for s in (1, 2, 3)]
    log.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"step": 4, "cycle": 0.5}]))
    out = tmp_path / "out"
    for _ in range(2):
        assets.main(["--only", "curves", "--losses", f"ink={log}", "--output", str(out)])
        pictures = [path.read_bytes() for path in out.iterdir()]
    assert [path.name for path in out.iterdir()] == ["curves_ink.png"]
    assert pictures == [(out / "curves_ink.png").read_bytes()]
    assert Image.open(out / "curves_ink.png").width > 800
    log.write_text("")
    with pytest.raises(assets.DatasetError, match="holds no losses"):
        assets.main(["--only", "curves", "--losses", f"ink={log}", "--output", str(out)])


# The end of a training


@pytest.fixture
def state() -> Iterator[None]:
    """What `Accelerator` sets up for the loggers of a training."""
    PartialState(cpu=True)
    yield
    PartialState._reset_state()


@pytest.mark.usefixtures("state")
def test_a_training_publishes_its_style(hub: HubServer, tmp_path: Path) -> None:
    script = load_script(ROOT / "examples/train.py")
    pipe = tiny_pipeline(seed=2)
    args = SimpleNamespace(output_dir=str(tmp_path), resolution=64, style="ink", push_to_hub=True)
    args.hub_model_id, args.hub_token = "owner/ink", OWNER
    told = facts(hub_id="owner/ink")
    script.save_style(args, pipe.generator, pipe.aligner, told)
    files = hub.repos["owner/ink"].files("main")
    assert files is not None
    assert {"facts.json", "samples/astronaut.jpg", "thumbnail.jpg"} <= set(files[1])
    assert "](samples/astronaut.jpg)" in files[1]["README.md"].decode()
    assert StyleFacts.from_json(files[1]["facts.json"].decode()).steps == told.steps
    args.hub_token = "hf_nobody"
    with pytest.raises(OutputError, match=r"The style is in .*style, but was not uploaded"):
        script.save_style(args, pipe.generator, pipe.aligner, told)
    assert (tmp_path / "style" / "generator" / "model.safetensors").is_file()
