"""`POST /v1/chat/completions`: the agent as a chat model, so that every chat page is a page for it.

A reply is the answer in Markdown, `[n]` for its citations and the quotes at the end; the same citations stand in the
payload (`citations`, `reasonir`). Streamed, what the agent does comes first, as `reasoning_content`: the rewrite as it is
written, how many passages are scored, what is searched for again. Then the answer: it is sent when its citations have been checked,
never word by word before. Comments keep the connection alive meanwhile.

A client that leaves cancels the agent and its requests to the chat model. A failure after the stream began ends it with
an error event in words.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from reasonir_agent.agent.follow_up import ask_follow_up
from reasonir_agent.server.completions import ChatCompletion, ChatRequest, Details, ReplyHead, TokenUsage, citations_of
from reasonir_agent.server.dialogue import earlier_turns
from reasonir_agent.server.narration import Narrator, markdown
from reasonir_agent.server.problems import Problem, documented, problem_of, shown
from reasonir_agent.server.services import AGENT_MODEL, Services
from reasonir_agent.types import Answer

KEEP_ALIVE: Final = 10.0
"""Seconds of silence after which a comment is sent; proxies give up after 30 to 60."""

_IN_TIME: Final = 0.95
"""Share of the server's time-out after which a stream ends itself, in words; the time-out would break it off."""

_HEADERS: Final = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
"""nginx would collect the events."""

_STREAM: Final[dict[str, Any]] = {
    "description": "The reply; a stream of events where `stream` is true, each a chunk in OpenAI's shape, the last [DONE].",
    "content": {
        "text/event-stream": {
            "schema": {
                "type": "object",
                "required": ["data"],
                "properties": {
                    "data": {"type": "string", "description": "A chat.completion.chunk as JSON, or [DONE]."}
                },
            }
        }
    },
}


def router(services: Services) -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["chat"])

    @routes.post(
        "/v1/chat/completions",
        summary="The agent as a chat model",
        response_model=ChatCompletion,
        responses={200: _STREAM, **documented(404, 501, 502)},
    )
    async def chat_completions(request: ChatRequest) -> Any:
        """Answers the last user message from the corpus, with citations that were checked, or abstains.

        **Conversation.** With a chat model, a message such as "and why?" is first made a question that stands alone, by
        what users and assistants said before it, the last six turns; `reasonir.question` says what was asked. Without one
        it is taken as it is, with a warning. System, developer and tool messages are ignored, and so are pictures of
        earlier messages.

        **What is refused.** A field that asks for another shape of reply: `n` above 1, `tools`, `functions`, a
        `response_format` other than text, `logprobs`, `modalities` other than text, images. Fields that steer sampling
        (`temperature`, `max_tokens`, `stop`, `seed` ...) are ignored: the agent's own settings hold.

        **Chat pages.** Open WebUI also sends its prompts for titles, tags and follow-up questions to the model of the
        conversation; the agent would search for them. Choose another task model there, or switch these off.

        **Citations.** `[n]` in the text, the quotes at its end, and `citations` in the payload (of a stream: in the chunk
        that has the `finish_reason`). Pictures and HTML in the text are made inert, since documents are not trusted.
        """
        conversation = _Conversation(request, services)
        if request.stream:
            return StreamingResponse(conversation.events(), media_type="text/event-stream", headers=_HEADERS)
        return await conversation.reply()

    return routes


class _Conversation:
    """One request on its way; made before the reply begins, so that what is wrong with it has an HTTP status."""

    def __init__(self, request: ChatRequest, services: Services) -> None:
        if request.model != AGENT_MODEL:
            raise Problem(
                404,
                f"there is no chat model {shown(request.model)}; there is {AGENT_MODEL}",
                param="model",
                code="model_not_found",
            )
        self._message = request.question()
        self._said = earlier_turns(request.messages)
        services.limits.check_texts([self._message], param="messages")
        self._corpus = services.need_corpus()
        self._services = services
        self._head = ReplyHead()
        self._wants_usage = bool(request.stream_options and request.stream_options.include_usage)

    async def reply(self) -> ChatCompletion:
        """The whole reply at once."""
        thinking: list[str] = []
        answer = await self._ask(thinking.append)
        return self._head.completion(markdown(answer), "".join(thinking), answer)

    async def events(self) -> AsyncIterator[str]:
        """The reply as server-sent events."""
        news: asyncio.Queue[str | None] = asyncio.Queue()
        work = asyncio.create_task(self._ask_in_time(lambda lines: news.put_nowait(self._thought(lines))))
        work.add_done_callback(lambda done: _ended(done, news))
        try:
            yield _event(self._head.chunk({"role": "assistant", "content": ""}))
            while (said := await _next(news)) is not None:
                yield said
            for event in self._ending(work.result()):
                yield event
        except Exception as error:
            yield _event(problem_of(error).as_json())
        finally:
            work.cancel()  # the client has left
        yield "data: [DONE]\n\n"

    async def _ask(self, tell: Callable[[str], None], *, streams: bool = False) -> Answer:
        settings, chat = self._services.settings, self._services.chat
        narrator = Narrator(tell, scores=chat is not None, depth=settings.rerank_depth, shown=settings.k)
        return await ask_follow_up(
            self._message,
            self._said,
            store=self._corpus,
            chat_model=chat,
            settings=settings,
            on_question=narrator.question,
            on_step=narrator.step,
            on_news=narrator.news if streams else None,
        )

    async def _ask_in_time(self, tell: Callable[[str], None]) -> Answer:
        seconds = self._services.limits.seconds * _IN_TIME
        try:
            async with asyncio.timeout(seconds) as clock:
                return await self._ask(tell, streams=True)
        except TimeoutError as cause:
            if not clock.expired():
                raise
            message = f"this took longer than {seconds:g} seconds; ask for less"
            raise Problem(504, message, kind="timeout_error", code="timeout") from cause

    def _thought(self, lines: str) -> str:
        return _event(self._head.chunk({"reasoning_content": lines}))

    def _ending(self, answer: Answer) -> Iterator[str]:
        yield _event(self._head.chunk({"content": markdown(answer)}))
        payload = {
            "citations": [one.model_dump() for one in citations_of(answer)],
            "reasonir": Details.of(answer).model_dump(),
        }
        yield _event(self._head.chunk({}, finish=True, **payload))
        if self._wants_usage:
            yield _event(self._head.chunk(None, usage=TokenUsage.of(answer.usage).model_dump()))


def _ended(work: asyncio.Task[Answer], news: asyncio.Queue[str | None]) -> None:
    if not work.cancelled():
        work.exception()  # it counts as seen even when nobody is there to be told
    news.put_nowait(None)


async def _next(news: asyncio.Queue[str | None]) -> str | None:
    """The next event; a comment when none comes for a while, None after the last."""
    try:
        async with asyncio.timeout(KEEP_ALIVE):
            return await news.get()
    except TimeoutError:
        return ": still at work\n\n"


def _event(chunk: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(chunk)}\n\n"
