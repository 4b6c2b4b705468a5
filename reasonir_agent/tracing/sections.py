"""The sections of the page; one that has nothing to say is None."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Final

from reasonir_agent.evaluation.report.figures import NONE, count, counted, duration
from reasonir_agent.evaluation.report.svg import Picture
from reasonir_agent.tracing.markup import Inside, Markup, joined, table, tag, text
from reasonir_agent.tracing.quotes import MEANING, linked, marked
from reasonir_agent.tracing.ranks import columns_of, draw_ranks
from reasonir_agent.tracing.story import UNSUPPORTED, Step, Traced
from reasonir_agent.types import Citation, Hit, Passage, Usage

_LONG: Final = 700  # characters of a text that are shown before it is folded
_BAR: Final = (220.0, 16.0)
_NARROW: Final = 4  # columns that a telephone has room for: the last ones

_NAMES: Final = {
    "rewrite": "Rewrite",
    "retrieve": "Retrieve",
    "rerank": "Rerank",
    "grade": "Grade",
    "answer": "Answer",
}
_VERDICTS: Final = {
    "answer": "The passages suffice: answer.",
    "search": "Something is missing: search again.",
    "abstain": "The passages are from other fields: give up.",
}


def answer(traced: Traced) -> Markup | None:
    """The answer and the passages it rests on, with their quotes marked."""
    found = traced.answer
    if found is None:
        return None
    said = tag("p", linked(found.answer, traced.founded), class_="answer", dir="auto")
    by_number = {n: list(quotes) for n, quotes in groupby(sorted(found.citations, key=_place), lambda one: one.n)}
    founded = {n: quotes for n, quotes in by_number.items() if quotes[0].id in traced.cited}
    doubted = {n: quotes for n, quotes in by_number.items() if n not in founded}
    return _section(
        "Answer" if not found.abstained else "No answer found",
        said,
        _cited(traced, founded, "What it rests on", "cited"),
        _cited(traced, doubted, "Quoted without support, and not cited", "cited doubted"),
    )


def ranks(traced: Traced) -> Markup | None:
    """Every passage's way through the ranks."""
    columns = columns_of(traced.steps)
    if len(columns) < 2:
        return None
    kept = [hit.passage.id for hit in traced.result.hits]
    caption = (
        f"Each line is a passage. Coloured: the {counted(len(kept), 'passage')} that were kept; diamonds: those that the "
        "answer cites. Numbers below the line are the ranks of kept passages that came from further down."
    )
    wide, narrow = (
        draw_ranks(shown, kept=kept, cited=traced.cited, name_of=traced.name_of, width=width, labels=labels)
        for shown, width, labels in ((columns, 900, 250), (columns[-_NARROW:], 360, 110))
    )
    figure = tag(
        "figure", tag("figcaption", caption), tag("div", wide, class_="wide"), tag("div", narrow, class_="narrow")
    )
    return _section("Through the ranks", figure)


def rounds(traced: Traced) -> Markup | None:
    """What was searched with, and how what was found was graded."""
    told = [_round(steps, of=len(traced.rounds)) for steps in traced.rounds]
    if not any(told):
        return None
    return _section("What it searched with", told)


def cost(traced: Traced) -> Markup | None:
    """Time and calls of each step."""
    if not traced.steps:
        return None
    total = sum(one.seconds for one in traced.steps)
    heads: list[Inside] = ["Step", "Time", "", "Calls", "Tokens", "Cost"]
    rows: list[list[Inside]] = []
    began = 0.0
    for one in traced.steps:
        rows.append([*_cost_of(one), _bar(began, one.seconds, total), count(one.calls), *_paid(one.tokens, one.cost)])
        began += one.seconds
    usage = traced.result.usage
    sums: list[Inside] = [duration(total), None, count(usage.llm_calls), *_paid(_tokens(usage), usage.cost)]
    rows.append([tag("b", "All"), *(one and tag("b", one) for one in sums)])
    shown = [
        place for place in range(len(heads)) if place < 4 or any(row[place] not in (NONE, None) for row in rows[:-1])
    ]
    if usage.llm_calls == 0:
        shown = shown[:3]
    kept = [[row[place] for place in shown] for row in rows]
    made = table("Time and calls of each step", [heads[place] for place in shown], kept, numbers=(1, 3, 4, 5))
    return _section("Cost and time", made)


def passages(traced: Traced) -> Markup | None:
    """The passages that were kept, best first."""
    if not traced.result.hits:
        return None
    listed = [
        _hit(number, hit, hit.passage.id in traced.cited) for number, hit in enumerate(traced.result.hits, start=1)
    ]
    return _section("Passages that were kept", tag("ol", listed, class_="documents"))


def settings(traced: Traced) -> Markup | None:
    """What it was done with."""
    if not traced.settings:
        return None
    rows = [[name.replace("_", " "), NONE if value is None else str(value)] for name, value in traced.settings.items()]
    made = table("What it was done with", (), rows)
    return _section("Settings", tag("details", tag("summary", "All settings"), made))


def summary(traced: Traced) -> str:
    """The whole in a sentence."""
    result, found = traced.result, traced.answer
    parts = [counted(len(result.hits), "passage")]
    if found is not None:
        parts = ["abstained" if found.abstained else f"answered with {counted(len(traced.founded), 'citation')}"]
    searched = len(traced.rounds)
    parts += [counted(searched, "round")] if searched else []
    return " · ".join([*parts, *costs(result.usage)])


