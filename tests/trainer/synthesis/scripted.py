"""A chat model with a script for every step of synthesis, for `ScriptedChatServer`: long, varied, and the same each time.

    with ScriptedChatServer(scripted.model()) as server: ...
    with ScriptedChatServer(scripted.model(scripted.sometimes(0.2, "not json", "wrong length"))) as server: ...

A reply is a function of the request alone (its messages and the JSON shape it names), so that a resumed run and an
uninterrupted one get the same; "server error" alone counts, since it happens once for each request. Texts are made of
drawn words, so that no two are near-duplicates; topic words of the document or of the query are woven in, so that an
encoder finds them close.

Steps: "quality" (any JSON shape that is not an item's: filled in by the names of its fields), "hard query",
"varied query", "positive", "negative", "judge", "grade", "rewrite". `fault(step, attempt, key)` names what goes wrong.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reasonir_agent import llm
from reasonir_agent.errors import ChatError
from reasonir_agent.llm.replies import split_thinking
from reasonir_agent.testing import Reply, Script
from reasonir_trainer.synthesis import prompts
from reasonir_trainer.synthesis.calling import Call

Fault = Callable[[str, int, str], str | None]

FAULTS = (
    "not json",
    "wrong shape",
    "wrong length",
    "mentions",
    "too short",
    "statement",
    "overlaps",
    "copies",
    "helps",
    "refuses",
    "filtered",
    "cut off",
    "empty",
    "server error",
    "thinking",
)
"""Those that fit a step change its reply, others leave it as it is; "thinking" is a good reply behind its thinking."""

FIELDS = ("biology", "economics", "mathematics", "physics", "psychology", "law", "history", "computer science")

_SUBJECTS = """gardener pump orchard turbine ledger kiln ferry sensor colony beam market valve reservoir choir engine
granary printer satellite bakery clinic harbour loom quarry telescope vineyard battery bridge furnace hive kitchen
lantern mill orchestra parcel quilt railway shepherd tunnel violin workshop archive cellar dam estuary foundry glacier
""".split()
_VERBS = """slows warms drifts hardens settles spreads weakens balances reverses doubles shrinks delays overshoots
absorbs resists oscillates saturates recovers collapses tightens loosens accumulates vanishes converges splits merges
""".split()
_ADVERBS = "gradually suddenly unevenly rarely steadily visibly slightly twice nightly seasonally locally fully".split()
_JOINTS = "because while although whenever unless until after before since where".split()
_THINGS = """pressure price humidity demand voltage rainfall wage salinity traffic friction interest daylight oxygen
noise supply tension altitude appetite debt density erosion fatigue glare harvest inertia latency moisture nutrient
output pollen quota resonance sediment tariff uptake viscosity wear yield attendance backlog current deposit exposure
""".split()
_QUESTIONS = (
    "What could explain this, and how would I tell the possible causes apart?",
    "Why does it behave like that, and what should be changed first?",
    "How can I predict what happens if the load is doubled?",
    "Which of the two plans would hold, and for what reason?",
)
_WORD = re.compile(r"[^\W\d_]{5,}")
_HELPS = "The principle itself is this, and from it the answer follows."
_NUMBERS = re.compile(r"(?:of|about|fewer than|at least) (\d+) (?:words|\()")


def none(step: str, attempt: int, key: str) -> str | None:
    """Nothing goes wrong."""
    return None


def at_first(step: str, name: str) -> Fault:
    """The first reply to a step is broken, further attempts are good."""
    return lambda asked, attempt, _: name if asked == step and attempt == 1 else None


def always(step: str, name: str) -> Fault:
    """Every reply to a step is broken."""
    return lambda asked, _, __: name if asked == step else None


def sometimes(share: float, *names: str) -> Fault:
    """A share of replies (first and further attempts alike) is broken in one of some ways, drawn by hash."""

    def fault(step: str, attempt: int, key: str) -> str | None:
        draw = random.Random(f"{step}/{attempt}/{key}")
        return draw.choice(names or FAULTS) if draw.random() < share else None

    return fault


def model(fault: Fault = none) -> Script:
    """The script."""
    failed: set[str] = set()

    def script(request: Mapping[str, Any]) -> Reply:
        messages = [(str(m["role"]), str(m.get("content") or "")) for m in request["messages"]]
        attempt = 1 + sum(role == "user" and prompts.is_retry(text) for role, text in messages)
        key = hashlib.sha256(json.dumps(messages).encode()).hexdigest()
        task = next(text for role, text in reversed(messages) if role == "user" and not prompts.is_retry(text))
        step = _step(task)
        wrong = fault(step, attempt, key)
        if wrong == "server error" and key not in failed:
            failed.add(key)
            return Reply("the server is overloaded", status=500)
        return _broken(_said(step, task, messages, request, random.Random(key), wrong), wrong)

    return script


class InProcess:
    """A caller that hears the script without a server: for tests of what is made of replies.

    Attributes:
        calls: every call, in order.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self.calls: list[Call] = []

    async def reply(self, call: Call) -> llm.Reply:
        """What the script says."""
        self.calls.append(call)
        request: dict[str, Any] = {"messages": [{"role": role, "content": text} for role, text in call.messages]}
        if call.shape is not None:
            request["response_format"] = {"json_schema": {"schema": call.shape.model_json_schema()}}
        answer = self._script(request)
        assert isinstance(answer, Reply)
        if answer.status >= 400:
            raise ChatError(f"the server failed (HTTP {answer.status})")
        said, thinking = split_thinking(answer.text)
        return llm.Reply(said, thinking, ended=answer.finish)


