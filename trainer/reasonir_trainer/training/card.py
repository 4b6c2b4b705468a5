"""The card of an encoder: a header that the hub reads, and what somebody who did not train it has to know.

It says only what was counted, set or measured. No path of the user's machine stands in it. Data that a scripted model wrote are
named as such at the top: an encoder of a test is no evidence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reasonir_agent._version import __version__
from reasonir_agent.encoder.known import known_encoder
from reasonir_agent.errors import redact
from reasonir_trainer.training.config import TrainingConfig

if TYPE_CHECKING:
    from reasonir_trainer.data.examples import Source

CARD: Final = "README.md"
SCRIPTED: Final = "scripted"
"""What the name of a model holds that replies by a script."""

_SHOWN: Final = (
    *(
        "method",
        "steps",
        "batch",
        "accumulate",
        "negatives",
        "mixing_temperature",
        "learning_rate",
        "schedule",
        "warmup",
    ),
    *("weight_decay", "most_gradient", "query_tokens", "document_tokens", "query_instruction", "dropout"),
    *("freeze_embeddings", "precision", "seed"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a card is about.

    Attributes:
        config: of the run.
        base: name that the base can be opened by again.
        sources: what was learnt from.
        counts: batches of each source, by its name.
        before: nDCG@10 of the base on each held-out set.
        after: of the result.
        steps: that were trained.
        best_step: whose weights were taken.
        blend: share of the way from the base that was taken.
    """

    config: TrainingConfig
    base: str
    sources: Sequence[Source]
    counts: Mapping[str, int]
    before: Mapping[str, float]
    after: Mapping[str, float]
    steps: int
    best_step: int
    blend: float

    @property
    def is_scripted(self) -> bool:
        """Whether a scripted model wrote some of the data."""
        return any(SCRIPTED in model for source in self.sources for model in source.models)


def card(facts: Facts, *, is_adapter: bool = False) -> str:
    """The text of the card, Markdown with a YAML header.

    Args:
        facts: what it is about.
        is_adapter: for the folder of the adapter alone; otherwise for the merged model.
    """
    parts = [
        _header(facts, is_adapter=is_adapter),
        f"# Encoder for retrieval that needs reasoning, trained from {public_name(facts.base)}",
        *([_WARNING] if facts.is_scripted else []),
        _lead(facts, is_adapter=is_adapter),
        "## Use",
        _use_adapter(facts) if is_adapter else _USE,
        "## Quality",
        _quality(facts),
        "## Data",
        _data(facts),
        "## Settings",
        _settings(facts),
        "## Licence",
        _LICENCE,
    ]
    return "\n\n".join(parts) + "\n"


def public_name(name: str) -> str:
    """The base as others know it: its hub name, or the last part of a path."""
    known = known_encoder(name)
    if known:
        return known.hub_id
    return name if _is_hub_name(name) else Path(name).name


_WARNING: Final = "**A scripted model wrote data that this encoder was trained on: it shows that training works, and nothing about quality.**"

_USE: Final = """\
The folder opens by its path or by its name on the hub; prefixes of queries and documents are inside.

```python
from reasonir_agent import ReasonIREncoder

encoder = ReasonIREncoder("path/to/model")
encoder.encode_queries(["Why does ice float?"]) @ encoder.encode_documents(["Water expands as it freezes."]).T
```

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("path/to/model")
model.encode_query(["Why does ice float?"]) @ model.encode_document(["Water expands as it freezes."]).T
```

`langchain_reasonir.ReasonIREmbeddings(model="path/to/model")` takes the same names."""

_LICENCE: Final = """\
The base's licence and that of every source of the data apply; those that nobody named are not known, which is no permission.
Clear them before publishing this encoder, and put the result into the header."""


def _header(facts: Facts, *, is_adapter: bool) -> str:
    lines = [
        f"base_model: {json.dumps(public_name(facts.base))}",
        *(["base_model_relation: adapter"] if is_adapter else []),
        f"library_name: {'peft' if is_adapter else 'sentence-transformers'}",
        "pipeline_tag: sentence-similarity",
        "license: other",
        "license_name: see-card",
        "tags:",
        *(f"- {one}" for one in ("sentence-transformers", "feature-extraction", "retrieval", "reasoning")),
        *(["- lora"] if is_adapter else []),
    ]
    return "\n".join(["---", *lines, "---"])


