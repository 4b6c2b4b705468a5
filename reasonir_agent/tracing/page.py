"""The page of one question: self-contained, without scripts. It forbids itself to load or run anything."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Final

from reasonir_agent._version import __version__
from reasonir_agent.errors import InputError, StoreError, boundary
from reasonir_agent.evaluation.report.figures import halves
from reasonir_agent.sentences import sentence_spans
from reasonir_agent.tracing import sections
from reasonir_agent.tracing.markup import Markup, style, tag
from reasonir_agent.tracing.story import Traced

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_SHEETS: Final = (("reasonir_agent.evaluation.report", "templates/style.css"), ("reasonir_agent.tracing", "trace.css"))
_TITLE: Final = 160  # characters of a question that stand in large type


def trace_page(traced: Traced) -> str:
    """The page as HTML."""
    parts = (
        sections.answer,
        sections.ranks,
        sections.rounds,
        sections.cost,
        sections.passages,
        sections.settings,
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{traced.result.question[:80]} · reasonir"),
        [style(files(package).joinpath(name).read_text(encoding="utf-8")) for package, name in _SHEETS],
    )
    footer = tag("footer", tag("p", f"Written by reasonir-agent {__version__}."))
    body = tag("body", _header(traced), tag("main", [part(traced) for part in parts]), footer)
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def write_trace(traced: Traced, file: Path) -> None:
    """Write the page; the folder is made, what was there is replaced.

    Raises:
        InputError: the file is a folder.
        StoreError: it cannot be written.
    """
    if file.is_dir():
        raise InputError(f"{file} is a folder; name the file of the trace, as in {file / 'trace.html'}")
    aside = file.with_name(file.name + ".part")
    with boundary(StoreError, f"writing {file}", catch=(OSError,)):
        file.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(trace_page(traced), encoding="utf-8")
        aside.replace(file)


def _header(traced: Traced) -> Markup:
    topic = f"reasonir · {traced.asked}" if traced.asked else "reasonir"
    title, rest = _title(traced.result.question.strip())
    return tag(
        "header",
        tag("p", topic, class_="topic"),
        tag("h1", title, dir="auto"),
        tag("p", rest.strip(), class_="question", dir="auto") if rest else None,
        tag("p", sections.summary(traced), class_="lead"),
        _warnings(traced.result.warnings),
    )


def _title(question: str) -> tuple[str, str]:
    """The first sentences, as many as have room in large type, and the rest; one too long for it is cut."""
    ends = [end for _, end in sentence_spans(question) if _TITLE / 4 < end <= _TITLE]
    if len(question) <= _TITLE or not ends:
        return halves(question, _TITLE)
    return question[: ends[-1]], question[ends[-1] :]


def _warnings(lines: list[str]) -> Markup | None:
    if not lines:
        return None
    listed = tag("ul", [tag("li", one, dir="auto") for one in lines])
    return tag("section", tag("h2", "Warnings"), listed, class_="warnings", aria_label="Warnings")
