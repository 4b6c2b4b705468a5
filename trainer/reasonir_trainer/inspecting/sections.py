"""The sections of the page: what is said about a data set, in the order in which one asks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

from reasonir_agent.errors import redact
from reasonir_agent.evaluation.report.blocks import Cell, Column, Figure, Fold, Table, Text
from reasonir_agent.evaluation.report.figures import NONE, count, counted, percent
from reasonir_trainer.inspecting.blocks import Block, Figures, Number, Numbers, Refusals, Section
from reasonir_trainer.inspecting.examples import COLOURS, KINDS, ORDER, example, pair
from reasonir_trainer.inspecting.gathering import Gathered
from reasonir_trainer.inspecting.histogram import NARROW, WIDE, bar, binned, bins, histogram
from reasonir_trainer.synthesis.pieces import Pieces
from reasonir_trainer.synthesis.rows import Row
from reasonir_trainer.synthesis.summary import Spread

_TENTHS: Final = tuple(number / 10 for number in range(11))
_OPEN: Final = 2
"""Examples of the page that are open."""


def sections(found: Gathered) -> Iterator[Section]:
    """Every section that has something to say."""
    if found.examples:
        blocks = [example(row, is_open=place < _OPEN) for place, row in enumerate(_mixed(found))]
        yield Section("Rows to read", "Examples", [Text(_EXAMPLES), *blocks])
    if found.tally.kinds:
        yield Section("Lengths asked for and obtained", "Lengths", list(_lengths(found)))
        yield Section("Do queries repeat their document?", "Overlap", list(_overlap(found)))
    if found.summary.negatives.count:
        yield Section("Where the negatives stand", "Negatives", list(_negatives(found)))
    if found.summary.pieces:
        yield Section("How documents became seeds", "Seeds", list(_seeds(found.summary.pieces)))
    if found.summary.items:
        yield Section("What was rejected", "Rejections", list(_rejections(found)))
    if found.pairs:
        pairs = [pair(one, is_open=place == 0) for place, one in enumerate(found.pairs)]
        yield Section("Queries that repeat another", "Repetitions", [Text(_PAIRS), *pairs])
    yield Section("What it took", "Cost", list(_cost(found)))


_EXAMPLES: Final = (
    "Chosen by the hash of their id: a fair sample, the same each time. A long text opens when it is clicked."
)
_PAIRS: Final = "Nearly the same query twice: the first by id stays, the other is left out of the data set."


def headline(found: Gathered) -> Numbers:
    """The figures at the top."""
    summary = found.summary
    rejected = summary.items - summary.rows
    share = f"{percent(rejected / summary.items)} of {counted(summary.items, 'item')}" if summary.items else ""
    lengths = {kind: summary.lengths[kind].query for kind in _kinds(found)}
    words = {kind: one.median for kind, one in lengths.items() if one}
    cost = "" if summary.spent.cost is None else f", cost {summary.spent.cost:,.2f}"
    tokens = summary.spent.prompt_tokens + summary.spent.completion_tokens
    each = f"{summary.negatives.count / summary.rows:.1f} a row" if summary.rows else ""
    return Numbers(
        [
            Number(count(summary.rows), "rows", ", ".join(f"{count(n)} {KINDS[k]}" for k, n in _counted(found))),
            Number(count(rejected), "rejected", share),
            Number(count(summary.documents), "documents with a row", f"{counted(summary.seeds, 'seed')} chosen" if summary.seeds else ""),
            Number(count(summary.negatives.count), "negatives", each),
            Number(" · ".join(f"{n:,.0f}" for n in words.values()) or NONE, "words of a query, median", ", ".join(KINDS[k] for k in words)),
            Number(count(summary.spent.calls), "model calls", f"{count(tokens)} tokens{cost}"),
        ]
    )  # fmt: skip


def _counted(found: Gathered) -> list[tuple[str, int]]:
    return [(kind, found.summary.kinds[kind]) for kind in _kinds(found)]


def _mixed(found: Gathered) -> list[Row]:
    """Rows of the kinds in turn."""
    by_kind = {kind: [row for row in found.examples if row.kind == kind] for kind in ORDER}
    turns = range(max(map(len, by_kind.values())))
    return [rows[turn] for turn in turns for rows in by_kind.values() if turn < len(rows)]


def _lengths(found: Gathered) -> Iterator[Block]:
    figures, rows = [], []
    for kind in _kinds(found):
        values, lengths = found.tally.kinds[kind], found.summary.lengths[kind]
        figures += [
            _length_figure(kind, "query", values.query, values.requested_query),
            _length_figure(kind, "positive", values.positive, values.requested_positive),
        ]
        spreads = {
            "query, asked for": lengths.requested_query,
            "query": lengths.query,
            "positive, asked for": lengths.requested_positive,
            "positive": lengths.positive,
            "negative": lengths.negative,
        }
        rows += [
            [Cell(f"{KINDS[kind]}: {name}"), *_cells(spread, "{:,.0f}")] for name, spread in spreads.items() if spread
        ]
    yield Figures(figures)
    yield _spreads("Words", rows)


def _length_figure(kind: str, part: str, got: Sequence[int], asked: Sequence[int]) -> Figure:
    wanted = [one for one in asked if one]
    title = f"{KINDS[kind].capitalize()}: words of the {part}"
    wide, narrow = (
        histogram(bins(got, wanted), size, title=title, name="words", colour=COLOURS[kind]) for size in (WIDE, NARROW)
    )
    return Figure(f"{title}. Bars: obtained." + (" Line: asked for." if wanted else ""), wide, narrow)


def _overlap(found: Gathered) -> Iterator[Block]:
    yield Text(
        "Share of a query's words (stems, function words left out) that its seed holds. A query that shares most of its "
        "words is found by looking up words, and teaches no reasoning."
    )
    known = [kind for kind in _kinds(found) if found.summary.overlap[kind]]
    if not known:
        yield Text("The seeds of these rows are not at hand.")
        return
    yield Figures([_overlap_figure(found, kind) for kind in known])
    spreads = {kind: found.summary.overlap[kind] for kind in known}
    yield _spreads(
        "Share of words", [[Cell(KINDS[kind]), *_cells(spread, "{:.0%}")] for kind, spread in spreads.items() if spread]
    )


def _overlap_figure(found: Gathered, kind: str) -> Figure:
    title = f"{KINDS[kind].capitalize()}: rows by the share of the query's words in the seed"
    limit = found.settings.most_overlap if found.settings and kind == "hq" else None
    counts = binned(_TENTHS, found.tally.kinds[kind].overlap)
    wide, narrow = (
        histogram(
            counts,
            size,
            title=title,
            name="share of words",
            colour=COLOURS[kind],
            edge=lambda value: f"{value:.0%}",
            limit=limit,
        )
        for size in (WIDE, NARROW)
    )
    return Figure(f"{title}." + (f" Line: the limit of {limit:.0%}." if limit else ""), wide, narrow)


def _kinds(found: Gathered) -> list[str]:
    return [kind for kind in ORDER if kind in found.tally.kinds]


def _negatives(found: Gathered) -> Iterator[Block]:
    told = found.summary.negatives
    origins = ", ".join(f"{count(number)} {origin}" for origin, number in told.origins.items())
    yield Text(f"{counted(told.count, 'negative')}: {origins}.", "lead")
    yield _bars("Rank of a negative for its query, by the local encoder or BM25", "rank", told.ranks, "c1")
    if told.grades:
        yield _bars("Grade of a negative by the model: 5 helps fully, 0 not at all", "grade", told.grades, "c1")
    if told.similarity:
        yield _spreads("Cosine with the query", [[Cell("negatives"), *_cells(told.similarity, "{:.2f}")]])


def _seeds(pieces: Pieces) -> Iterator[Block]:
    chosen = "they are being judged" if pieces.seeds is None else f"{counted(pieces.seeds, 'seed')} chosen"
    yield Text(f"{counted(pieces.pieces, 'piece')} of {counted(pieces.files, 'file')}; {chosen}.", "lead")
    if pieces.reasons:
        yield _bars("Pieces that are no seeds, by reason", "reason", pieces.reasons, "c3")


def _rejections(found: Gathered) -> Iterator[Block]:
    if not found.summary.rejected:
        yield Text("Nothing was rejected.", "lead")
        return
    rejected = sum(found.summary.rejected.values())
    yield Text(f"{count(rejected)} of {counted(found.summary.items, 'item')} came to nothing.", "lead")
    yield _bars("Items by reason", "reason", found.summary.rejected, "c3")
    for place, (reason, items) in enumerate(found.refused.items()):
        refused = [(one.detail, one.example) for one in items]
        yield Refusals(reason, count(found.summary.rejected[reason]), refused, is_open=place == 0)


def _cost(found: Gathered) -> Iterator[Block]:
    summary, spent = found.summary, found.summary.spent
    items = max(summary.rows, 1)
    cost = NONE if spent.cost is None else f"{spent.cost:,.4f}"
    each = NONE if spent.cost is None else f"{spent.cost / items:,.4f}"
    rows = [
        ("model calls", count(spent.calls), f"{spent.calls / items:,.1f}"),
        ("tokens read", count(spent.prompt_tokens), f"{spent.prompt_tokens / items:,.0f}"),
        ("tokens written", count(spent.completion_tokens), f"{spent.completion_tokens / items:,.0f}"),
        ("cost", cost, each),
    ]
    columns = [Column("", is_number=False), Column("in all"), Column("for each row")]
    yield Table("Calls, with those for seeds and refused replies", columns, [[Cell(c) for c in row] for row in rows])
    if spent.cost is None:
        why = (
            "the server did not report the tokens of each reply"
            if spent.silent
            else "the model's prices were not given"
        )
        yield Text(f"The cost is not known: {why}.")
    if summary.attempts:
        yield _bars("Rows by the calls that they took", "calls", summary.attempts, "c0")
    if found.settings:
        values = [
            [Cell(name), Cell(redact(json.dumps(value, ensure_ascii=False)))]
            for name, value in found.settings.as_json().items()
        ]
        columns = [Column("", is_number=False), Column("", is_number=False, is_prose=True)]
        yield Fold("Settings", [Table("What was asked for", columns, values)])


def _bars(caption: str, head: str, counts: dict[str, int], colour: str) -> Table:
    most, total = max(counts.values()), sum(counts.values())
    rows = [
        [Cell(name), Cell("", picture=bar(n, most, f"{name}: {count(n)}", colour)), Cell(count(n)), Cell(percent(n / total))]
        for name, n in counts.items()
    ]  # fmt: skip
    columns = [Column(head, is_number=False), Column("", is_number=False), Column("count"), Column("share")]
    return Table(caption, columns, rows)


def _spreads(caption: str, rows: Sequence[Sequence[Cell]]) -> Table:
    heads = ("", "count", "mean", "least", "lower quartile", "median", "upper quartile", "most")
    return Table(caption, [Column(head, is_number=place > 0) for place, head in enumerate(heads)], rows)


def _cells(spread: Spread, form: str) -> list[Cell]:
    values = (spread.mean, spread.least, spread.lower, spread.median, spread.upper, spread.most)
    return [Cell(count(spread.count)), *(Cell(form.format(value)) for value in values)]
