"""Reading the options of `examples/train.py` from YAML and from the command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ..errors import ConfigError
from .arguments import TrainingArguments
from .weights import LossWeights


def parse_training_arguments(argv: Sequence[str] | None = None) -> TrainingArguments:
    """Read the options of a run from a YAML file (`--config`) and the command line.

    Args:
        argv: arguments without the program name; those of the process if not given.

    Returns:
        The options; flags win over the file, the file over the defaults.

    Raises:
        ConfigError: the file cannot be read, holds an unknown option or one of the wrong type, or
            an option is out of range.
    """
    parser = _parser()
    values = vars(parser.parse_args(argv))
    if values.get("config"):
        values = {**_read_yaml(Path(values["config"])), **values}
    return TrainingArguments(**values)


def _parser() -> argparse.ArgumentParser:
    """A parser that returns only the flags that were given."""
    parser = argparse.ArgumentParser(
        usage="%(prog)s [--config FILE] [--option VALUE …]",
        description="Train a portrait style from about 100 example pictures and a set of photos.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    groups = {
        owner: parser.add_argument_group(title)
        for owner, title in ((TrainingArguments, "run"), (LossWeights, "losses"))
    }
    hints = get_type_hints(TrainingArguments)
    weights = {item.name for item in fields(LossWeights)}
    for item in fields(TrainingArguments):
        group = groups[LossWeights if item.name in weights else TrainingArguments]
        hint, default = hints[item.name], item.default
        kind, many = _kind(hint)
        text = item.metadata["help"]
        if kind is bool:
            group.add_argument(f"--{item.name}", action=argparse.BooleanOptionalAction, help=text)
            continue
        if not many and default is not None:
            text = f"{text} Default: {default}."
        group.add_argument(
            f"--{item.name}",
            type=kind,
            nargs="+" if many else None,
            choices=get_args(hint) if get_origin(hint) is Literal else None,
            metavar=None if get_origin(hint) is Literal else kind.__name__.upper(),
            help=text.replace("%", "%%"),
        )
    return parser


def _kind(hint: Any) -> tuple[type, bool]:
    """The type of a value on the command line, and whether there may be several."""
    if get_origin(hint) is list:
        return get_args(hint)[0], True
    if get_origin(hint) is Literal:
        return str, False
    if isinstance(hint, UnionType):
        hint = next(part for part in get_args(hint) if part is not NoneType)
    return hint, False


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"Cannot read --config {path}: {error}.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"--config {path} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"--config {path} must hold `option: value` lines.")
    hints = get_type_hints(TrainingArguments)
    unknown = sorted(map(str, set(values) - set(hints)))
    if unknown:
        raise ConfigError(
            f"--config {path} holds unknown options: {', '.join(unknown)}. "
            "`examples/train.py --help` lists the known ones."
        )
    return {name: _typed(path, name, value, hints[name]) for name, value in values.items()}


def _typed(path: Path, name: str, value: Any, hint: Any) -> Any:
    kind, many = _kind(hint)
    optional = isinstance(hint, UnionType)
    if value is None and optional:
        return None
    if many:
        value = [value] if isinstance(value, str) else value
        if isinstance(value, list) and all(type(entry) is kind for entry in value):
            return value
        raise ConfigError(f"--config {path}: {name} must be a list; got {value!r}.")
    if kind is float and type(value) in (int, str):
        # YAML reads 2e-4 as text.
        try:
            return float(value)
        except ValueError:
            pass
    choices = get_args(hint) if get_origin(hint) is Literal else ()
    if type(value) is kind and (not choices or value in choices):
        return value
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    wanted = f"one of {', '.join(choices)}" if choices else names[kind]
    # YAML 1.1 reads a bare no as false.
    if choices and value is False and "no" in choices:
        return "no"
    raise ConfigError(f"--config {path}: {name} must be {wanted}; got {value!r}.")
