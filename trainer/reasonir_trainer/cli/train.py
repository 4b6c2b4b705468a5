"""`reasonir-trainer train`: an encoder from a configuration. Begun again after a kill, it goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from reasonir_agent.errors import InputError
from reasonir_trainer.cli import choices, screen

if TYPE_CHECKING:
    from reasonir_trainer.training.config import TrainingConfig
    from reasonir_trainer.training.estimate import Estimate
    from reasonir_trainer.training.run import Trained
    from reasonir_trainer.training.watching import Progress

_LINES: Final = 20  # plain lines of a run where no terminal is


def train(
    config: Annotated[
        Path,
        typer.Argument(
            help="YAML file; trainer/configs of the repository has examples and, in reference.yaml, every setting."
        ),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it takes in memory and time, and end.")] = False,
    rate: Annotated[
        float | None,
        typer.Option(
            "--tokens-per-second",
            min=1,
            help="For --dry-run: estimate with this rate. Of the base only config.json is read or fetched, and no data; the "
            "GPU of device: cuda need not be here.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train an encoder."""
    from reasonir_trainer.training.config import read_config

    settings = read_config(config)
    if rate is not None and not dry_run:
        raise InputError("--tokens-per-second goes with --dry-run; a run measures its rate itself")
    from reasonir_trainer.training import run

    if dry_run and rate is not None:
        _show_estimate(run.estimate_run(settings, rate=rate), as_json=as_json)
        return
    is_first = run.join(settings)
    if dry_run:
        found = run.estimate_run(settings)
        if is_first:
            _show_estimate(found, as_json=as_json)
        return
    with telling() if is_first else nullcontext(_silently) as tell:
        trained = run.train(settings, tell, foretell=_foretell)
    if not is_first:
        return
    url = _pushed(settings) if settings.push_to else None
    if as_json:
        screen.print_json(trained.as_json() | {"pushed": url})
    else:
        _show(trained)
        if url:
            screen.say(url)


def _pushed(settings: TrainingConfig) -> str:
    """The address of the encoder on the hub."""
    from reasonir_trainer.training.push import push

    return push(settings.output, settings.push_to, private=not settings.push_public, token=choices.hub_token())


def _show_estimate(found: Estimate, *, as_json: bool) -> None:
    if as_json:
        screen.print_json(found.as_json())
        return
    for line in found.lines():
        screen.say(line)


def _foretell(found: Estimate) -> None:
    for line in found.lines():
        screen.note(line, style="none")


def _show(trained: Trained) -> None:
    if trained.before:
        width = max(map(len, trained.before))
        screen.say(f"{'nDCG@10':<{width}}  before   after")
        for name, before in trained.before.items():
            screen.say(f"{name:<{width}}  {before:6.3f}  {trained.after[name]:6.3f}")
        share = "" if trained.blend == 1 else f", {trained.blend:g} of the way from the base"
        screen.say(f"taken: the weights of step {trained.best_step} of {trained.steps}{share}")
    screen.say(f"encoder: {trained.model}")
    if trained.adapter is not None:
        screen.say(f"adapter: {trained.adapter}")


@contextmanager
def telling() -> Iterator[Callable[[Progress], None]]:
    """A bar on a terminal, a plain line now and then elsewhere."""
    console = screen.err
    if not console.is_terminal or console.is_dumb_terminal:
        yield _plainly
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("preparing", total=None)
        yield lambda one: bar.update(task, total=one.steps, completed=one.step, description=_line(one))


def _silently(_: Progress) -> None:
    """Of several processes the first one tells."""


def _plainly(progress: Progress) -> None:
    every = max(1, progress.steps // _LINES)
    if progress.doing == "measuring" or progress.step % every == 0:
        screen.note(f"step {progress.step}/{progress.steps}  {_line(progress)}", style="none")


def _line(progress: Progress) -> str:
    parts = [progress.doing]
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.3f}")
    if progress.measured is not None:
        parts.append(f"nDCG@10 {progress.measured.average:.3f} (best {progress.best:.3f})")
    if progress.tokens_per_second:
        parts.append(f"{progress.tokens_per_second:,.0f} tokens/s")
    return "  ".join(parts)
