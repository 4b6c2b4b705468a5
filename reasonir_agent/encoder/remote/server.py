"""One server: one request at a time to it, asked again where that helps, refused in words where it does not.

Asked again (four times in all, Retry-After honoured up to a minute): 408, 409, 425, 429, 5xx, time-outs, connections
that break. Every message goes through `_clean`: the key is never in it, whatever shape it has and whoever repeats it.
A pause ends at once when the caller stops: nobody waits for a request whose neighbour has failed.
"""

from __future__ import annotations

import re
import threading
import time
import weakref
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from reasonir_agent.encoder.remote.answers import UnusableAnswer, read_object, read_vectors, start_of
from reasonir_agent.errors import EncoderError, InputError, ReasonIRError, redact

if TYPE_CHECKING:
    from openai import APIStatusError

    from reasonir_agent.types import FloatMatrix

AT_ONCE: Final = 8
"""Requests that one encoder has under way at the same time."""

_ATTEMPTS: Final = 4
_TIMEOUT: Final = 120.0
_LONGEST_PAUSE: Final = 60.0
_SHORTEST_SECRET: Final = 4
"""Characters; a shorter "key" is a placeholder, and replacing it would garble the message."""

_ASKED_AGAIN: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 507, 529})
_NO_LISTING: Final = frozenset({400, 401, 403, 404, 405, 406, 410, 501})
"""Answers to GET /v1/models of a server that lists nothing for us."""

_ABOUT_SIZE: Final = re.compile(
    r"(?i)batch[ _-]?size|too (many|large|long|big)|at most|maximum|exceed|less than|longer than"
)


class Refused(EncoderError):
    """The server answered with a failure.

    Attributes:
        status: HTTP status.
        is_size: whether it says that the request is too large; a smaller one may pass.
    """

    def __init__(self, message: str, *, status: int, is_size: bool) -> None:
        super().__init__(message)
        self.status, self.is_size = status, is_size


class Stopped(EncoderError):
    """Another request of the same call has failed; nobody sees this one."""


class EmbeddingsServer:
    """An OpenAI-compatible server.

    Args:
        base_url: address up to and including `/v1`.
        api_key: sent as a bearer token; None for servers without one.

    Raises:
        InputError: the address is none, or the key cannot be sent.
    """

    def __init__(self, base_url: str, api_key: str | None) -> None:
        self.address = redact(base_url)
        self._key = (api_key or "").strip()
        if not base_url.startswith(("http://", "https://")):
            raise InputError(f"the address of a server must start with http:// or https://, got {self.address!r}")
        if not (self._key.isascii() and self._key.isprintable()):
            raise InputError("the API key holds characters that cannot be sent in a header")
        from openai import OpenAI

        self._client = OpenAI(base_url=base_url, api_key=self._key or "none", timeout=_TIMEOUT, max_retries=0)
        self._slots = threading.BoundedSemaphore(AT_ONCE)
        weakref.finalize(self, self._client.close)  # its connections stay open for as long as we live, and no longer

    def models(self) -> list[dict[str, Any]] | None:
        """What the server lists at /v1/models; None where it lists nothing.

        Raises:
            EncoderError: the server cannot be reached, or fails.
        """
        send = self._client.models.with_raw_response.list
        try:
            body = self._ask("asking for the models", lambda: send(extra_headers=self._headers()).text)
            found = read_object(body).get("data")
        except UnusableAnswer:
            return None
        except Refused as refused:
            if refused.status in _NO_LISTING:
                return None
            raise
        return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else None

    def embed(self, model: str, texts: list[str], *, stop: threading.Event | None = None) -> FloatMatrix:
        """Vectors of one request's texts, float32 [n, dim], as long as the server made them.

        Raises:
            Refused: the server answered with a failure.
            Stopped: `stop` was set meanwhile.
            EncoderError: it cannot be reached, or its answer cannot be used.
        """
        send = self._client.embeddings.with_raw_response.create

        def request() -> str:
            reply = send(model=model, input=texts, encoding_format="base64", extra_headers=self._headers())
            return str(reply.text)

        body = self._ask(f"encoding with {model!r}", request, stop)
        try:
            return read_vectors(body, len(texts))
        except UnusableAnswer as problem:
            raise UnusableAnswer(self._clean(f"{model!r} at {self.address} {problem}")) from None

    def _ask(self, what: str, send: Callable[[], str], stop: threading.Event | None = None) -> str:
        from openai import APIConnectionError, APIStatusError

        stop = stop or threading.Event()
        for attempt in range(1, _ATTEMPTS + 1):
            if stop.is_set():
                raise Stopped(f"{what} was stopped")
            pause: float | None = 0.5 * 2 ** (attempt - 1)
            try:
                with self._slots:
                    return send()
            except APIStatusError as refused:
                pause = _pause(refused, pause or 0.0)
                failure: EncoderError = self._refused(what, refused)
            except APIConnectionError as broken:  # time-outs are among them
                failure = self._failed(what, broken, broken.__cause__)
            except ReasonIRError:
                raise
            except Exception as foreign:
                raise self._failed(what, foreign, None) from None
            if pause is None or attempt == _ATTEMPTS:
                raise failure
            stop.wait(pause)
        raise AssertionError("unreachable")

    def _headers(self) -> dict[str, Any]:
        from openai import Omit

        return {} if self._key else {"Authorization": Omit()}

    def _refused(self, what: str, refused: APIStatusError) -> Refused:
        status, said = refused.status_code, _words(refused.response.text)
        is_size = status == 413 or (status in (400, 422) and _ABOUT_SIZE.search(said) is not None)
        wait = _retry_after(refused)
        late = f"; it asks to come again in {wait:,.0f} s" if wait is not None and wait > _LONGEST_PAUSE else ""
        hint = "; the address must end in /v1" if status == 404 and not self.address.rstrip("/").endswith("/v1") else ""
        message = f"{what} at {self.address} failed: HTTP {status}: {said}{late}{hint}"
        return Refused(self._clean(message), status=status, is_size=is_size)

    def _failed(self, what: str, error: Exception, cause: BaseException | None) -> EncoderError:
        detail = f" ({cause})" if cause is not None and str(cause) else ""
        return EncoderError(self._clean(f"{what} at {self.address} failed: {type(error).__name__}: {error}{detail}"))

    def _clean(self, message: str) -> str:
        """One line without a secret."""
        if len(self._key) >= _SHORTEST_SECRET:  # some servers repeat a refused key, of whatever shape
            message = message.replace(self._key, "[secret]")
        return " ".join(redact(message).split())


def _words(body: str) -> str:
    """What a failure says, in the shapes of OpenAI, vLLM, TEI and FastAPI."""
    try:
        found: Any = read_object(body)
    except UnusableAnswer:
        return start_of(body) or "no reason given"
    for name in ("error", "message", "detail", "msg"):
        if isinstance(found, dict) and found.get(name):
            found = found[name]
    return str(found)[:400]


def _pause(refused: APIStatusError, usual: float) -> float | None:
    """Seconds until the next attempt; None where there is no use in one."""
    if refused.status_code not in _ASKED_AGAIN:
        return None
    asked = _retry_after(refused)
    if asked is None:
        return usual
    return asked if asked <= _LONGEST_PAUSE else None


def _retry_after(refused: APIStatusError) -> float | None:
    """What the server asks for, in seconds: `Retry-After` as a number or a date, or `Retry-After-Ms`."""
    headers = refused.response.headers
    for name, scale in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) * scale)
        except (KeyError, ValueError):
            continue
    try:
        return max(0.0, parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time())
    except (KeyError, ValueError, TypeError):
        return None
