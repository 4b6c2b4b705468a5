"""A hub on this machine: it keeps what the hub's own library sends, the plain way."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_" + "x" * 34
COMMIT = "c" * 40


class Hub(ThreadingHTTPServer):
    """Keeps what is pushed: small files come in the commit, large ones by themselves."""

    daemon_threads = True

    def __init__(self, token: str = TOKEN) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.token = token
        self.private: dict[str, bool] = {}
        self.blobs: dict[str, bytes] = {}
        self.files: dict[str, bytes] = {}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        name = re.fullmatch(r"/api/(?:datasets|models)/([^/]+/[^/?]+)(?:/revision/main)?(?:\?.*)?", self.path)
        if not self._allowed():
            return
        if not name or name[1] not in self.server.private:
            self._send({"error": "Repository not found"}, 404)
            return
        self._send({"id": name[1], "private": self.server.private[name[1]], "sha": COMMIT, "siblings": []})

    def do_PUT(self) -> None:
        data = self._body()
        self.server.blobs[hashlib.sha256(data).hexdigest()] = data
        self._send({})

    def do_POST(self) -> None:
        data = self._body()
        if not self._allowed():
            return
        if self.path == "/api/repos/create":
            self._create(json.loads(data))
        elif self.path == "/api/validate-yaml":
            self._send({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            self._send({"files": [{"path": one["path"], "shouldIgnore": False,
                                   "uploadMode": "lfs" if one["path"].endswith((".parquet", ".safetensors")) else "regular"}
                                  for one in json.loads(data)["files"]]})  # fmt: skip
        elif self.path.endswith("/info/lfs/objects/batch"):
            objects = [
                {**one, "actions": {"upload": {"href": f"{self.server.address}/blobs/{one['oid']}"}}}
                for one in json.loads(data)["objects"]
            ]
            self._send({"transfer": "basic", "objects": objects})
        elif "/commit/" in self.path:
            self._commit(data)
        else:
            self._send({"error": f"no such path {self.path}"}, 404)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _create(self, asked: dict[str, Any]) -> None:
        name = f"{asked.get('organization') or 'me'}/{asked['name']}"
        url = f"{self.server.address}/{'datasets/' if asked.get('type') == 'dataset' else ''}{name}"
        known = name in self.server.private
        private = asked.get("private") or asked.get("visibility") == "private"
        self.server.private.setdefault(name, bool(private))
        self._send({"url": url, "name": name, "id": name}, 409 if known else 200)

    def _commit(self, data: bytes) -> None:
        for line in data.splitlines():
            record = json.loads(line)
            value = record["value"]
            if record["key"] == "file":
                self.server.files[value["path"]] = base64.b64decode(value["content"])
            elif record["key"] == "lfsFile":
                self.server.files[value["path"]] = self.server.blobs[value["oid"]]
        repository = self.path.removeprefix("/api").partition("/commit/")[0]
        self._send({"commitUrl": f"{self.server.address}{repository}/commit/{COMMIT}", "commitOid": COMMIT})

    def _allowed(self) -> bool:
        if self.headers.get("authorization") == f"Bearer {self.server.token}":
            return True
        given = (self.headers.get("authorization") or "").removeprefix("Bearer ")
        self._send({"error": f"the token {given} is refused"}, 401)
        return False

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def _send(self, value: object, status: int = 200) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        headers = {"content-type": "application/json", "content-length": str(len(data))}
        if status in (401, 404):
            headers |= {"x-error-message": str(value), "x-error-code": "RepoNotFound" if status == 404 else ""}
        for name, text in headers.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(data)
