"""A small corpus on disk, and a scripted model that knows which step of the agent is asking."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from reasonir_agent.corpus import Corpus
from reasonir_agent.llm import ChatModel, open_chat_model
from reasonir_agent.testing import FakeEncoder, Reply, ScriptedChatServer, write_corpus

TEXTS = {
    "ducks.txt": (
        "Ducks keep their feet cold on purpose. The arteries of their legs lie beside the veins, so outgoing warm blood "
        "heats the returning cold blood. This counter-current exchanger loses hardly any heat to the ice."
    ),
    "debts.txt": (
        "Inflation erodes the real value of nominal debts. Borrowers repay with money that buys less, so lenders lose "
        "what borrowers gain."
    ),
    "mirror.txt": (
        "Fog on a mirror is made of small drops. A film of soap lowers the surface tension of water, and the drops "
        "spread into a clear sheet."
    ),
    "queue.txt": (
        "A heap gives the smallest element in logarithmic time. Priority queues in schedulers are built on heaps."
    ),
    "frost.txt": (
        "A roof under a clear sky radiates heat to space and becomes colder than the air. Frost forms on it although "
        "the air stays above freezing."
    ),
    "bread.txt": "Salt slows the yeast in a dough. Bakers use it to control how fast bread rises.",
}
QUESTION = "Why do ducks lose hardly any heat through their feet on the ice?"
NONSENSE = "Xylograph quixotic zephyr blorptastic?"
REWRITE = (
    "The essential problem is what inflation does to nominal debts: borrowers repay lenders with money that buys less."
)


class ScriptedModel:
    """What a scripted model says at each step; each is a text, a `Reply`, or a function of the request's last text."""

    def __init__(self, **says: Any) -> None:
        self.says: dict[str, Any] = {
            "rewrite": REWRITE,
            "rerank": "Score: 3",
            "grade": '{"verdict": "answer", "missing": []}',
            "answer": answer_by("Borrowers repay"),
            "support": supported,
            **says,
        }
        self.asked: Counter[str] = Counter()
        self.texts: dict[str, list[str]] = {name: [] for name in self.says}
        self.messages: dict[str, list[list[dict[str, Any]]]] = {name: [] for name in self.says}

    def __call__(self, request: Mapping[str, Any]) -> str | Reply:
        system = str(request["messages"][0]["content"])
        starts = {
            "You prepare searches": "rewrite",
            "You judge how useful": "rerank",
            "You decide how": "grade",
            "You answer a question": "answer",
            "You check citations": "support",
        }
        step = next(name for start, name in starts.items() if system.startswith(start))
        text = str(request["messages"][1]["content"])
        self.asked[step] += 1
        self.texts[step].append(text)
        self.messages[step].append(list(request["messages"]))
        says = self.says[step]
        if isinstance(says, list):
            says = says[min(self.asked[step], len(says)) - 1]
        said: str | Reply = says(text) if callable(says) else says
        return said


def answer_by(words: str, **changed: Any) -> Callable[[str], str]:
    """An answer that quotes the first words of the passage that holds them."""

    def answer(text: str) -> str:
        passages = re.findall(r'<passage n="(\d+)">\n(.*?)\n</passage>', text, flags=re.DOTALL)
        n = next(int(n) for n, passage in passages if words in passage)
        said = {"found": True, "answer": f"So it is [{n}].", "citations": [{"n": n, "quote": words}], **changed}
        return json.dumps(said)

    return answer


def supported(text: str) -> str:
    """Every quote supports its sentence."""
    return json.dumps({"pairs": [{"pair": one["pair"], "supported": True} for one in json.loads(text)]})


def drafted(answer: str, *citations: tuple[int, str], found: bool = True) -> str:
    """An answer as the model gives it."""
    quotes = [{"n": n, "quote": quote} for n, quote in citations]
    return json.dumps({"found": found, "answer": answer, "citations": quotes})


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    """Six passages; shared by the tests, which only read it."""
    folder = tmp_path_factory.mktemp("agent")
    write_corpus(folder / "texts", TEXTS)
    with Corpus(folder / "store", FakeEncoder(), create=True) as made:
        report = made.index([folder / "texts"])
        assert report.passages == len(TEXTS)
        yield made


@pytest.fixture
def texts() -> dict[str, str]:
    """The documents by file name."""
    return dict(TEXTS)


@pytest.fixture
def model() -> type[ScriptedModel]:
    return ScriptedModel


@pytest.fixture
def draft() -> Callable[..., str]:
    return drafted


@pytest.fixture
def quoting() -> Callable[..., Callable[[str], str]]:
    return answer_by


@pytest.fixture
def question() -> str:
    return QUESTION


@pytest.fixture
def nonsense() -> str:
    return NONSENSE


@pytest.fixture
def rewrite() -> str:
    return REWRITE


@pytest.fixture
def open_chat() -> Callable[..., ChatModel]:
    def opened(server: ScriptedChatServer, **options: Any) -> ChatModel:
        return open_chat_model("openai:test", base_url=server.base_url, **{"max_retries": 0, "timeout": 5.0, **options})

    return opened


@pytest.fixture(scope="session")
def texts_of_all() -> dict[str, str]:
    """`texts`, for fixtures that live longer than a test."""
    return dict(TEXTS)


@pytest.fixture(scope="session")
def scripted() -> type[ScriptedModel]:
    """`model`, likewise."""
    return ScriptedModel


@pytest.fixture(scope="session")
def connected() -> Callable[..., ChatModel]:
    """`open_chat`, likewise."""

    def opened(server: ScriptedChatServer, **options: Any) -> ChatModel:
        return open_chat_model("openai:test", base_url=server.base_url, **{"max_retries": 0, "timeout": 5.0, **options})

    return opened
