"""`reasonir-trainer ablate`: which data help. Begun again after a kill, it goes on where it was."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reasonir_trainer.cli import screen
from reasonir_trainer.cli.train import telling

if TYPE_CHECKING:
    from reasonir_trainer.training.watching import Progress


def ablate(
    config: Annotated[
        Path, typer.Argument(help="YAML file of a training run, with mixes: {VL: [vl], both: [vl, hq]}.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """Train named mixes of the sources under one seed, and compare them on original and rewritten queries."""
    from reasonir_trainer.training.ablation import ablate as run
    from reasonir_trainer.training.ablation import read_ablation
    from reasonir_trainer.training.ablation_table import table, write_ablation

    asked = read_ablation(config)
    begun: list[str] = []
    with telling() as show:

        def tell(name: str, progress: Progress) -> None:
            if name not in begun:
                begun.append(name)
                screen.note(f"mix {name} ({len(begun)} of those that are not done)", style="none")
            show(progress)

        ablated = run(asked, tell)
    write_ablation(ablated, asked.config.output)
    if as_json:
        screen.print_json(ablated.as_json() | {"out": str(asked.config.output)})
        return
    screen.say(table(ablated))
    screen.say(f"\ntable and picture: {asked.config.output}")
