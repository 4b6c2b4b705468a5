"""The application on a socket, until somebody ends it. Only this module imports uvicorn.

The port is taken before the encoder is loaded, so that a taken port costs no waiting. Ctrl-C and SIGTERM let the requests
that are under way finish for `GRACE` seconds, then cut them off. Ctrl-C then leaves as `KeyboardInterrupt`, as from any
command; SIGTERM, a service manager's way to end a server that works, returns. No access log is written: addresses hold
what clients put there.
"""

from __future__ import annotations

import errno
import signal
import socket
from typing import TYPE_CHECKING, Final

from reasonir_agent.errors import InputError, missing_extra

if TYPE_CHECKING:
    from types import FrameType

    from fastapi import FastAPI

GRACE: Final = 10
"""Seconds for requests that are under way when the server is ended."""


def listen(host: str, port: int) -> socket.socket:
    """Take a port; clients that come before the server runs wait in its queue.

    Args:
        host: address or name of this machine.
        port: 0 takes any free one.

    Raises:
        InputError: the port is taken, or the address is not this machine's.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as cause:
        if cause.errno == errno.EADDRINUSE:
            raise InputError(f"the port {port} of {host} is taken; choose another with --port") from cause
        raise InputError(f"cannot listen on port {port} of {host}: {cause.strerror or cause}") from cause


def address_of(listening: socket.socket) -> str:
    """The URL that a socket is reached at."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(app: FastAPI, listening: socket.socket) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Raises:
        KeyboardInterrupt: it was Ctrl-C.
    """
    try:
        import uvicorn
    except ModuleNotFoundError as cause:
        raise missing_extra("serve", "the HTTP server", cause) from cause
    config = uvicorn.Config(
        app, log_config=None, log_level="error", access_log=False, server_header=False, timeout_graceful_shutdown=GRACE
    )
    before = signal.signal(signal.SIGTERM, _end_quietly)  # uvicorn raises the signal again when it has ended
    try:
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        signal.signal(signal.SIGTERM, before)


def _end_quietly(number: int, frame: FrameType | None) -> None:
    """SIGTERM has done its work."""
