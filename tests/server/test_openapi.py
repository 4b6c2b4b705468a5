"""The OpenAPI page tells the truth: schemathesis asks every route what the page allows and what it forbids."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance

from reasonir_agent import Corpus
from reasonir_agent.llm import open_chat_model
from reasonir_agent.testing import FakeEncoder, ScriptedChatServer, write_corpus

ROUTES = [
    ("POST", "/v1/embeddings"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/{name}"),
    ("POST", "/v1/rerank"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/search"),
    ("POST", "/ask"),
    ("GET", "/health"),
    ("GET", "/metrics"),
]
OURS = ["/v1/rerank", "/v1/chat/completions", "/search", "/ask"]
"""Routes whose page describes every field."""

_REFUSED = ("n", "tools", "functions", "response_format", "logprobs", "modalities")
PLAIN: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Why do ducks keep their feet cold?"}],
    **dict.fromkeys(_REFUSED),
}
"""A request that is answered, whatever else it holds."""


@pytest.fixture
def corpus(tmp_path: Any) -> Iterator[Corpus]:
    write_corpus(tmp_path / "texts", ["Ducks keep their feet cold on purpose.", "Bread rises with yeast."])
    with Corpus(tmp_path / "store", FakeEncoder(), create=True) as made:
        made.index([tmp_path / "texts"])
        yield made


@pytest.fixture
def whole(serve: Callable[..., Any], corpus: Corpus) -> Iterator[str]:
    """A server that has a store and a chat model, whose words nobody can use."""
    with ScriptedChatServer(["no idea"]) as server:
        chat = open_chat_model("openai:test", base_url=server.base_url, max_retries=0)
        yield serve(corpus.encoder, corpus=corpus, chat=chat).url


@pytest.fixture
def bare(serve: Callable[..., Any]) -> str:
    """A server with an encoder and nothing else."""
    url: str = serve().url
    return url


def page_of(url: str) -> dict[str, Any]:
    page: dict[str, Any] = httpx.get(f"{url}/openapi.json").json()
    return page


def ask_everything(
    url: str,
    method: str,
    path: str,
    *,
    examples: int,
    fixed: Mapping[str, Any] | None = None,
    without: Sequence[Any] = (),
) -> list[int]:
    """Put generated requests to one route, check each reply against the page, and return the statuses.

    What a page allows may still be refused (an unknown model, a filter over a field that is not there), and so
    `positive_data_acceptance` is left out.

    Args:
        url: of the server.
        method: of the route.
        path: of the route.
        examples: number of requests.
        fixed: fields that every request has; they are then such as the page allows, otherwise half of them are not.
        without: further checks of schemathesis that are left out.
    """
    operation = schemathesis.openapi.from_url(f"{url}/openapi.json")[path][method]
    options = {"generation_mode": GenerationMode.POSITIVE} if fixed else {}
    seen: list[int] = []

    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(**options))
    def ask(case: Any) -> None:
        if fixed:
            case.body |= fixed
        reply = case.call_and_validate(excluded_checks=[positive_data_acceptance, *without])
        seen.append(reply.status_code)

    ask()
    return seen


def test_the_routes_are_those_that_are_asked_here(whole: str) -> None:
    paths = page_of(whole)["paths"]
    assert sorted((method.upper(), path) for path, one in paths.items() for method in one) == sorted(ROUTES)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_does_what_the_page_says(whole: str, method: str, path: str) -> None:
    seen = ask_everything(whole, method, path, examples=25 if method == "POST" else 10)
    assert seen and max(seen) < 500


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "fixed"),
    [
        ("/v1/rerank", {"model": "fake-rerank", "query": "ducks", "top_n": None}),
        ("/v1/rerank", {"model": "reasonir-rerank", "query": "ducks"}),
        ("/v1/chat/completions", {"model": "reasonir-agent", **PLAIN}),
        ("/v1/chat/completions", {"model": "reasonir-agent", **PLAIN, "stream": True}),
    ],
)
def test_replies_have_the_shape_of_the_page(whole: str, path: str, fixed: dict[str, Any]) -> None:
    seen = ask_everything(whole, "POST", path, examples=12, fixed=fixed)
    assert seen.count(200) >= 5 and set(seen) <= {200, 400}


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if route[0] == "POST"])
def test_what_is_not_there_is_told_as_the_page_says(bare: str, method: str, path: str) -> None:
    seen = ask_everything(bare, method, path, examples=10, without=[not_a_server_error])
    assert seen and set(seen) <= {200, 400, 404, 501}


@pytest.mark.parametrize("path", OURS)
def test_every_field_is_described(whole: str, path: str) -> None:
    page = page_of(whole)
    operation = page["paths"][path]["post"]
    assert operation["summary"] and len(operation["description"]) > 40
    shapes = reachable([operation["requestBody"], operation["responses"]["200"]], page["components"]["schemas"])
    assert len(shapes) >= 4
    silent = [
        f"{name}.{field}"
        for name in shapes
        for field, said in page["components"]["schemas"][name].get("properties", {}).items()
        if not said.get("description")
    ]
    assert silent == []


def reachable(start: Any, schemas: Mapping[str, Any]) -> set[str]:
    """Names of the schemas that a part of the page refers to, directly or not."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            name = str(part.get("$ref", "")).removeprefix("#/components/schemas/")
            if name in schemas and name not in found:
                found.add(name)
                waiting.append(schemas[name])
            waiting += part.values()
    return found
