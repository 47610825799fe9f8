"""The ablation: its plan, the split, resuming, tables and verdicts, and one run of it all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from faces import EXAMPLES, write_faces, write_metadata
from test_evaluation_metrics import small_mobile, small_sface
from tps_portrait.evaluation import MobileNetV2, SFace, networks
from tps_portrait.training.arguments import TrainingArguments

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def ablation(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script, importable as when it is run."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import ablation

    return ablation


@pytest.fixture
def report(ablation: Any) -> Any:
    """What it writes with."""
    import ablation_report

    return ablation_report


def result(variant: str, *, seed: int = 0, examples: int = 100, **metrics: float) -> dict[str, Any]:
    return {
        **{"style": "ink", "variant": variant, "examples": examples, "seed": seed},
        "machine": "a machine",
        "metrics": {name: {"value": value} for name, value in metrics.items()},
    }


class TestPlan:
    def test_each_run_once_and_seed_by_seed(self, ablation: Any) -> None:
        runs = ablation.plan(["alignment", "efficiency"], ["animation"], [0, 1], [12, 25, 50, 100])
        # Seven variants with all examples, two of them with fewer.
        assert len(runs) == len(set(runs)) == 2 * (7 + 2 * 3)
        assert [run.seed for run in runs] == [0] * 13 + [1] * 13
        assert len({run.name for run in runs}) == len(runs)
        assert {run.examples for run in runs if run.variant == "no_cycle"} == {100}

    def test_every_variant_is_a_valid_training(self, ablation: Any, tmp_path: Path) -> None:
        settings = ablation.Settings(("photos",), ("held_out",))
        chosen = {
            name: TrainingArguments(
                **ablation.options(ablation.Run("animation", name, 12, 3), tmp_path, settings)
            )
            for name in ablation.VARIANTS
        }
        assert {args.seed for args in chosen.values()} == {3}
        assert {args.max_train_samples for args in chosen.values()} == {12}
        full = chosen.pop("full").loggable()
        changed = {
            name: {key for key, value in args.loggable().items() if full[key] != value}
            for name, args in chosen.items()
        }
        assert changed["no_pixel_alignment"] == {"pixel_alignment"}
        assert changed["no_cycle"] == {"cycle_weight"}
        assert changed["no_alignment"] == set(ablation.UNALIGNED)
        assert "contrast_weight" in changed["cut_type"]
        assert {name for names in ablation.CLAIMS.values() for name in names} <= {"full", *changed}

    def test_from_nothing_only_the_terms_of_the_paper_are_left(
        self, ablation: Any, tmp_path: Path
    ) -> None:
        settings = ablation.Settings(("photos",), ("held_out",), warmup=5, from_nothing=True)
        for name in ("full", "no_alignment"):
            run = ablation.Run("watercolor", name, 12, 3)
            chosen = TrainingArguments(**ablation.options(run, tmp_path, settings))
            assert chosen.pretrained_model_name_or_path is chosen.training_networks is None
            assert (chosen.reconstruction_steps, chosen.resolution) == (5, settings.resolution)
            kept = {key: value for key, value in chosen.loss_weights().items() if value}
            assert kept.keys() == {
                *("global_adversarial", "local_adversarial", "unaligned_adversarial"),
                *("cycle", "invariance", "grid"),
            }
            assert chosen.pixel_alignment == (name == "full")


def test_from_nothing_without_a_warm_up_is_refused_at_once(ablation: Any, tmp_path: Path) -> None:
    command = ["--from_nothing", "--work", str(tmp_path)]
    for claims, warmup in (("efficiency", "0"), ("texture", "5")):
        with pytest.raises(SystemExit, match="--warmup 1 or more"):
            ablation.main([*command, "--claims", claims, "--warmup", warmup])
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "command", [["--name", "more"], ["--name", "../x", "--from_nothing", "--warmup", "5"]]
)
def test_a_name_is_for_reports_from_nothing(
    ablation: Any, tmp_path: Path, command: list[str]
) -> None:
    with pytest.raises(SystemExit, match="lower-case letters"):
        ablation.main([*command, "--claims", "efficiency", "--work", str(tmp_path)])
    assert not any(tmp_path.iterdir())


def test_a_name_ends_the_files_of_a_report(report: Any) -> None:
    settings = {"from_nothing": True, "mixed_precision": "no"}
    assert report.stem(settings) == report.stem({**settings, "name": ""})
    assert report.stem({**settings, "name": "ink_paint"}) == "ablation_from_nothing_ink_paint"


def test_copies_add_up(ablation: Any, tmp_path: Path) -> None:
    for name in ("some", "more"):
        write_faces(tmp_path / name, 3)
        ablation.copy_faces(tmp_path / name, tmp_path / "all", 32, f"{name}-")
    lines = (tmp_path / "all" / "metadata.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["file_name"] for row in rows] == [
        f"{name}-face-{index}.png" for name in ("some", "more") for index in range(3)
    ]
    assert all(Image.open(tmp_path / "all" / row["mask"]).size == (32, 32) for row in rows)


class TestTables:
    def test_cells(self, report: Any) -> None:
        runs = [result("full", kid_mobilenet_v2=0.01), result("full", kid_mobilenet_v2=0.02)]
        assert report.cell(runs, "kid_mobilenet_v2") == "15.0 (10.0 to 20.0)"
        assert report.cell(runs[:1], "kid_mobilenet_v2") == "10.0"
        assert report.cell(runs, "face_found") == "-"

    @pytest.mark.parametrize(
        ("pair", "said"),
        [
            ((2, 2), "yes (2/2)"),
            ((0, 2), "**no** (0/2)"),
            ((1, 2), "not shown (1/2)"),
            ((1, 1), "not shown (1/1)"),
        ],
    )
    def test_one_pair_or_a_draw_shows_nothing(
        self, report: Any, pair: tuple[int, int], said: str
    ) -> None:
        assert report.verdict(*pair) == said

    def test_wins_compare_the_same_seed_in_the_better_direction(self, report: Any) -> None:
        runs = [
            result("full", seed=0, landmark_error=4.0, face_found=1.0),
            result("full", seed=1, landmark_error=2.0, face_found=0.5),
            result("no_cycle", seed=0, landmark_error=3.0, face_found=0.9),
            result("no_cycle", seed=1, landmark_error=3.0, face_found=0.9),
            result("no_cycle", seed=2, landmark_error=9.0, face_found=0.0),
        ]
        pair = {"variant": "full"}, {"variant": "no_cycle"}
        assert report.wins(runs, "landmark_error", *pair) == (1, 2)
        assert report.wins(runs[:1] + runs[2:], "landmark_error", *pair) == (0, 1)
        assert report.wins(runs[:1] + runs[2:], "face_found", *pair) == (1, 1)

    def test_half_the_examples_are_compared_with_all(self, report: Any) -> None:
        runs = [
            result(variant, seed=seed, examples=count, kid_mobilenet_v2=kid)
            for seed in (0, 1)
            for variant, count, kid in (("full", 50, 0.02), ("no_alignment", 100, 0.01))
        ]
        row = report.efficiency(runs).splitlines()[-1]
        assert row.startswith("| aligned, 50 and unaligned, 100 | **no** (0/2) |")

    def test_a_diverged_run_is_named_and_counts_for_nothing(self, report: Any) -> None:
        settings = {
            **{"steps": 5, "warmup": 2, "resolution": 64, "batch": 1, "mixed_precision": "no"},
            **{"held_out_photos": 3, "held_out_examples": 4},
        }
        failed = {**result("no_cycle"), "failed": "The loss 'global' became nan."}
        del failed["metrics"]
        text = report.render({"settings": settings, "runs": [result("full"), failed]})
        assert "5 adversarial steps at 64 px, batch 1" in text
        assert "a warm-up of 2 steps" in text
        assert "- ink, no_cycle: The loss 'global' became nan." in text
        assert "no cycle" not in text

    def test_says_whether_any_run_is_nearer_to_the_style_than_photos(self, report: Any) -> None:
        settings = {
            **{"steps": 5, "warmup": 2, "resolution": 64, "batch": 1, "mixed_precision": "no"},
            **{"held_out_photos": 3, "held_out_examples": 4},
        }
        run = result("full", kid_mobilenet_v2=0.5)
        metric = run["metrics"]["kid_mobilenet_v2"]
        metric["references"] = {"photos": 0.4, "halves of the examples": 0.01}
        record = {"settings": settings, "runs": [run]}
        assert "no run is nearer to the style than the photos are" in report.render(record)
        metric["value"] = 0.3
        text = report.render(record)
        assert "the best run 300.0." in text
        assert "no run is nearer" not in text

    def test_a_run_without_faces_is_named_and_its_stillness_is_no_merit(self, report: Any) -> None:
        settings = {
            **{"steps": 5, "warmup": 2, "resolution": 64, "batch": 1, "mixed_precision": "no"},
            **{"held_out_photos": 3, "held_out_examples": 4},
        }
        runs = [
            result("full", face_found=0.0, motion_error=0.0, kid_mobilenet_v2=0.5),
            result("no_alignment", face_found=0.5, motion_error=9.0, kid_mobilenet_v2=0.4),
        ]
        assert report.wins(
            runs, "motion_error", {"variant": "full"}, {"variant": "no_alignment"}
        ) == (0, 0)
        text = report.render({"settings": settings, "runs": runs})
        assert (
            "## Runs that broke down\n\n- ink, full method, 100 examples, seed 0: no face" in text
        )
        assert "## With and without alignment" in text

    def test_methods_have_a_table_of_their_own(self, ablation: Any, report: Any) -> None:
        runs = [
            result(variant, seed=seed, kid_mobilenet_v2=kid)
            for seed in (0, 1)
            for variant, kid in (("full", 0.02), ("no_cycle", 0.03), ("cut_type", 0.01))
        ]
        text = "\n".join(report.sections(runs, plot="plot.png"))
        parts, methods = text.split("## Other methods")
        assert "| ink | CUT-type | 2 | 10.0 (10.0 to 10.0) |" in methods
        assert "| CUT-type | **no** (0/2) |" in methods
        assert "no cycle" not in methods
        assert "CUT-type" not in parts
        assert set(ablation.VARIANTS) == set(report.TITLES)

    @pytest.mark.parametrize("name", sorted(p.stem for p in BENCHMARKS.glob("ablation*.json")))
    def test_the_page_is_what_the_numbers_say(self, report: Any, name: str) -> None:
        record = json.loads((BENCHMARKS / f"{name}.json").read_text("utf-8"))
        assert (BENCHMARKS / f"{name}.md").read_text("utf-8") == report.render(record)
        assert report.stem(record["settings"]) == name

    def test_the_gallery_is_what_the_numbers_say(self, report: Any) -> None:
        record = json.loads((BENCHMARKS / "ablation.json").read_text("utf-8"))
        page = (BENCHMARKS.parent / "docs" / "styles.md").read_text("utf-8")
        assert page == report.gallery(page, record)


class TestWholeRun:
    @pytest.fixture
    def work(self, tmp_path: Path) -> Path:
        """A work folder whose small copies of the sets are made already."""
        lines = (EXAMPLES / "metadata.jsonl").read_text("utf-8").splitlines()[:10]
        rows = [json.loads(line) for line in lines]
        data = tmp_path / "work" / "data"
        sets = {
            **{"photos": rows[:3], "held_out": rows[3:5]},
            **{"animation": rows[5:8], "animation-held_out": rows[8:]},
            # What drawings should be is what was drawn, here.
            **{f"animation-pairs/{part}": rows[3:5] for part in ("rendered", "truth")},
        }
        for name, part in sets.items():
            (data / name).mkdir(parents=True)
            for row in part:
                small = Image.open(EXAMPLES / row["file_name"]).resize((64, 64))
                small.save(data / name / row["file_name"])
            write_metadata(data / name, part)
        return tmp_path / "work"

    @pytest.fixture(autouse=True)
    def one_thread(self) -> Iterator[None]:
        """Repeatable to the bit; other tests compare with processes that have every thread."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(threads)

    @pytest.fixture
    def judges(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Real networks of few channels, in files."""
        stages = ((1, 8, 1, 1), (4, 12, 2, 2), (4, 16, 1, 2))
        monkeypatch.setitem(networks.NETWORKS, "mobilenet_v2", partial(MobileNetV2, stages, 8, 24))
        monkeypatch.setitem(networks.NETWORKS, "sface", partial(SFace, (4, 8, 8, 16), 12))
        (tmp_path / "networks").mkdir()
        for name, network in (("mobilenet_v2", small_mobile()), ("sface", small_sface())):
            save_file(network.state_dict(), tmp_path / "networks" / f"{name}.safetensors")
        return tmp_path / "networks"

    def test_trains_measures_writes_and_never_repeats(
        self,
        ablation: Any,
        report: Any,
        work: Path,
        judges: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setitem(ablation.CLAIMS, "alignment", ("full", "no_alignment"))
        out = work.parent
        words = {
            **{"resolution": 64, "batch": 1, "warmup": 1, "steps": 1, "counts": 3, "seeds": 0},
            **{
                "held_out_photos": 2,
                "held_out_examples": 2,
                "claims": "alignment",
                "styles": "animation",
            },
            **{"work": work, "out": out, "plot": out / "plot.png", "networks": judges},
            **{"page": out / "styles.md"},
        }
        (out / "styles.md").write_text(f"# Styles\n\n{report.BEGIN}\n{report.END}\n", "utf-8")
        command = [word for key, value in words.items() for word in (f"--{key}", str(value))]
        ablation.main(command)
        record = json.loads((out / "ablation.json").read_text("utf-8"))
        assert [run["variant"] for run in record["runs"]] == ["full", "no_alignment"]
        for run in record["runs"]:
            wanted = {"kid_mobilenet_v2", "identity_cosine_sface", "motion_error", "ssim"}
            assert wanted <= {*run["metrics"]}
            assert run["metrics"]["ssim"]["references"]["photos"] == pytest.approx(1)
        # Three portraits beside the labels: the photo and two variants.
        assert Image.open(out / "ablation.jpg").size == (200 + 3 * 224, 30 + 3 * 224)
        assert Image.open(out / "plot.png").width > 500
        for name in ("ablation.md", "styles.md"):
            assert "no alignment of any kind" in (out / name).read_text("utf-8")

        # What an earlier version left is measured against the right drawings, not trained again.
        older = work / "results" / "animation-full-3-s0.json"
        kept = json.loads(older.read_text("utf-8"))
        names = ("ssim", "psnr", "feature_distance_mobilenet_v2")
        less = {name: value for name, value in kept["metrics"].items() if name not in names}
        older.write_text(json.dumps({**kept, "metrics": less}), "utf-8")
        ablation.main(command)
        assert json.loads(older.read_text("utf-8")) == kept

        for folder in ("runs", "warmup"):
            shutil.rmtree(work / folder)
        ablation.main(command)
        assert json.loads((out / "ablation.json").read_text("utf-8")) == record
        assert not (work / "runs").exists()
        with pytest.raises(SystemExit, match="other settings"):
            ablation.main([*command, "--steps", "2"])
