"""One place where a step of an item is asked for: up to so many attempts, each told why the one before was refused.

A step is a conversation, the JSON shape of the reply, and `accept`, which turns the parsed reply into what the step is
for or raises `Refused` with a reason. A further attempt carries the refused reply, cut, and the reason's sentence.
What goes on to the next turn is the accepted reply alone: the conversation of an item holds no refused attempt, so it
costs no tokens later and cannot be copied from.

When the attempts are used up, or the server failed for good on one call, `GivenUp` carries the reason out; the item is
then a `Rejected`. `ChatUnavailable` and `BudgetSpent` are not about this item and pass through.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Final, Generic, TypeVar

from pydantic import AfterValidator, BaseModel

from reasonir_agent.errors import BudgetSpent, ChatError, ChatUnavailable, UnreadableReply
from reasonir_agent.llm import Reply, read_json
from reasonir_trainer.synthesis.calling import Call, Caller
from reasonir_trainer.synthesis.prompts import retry

Talk = tuple[tuple[str, str], ...]
"""A conversation: (role, text) pairs."""

Shape = TypeVar("Shape", bound=BaseModel)
Accepted = TypeVar("Accepted")

UNREADABLE: Final = "the reply cannot be read"
CUT_OFF: Final = "the reply was cut off"
REFUSED: Final = "the model refused"
SERVER_FAILED: Final = "the model's server failed"

_SHOWN: Final = 4_000
"""Characters of a refused reply that a further attempt carries; enough to see what was wrong with it."""

EXAMPLE: Final = 2_000
"""Characters of a refused text that are kept as an example."""

_REFUSALS: Final = ("refusal", "content_filter")


def _clean(text: str) -> str:
    """A text from a reply without what no file can hold: halves of characters, NUL; without white space around."""
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n").strip()


Text = Annotated[str, AfterValidator(_clean)]
"""A string of a reply's shape, cleaned."""


class Refused(Exception):
    """A reply that cannot be used.

    Attributes:
        reason: short fixed name, for counting.
        detail: one sentence that tells the model what to do otherwise.
        example: the text that was refused.
    """

    def __init__(self, reason: str, detail: str, example: str) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.example = reason, detail, example[:EXAMPLE]


class GivenUp(Refused):
    """No usable reply could be had; the item comes to nothing."""


@dataclass(frozen=True, slots=True)
class Said(Generic[Accepted]):
    """An accepted reply: what was made of it, and the conversation with it as the last turn."""

    value: Accepted
    talk: Talk


@dataclass(slots=True)
class Asking:
    """The calls of one item.

    Attributes:
        item: its id.
        caller: who answers.
        attempts: how often a step is asked for at most.
        calls: made so far, refused replies included.
    """

    item: str
    caller: Caller
    attempts: int
    calls: int = 0

    async def json(
        self, step: str, talk: Talk, shape: type[Shape], accept: Callable[[Shape, Talk], Awaitable[Accepted]]
    ) -> Said[Accepted]:
        """Ask for a step until its reply is accepted.

        Args:
            step: its name in the journal.
            talk: the conversation up to the request.
            shape: of the reply.
            accept: makes of the parsed reply what the step is for, or raises `Refused`; gets the conversation with the
                reply as its last turn too, so that it can ask on.

        Raises:
            GivenUp: the attempts are used up, or the server failed on a call.
            ChatUnavailable: no call can succeed.
            BudgetSpent: a bound of the run is reached.
        """

        async def read(reply: Reply) -> Accepted:
            return await accept(_parsed(reply, shape), (*talk, ("assistant", reply.text)))

        return await self._until_accepted(step, talk, shape, read)

    async def text(self, step: str, talk: Talk, accept: Callable[[Reply], Awaitable[str]]) -> Said[str]:
        """Ask for a step whose reply is plain text; the rest as in `json`."""
        return await self._until_accepted(step, talk, None, accept)

    async def _until_accepted(
        self,
        step: str,
        talk: Talk,
        shape: type[BaseModel] | None,
        read: Callable[[Reply], Awaitable[Accepted]],
    ) -> Said[Accepted]:
        further: Talk = ()
        for attempt in range(1, self.attempts + 1):
            reply = await self._reply(Call(self.item, step, attempt, (*talk, *further), shape))
            try:
                _check_ending(reply)
                return Said(await read(reply), (*talk, ("assistant", reply.text)))
            except GivenUp:
                raise  # of a step within this one
            except Refused as refused:
                if attempt == self.attempts:
                    detail = f"{step}, attempt {attempt} of {self.attempts}: {refused.detail}"
                    raise GivenUp(refused.reason, detail, refused.example) from refused
                shown = reply.text[:_SHOWN] or "(nothing)"
                further = (*further, ("assistant", shown), ("user", retry(refused.detail, as_json=shape is not None)))
        raise AssertionError("unreachable")

    async def _reply(self, call: Call) -> Reply:
        self.calls += 1
        try:
            return await self.caller.reply(call)
        except (ChatUnavailable, BudgetSpent):
            raise
        except ChatError as failure:
            raise GivenUp(SERVER_FAILED, f"{call.step}, attempt {call.attempt}: {failure}", "") from failure


def _check_ending(reply: Reply) -> None:
    if reply.ended in _REFUSALS:
        raise Refused(REFUSED, "the request was declined; it is harmless, please do it.", reply.text)


def _parsed(reply: Reply, shape: type[Shape]) -> Shape:
    """The reply's JSON object, or why there is none."""
    try:
        return read_json(reply.text, shape)
    except UnreadableReply as problem:
        if reply.ended == "length":
            raise Refused(CUT_OFF, "it was cut off before its end; think and write less.", reply.text) from problem
        raise Refused(UNREADABLE, str(problem), reply.text or reply.thinking) from problem
