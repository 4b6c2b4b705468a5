"""Counters for Prometheus, in a registry of their own. Labels come from closed sets: no path, text or name of a client."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from reasonir_agent.errors import missing_extra

try:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
except ModuleNotFoundError as cause:
    raise missing_extra("serve", "the HTTP server", cause) from cause

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_METHODS: Final = ("GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE")
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self.requests = Counter(
            "reasonir_requests", "Requests that ended.", ("route", "method", "status"), registry=registry
        )
        self.seconds = Histogram(
            "reasonir_request_seconds", "Duration of requests.", ("route",), buckets=_SECONDS, registry=registry
        )
        self.under_way = Gauge("reasonir_requests_under_way", "Requests that are under way.", registry=registry)
        self.texts = Counter("reasonir_texts", "Texts that were encoded.", ("role",), registry=registry)
        self.tokens = Counter("reasonir_tokens", "Tokens of these texts.", ("role",), registry=registry)
        self.cut = Counter("reasonir_texts_cut", "Documents that were cut at the encoder's window.", registry=registry)
        self.empty = Counter("reasonir_texts_empty", "Texts without a token; zero vectors.", registry=registry)
        self.dropped = Counter("reasonir_texts_dropped", "Texts whose client left before.", registry=registry)
        self.failures = Counter("reasonir_encoder_failures", "Failed encoder calls.", ("error",), registry=registry)
        self.batch_texts = Histogram(
            "reasonir_batch_texts", "Texts in one encoder call.", buckets=_SIZES, registry=registry
        )
        self.batch_requests = Histogram(
            "reasonir_batch_requests", "Requests joined in one encoder call.", buckets=_SIZES, registry=registry
        )
        self.batch_seconds = Histogram(
            "reasonir_batch_seconds", "Duration of one encoder call.", buckets=_SECONDS, registry=registry
        )
        self.queue = Gauge("reasonir_queue_texts", "Texts that wait for the encoder.", registry=registry)

    def exposition(self) -> bytes:
        """All counters in Prometheus' text format."""
        return generate_latest(self._registry)


class Observer:
    """Middleware that counts and times requests by route."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application and write down how it went."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        visit = _Visit(self._metrics, scope)

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                visit.status = message["status"]
            elif not message.get("more_body", False):
                visit.end()  # before the client has its answer, so that it finds itself counted
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            visit.end()


class _Visit:
    """One request until it is counted, which happens once."""

    def __init__(self, metrics: Metrics, scope: Scope) -> None:
        self.status = 500
        self._metrics, self._scope = metrics, scope
        self._began = time.perf_counter()
        self._is_counted = False
        metrics.under_way.inc()

    def end(self) -> None:
        """Count it, if it has not been."""
        if self._is_counted:
            return
        self._is_counted = True
        self._metrics.under_way.dec()
        route = getattr(self._scope.get("route"), "path", "none")
        method = self._scope["method"] if self._scope["method"] in _METHODS else "other"
        self._metrics.requests.labels(route, method, str(self.status)).inc()
        self._metrics.seconds.labels(route).observe(time.perf_counter() - self._began)
