"""One HTML page out of runs: self-contained, without scripts, the same bytes for the same runs.

Sections decide what is said (retrieval.py and its like), templates set it, every text is escaped on its way in. The
page forbids itself to load or run anything, so that not even a mistake in a template could.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reasonir_agent._version import __version__
from reasonir_agent.errors import InputError, StoreError, boundary
from reasonir_agent.evaluation.report.answers import answers
from reasonir_agent.evaluation.report.blocks import Section
from reasonir_agent.evaluation.report.efficiency import efficiency
from reasonir_agent.evaluation.report.head import Head, head
from reasonir_agent.evaluation.report.lengths import lengths
from reasonir_agent.evaluation.report.rag import rag
from reasonir_agent.evaluation.report.rendering import rendered
from reasonir_agent.evaluation.report.retrieval import retrieval
from reasonir_agent.evaluation.report.runs import Run, grouped, of_kind, read_runs
from reasonir_agent.evaluation.results import (
    AnswersResult,
    EfficiencyResult,
    LengthResult,
    RagResult,
    Result,
    RetrievalResult,
)

_TEMPLATES: Final = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Attributes:
        file: the page.
        runs: how many runs it shows.
        warnings: those that it shows.
    """

    file: Path
    runs: int
    warnings: tuple[str, ...]


def write_report(runs: Sequence[Path], file: Path) -> Written:
    """Write one self-contained HTML page about runs.

    Args:
        runs: folders of runs, or their `result.json`.
        file: the page; its folder is made, what was there is replaced.

    Raises:
        InputError: there are no runs, one of them cannot be read, or the file is a folder.
        MissingExtra: jinja2 is not installed.
        StoreError: the page cannot be written.
    """
    if file.is_dir():
        raise InputError(f"{file} is a folder; name the file of the report, as in {file / 'report.html'}")
    read, warnings = read_runs(runs)
    sections = list(_sections(read))
    top = head(read, [*warnings, *(warning for section in sections for warning in section.warnings)])
    html = _html(top, sections)
    aside = file.with_name(file.name + ".part")
    with boundary(StoreError, f"writing {file}", catch=(OSError,)):
        file.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(html, encoding="utf-8")
        aside.replace(file)
    return Written(file, len(read), tuple(top.warnings))


def _sections(runs: Sequence[Run[Result]]) -> Iterator[Section]:
    """One for each data set and kind; what may not be compared stands apart."""
    for found in grouped((run.result.data_set, run) for run in of_kind(runs, RetrievalResult)):
        yield retrieval(found)
    for curves in grouped((run.result.data_set, run) for run in of_kind(runs, LengthResult)):
        yield lengths(curves)
    for costs in grouped((run.result.data_set, run) for run in of_kind(runs, EfficiencyResult)):
        yield efficiency(costs)
    if asked := of_kind(runs, AnswersResult):
        yield answers(asked)
    read = of_kind(runs, RagResult)
    for run in read:
        yield rag(run, alone=len(read) == 1)


def _html(top: Head, sections: Sequence[Section]) -> str:
    return rendered("page.html", [_TEMPLATES], head=top, sections=sections, version=__version__)
