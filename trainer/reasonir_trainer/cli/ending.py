"""The end of `synthesize`: a data set of what is done, and what the user is told about how the run ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from reasonir_trainer.cli import choices, screen
from reasonir_trainer.synthesis.pieces import Pieces

if TYPE_CHECKING:
    from reasonir_trainer.synthesis.exclusion import Exclusion
    from reasonir_trainer.synthesis.pipeline import How, Report
    from reasonir_trainer.synthesis.run_folder import Request, RunFolder
    from reasonir_trainer.synthesis.summary import Summary

_EXIT: Final = {"finished": 0, "bound": 0, "unavailable": 2, "rejecting": 2, "interrupted": 130}


def finish_and_tell(
    folder: RunFolder,
    request: Request,
    how: How,
    report: Report,
    guards: Sequence[Exclusion],
    push: str | None,
    *,
    as_json: bool,
) -> int:
    """Make a data set of what is done where the run ended well, push it where that was asked for, and tell all of it.

    Returns:
        The exit code.

    Raises:
        StoreError: a file cannot be written, or the hub refuses.
    """
    code = _EXIT[report.end]
    summary = _data_set(folder, request, how, report, guards)
    lines = [*report.warnings, *_ending(report, folder, how)]
    url = _pushed(folder, push) if push is not None and summary is not None else None
    if push is not None and summary is None:
        lines.append("nothing was pushed: there is no finished data set")
    pieces = Pieces.read([folder.path])
    if pieces is not None and pieces.unread_count:
        lines.append(pieces.told_unread())
    if as_json:
        told = report.as_json() | {"warnings": lines, "out": str(folder.path)}
        error = {"error": " ".join(report.message.split())} if code else {}
        screen.print_json(told | {"pieces": _plain(pieces), "data": _plain(summary), "pushed": url} | error)
    else:
        for line in [*_results(summary, report, folder, how, pieces), *([url] if url else [])]:
            screen.say(line)
    for line in lines:
        screen.note(line, style="bold red" if code else "yellow")
    return code


def _data_set(
    folder: RunFolder, request: Request, how: How, report: Report, guards: Sequence[Exclusion]
) -> Summary | None:
    """The data set; None where the run ended badly, has nothing yet, or is a shard's."""
    has_items = report.rows > 0 or bool(report.rejected)
    if _EXIT[report.end] or not has_items or not folder.shard.is_whole or how.seeds_only:
        return None
    from reasonir_trainer.synthesis.finishing import finish

    return finish(folder.path, settings=request.settings, exclusions=guards, price=how.price)


def _ending(report: Report, folder: RunFolder, how: How) -> list[str]:
    """What the user should know about how the run ended, and what to do next."""
    left = report.items - report.rows - sum(report.rejected.values())
    state = f"{left:,} of {report.items:,} items are left" if report.items else "the seeds are not settled yet"
    if report.end == "bound":
        return [f"{report.message}; {state}: the same command with a higher bound goes on"]
    if report.end == "interrupted":
        return [f"interrupted; {state}: the same command goes on"]
    if report.end == "unavailable":
        return [f"{report.message}; {state}: the same command goes on"]
    if report.end == "rejecting":
        return [f"{report.message}\nchange the settings or the model and take a new folder, or go on by --force"]
    lines = []
    if report.failed:
        lines.append(f"{report.failed:,} items are left, because their calls failed: the same command tries them again")
    if not folder.shard.is_whole and not how.seeds_only:
        lines.append(f"when all {folder.shard.of} shards are done: reasonir-trainer merge DIR... --out NEW")
    return lines


def _results(summary: Summary | None, report: Report, folder: RunFolder, how: How, pieces: Pieces | None) -> list[str]:
    """What there is now; nothing where the run ended badly."""
    if _EXIT[report.end]:
        return []
    seeds = [] if pieces is None else [pieces.told()]
    if summary is not None:
        meter = report.meter
        cost = f", cost {meter.cost:.4f}" if meter.cost is not None else ""
        tokens = f"{meter.llm_calls:,} calls, {meter.prompt_tokens:,} + {meter.completion_tokens:,} tokens{cost}"
        rejected = [f"  {count:>7,}  {reason}" for reason, count in summary.rejected.items()]
        return [*seeds, f"{summary.rows:,} rows in {folder.path / 'data.jsonl'} ({tokens})", *rejected]
    if how.seeds_only:
        return [*seeds, f"{report.seeds:,} seeds in {folder.all_seeds if folder.shard.is_whole else folder.seeds}"]
    name = "" if folder.shard.is_whole else f"shard {how.shard}: "
    return [f"{name}{report.rows:,} rows, {sum(report.rejected.values()):,} rejected items so far"]


def _pushed(folder: RunFolder, repository: str) -> str:
    from reasonir_trainer.synthesis.push import push

    return push(folder.path, repository, token=choices.hub_token())


def _plain(value: Pieces | Summary | None) -> dict[str, Any] | None:
    return value.model_dump(mode="json") if value is not None else None
