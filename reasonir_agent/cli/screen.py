"""What the user sees of results, runs and reports; terminal.py says how every command line of ours speaks."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from reasonir_agent.terminal import clean as clean
from reasonir_agent.terminal import err as err
from reasonir_agent.terminal import note as note
from reasonir_agent.terminal import print_json as print_json

if TYPE_CHECKING:
    from reasonir_agent.corpus.doctor import Finding
    from reasonir_agent.corpus.reembed import ReembedReport
    from reasonir_agent.corpus.report import IndexReport, Step
    from reasonir_agent.corpus.report import Progress as Report
    from reasonir_agent.encoder.endpoint import EndpointReport
    from reasonir_agent.types import Answer, Citation, SearchResult, Usage

out = Console(highlight=False, soft_wrap=False)

_PREVIEW: Final = 240
_INDENT: Final = (0, 0, 0, 4)
_VERIFIED: Final = {
    "supported": ("  supported", "green"),
    "unsupported": ("  does not support its sentence", "yellow"),
}


def print_result_json(result: SearchResult) -> None:
    """A result as the one object on stdout."""
    print_json(result.as_json())


def notes(lines: Sequence[str]) -> None:
    """Warnings of a result, on stderr."""
    for line in lines:
        note(f"note: {line}")


@contextmanager
def python_warnings() -> Iterator[None]:
    """Show Python warnings raised inside as notes, each once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        try:
            yield
        finally:
            ours = [str(one.message) for one in caught if "reasonir_agent" in type(one.message).__module__]
            notes(list(dict.fromkeys(ours)))


@contextmanager
def progress(unit: str = "passages") -> Iterator[Report | None]:
    """A progress bar with rate and time left on stderr, nothing when stderr is no terminal."""
    if not err.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[count]}", style="dim"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, speed_estimate_period=120) as bars:
        tasks: dict[str, Any] = {}
        began = time.monotonic()

        def report(step: Step) -> None:
            if step.what not in tasks:
                tasks[step.what] = bars.add_task(step.what, total=step.total, count="")
            rate = step.passages / max(time.monotonic() - began, 1e-3)
            count = f"{step.passages:,} {unit}, {rate:,.0f}/s" if step.passages else ""
            bars.update(tasks[step.what], completed=step.done, total=step.total, count=count)

        yield report


def print_index(report: IndexReport, store: object) -> None:
    """What an index run did."""
    counts = f"{report.encoded} new, {report.unchanged} unchanged, {report.removed} removed"
    out.print(
        Text.assemble(
            (f"{report.passages} passages", "bold"),
            f" of {report.files} files in {store} ({counts}; {report.seconds:.1f} s)",
        )
    )
    for one in report.skipped[:20]:
        note(f"skipped {one.path}: {one.reason}")
    if len(report.skipped) > 20:
        note(f"... and {len(report.skipped) - 20} more (--json lists all)")
    notes(report.warnings)


def print_findings(findings: Sequence[Finding], store: object) -> None:
    """What a doctor found."""
    out.print(Text(f"store {store}", style="bold"), soft_wrap=True)  # a path is copied, so it is not broken
    for one in findings:
        mark, style = ("ok", "green") if one.sound else ("damaged", "bold red")
        state = "repaired" if one.sound and one.problem else mark
        words = "; ".join(part for part in (one.problem, one.done) if part)
        out.print(Text.assemble((f"{one.part:<14}", "bold"), (f"{state:<9}", style), clean(words)))


def print_endpoint(report: EndpointReport, *, rows: int = 8) -> None:
    """How a server is wrong: verdict, what each mistake means, the nearest variants with their cosines."""
    kind = "a model for each role" if report.by_roads else "whole strings"
    out.print(Text.assemble(("server ", "bold"), f"{clean(report.address)}  model {clean(report.model)} ({kind})"))
    out.print(Text(clean(report.verdict), style="green" if report.is_right else "bold red"))
    for line in report.meanings():
        out.print(Padding(Text(clean(line)), _INDENT, expand=False))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("variant")
    table.add_column("mean cosine", justify="right")
    table.add_column("least", justify="right")
    for number, one in enumerate(report.nearest):
        if number < rows or one.variant == "right":
            table.add_row(Text(clean(one.variant)), f"{one.mean:.4f}", f"{one.least:.4f}")
    if report.nearest:
        out.print(table)
    out.print(Text(f"length of the vectors: {report.norms[0]:.4g} to {report.norms[1]:.4g}", style="dim"))
    if report.left_out:
        out.print(Text(f"not compared: {clean('; '.join(report.left_out))}", style="dim"))
    notes(report.notes)


