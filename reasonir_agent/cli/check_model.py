"""`reasonir check-model provider:model`: twenty questions, and a verdict in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from reasonir_agent.cli import screen
from reasonir_agent.cli.options import JsonOption
from reasonir_agent.cli.settings import choose
from reasonir_agent.errors import InputError

if TYPE_CHECKING:
    from reasonir_agent.agent.model_check import ModelReport

_SAYS: Final = {
    "yes": ("this model will do", "bold green"),
    "with limits": ("this model will do, with limits", "bold yellow"),
    "no": ("this model will not do", "bold red"),
}
_NAMES: Final = {"rewrite": "rewrites", "score": "scores", "grade": "gradings", "answer": "answers"}


def check_model(
    model: Annotated[
        str | None, typer.Argument(help="provider:model (default: $REASONIR_LLM).", show_default=False)
    ] = None,
    questions: Annotated[int, typer.Option("--questions", min=1, max=20, help="How many of the twenty.")] = 20,
    seconds: Annotated[float, typer.Option("--seconds", min=1, help="Stop asking after this time.")] = 300.0,
    as_json: JsonOption = False,
) -> None:
    """Try a chat model on twenty built-in questions: will it do? About a hundred calls; no store is needed."""
    from reasonir_agent.agent.model_check import check_model as run
    from reasonir_agent.agent.spending import price_of
    from reasonir_agent.bridge import run_sync
    from reasonir_agent.llm import Bounds, Meter

    choices = choose(llm=model)
    chat = choices.open_chat_model()
    if chat is None:
        raise InputError("name the chat model to check, as provider:model (openai:gpt-5-mini)")
    meter = Meter(bounds=Bounds(seconds=seconds), price=price_of(choices.agent))
    with screen.err.status(f"asking {screen.clean(chat.name)}") as status:
        report = run_sync(
            run(
                chat,
                meter=meter,
                questions=questions,
                on_progress=lambda done, of: status.update(Text(f"asking {screen.clean(chat.name)}: {done} of {of}")),
            )
        )
    screen.print_json(report.as_json()) if as_json else _print(report)


def _print(report: ModelReport) -> None:
    says, style = _SAYS[report.verdict]
    screen.out.print(Text.assemble((f"{screen.clean(report.model)}: ", "bold"), (says, style)))
    reasons = Table.grid(padding=(0, 1))
    for reason in report.reasons:
        reasons.add_row("  -", Text(screen.clean(" ".join(reason.split()))))
    figures = Table.grid(padding=(0, 2))
    for name, line in _lines(report):
        figures.add_row(Text(f"  {name}", style="dim"), Text(line))
    screen.out.print(reasons, figures)


def _lines(report: ModelReport) -> list[tuple[str, str]]:
    """The figures behind the verdict."""
    figures, usage = report.figures, report.usage
    usable = [
        f"{_NAMES[step]} {one.in_the_end}/{one.asked} ({one.at_first} at first)"
        for step, one in figures.readable.items()
    ]
    cost = "" if usage.cost is None else f", {usage.cost:.4f} units of money"
    return [
        ("replies usable", ", ".join(usable[:2])),
        ("", ", ".join(usable[2:])),
        (
            "scores",
            f"helpful above unhelpful in {figures.above}/{figures.pairs}, equal in {figures.ties}; "
            f"{figures.distinct_scores} different scores",
        ),
        ("log-probabilities", "yes" if figures.log_probabilities else "no, so scores are whole numbers and tie"),
        ("quotes", f"{figures.verified}/{figures.quotes} stand in their passage"),
        ("answers", f"{figures.answered}/{report.questions} with a verified citation"),
        ("planted instructions", f"{len(figures.obeyed)}/{figures.planted} obeyed"),
        *(("", f"“{screen.clean(one)}”") for one in figures.obeyed[:3]),
        ("JSON", figures.json_format or "never given"),
        (
            "cost",
            f"{usage.llm_calls} calls, {usage.prompt_tokens} + {usage.completion_tokens} tokens{cost}, "
            f"{usage.seconds:.1f} s ({figures.seconds_per_call:.2f} s a call)",
        ),
    ]
