"""The card of a data set: a header that the hub reads, and what somebody who did not make the data has to know.

It says only what was counted or set. No path of the user's machine stands in it; the rows name their documents.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from reasonir_agent.errors import redact
from reasonir_trainer.synthesis.settings import SynthesisSettings
from reasonir_trainer.synthesis.summary import Spread, Summary

_SIZES: Final = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_KINDS: Final = {
    "vl": "varied length: query and positive document are written, of lengths that were asked for",
    "hq": "hard query: written so that the document's knowledge and reasoning are needed; the document is the positive",
    "given": "taken over from data in another format",
}
_NEGATIVES: Final = {
    "written": "written by the model in a further turn of the conversation that wrote query and positive",
    "bm25": "mined from the documents by BM25",
    "encoder": "mined from the documents by an encoder",
    "none": "none",
}


def card(summary: Summary, settings: SynthesisSettings, *, exclusions: Sequence[str] = ()) -> str:
    """The text of the card, Markdown with a YAML header.

    Args:
        summary: what was counted.
        settings: what was asked for.
        exclusions: names of the evaluation sets that rows were kept away from.
    """
    parts = [
        _header(summary, settings),
        "# Training data for retrieval that needs reasoning",
        _lead(summary),
        "## How it was made",
        _made(summary, settings),
        "## Filters",
        _filters(settings, exclusions),
        "## Counts",
        _counts(summary),
        "## Columns",
        _COLUMNS,
        "## Use and licence",
        _LICENCE,
    ]
    return "\n\n".join(parts) + "\n"


_COLUMNS: Final = """\
`query`, `positive` and `negatives[].text` are the example. `kind`, `positive_grade`, `rewritten`, and for each
negative `origin`, `source` (seed that it is), `rank` and `similarity` (for the local encoder) and `grade` say more
about it; `seed` says which characters of which document it comes from, `made` which model wrote it, with which version
of the prompts and parameters, after how many calls, and every check with value and limit. `data.jsonl` and
`data.parquet` hold the same rows."""

_LICENCE: Final = """\
Positives of hard queries, mined negatives and parts of what was written come from the source documents: their licence
and terms apply to them. The texts were written by the model named above: its provider's terms apply too, some of which
restrict the training of other models. Nobody has read every row; written texts may be wrong. Clear both before
publishing this data, and put their licence into the header."""


def _header(summary: Summary, settings: SynthesisSettings) -> str:
    size = next((name for limit, name in _SIZES if summary.rows < limit), "n>1M")
    lines = [
        "pretty_name: Reasoning-intensive retrieval, synthetic",
        "license: other",
        "license_name: see-card",
        "task_categories:",
        "- text-retrieval",
        "size_categories:",
        f"- {size}",
        "tags:",
        "- synthetic",
        "- retrieval",
        "- reasoning",
        "- hard-negatives",
        "configs:",
        "- config_name: default",
        "  data_files:",
        "  - split: train",
        "    path: data.parquet",
    ]
    if settings.languages:
        lines[1:1] = ["language:", *(f"- {json.dumps(one)}" for one in settings.languages)]
    return "\n".join(["---", *lines, "---"])


def _lead(summary: Summary) -> str:
    kinds = "\n".join(f"- `{kind}`, {count:,} rows: {_KINDS[kind]}." for kind, count in summary.kinds.items())
    documents = f"{summary.documents:,} document{'' if summary.documents == 1 else 's'}"
    return (
        f"{summary.rows:,} examples of a query, a document that helps to answer it, and documents that look as if they "
        f"did, made from {documents} after ReasonIR (arXiv 2504.20595).\n\n{kinds}"
    ).rstrip()


def _made(summary: Summary, settings: SynthesisSettings) -> str:
    lines = {
        "Model": ", ".join(_code(model) for model in summary.models) or _code(settings.model),
        "Version of the prompts": ", ".join(str(version) for version in summary.prompts) or "none used",
        "Temperature": "the server's default" if settings.temperature is None else f"{settings.temperature:g}",
        "Negatives": f"{settings.negatives_each} for each query: {_NEGATIVES[settings.negatives]}",
        "Lengths asked for": f"{settings.shortest_words:,} to {settings.longest_words:,} words for varied-length rows",
        "Local encoder": _code(_shown(settings.encoder)) if settings.encoder else "none",
        "Random seed": str(settings.random_seed),
    }
    text = "\n".join(f"- {name}: {value}" for name, value in lines.items())
    every = "\n".join(f"| {name} | {_code(_shown(value))} |" for name, value in settings.as_json().items())
    return f"{text}\n\n| setting | value |\n| --- | --- |\n{every}"


def _filters(settings: SynthesisSettings, exclusions: Sequence[str]) -> str:
    judge = f"the classifier {_code(_shown(settings.classifier))}" if settings.classifier else "the model"
    quality = (
        f"of an educational quality of at least {settings.least_quality:g} (0 to 5, judged by {judge})"
        if settings.least_quality
        else "whose quality was not judged"
    )
    away = ", ".join(_code(_shown(name)) for name in exclusions)
    lines = [
        f"Seeds: pieces of {settings.least_seed_words:,} to about {settings.most_seed_words:,} words, {quality}, "
        "without boilerplate and repetitions.",
        f"Hard queries: at least {settings.least_query_words} words; not mentioning their document; at most "
        f"{settings.most_overlap:.0%} of their content words in it.",
        f"Repetitions: of two queries with a Jaccard similarity of {settings.near_duplicate:g} or more over 5-word "
        "shingles, one is kept.",
        f"Evaluation sets kept away from: {away or 'none'}.",
    ]
    if settings.negatives == "written":
        judged = ", judged unhelpful in a further turn" if settings.judge_negatives else ""
        lines.insert(
            2, f"Negatives: at least {settings.least_negative_words} words, no near copy of the positive{judged}."
        )
    return "\n".join(f"- {line}" for line in lines)


def _counts(summary: Summary) -> str:
    refused = _table(("rejected because", "items"), summary.rejected) if summary.rejected else "Nothing was rejected."
    lengths = "\n".join(
        f"| {kind} | {_spread(one.requested_query)} | {_spread(one.query)} | {_spread(one.positive)} "
        f"| {_spread(one.negative)} |"
        for kind, one in summary.lengths.items()
    )
    origins = ", ".join(f"{count:,} {origin}" for origin, count in summary.negatives.origins.items()) or "none"
    spent = summary.spent
    cost = "" if spent.cost is None else f", cost {spent.cost:,.2f}"
    missing = f" {summary.missing:,} more were asked for and are not made." if summary.missing else ""
    return (
        f"{_pieces(summary)}{summary.items:,} items, of which {summary.rows:,} became rows.{missing} Negatives: {origins}. The model was called "
        f"{spent.calls:,} times ({spent.prompt_tokens:,} tokens read, {spent.completion_tokens:,} written{cost}).\n\n"
        f"{refused}\n\n"
        "Words, median (quartiles):\n\n| kind | query, asked for | query | positive | negatives |\n"
        f"| --- | --- | --- | --- | --- |\n{lengths}"
    )


def _pieces(summary: Summary) -> str:
    """How the documents became seeds; nothing where nobody counted."""
    found = summary.pieces
    if found is None:
        return ""
    left_out = f"\n\n{_table(('left out because', 'pieces'), found.reasons)}" if found.reasons else ""
    return f"{found.pieces:,} pieces of {found.files:,} files gave {summary.seeds:,} seeds.{left_out}\n\n"


def _table(heads: tuple[str, str], counts: Mapping[str, int]) -> str:
    rows = "\n".join(f"| {_cell(name)} | {count:,} |" for name, count in counts.items())
    return f"| {heads[0]} | {heads[1]} |\n| --- | --- |\n{rows}"


def _spread(one: Spread | None) -> str:
    return "–" if one is None else f"{one.median:,.0f} ({one.lower:,.0f} to {one.upper:,.0f})"


def _shown(value: object) -> str:
    """A setting as text; of a path only the last part, for the rest is about the user's machine."""
    if not isinstance(value, str) or not value:
        return json.dumps(value, ensure_ascii=False)
    return Path(value).name if value[0] in "/.~\\" or value[1:3] == ":\\" else value


def _code(text: str) -> str:
    """Text that may hold anything, as code."""
    return f"`{_cell(redact(text)).replace('`', chr(39))}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
