"""`tps-portrait push`: a style onto the Hub."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelFileError
from .runtime import load_pipeline, quiet_libraries

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(commands: _Commands, common: argparse.ArgumentParser) -> None:
    """Add the command and its options.

    Args:
        commands: the sub-parsers of `tps-portrait`.
        common: options that all commands have.
    """
    parser = commands.add_parser(
        "push",
        parents=[common],
        help="publish a style on the Hub",
        description="Publish the folder of a style on the Hub, as it is, with a thumbnail, samples "
        "and a card. Other files in the folder stay here. Log in first: `hf auth login`, or set "
        "HF_TOKEN.",
    )
    parser.add_argument("folder", metavar="FOLDER", help="folder of the style")
    parser.add_argument("id", metavar="ID", help="where it goes: user/name")
    parser.add_argument("--private", action="store_true", help="if the repository is new")
    parser.add_argument("-m", "--message", help="of the commit")
    parser.add_argument(
        "--license", metavar="ID", help="such as cc-by-4.0 (default: that of the card)"
    )
    parser.add_argument("--description", metavar="TEXT", help="one sentence about the style")
    parser.add_argument(
        "--metrics",
        metavar="JSON",
        help="measured results, such as the JSON that examples/evaluate.py writes (default: "
        "metrics.json in the folder)",
    )
    parser.add_argument(
        "--samples",
        nargs="+",
        metavar="IN",
        help="photos to show with their drawings; they become public (default: a bundled one)",
    )
    parser.add_argument("--revision", metavar="BRANCH", help="(default: main)")
    parser.add_argument("--create-pr", action="store_true", help="propose it as a pull request")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Publish a style and print where it is.

    Args:
        options: the parsed command line.

    Returns:
        0.

    Raises:
        HubError: the Hub refuses or does not answer.
        ModelFileError: the folder holds no style, pickles, or code.
        ConfigError: no licence is known, or the id is none.
    """
    folder = Path(options.folder).expanduser()
    if not folder.is_dir():
        raise ModelFileError(
            f"{folder} is no folder. Pass the folder of a style, such as the one that training "
            "wrote."
        )
    if not options.debug:
        quiet_libraries()
    from ..hub.publish import check_repo_id, read_metrics

    check_repo_id(options.id)
    metrics = Path(options.metrics).expanduser() if options.metrics else None
    if metrics is not None and not metrics.is_file():
        raise ModelFileError(f"There is no file {metrics}. Pass the JSON of an evaluation.")
    pipe = load_pipeline(str(folder.resolve()), "auto")
    commit = pipe.push_to_hub(
        options.id,
        private=options.private or None,
        commit_message=options.message,
        license=options.license,
        description=options.description,
        metrics=read_metrics(metrics) if metrics else (),
        samples=options.samples,
        revision=options.revision,
        create_pr=options.create_pr,
        folder=folder,
    )
    print(f"{folder} -> {commit.pr_url or commit.commit_url}")
    return 0
