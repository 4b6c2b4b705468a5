"""`reasonir evaluate query-length DATA_SET`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from reasonir_agent.cli import screen
from reasonir_agent.cli.evaluation.systems import (
    EVALUATIONS,
    CacheOption,
    Opener,
    OutOption,
    RewritesOption,
    SplitOption,
    configs,
)
from reasonir_agent.cli.options import JsonOption, LlmOption
from reasonir_agent.cli.settings import choose
from reasonir_agent.errors import InputError

if TYPE_CHECKING:
    from reasonir_agent.evaluation.results import LengthResult
    from reasonir_agent.evaluation.searched import Searched


def query_length(
    data_set: Annotated[str, typer.Argument(metavar="DATA_SET", help="As for `evaluate retrieval`.")],
    encoders: Annotated[
        list[str] | None, typer.Option("--encoder", help="Folder, known name or hub name. Repeatable.")
    ] = None,
    lengths: Annotated[
        list[int] | None, typer.Option("--length", help="Tokens of the query. Repeatable (default: 64, 128 ... 2048).")
    ] = None,
    rewrites: RewritesOption = None,
    llm: LlmOption = None,
    split: SplitOption = None,
    out: OutOption = EVALUATIONS,
    cache: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    """nDCG@10 with rewritten queries of 64 to 2,048 tokens: cut from a file, or asked of a model at each length."""
    from reasonir_agent.encoder.known import default_encoder
    from reasonir_agent.evaluation.identity import folder_name
    from reasonir_agent.evaluation.ledger import FILE
    from reasonir_agent.evaluation.lengths import LENGTHS, WORDS_PER_TOKEN, measure
    from reasonir_agent.evaluation.results import write_result
    from reasonir_agent.evaluation.systems import Dense
    from reasonir_agent.evaluation.vector_cache import VectorCache

    choices = choose(llm=llm)
    if rewrites is None and choices.llm is None:
        raise InputError("query-length needs rewritten queries; give --rewrites FILE or --llm provider:model")
    found = choices.open_data_set(data_set).only(split or ())
    opener = Opener(choices, cache or out / "vectors", out / FILE, rewrites)
    wanted = configs(encoders, choices.encoder_fallback or default_encoder())
    for one in wanted:
        if one.encoder is None or one.lexical is not None:
            raise InputError(f"query-length measures encoders alone; {one.name!r} is another system")
    with opener.opened, screen.python_warnings(), screen.progress("texts") as progress:
        ready = [Dense(one.name, opener.encoder(one), VectorCache(opener.cache)) for one in wanted]

        def searched(length: int) -> Searched:
            return opener.searched(wanted[0], words=max(1, round(length * WORDS_PER_TOKEN)))

        config = {"encoders": [one.name for one in ready], "rewrites": rewrites, "llm": choices.llm}
        result = measure(found, ready, searched, lengths=lengths or LENGTHS, config=config, progress=progress)
    file = write_result(out / folder_name("query-length", found.name), result)
    if as_json:
        screen.print_json(result.model_dump(mode="json"))
        return
    _show(result)
    screen.out.print(Text(f"result: {file}"))


def _show(result: LengthResult) -> None:
    screen.out.print(Text(screen.clean(f"{result.data_set}, nDCG@10 x 100"), style="bold"))
    table = Table(box=None, pad_edge=False)
    table.add_column("tokens of the query")
    table.add_column("window", justify="right")
    for length in result.curves[0].points:
        table.add_column(str(length), justify="right")
    for one in result.curves:
        means = [sum(scores.values()) / len(scores) for scores in one.points.values()]
        table.add_row(Text(screen.clean(one.encoder)), str(one.window), *(f"{100 * value:.1f}" for value in means))
    screen.out.print(table)
    screen.notes(result.warnings)
