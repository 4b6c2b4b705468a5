"""A hostile chat server over real HTTP: whatever it says, in any step or in all of them, a question ends inside its
budget with a truthful result. No traceback, no passage lost, nothing cited that is not there.

Each behaviour is tried in every step alone, in all steps, and in all steps of a question whose replies are streamed.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from langchain_openai import ChatOpenAI

from reasonir_agent import AgentSettings, Corpus, ask, ask_async
from reasonir_agent.agent.citations import marks
from reasonir_agent.errors import ChatUnavailable
from reasonir_agent.llm import ChatModel, model, open_chat_model
from reasonir_agent.testing import FakeEncoder, Reply, ScriptedChatServer, write_corpus
from reasonir_agent.types import Answer

STEPS: Final = ("rewrite", "rerank", "grade", "answer", "support")
BOUND: Final = 60
PATIENT: Final = 5.0
HASTY: Final = 0.1
"""Seconds for a request; where time-outs are what is tried, nothing is waited for. Other steps may meet them too."""

KEY: Final = "weird_key'9\"x%7F\\z"
"""A key of a shape that nothing would take for one; servers repeat it."""


def body(text: Any = "", *, usage: Any = None, finish: Any = "stop", **message: Any) -> Reply:
    """A completion with anything in it."""
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
    whole = {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
    return raw(json.dumps(whole if usage is None else {**whole, "usage": usage}))


def raw(text: str | bytes, *, status: int = 200, **headers: str) -> Reply:
    return Reply(body=text if isinstance(text, bytes) else text.encode(), status=status, headers=headers)


COMPLETION: Final = {"id": "x", "object": "chat.completion", "created": 0, "model": "m"}
TOOL: Final = {"id": "c", "type": "function", "function": {"name": "rm", "arguments": '{"path": "/"}'}}
NINETY_NINE: Final = json.dumps(
    {"found": True, "answer": "Everything is salt [99].", "citations": [{"n": 99, "quote": "Everything is salt"}]}
)
BEHAVIOURS: Final[dict[str, str | Reply]] = {
    "500": Reply("broken", status=500),
    "429": Reply("busy", status=429),
    "429 with a long wish": Reply("busy", status=429, headers={"retry-after": "3600"}),
    "400": Reply("I do not like this", status=400),
    "401": Reply(f"wrong key {KEY}", status=401),
    "402 repeats the key": Reply(f"no money on {KEY}", status=402),
    "500 repeats the key": Reply(f"{KEY} broke it\nTraceback (most recent call last):", status=500),
    "302": raw("", status=302, location="/elsewhere"),
    "204": raw("", status=204),
    "time-outs": Reply("late", delay=0.4),
    "resets": Reply(drop=True),
    "resets in mid-stream": Reply("a text that breaks off in the middle of", drop=True),
    "HTML": raw("<html><body>\nPlease log in</body></html>", **{"content-type": "text/html"}),
    "HTML that says it is JSON": raw("<html>\nlogin</html>"),
    "empty": raw(""),
    "nothing said": "",
    "white": " \n\t ",
    "no content": body(None),
    "content of another kind": body({"text": 3}),
    "no choices": raw(json.dumps({**COMPLETION, "choices": []})),
    "null choices": raw(json.dumps({**COMPLETION, "choices": None})),
    "null": raw("null"),
    "a list": raw("[]"),
    "binary": raw(bytes(range(256))),
    "garbage": "x9$ {{{ ]] \"\\ {'a': [} 5/5/5 <<>> -- Score: Score: ![a](b) [1][2] </passage>",
    "another shape": '{"foo": {"bar": [1, 2, {"score": "high"}]}, "verdict": 7, "answer": [], "pairs": {"1": true}}',
    "an array": '[{"verdict": "search"}, {"verdict": "answer"}]',
    "deep": '{"a":' * 5000,
    "irrelevant": "Score: 0",
    "search again": '{"verdict": "search", "missing": ["this", "that", "what else"]}',
    "nothing found": '{"found": false, "answer": "", "citations": []}',
    "cites 99": NINETY_NINE,
    "cites passages by the thousand": json.dumps(
        {"found": True, "answer": " ".join(f"Salt is number {n} [{n}]." for n in range(1500)), "citations": []}
    ),
    "another language": "对不起，我只会说中文。鸭子的脚在冰上不会冻住，因为血液逆流交换热量。",
    "a megabyte": "word " * 200_000,
    "a megabyte of JSON": json.dumps({"found": True, "answer": "Salt is salt [1]. " * 60_000, "citations": []}),
    "a megabyte of braces": '{"a": ' * 170_000,
    "tool calls": body(None, tool_calls=[TOOL], finish="tool_calls"),
    "broken tool calls": body("", tool_calls=[{**TOOL, "function": {"name": "", "arguments": "{{{"}}]),
    "refusals": body(None, refusal="I cannot help with that."),
    "cut off": Reply('{"found": true, "answer": "Salt slows the ye', finish="length"),
    "filtered": Reply("", finish="content_filter"),
    "only thinking": "<think>" + "hm, let me see, " * 3000,
    "thinking in thinking": "<think><think>a</think></think></think><think>",
    "NaN": '{"score": NaN, "verdict": NaN, "found": NaN, "answer": NaN, "pairs": NaN}',
    "scores out of range": "Score: 1e999 Score: -7 Score: 11/5",
    "infinity": '{"score": 1e999, "n": 1e999}',
    "halves of characters": body('{"found": true, "answer": "a \ud83d b \udc00", "citations": []}'),
    "control characters": "\x00\x1b[2J\u202e\ufeff\u2028 Score: \u0664 \U000e0041",
    "a key twice": '{"verdict": "search", "verdict": "answer", "found": true, "found": false, "answer": "a", "answer": "b"}',
    "negative tokens": body("Score: 3", usage={"prompt_tokens": -9999, "completion_tokens": -1, "total_tokens": -2}),
    "tokens of another kind": body("Score: 3", usage={"prompt_tokens": "many", "completion_tokens": [3]}),
    "countless tokens": body("Score: 3", usage={"prompt_tokens": 10**15, "completion_tokens": 1, "total_tokens": 1}),
    "pairs that nobody asked about": '{"pairs": [{"pair": 99, "supported": true}, {"pair": -1, "supported": true}]}',
}
BEFORE_WORK: Final = {"401", "resets", "resets in mid-stream"}
"""What makes the first call of all an error: nobody is there, or the key is refused. A stream that breaks was there."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, texts_of_ducks: Mapping[str, str]) -> Iterator[Corpus]:
    folder = tmp_path_factory.mktemp("hostile")
    write_corpus(folder / "texts", texts_of_ducks)
    with Corpus(folder / "store", FakeEncoder(), create=True) as made:
        made.index([folder / "texts"])
        yield made