def costs(usage: Usage) -> list[str]:
    """What a question cost, in words."""
    parts = []
    if usage.llm_calls:
        parts += [counted(usage.llm_calls, "model call"), counted(_tokens(usage), "token")]
    parts.append(duration(usage.seconds))
    return parts if usage.cost is None else [*parts, f"cost {usage.cost:.4f}"]


def _section(title: str, *inside: Inside) -> Markup:
    name = "".join(c if c.isalnum() else "-" for c in title.lower())
    return tag("section", tag("h2", title, id=name), inside, aria_labelledby=name)


def _place(one: Citation) -> tuple[int, int]:
    return one.n, one.start


def _cited(traced: Traced, quoted: Mapping[int, Sequence[Citation]], title: str, classes: str) -> Markup | None:
    """Passages with their quotes."""
    if not quoted:
        return None
    return joined(tag("h3", title), [_quoted(traced, n, quotes, classes) for n, quotes in quoted.items()])


def _quoted(traced: Traced, n: int, quotes: Sequence[Citation], classes: str) -> Markup:
    passage = traced.passages.get(quotes[0].id)
    head = tag("h4", tag("span", str(n), class_="chip"), " ", tag("bdi", quotes[0].source))
    where = None if passage is None else tag("p", _where(passage), class_="note", dir="auto")
    shown: Inside = [tag("p", tag("mark", one.quote), class_="text", dir="auto") for one in quotes]
    if passage is not None:
        shown = tag("p", marked(passage, quotes), class_="text", dir="auto")
    said = [tag("li", tag("q", _in_one_line(one.quote)), " ", _meaning(one), dir="auto") for one in quotes]
    return tag("article", head, where, shown, tag("ul", said, class_="quotes"), id=f"passage-{n}", class_=classes)


def _meaning(one: Citation) -> Markup:
    kind = "warning" if one.verified == UNSUPPORTED else "verdict"
    return tag("span", MEANING.get(one.verified, one.verified), class_=kind)


def _where(passage: Passage) -> str:
    place = f"characters {passage.start:,} to {passage.end:,}"
    return f"{place} · {passage.heading}" if passage.heading else place


def _round(steps: Sequence[Step], *, of: int) -> Markup | None:
    by_name = {one.name: one for one in steps}
    rewritten, graded = by_name.get("rewrite"), by_name.get("grade")
    told: list[Inside] = []
    if rewritten is not None and rewritten.missing:
        told += [tag("p", "searched for what was missing", class_="label"), _list(rewritten.missing)]
    if rewritten is not None:
        told += [text(one, _LONG) for one in rewritten.rewrites] or [tag("p", "the question as it is", class_="note")]
    if graded is not None and graded.verdict:
        told.append(tag("p", tag("b", _VERDICTS.get(graded.verdict, graded.verdict)), class_="verdict"))
        told += [_list(graded.missing)] if graded.missing else []
    if not told:
        return None
    return joined(tag("h3", f"Round {steps[0].round}") if of > 1 else None, tag("div", told, class_="round"))


def _list(lines: Sequence[str]) -> Markup:
    return tag("ul", [tag("li", one, dir="auto") for one in lines])


def _cost_of(one: Step) -> tuple[Inside, Inside]:
    name = _NAMES.get(one.name, one.name)
    return f"{name}, round {one.round}" if one.name != "answer" and one.round > 1 else name, duration(one.seconds)


def _paid(tokens: int | None, money: float | None) -> tuple[str, str]:
    return NONE if tokens is None else count(tokens), NONE if money is None else f"{money:.4f}"


def _tokens(usage: Usage) -> int:
    return usage.prompt_tokens + usage.completion_tokens


def _bar(began: float, seconds: float, total: float) -> Picture:
    """When a step ran, in the time of all."""
    width, height = _BAR
    picture = Picture(width, height, f"from {duration(began)} for {duration(seconds)}")
    scale = width / (total or 1)
    picture.line((0, height - 1), (width, height - 1), "grid")
    picture.rectangle(min(began * scale, width - 2), 2, max(seconds * scale, 2), height - 5, "bar c0", round=1.5)
    return picture


def _hit(number: int, hit: Hit, is_cited: bool) -> Markup:
    reranker = [] if hit.reranker_score is None else [f"reranker {hit.reranker_score:.2f}"]
    words = [] if hit.lexical_score is None else [f"words {hit.lexical_score:.1f}"]
    scores = " · ".join([f"{hit.final_score:.3f}", f"cosine {hit.dense_score:.3f}", *words, *reranker])
    head = tag(
        "p",
        tag("bdi", hit.passage.source),
        " ",
        tag("a", "cited", href=f"#passage-{number}", class_="is-gold") if is_cited else None,
        " ",
        tag("span", scores, class_="score"),
        class_="id",
    )
    return tag("li", head, text(hit.passage.text, 260))


def _in_one_line(words: str) -> str:
    return " ".join(words.split())


__all__ = ["answer", "cost", "costs", "passages", "ranks", "rounds", "settings", "summary"]
