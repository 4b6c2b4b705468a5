"""`reasonir-trainer train`: an encoder from a configuration. Begun again after a kill, it goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from reasonir_trainer.cli import screen

if TYPE_CHECKING:
    from reasonir_trainer.training.run import Trained
    from reasonir_trainer.training.watching import Progress

_LINES: Final = 20  # plain lines of a run where no terminal is


def train(
    config: Annotated[Path, typer.Argument(help="YAML file; see configs/.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train an encoder."""
    from reasonir_trainer.training.config import read_config

    settings = read_config(config)
    from reasonir_trainer.training.run import train as run

    with _telling() as tell:
        trained = run(settings, tell)
    if as_json:
        screen.print_json(trained.as_json())
    else:
        _show(trained)


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
def _telling() -> Iterator[Callable[[Progress], None]]:
    """A bar on a terminal, a plain line now and then elsewhere."""
    console = screen.stderr()
    if not console.is_terminal or console.is_dumb_terminal:
        yield _plainly
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("preparing", total=None)
        yield lambda one: bar.update(task, total=one.steps, completed=one.step, description=_line(one))


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
