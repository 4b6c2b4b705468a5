"""Which failure of a chat server is which, what may be tried again, and how long a server asks to wait."""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Sequence
from typing import Any, Final

from reasonir_agent.errors import ChatError, ChatUnavailable, redact

_PASSING: Final = (408, 409, 425, 429, 500, 502, 503, 504, 529)
_SHORTEST_SECRET: Final = 4  # characters; a shorter one protects nothing, and removing it would shred every message


class BrokeOff(Exception):
    """A stream that ended before its reply did."""


def is_passing(cause: Exception) -> bool:
    """Whether the same request may succeed a little later."""
    status = getattr(cause, "status_code", None)
    if status is not None:
        return status in _PASSING
    kind = type(cause).__name__
    words = ("Connection", "ConnectError", "Timeout", "ReadError", "ProtocolError", "BrokeOff")
    return any(word in kind for word in words)


def may_have_cost(cause: Exception) -> bool:
    """Whether the server may have worked for a request that failed: it did not refuse it, and it could be reached."""
    if getattr(cause, "status_code", None) is not None or not is_passing(cause):
        return False
    link: BaseException | None = cause
    while link is not None:
        if type(link).__name__ in ("ConnectError", "ConnectTimeout"):
            return False
        link = link.__cause__
    return True


def asked_to_wait(cause: Exception) -> float | None:
    """Seconds that the server asks for (`retry-after-ms`, `retry-after` in seconds or as a date); None if it does not."""
    headers: Any = getattr(getattr(cause, "response", None), "headers", None) or {}
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = str(headers.get(name) or "").strip()
        try:
            return max(0.0, float(value) * unit)
        except ValueError:
            pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(str(headers.get("retry-after"))).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def refuses_option(cause: Exception) -> bool:
    """A server, or a client of another provider, that does not know an option such as `response_format`."""
    status = getattr(cause, "status_code", None)
    return status in (400, 422, 501) or isinstance(cause, TypeError)


def translated(cause: Exception, name: str, secrets: Sequence[str] = ()) -> ChatError:
    """A foreign failure as one of ours, in one sentence.

    Args:
        cause: what the client raised.
        name: of the model.
        secrets: keys that were sent; some servers repeat them, of whatever shape.
    """
    status = getattr(cause, "status_code", None)
    kind = type(cause).__name__
    if status in (401, 403):
        return ChatUnavailable(f"the chat server refuses the key for {name} (HTTP {status}); check the API key")
    if status == 404:
        return ChatUnavailable(
            f"the chat server does not know {name} (HTTP 404); check the model's name and the address"
        )
    if isinstance(cause, BrokeOff):
        return ChatError(f"the chat server of {name} broke its reply off")
    if "Connection" in kind or "ConnectError" in kind:
        return ChatUnavailable(f"the chat server of {name} cannot be reached; check the address and that it is running")
    if "Timeout" in kind:
        return ChatError(f"the chat model {name} did not answer in time")
    if isinstance(cause, (ValueError, TypeError, LookupError, AttributeError)):
        what = f"{kind}: {first_line(cause, secrets)}"
        return ChatError(f"the chat server of {name} gave no chat completion ({what}); check the address")
    return ChatError(f"the chat model {name} failed: {kind}: {first_line(cause, secrets)}")


def first_line(cause: Exception, secrets: Sequence[str] = ()) -> str:
    """The first line of what went wrong, without anything that is or looks like a secret."""
    text = str(cause).strip()
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            for form in (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1]):  # errors show bodies as they were sent
                text = text.replace(form, "[secret]")
    return redact((text.splitlines() or [""])[0])[:300]