def _lead(facts: Facts, *, is_adapter: bool) -> str:
    config = facts.config
    what = {"full": "all weights", "lora": "a LoRA adapter", "qlora": "a LoRA adapter on the 4-bit base"}[config.method]
    taken = f"The weights of step {facts.best_step:,} were taken" if facts.after else "The last weights were taken"
    if facts.blend < 1:
        taken += f", {facts.blend:g} of the way from the base to them"
    merged = " merged into it" if config.method != "full" and not is_adapter else ""
    return (
        f"{_code(public_name(facts.base))} with {what}{merged}, trained for {facts.steps:,} steps of {config.batch:,} examples "
        f"by reasonir-trainer {__version__} after ReasonIR (arXiv 2504.20595). {taken}."
    )


def _use_adapter(facts: Facts) -> str:
    name = public_name(facts.base)
    kind = (
        ""
        if facts.config.method != "qlora"
        else " It was trained on the base in 4 bits and is used with the base as published."
    )
    return (
        f"A low-rank adapter of {_code(name)}, added to its weights when it is loaded; peft is not needed.{kind}\n\n"
        "```python\nfrom reasonir_agent import ReasonIREncoder\n\n"
        'encoder = ReasonIREncoder("path/to/adapter")\n'
        'encoder.encode_queries(["Why does ice float?"]) @ encoder.encode_documents(["Water expands as it freezes."]).T\n```\n\n'
        "```python\nfrom sentence_transformers import SentenceTransformer\n\n"
        f"model = SentenceTransformer({json.dumps(name)})\n"
        'model.load_adapter("path/to/adapter")\n```\n\n'
        "The second way keeps the base's own prompts, direction of attention and pooling: they fit where the base is an encoder "
        "already. The merged model has all of them inside."
    )


def _quality(facts: Facts) -> str:
    if not facts.after:
        return "Nothing was measured."
    rows = [
        f"| {_cell(name)} | {100 * facts.before[name]:.1f} | {100 * after:.1f} | {_change(facts.before[name], after)} |"
        for name, after in facts.after.items()
    ]
    if len(rows) > 1:
        before, after = (sum(one.values()) / len(one) for one in (facts.before, facts.after))
        rows.append(f"| average | {100 * before:.1f} | {100 * after:.1f} | {_change(before, after)} |")
    cut = [
        one for one in facts.config.evaluation.sets if one.most_queries is not None or one.most_documents is not None
    ]
    note = "\n\nSets that were cut for speed give higher values than the whole ones: " + ", ".join(
        f"{_code(one.label)} ({_limits(one.most_queries, one.most_documents)})" for one in cut
    )
    return (
        "nDCG@10 x 100 of exact dense search on held-out data. The weights were chosen by their average, so a set that nobody "
        "chose by is a fairer judge.\n\n| set | base | this encoder | change |\n| --- | --- | --- | --- |\n"
        + "\n".join(rows)
    ) + (f"{note}." if cut else "")


def _limits(queries: int | None, documents: int | None) -> str:
    limits = ((queries, "queries"), (documents, "documents"))
    return " and ".join(f"at most {most:,} {name}" for most, name in limits if most is not None)


def _data(facts: Facts) -> str:
    licences = {one.label: one.licence for one in facts.config.sources}
    rows = [
        f"| {_cell(one.name)} | {len(one.examples):,} | {facts.counts.get(one.name, 0):,} | "
        f"{_cell(licences.get(one.name) or 'not named')} | {_cell(', '.join(one.models)) or '–'} | `{one.hash}` |"
        for one in facts.sources
    ]
    return (
        "| source | examples | batches | licence | written by | hash |\n| --- | --- | --- | --- | --- | --- |\n"
        + "\n".join(rows)
        + "\n\nEvery batch comes from one source."
    )


def _settings(facts: Facts) -> str:
    config = facts.config
    found: dict[str, object] = {name: getattr(config, name) for name in _SHOWN}
    for part, name in ((config.loss, "loss"), (config.intensity, "intensity")):
        if part is not None:
            found |= {f"{name}.{key}": value for key, value in part.model_dump().items()}
    if config.method != "full":
        found |= {f"lora.{key}": value for key, value in config.lora.model_dump(mode="json").items()}
    rows = "\n".join(f"| {name} | {_code(json.dumps(value, ensure_ascii=False))} |" for name, value in found.items())
    return f"| setting | value |\n| --- | --- |\n{rows}"


def _change(before: float, after: float) -> str:
    if before == 0:
        return "–"
    return f"{100 * (after / before - 1):+.1f}%"


def _is_hub_name(name: str) -> bool:
    return name.count("/") == 1 and not name.startswith((".", "/", "~")) and not Path(name).exists()


def _code(text: str) -> str:
    """Text that may hold anything, as code."""
    return f"`{_cell(redact(text)).replace('`', chr(39))}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
