"""Puts a style on the Hub: card, thumbnail, samples and hashes beside the files that are loaded."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from .._imagefolder import METADATA
from ..errors import ConfigError, HubError, ModelFileError, StyleNotFoundError, TPSPortraitError
from .calibration import CALIBRATION, SUFFIXES
from .cards import SAMPLES, style_metadata
from .download import refuse_unsafe
from .facts import FACTS
from .metrics import Metric, model_index, report_metrics
from .pins import METADATA_KEY, join_card, own_metadata, pin_files, split_card
from .remote import Token, endpoint, explain, get_json, hub_api
from .styles import (
    COMPONENTS,
    CONFIG,
    FORMAT_VERSION,
    INDEX,
    LIBRARY_NAME,
    README,
    THUMBNAIL,
    read_style_config,
)

METRICS = "metrics.json"

_LOADING = re.compile(r"(from_pretrained\()(['\"])(?:(?!\2).)*\2")
_HEADING = re.compile(r"^## ", re.MULTILINE)
_PICTURES = frozenset((".jpeg", ".jpg", ".png", ".webp"))


def copy_style(source: Path, target: Path) -> None:
    """Copy the files that belong to a style, and no others.

    Args:
        source: folder of the style.
        target: empty folder.

    Raises:
        ModelFileError: there are pickles or programs among the files.
    """
    paths = [path.relative_to(source) for path in sorted(source.rglob("*")) if path.is_file()]
    paths = [path for path in paths if not any(part.startswith(".") for part in path.parts)]
    refuse_unsafe((path.as_posix() for path in paths), f"The style in {source}")
    for path in filter(_belongs, paths):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, target / path)


def _belongs(path: Path) -> bool:
    if len(path.parts) == 1:
        named = path.name in (INDEX, CONFIG, FACTS, README, THUMBNAIL)
        return named or path.stem.upper() in ("LICENSE", "LICENCE", "NOTICE")
    if len(path.parts) == 2 and path.parts[0] in COMPONENTS:
        return path.suffix in (".json", ".safetensors")
    if path.parts[0] == CALIBRATION:
        return len(path.parts) == 2 and (path.name == METADATA or path.suffix in SUFFIXES)
    return path.parts[0] == SAMPLES and path.suffix.lower() in _PICTURES


def read_metrics(path: Path) -> list[Metric]:
    """Read measured results from a file.

    Args:
        path: JSON; what `tps_portrait.evaluation` writes, or a list of objects with `type`,
            `value`, `dataset` and, if wanted, `name`.

    Returns:
        The results; empty if there is no such file.

    Raises:
        ModelFileError: the file is damaged.
    """
    if not path.is_file():
        return []
    try:
        found = json.loads(path.read_text("utf-8"))
        if isinstance(found, dict):
            return list(report_metrics(found["metrics"], str(found["dataset"])))
        return [
            Metric(str(e["type"]), float(e["value"]), str(e["dataset"]), e.get("name"))
            for e in found
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelFileError(
            f"{path} cannot be read ({error!r}). It must be a report of the evaluation, or a list "
            "of objects with type, value and dataset."
        ) from error


def complete_card(
    folder: Path,
    repo_id: str,
    *,
    license: str | None = None,
    description: str | None = None,
    metrics: Sequence[Metric | Mapping[str, Any]] = (),
) -> None:
    """Bring the card of a style up to what the Hub and this library read from it.

    Metadata that others wrote stay, and so does the text, but for the id in its example and a
    section with the samples. The hashes of all files are pinned.

    Args:
        folder: of the style, complete but for its card's metadata.
        repo_id: where it will lie.
        license: identifier of its licence; that of the card by default.
        description: one sentence about the style; that of the card by default.
        metrics: measured results, or a model-index such as that of an evaluation's report; those
            of the card by default.

    Raises:
        ConfigError: neither the card nor `license` names a licence.
    """
    path = folder / README
    metadata, body = split_card(path.read_text("utf-8"))
    config = read_style_config(folder, str(folder))
    style = str(config.get("style") or repo_id.rpartition("/")[2])
    license = license or metadata.get("license")
    if not license or license == "unknown":
        raise ConfigError(
            f"The card of {style} names no licence, and nobody may use a style without one. Pass "
            "license=, such as 'apache-2.0' or 'cc-by-4.0'."
        )
    kept = [str(tag) for tag in metadata.get("tags") or () if not str(tag).startswith("style:")]
    files = (item for item in folder.rglob("*") if item.is_file() and item != path)
    own = {
        **own_metadata(metadata),
        "style": style,
        "format_version": FORMAT_VERSION,
        "description": description or own_metadata(metadata).get("description"),
        "base": config.get("base"),
        "mix": config.get("mix"),
        "files": pin_files(folder, (item.relative_to(folder).as_posix() for item in files)),
    }
    metadata |= style_metadata(style, license)
    metadata["tags"] = list(dict.fromkeys((*kept, *metadata["tags"])))
    if (folder / THUMBNAIL).is_file():
        metadata["thumbnail"] = f"{endpoint()}/{repo_id}/resolve/main/{THUMBNAIL}"
    if "/" in str(config.get("base") or ""):
        metadata["base_model"] = config["base"]
    if metrics:
        metadata["model-index"] = _as_model_index(style, metrics)
    metadata[METADATA_KEY] = {key: value for key, value in own.items() if value is not None}
    body = _LOADING.sub(rf"\g<1>\g<2>{repo_id}\g<2>", body)
    path.write_text(join_card(metadata, _with_samples(body, folder)), "utf-8")


def _as_model_index(
    style: str, metrics: Sequence[Metric | Mapping[str, Any]]
) -> list[dict[str, Any]]:
    measured = [metric for metric in metrics if isinstance(metric, Metric)]
    ready = [metric for metric in metrics if not isinstance(metric, Metric)]
    if any("results" not in entry for entry in ready):
        raise ConfigError("metrics must be Metric objects, or a model-index: a list with results.")
    found = model_index(style, measured) if measured else []
    return [*found, *({**entry, "name": style} for entry in ready)]


def _with_samples(body: str, folder: Path) -> str:
    samples = sorted(path for path in (folder / SAMPLES).glob("*") if path.is_file())
    if not samples or f"]({SAMPLES}/" in body:
        return body
    lines = [f"![A photo, and its drawing]({SAMPLES}/{path.name})" for path in samples]
    section = "## Samples\n\n" + "\n\n".join(lines) + "\n\n"
    heading = _HEADING.search(body)
    if heading is None:
        return f"{body.rstrip()}\n\n{section}"
    place = heading.start()
    return body[:place] + section + body[place:]


def check_repo_id(repo_id: str) -> None:
    """Check that an id has the form `user/name` or `name`.

    Args:
        repo_id: what was asked for.

    Raises:
        ConfigError: it has not.
    """
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise ConfigError(
            f"{repo_id!r} is no id of a repository. Pass `user/name`, of letters, digits, -, _ "
            "and dots."
        ) from error


def create_repository(repo_id: str, *, private: bool | None, token: Token) -> str:
    """Make sure that a repository exists and may be published to.

    Args:
        repo_id: `user/name`, or a name in the space of whoever is logged in.
        private: make it private if it is new.
        token: of the user.

    Returns:
        Its full id.

    Raises:
        HubError: the Hub refuses or does not answer.
        ModelFileError: it exists and holds pickles or code, with which it would never be loaded.
    """
    action = f"publish to {repo_id}"
    try:
        created = hub_api(token).create_repo(repo_id, private=private, exist_ok=True)
        full: str = created.repo_id
        facts = get_json(f"/api/models/{full}", token=token)
    except TPSPortraitError:
        raise
    except Exception as error:
        raise _publishing_error(error, action, repo_id) from error
    files = [str(file["rfilename"]) for file in facts.get("siblings") or ()]
    refuse_unsafe(files, f"The Hub repository {full}")
    return full


def upload_style(
    folder: Path,
    repo_id: str,
    *,
    commit_message: str | None = None,
    token: Token = None,
    revision: str | None = None,
    create_pr: bool = False,
) -> CommitInfo:
    """Upload a style in one commit; files of it that are gone here go there too.

    Args:
        folder: of the style, with its completed card.
        repo_id: `user/name`.
        commit_message: of the commit.
        token: of the user.
        revision: branch to commit to; `main` by default.
        create_pr: propose the commit as a pull request.

    Returns:
        The commit, as huggingface_hub describes it.

    Raises:
        HubError: the Hub refuses or does not answer; nothing was changed there.
    """
    try:
        return hub_api(token).upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            commit_message=commit_message or f"Publish {folder.name} with {LIBRARY_NAME}",
            revision=revision,
            create_pr=create_pr,
            delete_patterns=[f"{part}/*" for part in (*COMPONENTS, CALIBRATION, SAMPLES)],
        )
    except Exception as error:
        raise _publishing_error(error, f"publish to {repo_id}", repo_id) from error


def _publishing_error(error: BaseException, action: str, repo_id: str) -> TPSPortraitError:
    explained = explain(error, action, repo_id)
    if isinstance(explained, StyleNotFoundError):
        # Who publishes does not look for a style: the Hub hides what the token may not see.
        return HubError(
            f"Cannot {action}: the Hub has no such user or organisation, or the token may not "
            "write there. Check the id, log in with `hf auth login`, or set HF_TOKEN."
        )
    return explained
