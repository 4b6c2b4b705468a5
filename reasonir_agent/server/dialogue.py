"""What was said before the last user message of a chat request, as the agent reads it.

Clients send conversations in every order: a greeting first, or an answer whose question was cut off; two messages of the
user in a row; tool calls and their results; pictures. Only what users and assistants said in words is read. System and
developer messages are for a model's behaviour, and the agent has its own instructions. Of our own answers the list of
sources is left out: those are words of documents. None of it may carry what no reader sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from reasonir_agent.invisible import as_seen
from reasonir_agent.rewriting import Turn
from reasonir_agent.server.completions import Message
from reasonir_agent.server.narration import SOURCES


def earlier_turns(messages: Sequence[Message]) -> list[Turn]:
    """The turns before the last user message, oldest first.

    A user's message that nobody answered is a turn without an answer; what an assistant said before any user is one
    without a question; several answers to one message are one.
    """
    users = [place for place, message in enumerate(messages) if message.role == "user"]
    turns: list[Turn] = []
    for message in messages[: users[-1]] if users else ():
        words = _words(message)
        if not words:
            continue
        if message.role == "user":
            turns.append(Turn(words, ""))
        elif turns:
            turns[-1] = replace(turns[-1], answer=f"{turns[-1].answer}\n{words}".strip())
        else:
            turns.append(Turn("", words))
    return turns


def _words(message: Message) -> str:
    """What users and assistants said in words; nothing of others, of pictures, of tool calls."""
    if message.role not in ("user", "assistant"):
        return ""
    content = message.content or ""
    if not isinstance(content, str):
        content = "\n".join(part.text or "" for part in content if part.type == "text")
    if message.role == "assistant":
        content = content.partition(SOURCES)[0]
    return as_seen(content).strip()
