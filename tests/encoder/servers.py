"""An embeddings server whose every answer a test decides, over real HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any

import numpy as np

from reasonir_agent.testing import _QuietServer


class Canned:
    """Answers every POST with one status and body.

    Args:
        status: HTTP status; a function gets the request and gives status and body.
        body: an object (sent as JSON), bytes (sent as they are), or a function from texts to vectors.
        headers: further headers.
        models: what GET /v1/models lists; None answers `models_status`.
    """

    def __init__(
        self,
        status: int | Callable[[dict[str, Any]], tuple[int, object]],
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        models: Sequence[Mapping[str, Any]] | None = None,
        models_status: int = 404,
    ) -> None:
        self.posts: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if models is None:
                    self._send(models_status, {"detail": "no list"})
                else:
                    self._send(200, {"object": "list", "data": list(models)})

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
                with outer._lock:
                    outer.posts.append(request)
                    outer.keys.append(self.headers.get("authorization"))
                code, said = status(request) if callable(status) else (status, body)
                self._send(code, answer(said(request["input"])) if callable(said) else said)

            def _send(self, code: int, said: object) -> None:
                data = said if isinstance(said, bytes) else json.dumps(said).encode()
                fields = {"content-type": "application/json", "retry-after-ms": "1", **(headers or {})}
                self.send_response(code)
                for name, value in {**fields, "content-length": str(len(data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing on the terminal."""

        self._server = _QuietServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Canned:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()
        self._thread.join(timeout=5)


def answer(vectors: Any, indices: Sequence[object] | None = None) -> dict[str, Any]:
    """An answer in OpenAI's shape."""
    rows = np.asarray(vectors).tolist() if not isinstance(vectors, list) else vectors
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": number, "embedding": row}
            for number, row in zip(indices or range(len(rows)), rows, strict=True)
        ],
    }
