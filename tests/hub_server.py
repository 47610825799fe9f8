"""A small Hub: an HTTP server with the endpoints that our calls use, and faults on demand.

It keeps repositories with their history in memory, asks for tokens, stores large files by hash as
the Hub does, answers ranges, pages its lists, and counts a download for each root `config.json`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from hub_repositories import LARGE, Repo

TOKENS = {"hf_owner": "owner", "hf_reader": "reader"}


@dataclass
class Fault:
    """Something that goes wrong with the requests whose line matches."""

    pattern: re.Pattern[str]
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    spoil: bool = False
    then: Callable[[], object] | None = None
    times: int = 1_000_000


class HubServer:
    """The server; `url` is what HF_ENDPOINT must be."""

    def __init__(self, page: int = 100) -> None:
        self.repos: dict[str, Repo] = {}
        self.large: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.log: list[str] = []
        self.ranges: list[str] = []
        self.page = page
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        """Address, the same after a restart."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start, on the port of before."""
        hub = self

        class Handler(_Handler):
            server_hub = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_port
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Stop: connections are refused from now on."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def add(self, name: str, files: Mapping[str, bytes | str], **settings: Any) -> Repo:
        """Make a repository with one commit."""
        self.repos[name] = repo = Repo(name, **settings)
        data = {key: v.encode() if isinstance(v, str) else v for key, v in files.items()}
        repo.commit(data, message="First")
        return repo

    @contextmanager
    def fault(self, pattern: str, **settings: Any) -> Iterator[Fault]:
        """Break the requests that match `METHOD /path`."""
        fault = Fault(re.compile(pattern), **settings)
        self.faults.append(fault)
        try:
            yield fault
        finally:
            self.faults.remove(fault)

    def requests(self, pattern: str) -> list[str]:
        """Lines of the log that match."""
        return [line for line in self.log if re.search(pattern, line)]