def _step(task: str) -> str:
    for opening, step in (
        ("Write a query for which", "hard query"),
        ("Write a query of", "varied query"),
        ("Now write a document of", "positive"),
        ("Now write a document that looks", "negative"),
        ("Now judge", "judge"),
        ("How far does the document help", "grade"),
        ("State the essential problem", "rewrite"),
    ):
        if opening in task:
            return step
    return "quality"


def _said(
    step: str,
    task: str,
    messages: list[tuple[str, str]],
    request: Mapping[str, Any],
    draw: random.Random,
    wrong: str | None,
) -> str:
    """What a good model would say, but for what goes wrong in a text."""
    document = _between(messages, "document")
    if step == "hard query":
        return json.dumps(_hard(document, draw, wrong))
    if step == "varied query":
        return json.dumps({"query": _long(task, _topics(document), draw, wrong) + " " + draw.choice(_QUESTIONS)})
    if step == "positive":
        return json.dumps({"document": _long(task, _topics(_latest(messages, "query")), draw, wrong)})
    if step == "negative":
        return json.dumps(_negative(task, messages, document, draw, wrong))
    if step == "judge":
        helps = _HELPS in messages[-2][1] if messages[-2][0] == "assistant" else False
        return json.dumps({"reason": "It shares the subject; " + sentence(draw), "helps": helps})
    if step == "grade":
        return json.dumps({"reason": sentence(draw), "grade": _grade(_between(messages, "query"), document)})
    if step == "rewrite":
        return text(draw, 60, _topics(task))
    return json.dumps(_by_shape(request, draw))


def _hard(document: str, draw: random.Random, wrong: str | None) -> dict[str, str]:
    topics = _topics(document)[:40]
    query = text(draw, 60)
    query += f" I keep thinking of {' and '.join(draw.sample(topics, min(2, len(topics))))}. {draw.choice(_QUESTIONS)}"
    if wrong == "mentions":
        query = "According to the passage, " + query
    elif wrong == "too short":
        query = "Why does it drift?"
    elif wrong == "statement":
        query = " ".join(sentence(draw) for _ in range(4))
    elif wrong == "overlaps":
        query = " ".join(document.split()[:60]) + " Why?"
    return {"knowledge": sentence(draw), "reasoning": sentence(draw), "setting": sentence(draw), "query": query}


def _negative(
    task: str, messages: list[tuple[str, str]], document: str, draw: random.Random, wrong: str | None
) -> dict[str, str]:
    topics = _topics(_latest(messages, "query"))
    positive = _latest(messages, "document") or document
    written = _long(task, topics, draw, wrong, dense=True)
    if wrong == "copies":
        written = positive + " " + " ".join(sentence(draw) for _ in range(60))
    elif wrong == "too short":
        written = sentence(draw, topics)
    elif wrong == "helps":
        written += " " + _HELPS
    return {"trap": sentence(draw), "document": written}


def _grade(query: str, document: str) -> int:
    """Low for a document that consists of the query's words, as its written negatives do."""
    asked, held = set(_topics(query)), set(_topics(document))
    return round(5 * (1 - len(asked & held) / (len(held) or 1)))


