"""What a model said: the text without its thinking, and JSON checked against a shape. Nothing is guessed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from reasonir_agent.errors import UnreadableReply

Parsed = TypeVar("Parsed", bound=BaseModel)

_BEGINNING: Final = re.compile(r'\{(?=\s*["}])')
_LONGEST: Final = 200_000  # characters; a reply that was allowed 2,048 tokens has about 10,000
_MOST_FAILURES: Final = 100  # each costs time in proportion to the text; prose has a few braces, garbage thousands
_OPENED, _CLOSED = "<think>", "</think>"


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a reply with its likeliest alternatives (itself among them), as (text, log-probability)."""

    text: str
    choices: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said.

    Attributes:
        text: the reply without its thinking.
        thinking: what stood before `</think>`, or "".
        prompt_tokens: as reported, 0 where the server reports nothing.
        completion_tokens: likewise.
        ended: why it ended, as the server says: "stop", "length", "content_filter", "tool_calls"; "refusal" where the
            model refused; "" where nothing is said.
        tokens: of the whole reply, where log-probabilities were asked for and given.
    """

    text: str
    thinking: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    ended: str = ""
    tokens: tuple[Token, ...] = ()


def as_reply(message: Any) -> Reply:
    """A LangChain message as a reply. What is far longer than any reply may be is cut."""
    text, thinking = split_thinking(as_text(message))
    usage = getattr(message, "usage_metadata", None) or {}
    about = getattr(message, "response_metadata", None) or {}
    refused = (getattr(message, "additional_kwargs", None) or {}).get("refusal")
    return Reply(
        text[:_LONGEST],
        thinking[:_LONGEST],
        _count(usage.get("input_tokens")),
        _count(usage.get("output_tokens")),
        "refusal" if refused else str(about.get("finish_reason") or ""),
        _tokens(about.get("logprobs")),
    )


def as_text(message: Any) -> str:
    """The text of a message or of a piece of one, thinking included; halves of characters are replaced."""
    content = message.content
    if isinstance(content, list):  # some providers answer in blocks
        content = "".join(str(block.get("text") or "") if isinstance(block, dict) else str(block) for block in content)
    # a lone surrogate can neither be sent again nor stored; a pair of them is a character
    return str(content or "").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _count(reported: Any) -> int:
    """A number of tokens; what is none counts as not reported."""
    return reported if type(reported) is int and reported > 0 else 0


def _tokens(given: Any) -> tuple[Token, ...]:
    """Log-probabilities in OpenAI's form; what has another form counts as none."""
    content = given.get("content") if isinstance(given, dict) else None
    try:
        return tuple(
            Token(
                str(one["token"]), tuple((str(c["token"]), float(c["logprob"])) for c in one.get("top_logprobs") or ())
            )
            for one in content or ()
        )
    except (KeyError, TypeError, ValueError):
        return ()


def split_thinking(text: str) -> tuple[str, str]:
    """(text, thinking): what a reasoning model thought aloud before `</think>` is kept apart from what it says."""
    thinking, _, text = text.rpartition("</think>")
    thinking = thinking.replace("<think>", "").replace("</think>", "")
    head, opened, rest = text.partition("<think>")
    if opened:  # cut off while still thinking
        return head.strip(), (thinking + rest).strip()
    return text.strip(), thinking.strip()


class _Twice(ValueError):
    """A key of an object stands in it twice with different values."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs) and any(found[name] != value for name, value in pairs):
        raise _Twice
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


class Visible:
    """What of a stream is no thinking, as it comes. A tag may be cut anywhere between two pieces."""

    def __init__(self) -> None:
        self._held, self._thinking = "", False

    def feed(self, piece: str) -> str:
        """The visible part of a further piece; a beginning of a tag is held back until it is decided."""
        self._held += piece
        shown = ""
        while self._held:
            tag = _CLOSED if self._thinking else _OPENED
            before, found, after = self._held.partition(tag)
            if found:
                shown += "" if self._thinking else before
                self._held, self._thinking = after, not self._thinking
                continue
            keep = _overlap(self._held, tag)
            if not self._thinking:
                shown += self._held[: len(self._held) - keep]
            self._held = self._held[len(self._held) - keep :]
            break
        return shown

    def rest(self) -> str:
        """What was held back and turned out to be no tag."""
        return "" if self._thinking else self._held


def _overlap(text: str, tag: str) -> int:
    """Length of the longest end of a text that is a beginning of a tag."""
    return next((n for n in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:n])), 0)


def read_json(text: str, shape: type[Parsed]) -> Parsed:
    """The JSON object in a reply, checked against a pydantic model.

    Accepts the object alone, inside a code fence, or with prose around it, as long as there is exactly one.

    Raises:
        UnreadableReply: there is none, there are several that differ, or it is of another shape.
    """
    objects = _objects(text)
    if not objects:
        raise UnreadableReply("it holds no complete JSON object.", raw=text)
    if any(one != objects[0] for one in objects[1:]):
        raise UnreadableReply(f"it holds {len(objects)} different JSON objects.", raw=text)
    try:
        return shape.model_validate(objects[0])
    except ValidationError as cause:
        first = cause.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the object"
        raise UnreadableReply(f"{where}: {first['msg']}.", raw=text) from cause


def _objects(text: str) -> list[dict[str, Any]]:
    """Every outermost JSON object in a text, up to one that was begun and never ends."""
    decoder = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_no_number)
    found: list[dict[str, Any]] = []
    failures = 0
    start = _BEGINNING.search(text)
    while start and failures < _MOST_FAILURES:
        end = start.end()
        try:
            value, end = decoder.raw_decode(text, start.start())
        except json.JSONDecodeError as fault:
            if fault.pos >= len(text) or fault.msg.startswith("Unterminated"):
                break  # cut off: what stands inside is a part, not the reply
            failures += 1
        except _Twice as fault:
            raise UnreadableReply("a key stands twice in one object, with different values.", raw=text) from fault
        except (ValueError, RecursionError):  # a number of thousands of digits, NaN, braces without end
            break
        else:
            found.append(value)
        start = _BEGINNING.search(text, end)
    return found