@pytest.fixture(scope="module")
def texts_of_ducks() -> dict[str, str]:
    return {
        "ducks.txt": "Ducks keep their feet cold. Outgoing warm blood heats the returning cold blood.",
        "debts.txt": "Inflation erodes debts. Borrowers repay with money that buys less.",
        "bread.txt": "Salt slows the yeast in a dough. Bakers use it to control how fast bread rises.",
    }


class Scene:
    """One server for all; what it says is set for each behaviour, and which question asks is told by the model's name."""

    def __init__(self, model: Any) -> None:
        self.scripts: dict[str, Callable[[Mapping[str, Any]], Any]] = {}
        self.server = ScriptedChatServer(lambda request: self.scripts[request["model"]](request))
        self.model = model
        self._opened = {seconds: self._open(seconds) for seconds in (PATIENT, HASTY)}

    def _open(self, seconds: float) -> ChatModel:
        return open_chat_model(
            "openai:one", base_url=self.server.base_url, api_key=KEY, timeout=seconds, max_retries=1, max_tokens=300
        )

    def chat(self, name: str, said: Any, *, timeout: float = PATIENT) -> ChatModel:
        """A model whose steps say what they are told to."""
        self.scripts[name] = said
        opened = self._opened[timeout]
        assert isinstance(opened.model, ChatOpenAI)
        same = opened.model.model_copy(update={"model_name": name})  # its connections; a client takes long to make
        return ChatModel(
            same,
            f"openai:{name}",
            own_loop=True,
            max_retries=1,
            reply_tokens=300,
            tells_ends=True,
            secrets=opened.secrets,
            pause=_no_pause,
        )

    def sent(self, name: str) -> int:
        return sum(request["model"] == name for request in self.server.requests)


async def _no_pause(seconds: float) -> None:
    """Waiting costs nothing here."""


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    from tests.agent.conftest import ScriptedModel

    made = Scene(ScriptedModel)
    with made.server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "LONGEST_STREAM", 3_000)  # the server takes its time over a megabyte, word by word
        yield made


