"""List the files of a figshare record, and only under the expected licence.

The record is read through the public API (https://docs.figshare.com), which gives name, size, MD5
and address of every file of a version.
"""

from __future__ import annotations

import http.client
import json
import re

from fetching import DownloadError, RemoteFile, open_url

API = "https://api.figshare.com/v2"


def list_files(article: int, version: int, license_name: str, api: str = API) -> list[RemoteFile]:
    """List the files of one version of a record.

    Args:
        article: number of the record; the end of its DOI `10.6084/m9.figshare.<article>`.
        version: which version.
        license_name: the licence it must have, as figshare writes it.
        api: address of the API.

    Raises:
        DownloadError: the record cannot be read, or has another licence.
    """
    url = f"{api}/articles/{article}/versions/{version}"
    try:
        with open_url(url, {"Accept": "application/json"}) as response:
            record = json.loads(response.read())
        found = record["license"]["name"]
        files = [
            RemoteFile(
                # A name could hold a path; only its end is used.
                name=re.split(r"[/\\]", str(entry["name"]))[-1],
                size=int(entry["size"]),
                checksum=str(entry["computed_md5"] or entry["supplied_md5"]).lower(),
                url=str(entry["download_url"]),
            )
            for entry in record["files"]
            if not entry.get("is_link_only")
        ]
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException) as error:
        raise DownloadError(f"{url} cannot be read ({error}).") from error
    if found != license_name:
        raise DownloadError(
            f"{url} is under {found!r} and not {license_name!r} any more. Read its page before you "
            "use it."
        )
    return files
