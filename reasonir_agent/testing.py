"""Fakes that run anywhere: a chat server with a script, and an encoder without weights. Standard library and NumPy only.

`ScriptedChatServer` speaks the OpenAI protocol over real HTTP on the loopback interface, so that tests and examples
drive the real clients. `FakeEncoder` hashes words into vectors: texts that share words are close.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix

_TOKEN = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Reply:
    """One scripted answer of the server.

    Attributes:
        text: what the model says; ignored when `body` is given.
        status: HTTP status.
        body: raw bytes to send instead of a completion.
        headers: further headers.
        delay: seconds to wait before answering.
        drop: close the connection without an answer; of a stream, after its first piece.
        logprobs: for each token of the reply, alternatives with their log-probabilities; sent when they are asked for.
        finish: why the reply ended ("stop", "length", "content_filter", "tool_calls").
        message: further fields of the message, such as `refusal` or `tool_calls`.
    """

    text: str = ""
    status: int = 200
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drop: bool = False
    logprobs: Sequence[Mapping[str, float]] | None = None
    finish: str = "stop"
    message: Mapping[str, Any] = field(default_factory=dict)


Answer = str | Reply
Script = Callable[[Mapping[str, Any]], Answer]


class ScriptedChatServer:
    """An OpenAI-compatible chat and embeddings server that says what it is told to say.

    Args:
        script: a function from the request's JSON to an answer, or a list of answers given in turn (the last one is
            repeated).
        embed: a function from a list of texts to vectors, for `/v1/embeddings`; None answers 404 there.
        api_key: the bearer token that is required; None requires none.

    Example:
        >>> with ScriptedChatServer(["Score: 4"]) as server:      # doctest: +SKIP
        ...     open_chat_model("openai:any", base_url=server.base_url)
    """

    def __init__(
        self,
        script: Script | Sequence[Answer] = ("ok",),
        *,
        embed: Callable[[list[str]], FloatMatrix] | None = None,
        api_key: str | None = None,
    ) -> None:
        if not callable(script) and not script:
            raise ValueError("a script needs at least one answer")
        self._script = script if callable(script) else _in_turn(list(script))
        self._embed = embed
        self._api_key = api_key
        self._lock = threading.Lock()
        self.requests: list[dict[str, Any]] = []
        """Every chat request's JSON, in the order of arrival."""
        self.most_at_once = 0
        """Most chat requests that were under way at the same time."""
        self._at_once = 0
        self._server = _QuietServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def base_url(self) -> str:
        """Address up to `/v1`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> ScriptedChatServer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving and hang up on those who are connected."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(timeout=5)
        self._server.server_close()
        self._server.hang_up()

    def prompts(self) -> list[str]:
        """All messages of each chat request as one text."""
        return ["\n".join(str(m.get("content")) for m in request["messages"]) for request in self.requests]

    def _answer(self, request: dict[str, Any]) -> Reply:
        with self._lock:
            self.requests.append(request)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            with self._lock:
                answer = self._script(request)
            reply = answer if isinstance(answer, Reply) else Reply(answer)
            time.sleep(reply.delay)
        except Exception as mistake:
            return Reply(f"the script raised {mistake!r}", status=500)
        finally:
            with self._lock:
                self._at_once -= 1
        return reply

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else a reply's body waits 40 ms for the client to acknowledge its head

            def do_POST(self) -> None:
                try:
                    request = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
                except ValueError as problem:
                    self._send(400, _error(f"the request is no JSON: {problem}"))
                    return
                if server._api_key is not None and self.headers.get("authorization") != f"Bearer {server._api_key}":
                    self._send(401, _error("incorrect API key provided: " + str(self.headers.get("authorization"))))
                elif self.path == "/v1/chat/completions":
                    self._chat(request)
                elif self.path == "/v1/embeddings" and server._embed is not None:
                    self._send(200, json.dumps(_embeddings(request, server._embed)).encode())
                else:
                    self._send(404, _error(f"no such path: {self.path}"))

            def _chat(self, request: dict[str, Any]) -> None:
                reply = server._answer(request)
                streams = bool(request.get("stream")) and reply.status < 400 and reply.body is None
                if reply.drop and not (streams and reply.text):
                    self.close_connection = True
                    self.connection.close()
                elif streams:
                    self._stream(request, reply)
                elif reply.body is not None:
                    self._send(reply.status, reply.body, reply.headers)
                elif reply.status >= 400:
                    self._send(reply.status, _error(reply.text), reply.headers)
                else:
                    self._send(reply.status, json.dumps(_completion(request, reply)).encode(), reply.headers)

            def _stream(self, request: dict[str, Any], reply: Reply) -> None:
                """Server-sent events, a word each; the connection ends with the reply."""
                self.close_connection = True
                with suppress(OSError):  # the client has gone
                    self.send_response(200)
                    self.send_header("content-type", "text/event-stream")
                    self.send_header("connection", "close")
                    self.end_headers()
                    for number, piece in enumerate(_pieces(request, reply)):
                        if reply.drop and number > 1:
                            self.connection.close()
                            return
                        self.wfile.write(b"data: " + json.dumps(piece).encode() + b"\n\n")
                        self.wfile.flush()
                    self.wfile.write(b"data: [DONE]\n\n")

            def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
                try:
                    self.send_response(status)
                    for name, value in {"content-type": "application/json", **(headers or {})}.items():
                        self.send_header(name, value)
                    self.send_header("content-length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    self.close_connection = True  # the client has gone

            def log_message(self, format: str, *args: object) -> None:
                """Nothing on the terminal."""

        return Handler


class _QuietServer(ThreadingHTTPServer):
    """Silent about clients that leave, and able to leave them: a kept-alive connection outlives the listening socket."""

    daemon_threads = True
    request_queue_size = 128  # of 32 clients that connect at once, five would find a place

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def hang_up(self) -> None:
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def _in_turn(answers: list[Answer]) -> Script:
    position = iter(range(len(answers)))

    def script(_: Mapping[str, Any]) -> Answer:
        return answers[next(position, len(answers) - 1)]

    return script


def _error(message: str) -> bytes:
    return json.dumps({"error": {"message": message, "type": "scripted", "code": None}}).encode()


def _completion(request: Mapping[str, Any], reply: Reply) -> dict[str, Any]:
    choice: dict[str, Any] = {
        "index": 0,
        "finish_reason": reply.finish,
        "message": {"role": "assistant", "content": reply.text, **reply.message},
    }
    if request.get("logprobs") and reply.logprobs is not None:
        choice["logprobs"] = {"content": [_token(choices) for choices in reply.logprobs]}
    return {
        "id": "scripted",
        "object": "chat.completion",
        "created": 0,
        "model": request.get("model", "scripted"),
        "choices": [choice],
        "usage": _usage(request, reply.text),
    }


def _token(choices: Mapping[str, float]) -> dict[str, Any]:
    """One token with its alternatives; the first is the one that was taken."""
    listed = [{"token": text, "logprob": value, "bytes": None} for text, value in choices.items()]
    return {**listed[0], "top_logprobs": listed}


def _pieces(request: Mapping[str, Any], reply: Reply) -> Iterable[dict[str, Any]]:
    """A reply as the chunks of a stream."""
    head = {
        "id": "scripted",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": request.get("model", "scripted"),
    }
    first: dict[str, Any] = {"role": "assistant", "content": "", **reply.message}
    for delta in (first, *({"content": word} for word in re.findall(r"\s*\S+|\s+", reply.text))):
        yield {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reply.finish}]}
    if (request.get("stream_options") or {}).get("include_usage"):
        yield {**head, "choices": [], "usage": _usage(request, reply.text)}


def _usage(request: Mapping[str, Any], text: str) -> dict[str, int]:
    prompt = sum(len(_TOKEN.findall(str(message.get("content")))) for message in request.get("messages", ()))
    said = len(_TOKEN.findall(text))
    return {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said}


def _embeddings(request: Mapping[str, Any], embed: Callable[[list[str]], FloatMatrix]) -> dict[str, Any]:
    given = request["input"]
    texts = [given] if isinstance(given, str) else list(given)
    rows = np.asarray(embed(texts)).tolist()
    return {
        "object": "list",
        "model": request.get("model", "scripted"),
        "data": [{"object": "embedding", "index": i, "embedding": row} for i, row in enumerate(rows)],
        "usage": {"prompt_tokens": 0, "total_tokens": 0},
    }


@dataclass(frozen=True, slots=True)
class FakeFingerprint:
    """The fingerprint of a fake encoder."""

    name: str
    dim: int

    @property
    def id(self) -> str:
        """Hash of name and dimension."""
        return hashlib.sha256(f"{self.name}/{self.dim}".encode()).hexdigest()[:16]

    def as_json(self) -> dict[str, Any]:
        """The parts and the id."""
        return {"id": self.id, "weights": self.name, "dim": self.dim}


class FakeEncoder:
    """An encoder without weights: each word votes for a few directions; texts that share words are close.

    Args:
        name: shapes the vectors; two names are two encoders.
        dim: length of a vector.
        window: tokens (words and signs) that it claims to read.
        abstain_below: threshold for abstention.
    """

    def __init__(
        self, name: str = "fake", *, dim: int = 64, window: int = 256, abstain_below: float | None = 0.2
    ) -> None:
        self.name, self.dim, self.window, self.abstain_below = name, dim, window, abstain_below
        self.fingerprint = FakeFingerprint(name, dim)
        self.encoded: list[str] = []
        """Every document text that was encoded, in order."""

    def encode_queries(self, texts: Sequence[str], /) -> FloatMatrix:
        """Unit vectors, float32 [n, dim]."""
        return self._encode(texts)

    def encode_documents(self, texts: Sequence[str], /) -> FloatMatrix:
        """Unit vectors, float32 [n, dim]."""
        self.encoded += list(texts)
        return self._encode(texts)

    def count_tokens(self, texts: Sequence[str], /) -> list[int]:
        """Words and signs of each text."""
        return [len(_TOKEN.findall(text)) for text in texts]

    def unknown_share(self, texts: Sequence[str], /) -> float:
        """Share of words with a character outside of Latin script."""
        found = [word for text in texts for word in _TOKEN.findall(text)]
        return sum(any(ord(c) > 0x24F for c in word) for word in found) / len(found) if found else 0.0

    def _encode(self, texts: Sequence[str]) -> FloatMatrix:
        rows = np.zeros((len(texts), self.dim), dtype=np.float32)
        for number, text in enumerate(texts):
            for word in _TOKEN.findall(text.casefold()):
                rows[number] += self._direction(word)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        result: FloatMatrix = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
        return result

    @lru_cache(maxsize=100_000)  # noqa: B019 - a fake lives as long as its test
    def _direction(self, word: str) -> FloatMatrix:
        seed = int.from_bytes(hashlib.sha256(f"{self.name}/{word}".encode()).digest()[:8], "big")
        direction: FloatMatrix = np.random.default_rng(seed).standard_normal(self.dim).astype(np.float32)
        return direction


def write_corpus(folder: Any, texts: Mapping[str, str] | Iterable[str]) -> list[str]:
    """Write texts as files of a folder (a mapping names them, otherwise 0.txt, 1.txt, ...); returns the paths."""
    named = texts if isinstance(texts, Mapping) else {f"{n}.txt": text for n, text in enumerate(texts)}
    paths = []
    for name, text in named.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        paths.append(str(path))
    return paths
