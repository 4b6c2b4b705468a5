"""Rows, rejected items and run folders, made without a model."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from reasonir_trainer.synthesis.rows import (
    Check,
    Kind,
    Negative,
    Outcome,
    Provenance,
    Rejected,
    Row,
    Seed,
    SeedPlace,
    item_id,
)
from reasonir_trainer.synthesis.settings import SynthesisSettings

SETTINGS = SynthesisSettings(model="openai:scripted")

WORDS = """bridge river heat copper wing salt mirror grain tide engine root signal market vote glass enzyme moth ladder
fog anchor lens kiln yeast orbit ferry comet barley violin harbour magnet spiral lantern glacier walnut thunder""".split()


def words(number: int, count: int) -> str:
    """Words that are others for another number."""
    step = 1 + number % 17
    return " ".join(f"{WORDS[(number * 7 + place * step) % len(WORDS)]}{number}" for place in range(count))


def seed(number: int, *, source: str = "") -> Seed:
    """The seed of a number, each from a document of its own."""
    text = f"Seed {words(number, 80)}."
    place = source or f"notes/document-{number}.md"
    made = Seed.of(source=place, start=0, end=len(text), heading=f"Heading {number}", text=text)
    return made.model_copy(update={"quality": 3.0, "field": ("physics", "biology")[number % 2]})


def row(number: int, kind: Kind = "hq", *, of: Seed | None = None, **more: Any) -> Row:
    """The row of a number."""
    origin = of or seed(number)
    query = f"Why does {words(number + 500, 20)} hold?"
    fields: dict[str, Any] = {
        "id": item_id(origin, kind, number),
        "kind": kind,
        "query": query,
        "positive": origin.text if kind == "hq" else f"Because {words(number + 900, 60)}.",
        "negatives": (
            Negative(text=f"No: {words(number + 1300, 50)}.", origin="written", rank=number % 30 + 1, similarity=0.5),
        ),
        "seed": SeedPlace.of(origin),
        "made": Provenance(
            model="openai:scripted",
            prompts=1,
            requested_query_words=20 if kind == "vl" else 0,
            attempts=3,
            checks=(Check(name="overlap", value=0.25, limit=0.5, passed=True),),
        ),
    }
    return Row(**{**fields, **more})


def rejected(number: int, reason: str = "query mentions the document", **more: Any) -> Rejected:
    """The rejected item of a number."""
    origin = seed(number)
    fields: dict[str, Any] = {
        "id": item_id(origin, "hq", number),
        "kind": "hq",
        "reason": reason,
        "detail": 'the query says "the passage", which nobody has who asks it',
        "example": f"What does the passage say about {words(number, 10)}?",
        "seed": origin.id,
        "attempts": 3,
    }
    return Rejected(**{**fields, **more})


def write_items(folder: Path, outcomes: Iterable[Outcome], shard: str = "1-of-1") -> Path:
    """A run's items, and the calls that they took: 100 tokens read and 40 written each."""
    folder.mkdir(parents=True, exist_ok=True)
    lines, calls = [], []
    for outcome in outcomes:
        lines.append(outcome.model_dump_json())
        call = {"key": outcome.id, "item": outcome.id, "step": "query", "attempt": 1, "ended": "stop", "asked": 9}
        calls.append(json.dumps({**call, "prompt_tokens": 100, "completion_tokens": 40, "text": "said"}))
    (folder / f"items-{shard}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    (folder / f"calls-{shard}.jsonl").write_text("".join(f"{line}\n" for line in calls), encoding="utf-8")
    return folder


def write_seeds(folder: Path, seeds: Iterable[Seed]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "seeds.jsonl").write_text("".join(f"{one.model_dump_json()}\n" for one in seeds), encoding="utf-8")
