"""What a run would ask and cost, without asking: real prompts, calls and tokens, from a stand-in for the model.

A few items are made by the real maker with a caller that answers every request by made-up words of the length that was
asked for. So the prompts are the real ones, later turns with all that stands before them included, and calls and tokens
are counted, not guessed from the settings. What a run adds to that are replies that have to be asked for again.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, cast

from reasonir_agent.errors import InputError
from reasonir_agent.llm import Price, Reply
from reasonir_trainer.synthesis.calling import Call
from reasonir_trainer.synthesis.exclusion import Exclusion
from reasonir_trainer.synthesis.items import Tools, make
from reasonir_trainer.synthesis.mined import SeedMiner
from reasonir_trainer.synthesis.negatives import Pair
from reasonir_trainer.synthesis.planning import items_of
from reasonir_trainer.synthesis.rows import Negative, Seed
from reasonir_trainer.synthesis.run_folder import Shard
from reasonir_trainer.synthesis.seeds import SeedReport, candidates, judge
from reasonir_trainer.synthesis.settings import SynthesisSettings

SAMPLE: Final = 8
"""Seeds whose items are made with made-up words."""

LIKELY: Final = 1.2
"""Likely calls for one that is needed: about one reply in six has to be asked for again."""

_BYTES_PER_TOKEN: Final = 4.0
_HARD_QUERY_WORDS: Final = 90
_SHORT_WORDS: Final = 30  # of a reason, a setting
_ASKED: Final = re.compile(r"(?:of|about) (\d+) words")
_ALPHABET: Final = "abdefgiklmnoprstuvz"


@dataclass(slots=True)
class MadeUp:
    """A caller that answers by made-up words, and remembers what it was asked.

    Attributes:
        calls: in order.
        prompt_bytes: of all messages.
        reply_bytes: of all replies.
    """

    calls: list[Call] = field(default_factory=list)
    prompt_bytes: int = 0
    reply_bytes: int = 0

    async def reply(self, call: Call) -> Reply:
        """Made-up words in the shape that is asked for; the same call gets the same ones."""
        text = _made_up(call)
        self.calls.append(call)
        self.prompt_bytes += sum(len(one.encode()) for _, one in call.messages)
        self.reply_bytes += len(text.encode())
        return Reply(text, ended="stop")


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run would take.

    Attributes:
        seeds: candidates of the shard, or as many of them as are chosen.
        judged: candidates that are judged.
        items: that are made.
        least_calls: where every first reply can be used and no seed is dropped.
        likely_calls: with the usual repetitions.
        prompt_tokens: of the likely calls.
        completion_tokens: likewise.
        cost: likewise, by the price; None without one.
        prompts: (item and step, role, text) of the first items' requests; of later turns the last message.
    """

    seeds: int
    judged: int
    items: int
    least_calls: int
    likely_calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    prompts: tuple[tuple[str, str, str], ...]

    def as_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "seeds": self.seeds,
            "judged": self.judged,
            "items": self.items,
            "calls": {"least": self.least_calls, "likely": self.likely_calls},
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "cost": self.cost,
            "prompts": [{"call": name, "role": role, "text": text} for name, role, text in self.prompts],
        }


async def sampled(
    paths: Sequence[str],
    settings: SynthesisSettings,
    shard: Shard,
    price: Price | None = None,
    guards: Sequence[Exclusion] = (),
) -> Estimate:
    """Estimate a run over documents; what is read of them lies in a temporary folder meanwhile.

    Raises:
        InputError: a path is missing, or no candidate is left.
    """
    with (
        TemporaryDirectory(prefix="reasonir-") as folder,
        candidates(paths, settings, SeedReport(), file=Path(folder) / "candidates.jsonl", guards=guards) as found,
    ):
        ids = [id for id in found.ids() if shard.holds(id)]
        if not ids:
            raise InputError("this shard holds no seeds; take fewer shards")
        step = max(1, len(ids) // SAMPLE)
        return await estimate([found.get(id) for id in ids[::step][:SAMPLE]], len(ids), settings, price)


async def estimate(
    sample: Sequence[Seed], count: int, settings: SynthesisSettings, price: Price | None = None
) -> Estimate:
    """Estimate a run.

    Args:
        sample: some of the candidates, at least one.
        count: how many there are.
        settings: what is asked for.
        price: of the model.
    """
    judging, making = MadeUp(), MadeUp()
    for seed in sample:
        await judge(seed, settings, judging)
        for item in items_of(seed, settings):
            await make(item.seed, item.kind, item.number, settings, making, _tools(settings))
    seeds = min(count, settings.most_seeds or count)
    shares = (count / len(sample), judging), (seeds / len(sample), making)
    least = sum(share * len(one.calls) for share, one in shares)
    prompt = sum(share * one.prompt_bytes for share, one in shares) / _BYTES_PER_TOKEN * LIKELY
    completion = sum(share * one.reply_bytes for share, one in shares) / _BYTES_PER_TOKEN * LIKELY
    return Estimate(
        seeds=seeds,
        judged=count if judging.calls else 0,
        items=seeds * settings.items_each,
        least_calls=round(least),
        likely_calls=round(least * LIKELY),
        prompt_tokens=round(prompt),
        completion_tokens=round(completion),
        cost=price.of(prompt, completion) if price else None,
        prompts=tuple(_prompts(sample[0], settings, judging, making)),
    )


def _prompts(seed: Seed, settings: SynthesisSettings, judging: MadeUp, making: MadeUp) -> list[tuple[str, str, str]]:
    """What is asked about the first seed: whole first turns, and the last message of later ones."""
    names = {seed.id: "seed"} | {item.id: f"{item.kind} {item.number + 1}" for item in items_of(seed, settings)}
    shown = []
    for call in (*judging.calls, *making.calls):
        if call.item in names:
            is_first = all(role != "assistant" for role, _ in call.messages)
            messages = call.messages if is_first else call.messages[-1:]
            shown += [(f"{names[call.item]}: {call.step}", role, text) for role, text in messages]
    return shown


def _tools(settings: SynthesisSettings) -> Tools:
    """Mined negatives cost no call; their place is taken by made-up ones, which may be graded."""
    if settings.negatives not in ("bm25", "encoder"):
        return Tools()
    return Tools(miner=cast(SeedMiner, _AnyNegatives(settings.negatives_each)))


@dataclass(frozen=True, slots=True)
class _AnyNegatives:
    count: int

    async def mine(self, pair: Pair) -> list[Negative]:
        return [Negative(text=pair.positive, origin="bm25") for _ in range(self.count)]


def _made_up(call: Call) -> str:
    draw = random.Random(hashlib.sha256(call.key.encode()).digest())  # noqa: S311
    found = _ASKED.search(call.messages[-1][1])
    words = int(found[1]) if found else _HARD_QUERY_WORDS
    if call.shape is None:
        return _words(draw, words)
    schema = call.shape.model_json_schema()
    return json.dumps({name: _value(name, one, draw, words) for name, one in schema["properties"].items()})


def _value(name: str, schema: dict[str, Any], draw: random.Random, words: int) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "boolean":
        return False
    if schema.get("type") == "number":
        return 3
    text = _words(draw, words if name in ("query", "document") else _SHORT_WORDS)
    return f"{text}?" if name == "query" else text


def _words(draw: random.Random, count: int) -> str:
    return " ".join("".join(draw.choices(_ALPHABET, k=draw.randint(3, 8))) for _ in range(count))