class _Handler(BaseHTTPRequestHandler):
    server_hub: HubServer

    def log_message(self, *args: object) -> None:
        """Keep the test output clean."""

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.hub = self.server_hub
        url = urlsplit(self.path)
        self.route, self.query = unquote(url.path), parse_qs(url.query)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        line = f"{self.command} {self.route}"
        self.hub.log.append(line + (f"?{url.query}" if url.query else ""))
        if "Range" in self.headers:
            self.hub.ranges.append(self.headers["Range"])
        self.fault: Fault | None = None
        for fault in self.hub.faults:
            if fault.times > 0 and fault.pattern.search(line):
                fault.times -= 1
                if fault.status is not None:
                    self._error(fault.status, "injected", headers=fault.headers)
                    return
                self.fault = fault
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        self.user = TOKENS.get(token)
        if token and self.user is None:
            self._error(401, "Invalid credentials in Authorization header")
            return
        for method, pattern, action in _ROUTES:
            if self.command in method and (match := re.fullmatch(pattern, self.route)):
                action(self, **match.groupdict())
                return
        self._error(404, "no such endpoint")

    def _send(self, status: int, data: bytes = b"", headers: Mapping[str, str] = {}) -> None:
        fault = self.fault
        if fault is not None and fault.spoil and self.command == "GET":
            data = data[:-1] + bytes([data[-1] ^ 1])
        self.send_response(status)
        for key, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault is not None and fault.cut_after is not None:
            self.wfile.write(data[: fault.cut_after])
            self.wfile.flush()
            if fault.then:
                fault.then()
            return
        self.wfile.write(data)

    def _json(self, value: object, status: int = 200, headers: Mapping[str, str] = {}) -> None:
        data = json.dumps(value).encode()
        self._send(status, data, {"Content-Type": "application/json", **headers})

    def _error(
        self, status: int, message: str, code: str = "", headers: Mapping[str, str] = {}
    ) -> None:
        self.fault = None
        named = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
        self._json({"error": message}, status, {**named, **headers})

    def _repo(self, name: str, write: bool = False) -> Repo | None:
        """The repository if this user may have it, else the Hub's answer."""
        repo = self.hub.repos.get(name)
        owner = name.partition("/")[0]
        if repo is None or (repo.private and self.user != owner):
            code = 404 if self.user else 401
            self._error(code, "Repository not found", "RepoNotFound")
        elif repo.gated and self.user != owner:
            self._error(403, "Access to this model is restricted", "GatedRepo")
        elif write and self.user is None:
            self._error(401, "Invalid username or password.")
        elif write and self.user != owner:
            self._error(403, "You don't have the rights to commit to this repository")
        else:
            return repo
        return None

    def _files(self, repo: Repo, revision: str) -> tuple[str, dict[str, bytes]] | None:
        found = repo.files(revision)
        if found is None:
            self._error(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return found

    def create(self) -> None:
        asked = json.loads(self.body)
        owner = asked.get("organization") or self.user
        name = f"{owner}/{asked['name']}"
        answer = {"url": f"{self.hub.url}/{name}", "name": name, "id": name}
        if self.user is None:
            self._error(401, "Invalid username or password.")
        elif owner != self.user:
            self._error(403, "You don't have the rights to create a model under this namespace")
        elif name in self.hub.repos:
            self._json({"error": "You already created this model repo", **answer}, 409)
        else:
            visible = asked.get("visibility") or ("private" if asked.get("private") else "public")
            self.hub.repos[name] = repo = Repo(name, private=visible == "private")
            repo.commit({".gitattributes": b"*.safetensors filter=lfs\n"}, message="initial commit")
            self._json(answer)

    def whoami(self) -> None:
        if self.user is None:
            self._error(401, "Invalid username or password.")
        else:
            self._json({"type": "user", "name": self.user, "orgs": [], "auth": {}})

    def validate(self) -> None:
        self._json({"errors": [], "warnings": []})

    def preupload(self, name: str, revision: str) -> None:
        if (repo := self._repo(name, write=True)) and self._files(repo, revision):
            files = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(LARGE) else "regular",
                    "shouldIgnore": False,
                }
                for file in json.loads(self.body)["files"]
            ]
            self._json({"files": files})

    def batch(self, name: str) -> None:
        if self._repo(name, write=True) is None:
            return
        objects = []
        for item in json.loads(self.body)["objects"]:
            entry = {"oid": item["oid"], "size": item["size"]}
            if item["oid"] not in self.hub.large:
                base = f"{self.hub.url}/large/{item['oid']}"
                entry["actions"] = {"upload": {"href": base}, "verify": {"href": f"{base}/verify"}}
            objects.append(entry)
        self._json({"transfer": "basic", "objects": objects})

    def store(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            self._error(400, "hash differs")
        else:
            self.hub.large[oid] = self.body
            self._send(200)

    def verify(self, oid: str) -> None:
        self._json({}, 200 if oid in self.hub.large else 404)

    def commit(self, name: str, revision: str) -> None:
        repo = self._repo(name, write=True)
        found = repo and self._files(repo, revision)
        if not repo or not found:
            return
        files, message = dict(found[1]), ""
        for line in self.body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header":
                message = value["summary"]
            elif entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
            elif entry["key"] == "deletedFile":
                files.pop(value["path"])
        branch = "refs/pr/1" if self.query.get("create_pr") == ["1"] else revision
        sha = repo.commit(files, branch, message)
        url = f"{self.hub.url}/{name}"
        pull = {"pullRequestUrl": f"{url}/discussions/1"} if branch == "refs/pr/1" else {}
        self._json({"success": True, "commitOid": sha, "commitUrl": f"{url}/commit/{sha}", **pull})

    def _facts(self, repo: Repo, revision: str = "main") -> dict[str, Any] | None:
        found = self._files(repo, revision)
        return None if found is None else repo.facts(*found, blobs=bool(self.query.get("blobs")))

    def info(self, name: str, revision: str = "main") -> None:
        if (repo := self._repo(name)) and (facts := self._facts(repo, revision)):
            self._json(facts)

    def tree(self, name: str, revision: str) -> None:
        repo = self._repo(name)
        found = repo and self._files(repo, revision)
        if found:
            entries = []
            for path, data in found[1].items():
                sha = hashlib.sha1(data).hexdigest()
                entry: dict[str, Any] = {
                    "type": "file",
                    "path": path,
                    "size": len(data),
                    "oid": sha,
                }
                if path.endswith(LARGE):
                    digest = hashlib.sha256(data).hexdigest()
                    entry["lfs"] = {"oid": digest, "size": len(data), "pointerSize": 130}
                entries.append(entry)
            self._json(entries)

    def resolve(self, name: str, revision: str, path: str) -> None:
        repo = self._repo(name)
        found = repo and self._files(repo, revision)
        if not repo or not found:
            return
        sha, files = found
        data = files.get(path)
        if data is None:
            self._error(404, "Entry not found", "EntryNotFound", {"X-Repo-Commit": sha})
            return
        repo.downloads += path == "config.json" and self.command == "GET"
        kind = hashlib.sha256 if path.endswith(LARGE) else hashlib.sha1
        headers = {"ETag": f'"{kind(data).hexdigest()}"', "X-Repo-Commit": sha}
        headers["Accept-Ranges"] = "bytes"
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if match:
            start = int(match[1])
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self._send(206, data[start:], headers)
        else:
            self._send(200, data, headers)

    def listing(self) -> None:
        def one(key: str) -> str:
            return self.query.get(key, [""])[0]

        found = []
        for repo in self.hub.repos.values():
            facts = self._facts(repo)
            visible = not repo.private or self.user == repo.name.partition("/")[0]
            if (
                facts
                and visible
                and set(self.query.get("filter", ())) <= set(facts["tags"])
                and one("search").lower() in repo.name.lower()
                and one("author") in ("", facts["author"])
            ):
                found.append(facts)
        key = one("sort") or "downloads"
        found.sort(key=lambda facts: facts[key], reverse=True)
        start = int(one("cursor") or 0)
        end = start + min(int(one("limit") or self.hub.page), self.hub.page)
        headers = {}
        if end < len(found):
            again = urlencode({**self.query, "cursor": [str(end)]}, doseq=True)
            headers["Link"] = f'<{self.hub.url}/api/models?{again}>; rel="next"'
        self._json(found[start:end], headers=headers)


_NAME = r"(?P<name>[\w.-]+/[\w.-]+)"
_REVISION = r"(?P<revision>refs/pr/\d+|[^/]+)"
_ROUTES: list[tuple[tuple[str, ...], str, Callable[..., None]]] = [
    (("POST",), r"/api/repos/create", _Handler.create),
    (("GET",), r"/api/whoami-v2", _Handler.whoami),
    (("POST",), r"/api/validate-yaml", _Handler.validate),
    (("POST",), rf"/api/models/{_NAME}/preupload/{_REVISION}", _Handler.preupload),
    (("POST",), rf"/{_NAME}\.git/info/lfs/objects/batch", _Handler.batch),
    (("PUT",), r"/large/(?P<oid>\w+)", _Handler.store),
    (("POST",), r"/large/(?P<oid>\w+)/verify", _Handler.verify),
    (("POST",), rf"/api/models/{_NAME}/commit/{_REVISION}", _Handler.commit),
    (("GET",), rf"/api/models/{_NAME}/revision/{_REVISION}", _Handler.info),
    (("GET",), rf"/api/models/{_NAME}/tree/{_REVISION}", _Handler.tree),
    (("GET",), rf"/api/models/{_NAME}", _Handler.info),
    (("GET",), r"/api/models", _Handler.listing),
    (("GET", "HEAD"), rf"/{_NAME}/resolve/{_REVISION}/(?P<path>.+)", _Handler.resolve),
]
