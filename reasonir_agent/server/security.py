"""Who may ask.

With a token, everything but /health wants it as a bearer token, compared in constant time. Without one the server is for
this machine alone: it is bound to loopback (`check_address` refuses anything else), and because a web page in the
user's browser can reach loopback too, by a name that suddenly resolves to 127.0.0.1 or by a form that is posted across
sites, the Host header must name this machine and an Origin, if there is one, too. There is no CORS.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Collection
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from reasonir_agent.errors import InputError
from reasonir_agent.server.problems import Problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
"""What the Host header may name when the server is for this machine alone."""

TOKEN_VARIABLE: Final = "REASONIR_TOKEN"  # noqa: S105  the name of the variable
_PUBLIC: Final = ("/health",)


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reached from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def check_address(host: str, token: str | None) -> None:
    """Refuse to serve other machines without a token, and a token that no header can carry.

    Raises:
        InputError: it says what to do.
    """
    if token is not None and (not token.isascii() or not token.isprintable() or " " in token):
        raise InputError(f"the token in {TOKEN_VARIABLE} must be printable ASCII without spaces")
    if token is None and not is_loopback(host):
        raise InputError(
            f"other machines can reach {host}, so a token is needed: set the environment variable {TOKEN_VARIABLE}, "
            "or listen on 127.0.0.1"
        )


class Guard:
    """Middleware that turns strangers away.

    Args:
        app: what stands behind it.
        token: the bearer token, None for none.
        hosts: names that Host and Origin may have, None for any.
    """

    def __init__(self, app: ASGIApp, token: str | None, hosts: Collection[str] | None) -> None:
        self._app = app
        self._token = None if token is None else token.encode()
        self._hosts = None if hosts is None else {host.lower().strip("[]") for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or raise a `Problem`."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if self._hosts is not None:
            self._check_names(headers)
        if self._token is not None and scope["path"] not in _PUBLIC:
            self._check_token(headers.get(b"authorization", b""))
        await self._app(scope, receive, send)

    def _check_names(self, headers: dict[bytes, bytes]) -> None:
        assert self._hosts is not None
        for header, prefix in ((b"host", "//"), (b"origin", "")):
            said = headers.get(header)
            if said is None and header == b"origin":
                continue
            if _host_of(prefix + (said or b"").decode("latin-1")) not in self._hosts:
                name = header.decode().capitalize()
                raise Problem(
                    403,
                    f"this server answers to {', '.join(sorted(self._hosts))} only, and the {name} header names another; "
                    "use one of these addresses",
                    kind="permission_error",
                    code="host_not_allowed",
                )

    def _check_token(self, header: bytes) -> None:
        assert self._token is not None
        scheme, _, given = header.partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(given.strip(), self._token):
            raise Problem(
                401,
                "a token is needed, and none or a wrong one came; send the header Authorization: Bearer TOKEN",
                kind="authentication_error",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )


def _host_of(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
