"""Measure a style: fidelity, identity, geometry, stability and cost, with pictures.

pip install "tps-portrait[evaluate]"; the two networks that are no part of the package come from
`python tools/convert_eval_networks.py --output_dir runs/networks`, once. Then:

    python examples/evaluate.py --style animation --photos PHOTOS --examples EXAMPLES \
      --output_dir out/evaluation

docs/evaluation.md says what the numbers mean.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from tps_portrait import ConfigError, TPSPortraitError, TPSPortraitPipeline
from tps_portrait.evaluation import (
    EvaluationOptions,
    Stylize,
    evaluate,
    read_faces,
    read_labels,
    read_truth,
    write_report,
)
from tps_portrait.hub.cards import hardware_name, update_card
from tps_portrait.hub.facts import read_facts
from tps_portrait.hub.styles import README, locate_style


def drawer(pipe: TPSPortraitPipeline, mode: str) -> Stylize:
    """Make the function that is evaluated out of a pipeline."""

    def stylize(pictures: Sequence[Tensor]) -> list[Tensor]:
        result = pipe(
            list(pictures),
            mode=mode,
            batch_size=len(pictures),
            on_no_face="ignore",
            output_type="pt",
        )
        if result.errors:
            raise result.errors[0][1]
        return [drawn.mul(255).round().to(torch.uint8) for drawn in result.images]

    return stylize


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--style", default="animation", help="bundled style, folder, or Hub id")
    parser.add_argument("--photos", required=True, help="folder of photos, none trained on")
    parser.add_argument("--examples", required=True, help="folder in the style, none trained on")
    parser.add_argument("--truth", help="folder of right drawings, named like their photos")
    parser.add_argument("--labels", help="JSON: skin tone, age, … of photos, measured apart")
    parser.add_argument(
        "--update_card", action="store_true", help="add the numbers to the style's facts and card"
    )
    parser.add_argument(
        "--held_out", default="", help="for the card: how the photos relate to the training's"
    )
    parser.add_argument("--output_dir", default="out/evaluation")
    parser.add_argument("--networks", default="runs/networks", help="folder of converted networks")
    parser.add_argument("--skip_missing", action="store_true", help="leave out what needs them")
    parser.add_argument(
        "--no_cost", action="store_true", help="leave out size and time, as on a busy machine"
    )
    parser.add_argument("--mode", choices=("face", "frame"), default="face")
    parser.add_argument("--size", type=int, default=512, help="side of the pictures in pixels")
    parser.add_argument("--max_photos", type=int)
    parser.add_argument("--max_examples", type=int)
    parser.add_argument("--batch_size", type=int, default=4)
    parser.add_argument("--samples", type=int, default=1000, help="resamples of the bootstrap")
    parser.add_argument("--motion_photos", type=int, default=12)
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Evaluate and write the report."""
    args = parse(arguments)
    options = EvaluationOptions(
        networks=args.networks,
        skip_missing=args.skip_missing,
        batch_size=args.batch_size,
        samples=args.samples,
        seed=args.seed,
        motion_photos=args.motion_photos,
        clips=args.clips,
    )
    folder = locate_style(args.style)
    if args.update_card and (not isinstance(folder, Path) or read_facts(folder) is None):
        raise ConfigError(
            f"--update_card needs a style with facts.json, as examples/train.py writes it; "
            f"{args.style} is none."
        )
    pipe = TPSPortraitPipeline.from_pretrained(args.style).to(args.device)
    pipe.set_progress_bar_config(disable=True)
    finder = pipe.landmarker
    photos = read_faces(args.photos, args.size, landmarker=finder, limit=args.max_photos)
    if args.labels:
        photos = replace(photos, labels=read_labels(args.labels, photos))
    examples = read_faces(args.examples, args.size, landmarker=finder, limit=args.max_examples)
    evaluation = evaluate(
        drawer(pipe, args.mode),
        photos,
        examples,
        landmarker=finder,
        truth=read_truth(args.truth, photos, args.size) if args.truth else None,
        generator=None if args.no_cost else pipe.inference_network(),
        name=pipe.style or args.style,
        options=options,
        on_progress=lambda step: print(f"... {step}", file=sys.stderr),
    )
    words = sys.argv[1:] if arguments is None else arguments
    evaluation.report.settings |= {
        "mode": args.mode,
        "hardware": hardware_name(torch.device(args.device)),
        "command": f"python examples/evaluate.py {shlex.join(words)}",
    }
    files = write_report(evaluation, args.output_dir)
    print(files["md"].read_text("utf-8"))
    if args.update_card and isinstance(folder, Path):
        update_card(folder, evaluation.report.to_dict(), args.held_out)
        print(f"Card: {folder / README}")
    print(f"Pictures beside the numbers: {files['html']}")


if __name__ == "__main__":
    try:
        main()
    except TPSPortraitError as error:
        sys.exit(f"error: {error}")