def _long(task: str, topics: Sequence[str], draw: random.Random, wrong: str | None, *, dense: bool = False) -> str:
    """A text of the length that the task names."""
    asked = int(_NUMBERS.findall(task[task.rfind("</document>") + 1 :])[0])
    return text(draw, asked // 3 if wrong == "wrong length" else asked, topics, dense=dense)


def text(draw: random.Random, words: int, topics: Sequence[str] = (), *, dense: bool = False) -> str:
    """Sentences of about that many words in all, with the topics woven in; dense ones consist of little else."""
    sentences: list[str] = []
    length = 0
    while length < words:
        sentences.append(sentence(draw, topics, dense=dense))
        length += len(sentences[-1].split())
    return "\n\n".join(" ".join(sentences[n : n + 6]) for n in range(0, len(sentences), 6))


def sentence(draw: random.Random, topics: Sequence[str] = (), *, dense: bool = False) -> str:
    """About sixteen words."""
    things, subjects = (topics, topics) if dense and topics else (_THINGS, _SUBJECTS)
    about = f" with {draw.choice(topics)} and {draw.choice(topics)}" if topics else ""
    first = f"the {draw.choice(things)} of our {draw.choice(subjects)} {draw.choice(_VERBS)} {draw.choice(_ADVERBS)}"
    second = f"a {draw.choice(subjects)} {draw.choice(_VERBS)} by {draw.randint(2, 99)}"
    return f"{first}{about} {draw.choice(_JOINTS)} {second}.".capitalize()


def _by_shape(request: Mapping[str, Any], draw: random.Random) -> dict[str, Any]:
    """An object of the JSON shape that the request names, filled in by the names and types of its fields."""
    schema = (request.get("response_format") or {}).get("json_schema", {}).get("schema", {})
    fields = schema.get("properties") or {"quality": {"type": "number"}, "field": {"type": "string"}}
    return {name: _value(name, field, schema.get("$defs", {}), draw) for name, field in fields.items()}


def _value(name: str, field: Mapping[str, Any], shapes: Mapping[str, Any], draw: random.Random) -> Any:
    if "$ref" in field:
        field = shapes[field["$ref"].rsplit("/", 1)[-1]]
    if "enum" in field:
        return draw.choice(field["enum"])
    kind = field.get("type") or next((one["type"] for one in field.get("anyOf", ()) if one["type"] != "null"), "string")
    if kind in ("integer", "number"):
        return draw.choice((0, 1, 2, 3, 3, 4, 4, 5))
    if kind == "boolean":
        return False
    if kind == "array":
        return []
    return draw.choice(FIELDS) if name in ("field", "label", "subject") else sentence(draw)


def _broken(said: str, wrong: str | None) -> Reply:
    """The reply as a whole, with what goes wrong in its form."""
    if wrong == "not json":
        return Reply("Sure! Here is what I came up with: " + re.sub(r"[{}\"]", "", said))
    if wrong == "wrong shape":
        return Reply('{"answer": 42}')
    if wrong == "refuses":
        return Reply("I'm sorry, but I can't help with that.")
    if wrong == "filtered":
        return Reply("", finish="content_filter")
    if wrong == "cut off":
        return Reply(said[: len(said) // 2], finish="length")
    if wrong == "empty":
        return Reply("")
    if wrong == "thinking":
        return Reply('<think>First a draft: {"query": "a draft"}. No, better:</think>\n```json\n' + said + "\n```")
    return Reply(said)


def _between(messages: list[tuple[str, str]], tag: str) -> str:
    """What stands between the first pair of tags."""
    found = re.search(rf"<{tag}>\n(.*?)\n</{tag}>", "\n".join(text for role, text in messages if role == "user"), re.S)
    return found[1] if found else ""


def _latest(messages: list[tuple[str, str]], key: str) -> str:
    """What the model itself wrote last under a key; "" where it has not."""
    for role, said in reversed(messages):
        match = re.search(r"\{.*\}", said, re.S)
        if role == "assistant" and match:
            try:
                written = json.loads(match[0])
            except ValueError:
                continue
            if isinstance(written.get(key), str):
                return str(written[key])
    return ""


def _topics(text: str) -> list[str]:
    """Longer words of a text, in order, without doubles."""
    return list(dict.fromkeys(word.lower() for word in _WORD.findall(text)))
