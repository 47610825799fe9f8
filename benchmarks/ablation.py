"""Train small variants of the method and measure each on people that none of them has seen.

    python benchmarks/ablation.py --work runs/ablation

trains and evaluates what is not finished yet in `--work`, one run after another, and writes
`ablation.json`, `ablation.md`, a sheet of pictures and a plot; `--report` only writes. A run is
the recipe of its style in `benchmarks/recipes`, else in `examples/configs`, the variant's changes
apart: the styles that start from `animation` start there with all networks. `--warmup` is for a
recipe that starts from nothing: all runs of a seed go on from one warm-up then, networks that
repeat photos, before any example is seen. `--from_nothing` trains so, with the terms of the paper
alone, whatever the recipe; its report is `ablation_from_nothing`, that of runs in fp32
`ablation_from_nothing_fp32`. `--name` makes another one, beside these. `--held_out` is measured
on: by default portraits that no network saw in any training (`examples/data/photos/packages.py`
makes that set, `download.py` that of photos). `tools/convert_eval_networks.py` makes the networks
that judge; the renderer of held-out drawings needs the extra `render`. The pictures of the report
are in the public domain.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import yaml
from PIL import Image

from ablation_measures import TRUTH, measure, measure_pairs
from ablation_report import ALIGNED_OR_NOT
from tps_portrait import TPSPortraitError, TrainingDivergedError
from tps_portrait.evaluation import EvaluationOptions
from tps_portrait.hub.cards import hardware_name
from tps_portrait.training.arguments import TrainingArguments
from tps_portrait.training.data import load_faces

ROOT = Path(__file__).resolve().parents[1]
PHOTOS = ROOT / "examples" / "data" / "photos"
RECIPES = ROOT / "examples" / "configs"
# The recipes of the runs that are reported, as they were then.
FROZEN = Path(__file__).resolve().parent / "recipes"

# What came after the paper or after the runs that are reported: the pattern term can only compare
# what was aligned, and the recipes' weight of content holds against it.
LEFT_OUT: dict[str, Any] = {
    **{"texture_weight": 0.0, "noise_channels": 0, "evenness_weight": 0.0},
    **{"pattern_weight": 0.0, "discriminator_colour": 0.0, "distance": 0.0},
    **{"content_weight": 3.0, "content_every": 2},
    **{"abstraction": 0, "washes": 0.0, "strokes": 0.0, "start_share": 0.0},
}
# The paper's terms and the grid term, which only knows of pixels: no network that saw a style or a
# face before, nothing that holds the photo's content or colours, and our defaults for the rest.
FROM_NOTHING: dict[str, Any] = {"content_weight": 0.0, "anchor_weight": 0.0}
# What made the painted styles: noise to paint from, and strokes as the examples have them. The
# weights are those of examples/configs/own_style.yaml.
TEXTURE = {"texture_weight": 6.0, "noise_channels": 4}
UNALIGNED = {"pixel_alignment": False, "local_alignment": False, "feature_alignment": False}
GLOBAL_ONLY = {**UNALIGNED, "local_adversarial_weight": 0.0, "invariance_weight": 0.0}
VARIANTS: dict[str, dict[str, Any]] = {
    "full": {},
    "no_alignment": UNALIGNED,
    "no_pixel_alignment": {"pixel_alignment": False},
    "no_feature_alignment": {"feature_alignment": False},
    "no_local_alignment": {"local_alignment": False},
    "no_cycle": {"cycle_weight": 0.0},
    "no_invariance": {"invariance_weight": 0.0},
    # One discriminator of whole, untouched pictures, and a cycle ten times as heavy, in each step.
    "cyclegan_type": {
        **GLOBAL_ONLY,
        **{"cycle_weight": 15.0, "unaligned_every": 1},
        **{"content_weight": 0.0, "anchor_weight": 0.0, "grid_weight": 0.0},
    },
    # The same discriminator; PatchNCE keeps the content. Both count alike, as in CUT, whatever the
    # recipe has.
    "cut_type": {
        **GLOBAL_ONLY,
        **{"cycle_weight": 0.0, "global_adversarial_weight": 1.0, "contrast_weight": 1.0},
        **{"content_weight": 0.0, "anchor_weight": 0.0, "grid_weight": 0.0},
    },
    # The same discriminator; content and colours are kept by fixed distances instead of a cycle.
    "animegan_type": {
        **GLOBAL_ONLY,
        **{"cycle_weight": 0.0, "content_weight": 4.5},
    },
    "texture": TEXTURE,
    "texture_no_alignment": {**UNALIGNED, **TEXTURE},
}
"""What each variant changes in the options of `examples/train.py`."""
CLAIMS: dict[str, tuple[str, ...]] = {
    "alignment": ("full", *(name for name in VARIANTS if name.startswith("no_"))),
    **ALIGNED_OR_NOT,
    "methods": ("full", "cyclegan_type", "cut_type", "animegan_type"),
}
"""The variants that each claim compares."""


@dataclass(frozen=True)
class Run:
    """One training."""

    style: str
    variant: str
    examples: int
    seed: int

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.style}-{self.variant}-{self.examples}-s{self.seed}"


@dataclass(frozen=True)
class Settings:
    """What all runs share; a work folder keeps to one."""

    photos: tuple[str, ...]
    held_out: tuple[str, ...]
    resolution: int = 384
    batch: int = 1
    warmup: int = 0
    steps: int = 250
    mixed_precision: str = "no"
    held_out_photos: int = 40
    held_out_examples: int = 48
    held_out_seed: int = 2500
    from_nothing: bool = False
    name: str = ""


def plan(
    claims: Sequence[str], styles: Sequence[str], seeds: Sequence[int], counts: Sequence[int]
) -> list[Run]:
    """The runs that claims need, each once; all of a seed before the next."""
    runs = [
        Run(style, variant, count, seed)
        for seed in seeds
        for claim in claims
        for style in styles
        for count in (sorted(counts, reverse=True) if claim in ALIGNED_OR_NOT else [max(counts)])
        for variant in CLAIMS[claim]
    ]
    return list(dict.fromkeys(runs))


def copy_faces(folder: Path, target: Path, side: int, prefix: str) -> None:
    """Add a training set to another, at the size that is needed, each name after `prefix`."""
    faces = load_faces(folder, side)
    lines = (folder / "metadata.jsonl").read_text("utf-8").splitlines()
    rows = {row["file_name"]: row for row in map(json.loads, filter(None, lines))}
    (target / "masks").mkdir(parents=True, exist_ok=True)
    known = target / "metadata.jsonl"
    written = known.read_text("utf-8").splitlines() if known.is_file() else []
    for name, image, mask in zip(faces.names, faces.images, faces.masks, strict=True):
        stem = f"{prefix}{Path(name).stem}.png"
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(target / stem)
        Image.fromarray(mask[0].numpy()).save(target / "masks" / stem)
        written.append(json.dumps({**rows[name], "file_name": stem, "mask": f"masks/{stem}"}))
    known.write_text("\n".join(written) + "\n", "utf-8")


def prepare(work: Path, settings: Settings, styles: Sequence[str]) -> Path:
    """Make small copies of all sets, once, and refuse a work folder of other settings."""
    data, known = work / "data", work / "settings.json"
    # Folders of photos may move; what was copied from them stays.
    current = {k: v for k, v in asdict(settings).items() if k not in ("photos", "held_out")}
    earlier = json.loads(known.read_text("utf-8")) if known.is_file() else current
    # Older work folders do not name what came later.
    if {"from_nothing": False, "name": "", **earlier} != current:
        raise SystemExit(f"{work} holds runs with other settings; choose another --work.")
    data.mkdir(parents=True, exist_ok=True)
    known.write_text(json.dumps(current, indent=2), "utf-8")
    side = settings.resolution
    for name, folders in (("photos", settings.photos), ("held_out", settings.held_out)):
        if not (data / name).is_dir():
            shutil.rmtree(data / "partial", ignore_errors=True)
            for folder in folders:
                copy_faces(Path(folder), data / "partial", side, f"{Path(folder).name}-")
            (data / "partial").rename(data / name)
    for style in styles:
        prepare_pairs(work, style, side)
        if (data / style).is_dir():
            continue
        rendered = work / "rendered" / style
        count, seed = str(settings.held_out_examples), str(settings.held_out_seed)
        module = ["-m", "examples.data.render", style, str(rendered.resolve())]
        command = [sys.executable, *module, "--count", count, "--seed", seed]
        subprocess.run(command, cwd=ROOT, check=True)
        shutil.rmtree(data / f"{style}-held_out", ignore_errors=True)
        copy_faces(rendered, data / f"{style}-held_out", side, f"{style}-")
        shutil.rmtree(data / f"{style}-partial", ignore_errors=True)
        examples = ROOT / "examples" / "data" / "styles" / style
        copy_faces(examples, data / f"{style}-partial", side, f"{style}-")
        (data / f"{style}-partial").rename(data / style)
    return data


def prepare_pairs(work: Path, style: str, side: int) -> None:
    """Render people both ways, photo-like and drawn, for the comparison with the right drawing."""
    data, pairs = work / "data", work / "pairs" / style
    if (data / f"{style}-pairs").is_dir():
        return
    shutil.rmtree(data / "partial", ignore_errors=True)
    module = ["-m", "examples.data.render.pairs", style, str(pairs.resolve())]
    subprocess.run([sys.executable, *module], cwd=ROOT, check=True)
    for part in ("rendered", "truth"):
        copy_faces(pairs / part, data / "partial" / part, side, "")
    (data / "partial").rename(data / f"{style}-pairs")


def script() -> ModuleType:
    """`examples/train.py` as a module."""
    path = ROOT / "examples" / "train.py"
    spec = importlib.util.spec_from_file_location("train_script", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is missing.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def recipe(style: str) -> dict[str, Any]:
    """The options that a bundled style is trained with, wherever the script is run from."""
    frozen = FROZEN / f"{style}.yaml"
    path = frozen if frozen.is_file() else RECIPES / frozen.name
    chosen = dict(yaml.safe_load(path.read_text("utf-8")))
    for name in ("pretrained_model_name_or_path", "content_network", "training_networks"):
        if name in chosen and (ROOT / chosen[name]).exists():  # the start may be a bundled style
            chosen[name] = str(ROOT / chosen[name])
    return chosen


def options(run: Run, work: Path, settings: Settings) -> dict[str, Any]:
    """The options of a training, without where it starts and ends."""
    start = {"style_name": run.style, "license": "apache-2.0"}
    return {
        **(start if settings.from_nothing else recipe(run.style)),
        "train_data_dir": str(work / "data" / run.style),
        "photo_data_dir": [str(work / "data" / "photos")],
        "max_train_samples": run.examples,
        "resolution": settings.resolution,
        "mixed_precision": settings.mixed_precision,
        "train_batch_size": settings.batch,
        "reconstruction_steps": settings.warmup,
        "max_train_steps": settings.warmup + settings.steps,
        "validation_steps": 10**9,
        "checkpointing_steps": 10**9,
        "report_to": "none",
        "seed": run.seed,
        "cpu": not torch.cuda.is_available(),
        **(FROM_NOTHING if settings.from_nothing else LEFT_OUT),
        **VARIANTS[run.variant],
    }


def train(run: Run, work: Path, settings: Settings) -> Path:
    """Train one variant from the warm-up of its seed; return the folder of its generator."""
    trainer, chosen = script(), options(run, work, settings)
    output = work / "runs" / run.name
    shutil.rmtree(output, ignore_errors=True)
    chosen["output_dir"] = str(output)
    if settings.warmup:
        chosen["resume_from_checkpoint"] = str(warm_up(trainer, chosen, run, work, settings))
    trainer.train(TrainingArguments(**chosen))
    return output / "style" / "generator"


def warm_up(
    trainer: ModuleType, chosen: dict[str, Any], run: Run, work: Path, settings: Settings
) -> Path:
    """Train the start that all runs of a seed share, unless that is done; return the checkpoint."""
    # Without local discriminators, D is another network; with contrast there are heads.
    kind = "local" if chosen.get("local_adversarial_weight", 1.0) else "global"
    kind += "-contrast" if chosen.get("contrast_weight") else ""
    warm = work / "warmup" / f"{kind}-s{run.seed}"
    checkpoint = warm / "checkpoints" / f"checkpoint-{settings.warmup}"
    if not checkpoint.is_dir():
        shutil.rmtree(warm, ignore_errors=True)
        steps = {"max_train_steps": settings.warmup, "checkpointing_steps": settings.warmup}
        trainer.train(TrainingArguments(**{**chosen, **steps, "output_dir": str(warm)}))
    return checkpoint


def carry_out(
    run: Run, work: Path, settings: Settings, evaluation: EvaluationOptions
) -> dict[str, Any]:
    """Train and evaluate, unless that is done; an interrupted run starts again."""
    target = work / "results" / f"{run.name}.json"
    given: dict[str, Any] = {"side": settings.resolution, "options": evaluation}
    generator = work / "runs" / run.name / "style" / "generator"
    if target.is_file():
        result = dict(json.loads(target.read_text("utf-8")))
        measured = result.get("metrics", {})
        if measured and TRUTH not in measured and generator.is_dir():
            measured.update(measure_pairs(run.style, generator, work, **given))
            replace(target, result)
        return result
    target.parent.mkdir(parents=True, exist_ok=True)
    result = asdict(run)
    started = time.process_time()
    try:
        if not (generator / "model.safetensors").is_file():
            generator = train(run, work, settings)
            result["training_cpu_seconds"] = round(time.process_time() - started)
            facts = json.loads((generator.parent / "facts.json").read_text("utf-8"))
            # Not always what was asked for: some processors have no bf16.
            result["precision"] = facts["precision"]
        shown = work / "results" / f"{run.name}.png"
        count = settings.held_out_photos
        result["metrics"] = {
            **measure(run.style, generator, work, shown=shown, count=count, **given),
            **measure_pairs(run.style, generator, work, **given),
        }
    except TrainingDivergedError as error:
        result["failed"] = str(error)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    result["machine"] = f"{hardware_name(device)}, torch {torch.__version__}"
    result["python"] = platform.python_version()
    result["activation"] = "recoverable tanh"  # the generator's last; it was a plain tanh before
    replace(target, result)
    return result


def replace(target: Path, result: dict[str, Any]) -> None:
    """Write a result whole or not at all."""
    partial_file = target.with_suffix(".partial")
    partial_file.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    partial_file.rename(target)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, folders in (("photos", ("studio", "synthetic")), ("held_out", ("wild",))):
        default = [str(PHOTOS / folder) for folder in folders]
        parser.add_argument(f"--{name}", nargs="+", default=default, help="sets with landmarks")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "ablation")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks")
    parser.add_argument("--plot", type=Path, default=ROOT / "docs/assets/data_efficiency.png")
    parser.add_argument("--page", type=Path, default=ROOT / "docs/styles.md")
    parser.add_argument("--networks", default=str(ROOT / "runs" / "networks"))
    parser.add_argument("--claims", nargs="+", choices=CLAIMS, default=list(CLAIMS))
    parser.add_argument("--styles", nargs="+", default=["watercolor", "ink_paint"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--counts", nargs="+", type=int, default=[12, 25, 50, 100])
    parser.add_argument("--mixed_precision", choices=["no", "bf16", "fp16"], default="no")
    parser.add_argument("--from_nothing", action="store_true", help="the paper's terms alone")
    parser.add_argument("--name", default="", help="end of the name of a report from nothing")
    parser.add_argument("--report", action="store_true", help="train nothing, only write")
    for name in ("resolution", "batch", "warmup", "steps", "held_out_photos", "held_out_examples"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Settings, name))
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Carry out the plan and write the report."""
    import ablation_files

    args = parse(arguments)
    chosen = {k: v for k, v in vars(args).items() if k in Settings.__dataclass_fields__}
    settings = Settings(**chosen)
    evaluation = EvaluationOptions(networks=args.networks, samples=200, motion_photos=8, clips=0)
    fits = re.fullmatch("[a-z0-9_]+", args.name) and args.name != "fp32"
    if args.name and not (args.from_nothing and fits):
        raise SystemExit(
            "--name is for a report of --from_nothing: lower-case letters, digits, underscores; "
            "fp32 is taken."
        )
    if args.from_nothing and not args.report:
        needing = set(args.claims) - {"alignment", "efficiency"}
        if needing or args.warmup < 1:
            raise SystemExit(
                "--from_nothing needs --warmup 1 or more, and --claims alignment or efficiency: "
                "the others compare contents or textures by a trained network."
            )
    runs = plan(args.claims, args.styles, args.seeds, args.counts)
    if not args.report:
        prepare(args.work, settings, args.styles)
        for number, run in enumerate(runs, 1):
            print(f"{number}/{len(runs)} {run.name}", flush=True)
            carry_out(run, args.work, settings, evaluation)
    ablation_files.write(args.work, args.out, args.plot, args.page)


if __name__ == "__main__":
    try:
        main()
    except TPSPortraitError as error:
        sys.exit(f"error: {error}")
