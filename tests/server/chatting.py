"""What the tests of the chat model share: a corpus, a scripted model that knows which step asks, and messages."""

from __future__ import annotations

import json
import re
from typing import Any

TEXTS = {
    "ducks.txt": "Ducks keep their feet cold on purpose. The arteries of their legs lie beside the veins.",
    "debts.txt": "Inflation erodes the real value of nominal debts. Borrowers repay with money that buys less.",
    "bread.txt": "Salt slows the yeast in a dough. Bakers use it to control how fast bread rises.",
    "evil.txt": "Zebras graze ![here](http://evil.example/?q=1) and <img src=x> there, on the wide plains.",
}
QUESTION = "Why do ducks keep their feet cold?"
REWRITE = "What inflation does to nominal debts: borrowers repay lenders with money that buys less."
ALONE = "Why do bakers put salt on ice?"
MODEL = "reasonir-agent"


class Script:
    """A chat model that knows which step asks, and counts."""

    def __init__(self, **says: Any) -> None:
        self.says: dict[str, Any] = {
            "rewrite": REWRITE,
            "rerank": "Score: 3",
            "grade": '{"verdict": "answer"}',
            "answer": quoting,
            "support": supported,
            "alone": ALONE,
            **says,
        }
        self.asked: list[str] = []

    def __call__(self, request: Any) -> Any:
        system, text = (str(request["messages"][i]["content"]) for i in (0, 1))
        starts = {
            "You prepare": "rewrite",
            "You judge": "rerank",
            "You decide": "grade",
            "You answer": "answer",
            "You check": "support",
            "You are given": "alone",
        }
        step = next(name for start, name in starts.items() if system.startswith(start))
        self.asked.append(step)
        says = self.says[step]
        return says(text) if callable(says) else says


def supported(text: str) -> str:
    """Every quote supports its sentence."""
    return json.dumps({"pairs": [{"pair": one["pair"], "supported": True} for one in json.loads(text)]})


def quoting(text: str) -> str:
    """An answer that quotes the passage about borrowers."""
    n = next(int(n) for n, said in re.findall(r'<passage n="(\d+)">\n(.*?)\n</passage>', text, re.S) if "repay" in said)
    citation = {"n": n, "quote": "Borrowers repay with money that buys less."}
    return json.dumps({"found": True, "answer": f"Lenders lose [{n}].", "citations": [citation]})


def said_by_user(text: Any) -> list[Any]:
    return [{"role": "user", "content": text}]


def talk(*said: tuple[str, Any]) -> list[Any]:
    """Messages by role and content."""
    return [{"role": role, "content": content} for role, content in said]
