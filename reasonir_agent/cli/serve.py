"""`reasonir serve`: embeddings, reranking, search and answers over HTTP."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from reasonir_agent.cli import screen
from reasonir_agent.cli.options import EncoderOption, KOption, LlmOption, StoreOption
from reasonir_agent.cli.settings import Choices, choose
from reasonir_agent.errors import MissingExtra

if TYPE_CHECKING:
    from reasonir_agent.corpus import Corpus
    from reasonir_agent.server import Services
    from reasonir_agent.types import Encoder


def serve(
    store: StoreOption = None,
    encoder: EncoderOption = None,
    llm: LlmOption = None,
    k: KOption = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; one that other machines reach needs $REASONIR_TOKEN.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes any free one.")] = 8000,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Further name that clients may call this server by, when no token is set. Repeatable."),
    ] = None,
    max_body_mb: Annotated[float, typer.Option(help="Largest request body, in megabytes.")] = 16,
    max_texts: Annotated[int, typer.Option(help="Most texts in one request.")] = 2048,
    max_characters: Annotated[int, typer.Option(help="Longest text, in characters.")] = 100_000,
    max_requests: Annotated[int, typer.Option(help="Most requests that are worked on at the same time.")] = 64,
    max_waiting: Annotated[int, typer.Option(help="Most requests that wait for their turn.")] = 256,
    max_seconds: Annotated[float, typer.Option(help="Longest time for one request.")] = 300,
    batch_texts: Annotated[int, typer.Option(help="Most texts in one call of the encoder.")] = 64,
    batch_characters: Annotated[int, typer.Option(help="Most characters in one call of the encoder.")] = 32_768,
) -> None:
    """Serve embeddings and reranking and, with a store, search, answers and a chat model, over HTTP.

    With REASONIR_TOKEN in the environment, clients must send it as a bearer token (an OpenAI client: as its API key).
    """
    from reasonir_agent.server import Limits, Services, create_app
    from reasonir_agent.server.running import address_of, listen, run
    from reasonir_agent.server.security import LOOPBACK_NAMES, TOKEN_VARIABLE, check_address

    choices = choose(store=store, encoder=encoder, llm=llm, k=k)
    token = os.environ.get(TOKEN_VARIABLE) or None
    check_address(host, token)
    limits = Limits(
        body_bytes=int(max_body_mb * 1_000_000),
        texts=max_texts,
        characters=max_characters,
        active=max_requests,
        waiting=max_waiting,
        seconds=max_seconds,
        batch_texts=batch_texts,
        batch_characters=batch_characters,
    )
    with ExitStack() as opened:
        listening = opened.enter_context(listen(host, port))
        corpus = _corpus(choices, opened, is_wanted=store is not None)
        loaded = choices.open_encoder() if corpus is None else corpus.encoder
        _warm_up(loaded)
        services = Services.build(
            loaded, corpus=corpus, chat=choices.open_chat_model(), settings=choices.agent, limits=limits
        )
        hosts = None if token else {*LOOPBACK_NAMES, host, *(allow_host or ())}
        app = create_app(services, token=token, hosts=hosts)
        announced = _announced(services, address_of(listening), choices.store)
        screen.out.print(Text(screen.clean(announced)), soft_wrap=True)
        run(app, listening)


def _corpus(choices: Choices, opened: ExitStack, *, is_wanted: bool) -> Corpus | None:
    """The corpus; without one at the usual place only encoding is served, but a store that was named must be there."""
    from reasonir_agent.stores.database import FILE_NAME

    if not is_wanted and not (choices.store / FILE_NAME).is_file():
        return None
    return opened.enter_context(choices.open_corpus())


def _warm_up(encoder: Encoder) -> None:
    """Load the network before the first client waits for it; torch, where it is installed, for it is the faster one."""
    from reasonir_agent.encoder import ReasonIREncoder

    if isinstance(encoder, ReasonIREncoder) and encoder.parameters is not None:
        with suppress(MissingExtra):
            from reasonir_agent.encoder import torch_backbone  # noqa: F401  an encoder takes torch once it is imported
    encoder.encode_queries(["ready"])


def _announced(services: Services, address: str, store: Path) -> str:
    parts = [f"embeddings and rerank by {services.encoder_name}"]
    if services.corpus is None:
        parts.append(f"no store at {store}, so no search and no answers")
    else:
        answers = "quoted sentences" if services.chat is None else services.chat.name
        parts += [f"search over {services.corpus.size:,} passages", f"answers by {answers}"]
    return f"serving at {address}: {', '.join(parts)}; API at {address}/docs"
