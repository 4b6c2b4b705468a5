"""One HTML page about a data set: self-contained, without scripts, the same bytes for the same folder.

The texts on it were written by models and by the authors of documents: each is escaped on its way in, and the page
forbids itself to load or run anything. Look and parts are those of `reasonir report`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reasonir_agent._version import __version__
from reasonir_agent.errors import InputError
from reasonir_agent.evaluation import report
from reasonir_agent.evaluation.report.figures import counted
from reasonir_agent.evaluation.report.rendering import rendered
from reasonir_agent.llm import Price
from reasonir_trainer.inspecting.gathering import Gathered, gather
from reasonir_trainer.inspecting.sections import headline, sections
from reasonir_trainer.synthesis.data_files import write_text
from reasonir_trainer.synthesis.summary import Summary

EXAMPLES: Final = 8
"""Rows of each kind."""

_TEMPLATES: Final = (
    Path(__file__).parent / "templates",
    Path(report.__file__).parent / "templates",
)


@dataclass(frozen=True, slots=True)
class Page:
    """What was written.

    Attributes:
        file: the page.
        summary: what it shows.
        warnings: those that it shows.
    """

    file: Path
    summary: Summary
    warnings: tuple[str, ...]


def write_page(folder: Path, file: Path, *, examples: int = EXAMPLES, price: Price | None = None) -> Page:
    """Write one self-contained HTML page about a data set.

    Args:
        folder: of a run, finished or not, or of a data set that was taken over.
        file: the page; its folder is made, what was there is replaced.
        examples: rows of each kind.
        price: of the model, for the cost; None takes what the run counted.

    Raises:
        InputError: the folder is none of a run, or the file is a folder.
        MissingExtra: jinja2 is not installed.
        StoreError: the page cannot be written.
    """
    if file.is_dir():
        raise InputError(f"{file} is a folder; name the file of the page, as in {file / 'page.html'}")
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; expected the folder of a run of `reasonir-trainer synthesize`")
    found = gather(folder, examples=examples, price=price)
    write_text(file, _html(found))
    return Page(file, found.summary, found.warnings)


def _html(found: Gathered) -> str:
    return rendered(
        "data_set.html",
        _TEMPLATES,
        name=found.name,
        lead=_lead(found),
        headline=headline(found),
        warnings=found.warnings,
        sections=list(sections(found)),
        version=__version__,
    )


def _lead(found: Gathered) -> str:
    summary = found.summary
    models = ", ".join(model for model in summary.models if model)
    by = f", written by {models}" if models else ""
    fields = [name for name in summary.fields if name != "none"]
    about = f" Fields: {', '.join(fields[:8])}{' ...' if len(fields) > 8 else ''}." if fields else ""
    return f"{counted(summary.rows, 'row')} from {counted(summary.documents, 'document')}{by}.{about}"