def check(answer: Answer, corpus: Corpus) -> None:
    """Truthful, whole, printable."""
    passages = {hit.passage.id: hit.passage for hit in answer.hits}
    assert len(passages) == len(answer.hits)
    assert passages.keys() == {hit.passage.id for hit in corpus.find([answer.question], 100)}, "no passage is lost"
    for one in answer.citations:
        passage = passages[one.id]
        assert passage.text[one.start - passage.start : one.end - passage.start] == one.quote
        assert one.quote.strip()
    assert marks(answer.answer) <= {one.n for one in answer.citations}, "nothing else is cited"
    assert answer.abstained == (not answer.citations)
    assert 0 < len(answer.answer) < 30_000 and answer.answer.strip()
    for hit in answer.hits:
        scores = (hit.dense_score, hit.final_score, hit.reranker_score or 0.0)
        assert all(math.isfinite(score) for score in scores)
        assert 0 <= (hit.reranker_score or 0.0) <= 1
    assert answer.usage.llm_calls <= BOUND
    assert min(answer.usage.prompt_tokens, answer.usage.completion_tokens) >= 0
    for warning in answer.warnings:
        assert "\n" not in warning and "Traceback" not in warning and len(warning) < 1000
    whole = {**answer.as_json(), "trace": answer.trace}
    said = json.dumps(whole, allow_nan=False, ensure_ascii=False).encode()
    assert json.loads(said) == whole
    assert KEY not in said.decode() and json.dumps(KEY, ensure_ascii=False)[1:-1] not in said.decode()


QUESTION: Final = "Why do ducks lose hardly any heat through their feet?"
SETTINGS: Final = AgentSettings(k=100, max_calls=BOUND, max_seconds=30)


@pytest.mark.slow
@pytest.mark.parametrize("name", BEHAVIOURS)
async def test_a_question_ends_truthfully(corpus: Corpus, scene: Scene, name: str) -> None:
    said = BEHAVIOURS[name]

    async def one(steps: tuple[str, ...], *, streams: bool = False) -> None:
        key = f"{name} {'+'.join(steps)} {streams}".replace(":", "")
        script = scene.model(**dict.fromkeys(steps, said))
        chat = scene.chat(key, script, timeout=HASTY if name == "time-outs" else PATIENT)
        asked = ask_async(
            QUESTION,
            store=corpus,
            chat_model=chat,
            settings=SETTINGS,
            on_news=(lambda news: json.dumps(news)) if streams else None,
        )
        if name in BEFORE_WORK and "rewrite" in steps and not (streams and "mid-stream" in name):
            with pytest.raises(ChatUnavailable) as caught:
                await asked
            assert KEY not in str(caught.value) and "\n" not in str(caught.value)
            return
        answer = await asked
        check(answer, corpus)
        assert scene.sent(key) <= answer.usage.llm_calls  # one that times out may not have arrived
        if "support" in steps:
            assert all(one.verified != "supported" for one in answer.citations)
        if steps == STEPS:
            assert answer.warnings, "what was degraded is said"

    await asyncio.gather(*(one((step,)) for step in STEPS), one(STEPS))
    await one(STEPS, streams=True)


def test_every_step_is_asked_when_nothing_is_wrong(corpus: Corpus, scene: Scene) -> None:
    """Else the suite would show nothing."""
    said = scene.model()
    answer = ask(QUESTION, store=corpus, chat_model=scene.chat("good", said), settings=SETTINGS)
    check(answer, corpus)
    assert set(said.asked) == set(STEPS)
    assert answer.warnings == [] and answer.citations[0].verified == "supported"


class TestInTheMiddle:
    """The first calls work, the rest does not."""

    @pytest.mark.parametrize(
        "later", [Reply("bad key", status=401), Reply("gone", status=404), Reply(drop=True), Reply("no", status=503)]
    )
    @pytest.mark.parametrize("works", [1, 2, 4, 5])
    def test_a_server_that_stops_working_leaves_what_there_is(
        self, corpus: Corpus, scene: Scene, later: Reply, works: int
    ) -> None:
        good = scene.model()
        count = 0

        def script(request: Mapping[str, Any]) -> Any:
            nonlocal count
            count += 1
            return good(request) if count <= works else later

        key = f"stops {works} {later.status} {later.drop}"
        answer = ask(QUESTION, store=corpus, chat_model=scene.chat(key, script), settings=SETTINGS)
        check(answer, corpus)
        assert answer.rewrites, "the rewrite was had"
        assert answer.warnings
        if later.status == 401:
            assert any("refuses the key" in one for one in answer.warnings)

    def test_a_closed_server(self, corpus: Corpus, tmp_path: Path) -> None:
        from tests.agent.conftest import ScriptedModel

        good = ScriptedModel()
        server = ScriptedChatServer(lambda request: _closing(good, server, request))
        with server:
            chat = open_chat_model("openai:m", base_url=server.base_url, timeout=2.0, max_retries=1)
            chat.pause = _no_pause
            answer = ask(QUESTION, store=corpus, chat_model=chat, settings=SETTINGS)
        check(answer, corpus)
        assert answer.rewrites and answer.warnings


def _closing(good: Any, server: ScriptedChatServer, request: Mapping[str, Any]) -> Any:
    if str(request["messages"][0]["content"]).startswith("You decide"):
        server._server.socket.close()  # nobody is let in any more
        server._server.hang_up()
        return Reply(drop=True)
    return good(request)
