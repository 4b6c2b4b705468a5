"""Who answers the calls of a run: a chat model at once, or a batch API within a day. Opened for a part of the run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from reasonir_agent.errors import InputError
from reasonir_agent.llm import ChatModel, Meter
from reasonir_trainer.synthesis.batch import BatchApi, BatchCaller, BatchLimits, Rounds
from reasonir_trainer.synthesis.batch.requests import ModelOptions
from reasonir_trainer.synthesis.journal import Journal
from reasonir_trainer.synthesis.live_caller import LiveCaller
from reasonir_trainer.synthesis.making import RunCaller
from reasonir_trainer.synthesis.pipeline import OpenCaller
from reasonir_trainer.synthesis.progress import Progress
from reasonir_trainer.synthesis.run_folder import RunFolder

_PROVIDER = "openai:"


def live_calls(model: ChatModel) -> OpenCaller:
    """Calls that are sent at once."""

    @asynccontextmanager
    async def opened(journal: Journal, meter: Meter, progress: Progress) -> AsyncIterator[RunCaller]:
        yield LiveCaller(model, journal, meter)

    return opened


def batched_calls(
    model: str,
    folder: RunFolder,
    *,
    base_url: str | None,
    api_key: str | None,
    temperature: float | None = None,
    reply_tokens: int | None = None,
    limits: BatchLimits | None = None,
) -> OpenCaller:
    """Calls that wait for a batch.

    Args:
        model: "openai:NAME".
        folder: where the state of batches is kept.
        base_url: of the server; None is OpenAI's own.
        api_key: of the account.
        temperature: None leaves the server's default.
        reply_tokens: bound on a reply; None sets none.
        limits: of batches.

    Raises:
        InputError: the model is of another provider.
    """
    if not model.startswith(_PROVIDER):
        raise InputError(f"batches are OpenAI's: the model must be openai:NAME, got {model!r}")
    options = ModelOptions(model.removeprefix(_PROVIDER), temperature, reply_tokens)

    @asynccontextmanager
    async def opened(journal: Journal, meter: Meter, progress: Progress) -> AsyncIterator[RunCaller]:
        api = BatchApi.open(base_url=base_url, api_key=api_key)
        told = limits or BatchLimits()
        caller = BatchCaller(api, options, journal, Rounds(folder.batches), meter, limits=told, tell=progress.tell)
        try:
            await caller.resume()
            yield caller
        finally:
            await caller.close()

    return opened
