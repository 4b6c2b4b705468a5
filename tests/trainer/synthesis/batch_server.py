"""A server that speaks OpenAI's files and batches over real HTTP, with a script for what the model says.

Batches work when they are looked at: the first look finds them in progress, the next one over. `ends` decides how each
ends, and `answers` which of its lines get a reply.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal

Ends = Literal["completed", "failed", "expired", "cancelled", "too large"]
Line = Literal["reply", "error", "refused", "missing"]


class BatchServer:
    """Files and batches.

    Args:
        says: what the model says to a request's body.
        ends: how the n-th batch (from 1) with so many requests ends.
        answers: what the n-th batch has for a request.
        api_key: the bearer token that is required.
    """

    def __init__(
        self,
        says: Callable[[Mapping[str, Any]], str],
        *,
        ends: Callable[[int, int], Ends] = lambda number, requests: "completed",
        answers: Callable[[int, dict[str, Any]], Line] = lambda number, request: "reply",
        api_key: str = "sk-loopback",
    ) -> None:
        self.says, self.ends, self.answers, self.api_key = says, ends, answers, api_key
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.answered: list[str] = []
        """Keys of all requests that were paid for, in order."""
        self.fail_once: dict[str, tuple[int, bool]] = {}
        """"METHOD /path" -> (status, whether it is done all the same) of the next such request."""
        self.hold = False
        """Batches stay in progress."""
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> BatchServer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join(timeout=5)
        self._server.server_close()

    def requests(self, batch: dict[str, Any]) -> list[dict[str, Any]]:
        """The requests of a batch."""
        return [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]

    def store(self, content: bytes) -> str:
        name = f"file-{len(self.files) + 1}"
        self.files[name] = content
        return name

    def create(self, asked: dict[str, Any]) -> dict[str, Any]:
        number = len(self.batches) + 1
        batch = {
            "id": f"batch_{number}",
            "object": "batch",
            "endpoint": asked["endpoint"],
            "input_file_id": asked["input_file_id"],
            "completion_window": asked["completion_window"],
            "created_at": number,
            "status": "validating",
            "metadata": asked.get("metadata"),
        }
        self.batches[batch["id"]] = batch
        return batch

    def look(self, batch: dict[str, Any]) -> dict[str, Any]:
        if batch["status"] == "validating":
            batch["status"] = "in_progress"
        elif batch["status"] == "in_progress" and not self.hold:
            self._end(batch)
        return batch

    def _end(self, batch: dict[str, Any]) -> None:
        number, requests = int(batch["id"].split("_")[1]), self.requests(batch)
        end = self.ends(number, len(requests))
        batch["status"] = "failed" if end == "too large" else end
        if end in ("failed", "too large"):
            code = "token_limit_exceeded" if end == "too large" else "invalid_request"
            batch["errors"] = {"object": "list", "data": [{"code": code, "message": f"the batch is {end}"}]}
            return
        lines: dict[str, list[dict[str, Any]]] = {"output_file_id": [], "error_file_id": []}
        for request in requests:
            kind = self.answers(number, request)
            if kind == "reply":
                self.answered.append(request["custom_id"])
                lines["output_file_id"].append(_answered(request, self.says(request["body"])))
            elif kind != "missing":
                lines["error_file_id"].append(_refused(request, 400 if kind == "refused" else 500))
        for name, found in lines.items():
            if found:
                batch[name] = self.store(
                    "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in found).encode()
                )
        failed = len(lines["error_file_id"])
        batch["request_counts"] = {"total": len(requests), "completed": len(lines["output_file_id"]), "failed": failed}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                with server._lock:
                    self._guarded("POST", body)

            def do_GET(self) -> None:
                with server._lock:
                    self._guarded("GET", b"")

            def _guarded(self, method: str, body: bytes) -> None:
                path = self.path.partition("?")[0]
                status, is_done = server.fail_once.pop(f"{method} {path}", (0, True))
                if self.headers.get("authorization") != f"Bearer {server.api_key}":
                    self._send(401, {"error": {"message": f"wrong key {self.headers.get('authorization')}"}})
                elif status:
                    if is_done:
                        self._answer(method, path, body)
                    self._send(status, {"error": {"message": "scripted failure"}})
                else:
                    self._send(*self._answer(method, path, body))

            def _answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
                if (method, path) == ("POST", "/v1/files"):
                    content = _uploaded(body, str(self.headers.get("content-type")))
                    return 200, _file(server.store(content), len(content))
                if (method, path) == ("POST", "/v1/batches"):
                    return 200, server.create(json.loads(body))
                if (method, path) == ("GET", "/v1/batches"):
                    found = list(reversed(server.batches.values()))
                    return 200, {"object": "list", "data": found, "has_more": False}
                if found := re.fullmatch(r"/v1/batches/(\w+)", path):
                    batch = server.batches.get(found[1])
                    return (200, server.look(batch)) if batch else (404, {"error": {"message": "no such batch"}})
                if found := re.fullmatch(r"/v1/files/([\w-]+)/content", path):
                    return 200, server.files[found[1]]
                return 404, {"error": {"message": f"no such path: {path}"}}

            def _send(self, status: int, answer: Any) -> None:
                content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing on the terminal."""

        return Handler


def _uploaded(body: bytes, content_type: str) -> bytes:
    """The file part of a multipart form."""
    boundary = b"--" + content_type.partition("boundary=")[2].encode()
    part = next(part for part in body.split(boundary) if b"filename=" in part)
    return part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")


def _file(name: str, size: int) -> dict[str, Any]:
    about = {"id": name, "object": "file", "bytes": size, "created_at": 0, "filename": "input.jsonl"}
    return about | {"purpose": "batch", "status": "processed"}


def _answered(request: dict[str, Any], text: str) -> dict[str, Any]:
    prompt = sum(len(one["content"].split()) for one in request["body"]["messages"])
    body = {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": request["body"]["model"],
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": len(text.split()), "total_tokens": 0},
    }
    answer = {"status_code": 200, "request_id": "r", "body": body}
    return {"id": "l", "custom_id": request["custom_id"], "response": answer, "error": None}


def _refused(request: dict[str, Any], status: int) -> dict[str, Any]:
    answer = {"status_code": status, "request_id": "r", "body": {"error": {"message": "scripted refusal"}}}
    return {"id": "l", "custom_id": request["custom_id"], "response": answer, "error": None}
