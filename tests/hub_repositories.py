"""The repositories of the small Hub in `hub_server`: files with their history, in memory."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

LARGE = (".safetensors", ".jpg", ".png", ".bin")
"""Endings of the files that the Hub stores by hash."""


@dataclass
class Repo:
    """A repository: its commits, oldest first, and branches."""

    name: str
    private: bool = False
    gated: bool = False
    downloads: int = 0
    likes: int = 0
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)
    refs: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def files(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """Commit and files of a branch or commit."""
        wanted = self.refs.get(revision, revision)
        return next((commit for commit in self.commits if commit[0] == wanted), None)

    def commit(self, files: dict[str, bytes], branch: str = "main", message: str = "") -> str:
        """Add a commit."""
        seed = f"{self.name}{len(self.commits)}{message}".encode()
        sha = hashlib.sha1(seed + b"".join(k.encode() + v for k, v in sorted(files.items())))
        self.commits.append((sha.hexdigest(), files))
        self.refs[branch] = sha.hexdigest()
        self.messages.append(message)
        return sha.hexdigest()

    @property
    def card(self) -> dict[str, Any]:
        """Metadata of the card on main."""
        text = (self.files("main") or ("", {}))[1].get("README.md", b"").decode()
        match = re.match(r"---\n(.*?)\n---", text, re.DOTALL)
        return yaml.safe_load(match[1]) if match else {}

    def facts(self, sha: str, files: dict[str, bytes], *, blobs: bool) -> dict[str, Any]:
        """What the API says of a commit; with `blobs`, also of its files."""
        card = self.card
        tags = [
            *(card.get("tags") or ()),
            card.get("library_name"),
            f"license:{card.get('license')}",
        ]
        siblings: list[dict[str, Any]] = [{"rfilename": path} for path in files]
        if blobs:
            for entry in siblings:
                data = files[entry["rfilename"]]
                entry["size"] = len(data)
                if entry["rfilename"].endswith(LARGE):
                    digest = hashlib.sha256(data).hexdigest()
                    entry["lfs"] = {"sha256": digest, "size": len(data), "pointerSize": 130}
        return {
            "id": self.name,
            "modelId": self.name,
            "author": self.name.partition("/")[0],
            "sha": sha,
            "private": self.private,
            "gated": "auto" if self.gated else False,
            "downloads": self.downloads,
            "likes": self.likes,
            "lastModified": "2026-11-20T10:00:00.000Z",
            "tags": [tag for tag in tags if tag],
            "cardData": card,
            "siblings": siblings,
        }