def print_reembed(report: ReembedReport) -> None:
    """What re-embedding did."""
    out.print(
        Text.assemble(
            (f"{report.texts} texts", "bold"),
            f" have vectors of another encoder ({report.encoded} encoded now, {report.seconds:.1f} s); ",
            f"{clean(report.now)} is in use, {clean(report.before)} was before",
        )
    )
    notes(report.warnings)


def print_hits(result: SearchResult) -> None:
    """The hits of a search."""
    _print_rewrites(result)
    if not result.hits:
        out.print("nothing found")
    for number, hit in enumerate(result.hits, start=1):
        passage = hit.passage
        scores = [f"{hit.final_score:.3f}", f"cosine {hit.dense_score:.3f}"]
        scores += [] if hit.lexical_score is None else [f"words {hit.lexical_score:.1f}"]
        scores += [] if hit.reranker_score is None else [f"reranker {hit.reranker_score:.2f}"]
        out.print(
            Text.assemble(
                (f"{number:>2}  ", "bold"),
                (clean(passage.source), "bold cyan"),
                (f":{passage.start}-{passage.end}  ", "cyan"),
                ("  ".join(scores), "dim"),
            )
        )
        if passage.encoded_text != passage.text:  # the passage does not show its heading itself
            out.print(Padding(Text(clean(passage.heading), style="italic"), _INDENT, expand=False))
        preview = " ".join(clean(passage.text).split())
        shortened = preview[:_PREVIEW] + ("…" if len(preview) > _PREVIEW else "")
        out.print(Padding(Text(shortened), _INDENT, expand=False))
    notes(result.warnings)
    if result.usage.llm_calls:
        print_cost(result.usage)


def print_answer(result: Answer) -> None:
    """An answer with its citations."""
    out.print(Text(clean(result.question), style="bold"))
    _print_rewrites(result)
    style = "yellow" if result.abstained else "green"
    out.print(
        Panel(
            Text(clean(result.answer)),
            border_style=style,
            title="no answer found" if result.abstained else None,
        )
    )
    for citation in result.citations:
        out.print(_citation_line(citation))
    if result.abstained and result.hits:
        out.print(Text("closest passages:", style="dim"))
        for hit in result.hits[:3]:
            out.print(Text(f"  {clean(hit.passage.source)}  cosine {hit.dense_score:.3f}", style="dim"))
    notes(result.warnings)
    print_cost(result.usage)


def print_cost(usage: Usage) -> None:
    """What a question cost: time, and with a model calls, tokens and, when prices are known, money."""
    parts = [f"{usage.seconds:.1f} s"]
    if usage.llm_calls:
        parts.append(f"{usage.llm_calls} model calls, {usage.prompt_tokens:,} + {usage.completion_tokens:,} tokens")
    if usage.cost is not None:
        parts.append(f"cost {usage.cost:.4f}")
    out.print(Text(" · ".join(parts), style="dim"))


def _citation_line(citation: Citation) -> Text:
    quote = " ".join(clean(citation.quote).split())
    return Text.assemble(
        (f"[{citation.n}] ", "bold"),
        (f"{clean(citation.source)}:{citation.start}-{citation.end}", "cyan"),
        f"  “{quote}”",
        _VERIFIED.get(citation.verified, ""),
    )


def _print_rewrites(result: SearchResult) -> None:
    from reasonir_agent.agent.harmless import harmless  # a rewriter that has read passages may bring their links

    for rewrite in result.rewrites:
        words = " ".join(clean(harmless(rewrite, result.question)).split())
        out.print(Text(f"searched with: {words[:_PREVIEW]}{'…' if len(words) > _PREVIEW else ''}", style="dim"))
