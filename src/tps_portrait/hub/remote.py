"""Requests to the Hub, and what its answers mean for a user."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import (
    build_hf_headers,
    get_session,
    hf_raise_for_status,
)

from .._version import __version__
from ..errors import HubError, ModelFileError, StyleNotFoundError, TPSPortraitError
from .styles import LIBRARY_NAME, not_found

_TIMEOUT = 10.0  # seconds for one answer
_ATTEMPTS = 3
_PATIENCE = 20.0  # longest wait in seconds that a rate limit may ask for before we give up

Token = str | bool | None


def endpoint() -> str:
    """Address of the Hub, from `HF_ENDPOINT`."""
    return str(constants.ENDPOINT)


def hub_api(token: Token = None) -> HfApi:
    """Client of the Hub that names this library.

    Args:
        token: of the user; the one that is logged in when `None`, none at all when `False`.
    """
    return HfApi(
        endpoint=endpoint(), token=token, library_name=LIBRARY_NAME, library_version=__version__
    )


def get_json(path: str, params: Sequence[tuple[str, str]] = (), token: Token = None) -> Any:
    """Ask the Hub's API.

    Args:
        path: such as `/api/models/me/ink`.
        params: of the query.
        token: see `hub_api`.

    Returns:
        The decoded answer.

    Raises:
        Exception: whatever huggingface_hub and its HTTP client raise; see `explain`.
    """
    return _get(endpoint() + path, params, token).json()


def repository_facts(
    repo_id: str, revision: str | None = None, token: Token = None
) -> dict[str, Any]:
    """Ask the Hub what it knows of a repository, with size and hash of its files.

    Args:
        repo_id: `user/name`.
        revision: branch, tag or commit; the main branch by default.
        token: see `hub_api`.

    Raises:
        Exception: see `get_json`.
    """
    place = f"/revision/{quote(revision, safe='')}" if revision else ""
    facts: dict[str, Any] = get_json(f"/api/models/{repo_id}{place}", [("blobs", "true")], token)
    return facts


def get_pages(
    path: str, params: Sequence[tuple[str, str]] = (), token: Token = None
) -> Iterator[dict[str, Any]]:
    """Ask the Hub's API for a list, page by page as it is consumed.

    Args:
        path: such as `/api/models`.
        params: of the query of the first page.
        token: see `hub_api`.

    Yields:
        The entries.

    Raises:
        Exception: see `get_json`.
    """
    url: str | None = endpoint() + path
    while url:
        response = _get(url, params, token)
        yield from response.json()
        url, params = response.links.get("next", {}).get("url"), ()
        if url and not url.startswith(endpoint() + "/"):
            raise ValueError(f"the next page lies on another server: {url}")


def _get(url: str, params: Sequence[tuple[str, str]], token: Token) -> Any:
    headers = build_hf_headers(token=token, library_name=LIBRARY_NAME, library_version=__version__)
    options = {"params": list(params)} if params else {}
    for attempt in range(_ATTEMPTS):
        response = get_session().get(url, headers=headers, timeout=_TIMEOUT, **options)
        wait = _seconds_to_wait(response.status_code, response.headers, attempt)
        if wait is None or attempt == _ATTEMPTS - 1:
            break
        time.sleep(wait)
    hf_raise_for_status(response)
    return response


def _seconds_to_wait(status: int, headers: Mapping[str, str], attempt: int) -> float | None:
    """How long to wait before the next attempt; `None` if there should be none."""
    if status == 429:
        asked = _asked_wait(headers)
        wait = 2.0**attempt if asked is None else asked + 1.0
        return wait if wait <= _PATIENCE else None
    return 0.5 * 2.0**attempt if status >= 500 else None


def _asked_wait(headers: Mapping[str, str]) -> float | None:
    if (text := headers.get("retry-after", "")).isdecimal():
        return float(text)
    reset = re.search(r"\bt=(\d+)", headers.get("ratelimit", ""))
    return None if reset is None else float(reset[1])


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what caused it, the last first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def status_of(error: BaseException) -> int | None:
    """HTTP status that the Hub answered with, `None` if there was no answer."""
    answers = (getattr(cause, "response", None) for cause in chain(error))
    return next((int(answer.status_code) for answer in answers if answer is not None), None)


def is_down(error: BaseException) -> bool:
    """Tell whether the Hub was not reached, is broken or busy: a copy in the cache may serve."""
    status = status_of(error)
    return _unreachable(error) if status is None else status == 429 or status >= 500


def _unreachable(error: BaseException) -> bool:
    return any(
        isinstance(cause, ConnectionError | TimeoutError | json.JSONDecodeError)
        # The base class of what httpx raises, by name: huggingface_hub has changed its client.
        or any(kind.__name__ == "TransportError" for kind in type(cause).__mro__)
        for cause in chain(error)
    )


def why_down(error: BaseException) -> str:
    """Say in a few words why the Hub does not serve; see `is_down`."""
    if any(isinstance(cause, OfflineModeIsEnabled) for cause in chain(error)):
        return "HF_HUB_OFFLINE is set"
    status = status_of(error)
    if status == 429:
        return "the Hub limits the rate of requests"
    if status is not None:
        return f"the Hub answered with error {status}"
    if any(isinstance(cause, json.JSONDecodeError) for cause in chain(error)):
        return f"{endpoint()} does not answer as the Hub does; something stands in between"
    return f"{endpoint()} cannot be reached"


def explain(
    error: BaseException, action: str, repo_id: str = "", revision: str | None = None
) -> TPSPortraitError:
    """Turn an error of a request into one of ours.

    Args:
        error: what huggingface_hub or its HTTP client raised.
        action: what was tried, such as `list the styles`.
        repo_id: the repository that was asked for, if any.
        revision: the revision that was asked for, if any.

    Returns:
        The error to raise: `StyleNotFoundError` if there is no such repository or revision,
        `ModelFileError` if a file is missing in it, `HubError` otherwise.
    """
    causes, status = list(chain(error)), status_of(error)

    def caused_by(kind: type[BaseException]) -> bool:
        return any(isinstance(cause, kind) for cause in causes)

    if caused_by(GatedRepoError):
        return HubError(
            f"Cannot {action}: {repo_id} is gated. Accept its conditions on "
            f"{endpoint()}/{repo_id}, then log in here with `hf auth login` or set HF_TOKEN."
        )
    if caused_by(RepositoryNotFoundError):
        reason = "The Hub has no such repository, or it is private: check the id and the token."
        return StyleNotFoundError(not_found(repo_id, reason))
    if caused_by(HFValidationError):
        return StyleNotFoundError(not_found(repo_id, f"{_first_line(error)}."))
    if caused_by(RevisionNotFoundError):
        return StyleNotFoundError(
            not_found(repo_id, f"The repository has no revision {revision!r}.")
        )
    if caused_by(EntryNotFoundError) and status is not None:
        return ModelFileError(f"Cannot {action}: {_first_line(error)}.")
    return HubError(f"Cannot {action}: {_advice(error, status, causes)}")


def _advice(error: BaseException, status: int | None, causes: Sequence[BaseException]) -> str:
    if status == 401:
        return (
            "the Hub does not accept the token, or there is none (401). Log in with "
            "`hf auth login`, or set HF_TOKEN."
        )
    if status == 403:
        return (
            "the token does not allow it (403). Use a token of the owner with the right to "
            f"do so. The Hub says: {_first_line(error)}."
        )
    if status == 429:
        answer = next(c.response for c in causes if getattr(c, "response", None) is not None)  # type: ignore[attr-defined]
        wait = _asked_wait(answer.headers)
        later = "later" if wait is None else f"in {wait:.0f} s"
        return (
            f"the Hub limits the rate of requests (429). Try again {later}; logged-in users may "
            "ask more often."
        )
    if status is not None and status >= 500:
        return f"the Hub answered with error {status}. Try again later."
    if status is not None:
        return f"the Hub refused ({status}): {_first_line(error)}."
    if is_down(error):
        return f"{why_down(error)}. Check the connection and try again."
    return f"{_first_line(error)}."


def _first_line(error: BaseException) -> str:
    message = getattr(error, "server_message", None) or str(error) or type(error).__name__
    return str(message).strip().splitlines()[0].rstrip(".")
