"""The server's side of a batch: upload, create once, poll, download. Errors are ours, and hold no key.

Creating is the one step that costs money and must not happen twice. It is never repeated blindly: after an attempt whose
end nobody saw, the server's list is searched for the round's name first.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from reasonir_agent.errors import ChatUnavailable, InputError
from reasonir_agent.llm.failures import first_line, is_passing, translated
from reasonir_trainer.synthesis.batch.requests import ENDPOINT
from reasonir_trainer.synthesis.live_caller import CallFailed

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types import Batch

T = TypeVar("T")

NAME: Final = "reasonir_round"
"""Key of a round's name in the metadata of its batch."""

_SEARCHED: Final = 2_000  # batches of the account, newest first, that are searched for a name
_ATTEMPTS: Final = 4


@dataclass(frozen=True, slots=True)
class State:
    """How far a batch is.

    Attributes:
        status: in the server's words.
        done: requests that are answered.
        is_over: whether nothing more will come.
        outputs: ids of the files that hold what came.
        problem: why it failed, "" where it did not.
        is_too_large: whether it failed because more was asked for at once than the account may.
    """

    status: str
    done: int
    is_over: bool
    outputs: tuple[str, ...]
    problem: str
    is_too_large: bool


class BatchApi:
    """A server that speaks OpenAI's Batch API.

    Args:
        client: of the openai package.
        secrets: keys that no message may show.
        pause: waits between attempts.
    """

    def __init__(
        self,
        client: AsyncOpenAI,
        *,
        secrets: tuple[str, ...] = (),
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client, self._secrets, self._pause = client, secrets, pause

    @classmethod
    def open(cls, *, base_url: str | None, api_key: str | None) -> BatchApi:
        """A server by its address and key.

        Raises:
            InputError: there is no key.
        """
        from openai import AsyncOpenAI, OpenAIError

        key = api_key or ("none" if base_url else None)  # local servers want none, the client insists on one
        try:
            client = AsyncOpenAI(base_url=base_url, api_key=key, max_retries=5, timeout=120)
        except OpenAIError as cause:
            raise InputError(f"the batch API cannot be used: {first_line(cause)}") from cause
        return cls(client, secrets=(key,) if key else ())

    async def create(self, name: str, content: bytes) -> str:
        """Upload the input and create the batch; returns its id.

        Raises:
            ChatUnavailable: the server cannot be reached, refuses the key or the batch.
            CallFailed: it is busy or broken.
        """
        async with self._ours():
            uploaded = await self._client.files.create(file=(f"{name}.jsonl", content), purpose="batch")
            for attempt in range(_ATTEMPTS):
                try:
                    made = await self._client.with_options(max_retries=0).batches.create(
                        input_file_id=uploaded.id, endpoint=ENDPOINT, completion_window="24h", metadata={NAME: name}
                    )
                except Exception as cause:
                    if not is_passing(cause) or attempt + 1 == _ATTEMPTS:
                        raise
                    await self._pause(2.0**attempt)
                    found = await self.find(name)
                    if found is not None:
                        return found
                else:
                    return made.id
        raise AssertionError("unreachable")

    async def find(self, name: str) -> str | None:
        """The id of the batch that was created for a round; None where there is none."""
        async with self._ours():
            searched = 0
            async for one in self._client.batches.list(limit=100):
                if (one.metadata or {}).get(NAME) == name:
                    return one.id
                searched += 1
                if searched >= _SEARCHED:
                    break
        return None

    async def state(self, batch: str) -> State:
        """How far a batch is.

        Raises:
            ChatUnavailable: the server cannot be reached, refuses the key or does not know the batch.
            CallFailed: it is busy or broken.
        """
        async with self._ours():
            return _state(await self._client.batches.retrieve(batch))

    async def download(self, file: str) -> bytes:
        """The content of an output file; the same errors."""
        async with self._ours():
            return (await self._client.files.content(file)).content

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    @asynccontextmanager
    async def _ours(self) -> AsyncIterator[None]:
        try:
            yield
        except ChatUnavailable:
            raise
        except Exception as cause:
            error = translated(cause, "the batch API", self._secrets)
            if isinstance(error, ChatUnavailable):
                raise error from cause
            kind = CallFailed if is_passing(cause) else ChatUnavailable
            raise kind(str(error)) from cause


def _state(batch: Batch) -> State:
    problems = [one.message or one.code or "" for one in (batch.errors.data or [])] if batch.errors else []
    codes = [one.code or "" for one in (batch.errors.data or [])] if batch.errors else []
    return State(
        status=batch.status,
        done=batch.request_counts.completed + batch.request_counts.failed if batch.request_counts else 0,
        is_over=batch.status in ("completed", "failed", "expired", "cancelled"),
        outputs=tuple(one for one in (batch.output_file_id, batch.error_file_id) if one),
        problem="; ".join(problems)[:300],
        is_too_large=any("limit_exceeded" in code for code in codes),
    )
