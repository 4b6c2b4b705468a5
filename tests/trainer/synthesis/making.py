"""Seeds and settings for tests of items."""

from __future__ import annotations

import random
from typing import Any

from reasonir_trainer.synthesis.rows import Seed
from reasonir_trainer.synthesis.settings import SynthesisSettings

_SYLLABLES = "ba ce di fo gu ha je ki lo mu na pe qui ro su ta ve wi xo zu".split()


def seed(number: int, *, words: int = 120, source: str = "") -> Seed:
    """A seed of words of its own, so that two share few."""
    draw = random.Random(f"seed {number}")
    own = ["".join(draw.choices(_SYLLABLES, k=3)) for _ in range(40)]
    common = "ducks keep their feet warm while the ice carries heat away from water".split()
    text = " ".join(draw.choice(own if draw.random() < 0.8 else common) for _ in range(words))
    return Seed.of(source=source or f"{number}.md", start=0, end=len(text), heading="Birds > How they live", text=text)


def seeds(count: int) -> list[Seed]:
    """Seeds of as many documents."""
    return [seed(number) for number in range(count)]


def settings(**changes: Any) -> SynthesisSettings:
    """Settings with short texts, so that tests are quick."""
    short = {"shortest_words": 60, "longest_words": 200, "least_negative_words": 60}
    return SynthesisSettings(**({"model": "openai:scripted"} | short | changes))
