"""`reasonir-trainer synthesize`: training data from the user's own documents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from reasonir_agent.errors import InputError
from reasonir_trainer.cli import choices, screen
from reasonir_trainer.cli.watching import interruptible, watching

if TYPE_CHECKING:
    from reasonir_agent.llm import Price
    from reasonir_trainer.synthesis.exclusion import Exclusion
    from reasonir_trainer.synthesis.pipeline import How, OpenCaller, Run
    from reasonir_trainer.synthesis.progress import Progress
    from reasonir_trainer.synthesis.run_folder import Request, RunFolder
    from reasonir_trainer.synthesis.settings import SynthesisSettings

_REPLY_TOKENS: Final = 8_192
"""Length of a reply that is allowed where tokens or money are bounded, which needs one; 2,000 words and thinking."""

_WHAT, _HOW, _COST = "What is made", "How it runs", "What it may cost"

_Paths = Annotated[list[Path], typer.Argument(metavar="PATH...", help="Documents: files and folders.")]
_Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the run; an unfinished one is resumed.")]
_Llm = Annotated[str | None, typer.Option("--llm", help="Chat model, provider:model. [REASONIR_LLM]")]
_Config = Annotated[Path | None, typer.Option("--config", help="TOML file of settings, by their names.")]
_Varied = Annotated[
    int | None, typer.Option("--varied", min=0, help="Varied-length items a seed (VL).", rich_help_panel=_WHAT)
]
_Hard = Annotated[int | None, typer.Option("--hard", min=0, help="Hard queries a seed (HQ).", rich_help_panel=_WHAT)]
_Negatives = Annotated[
    str | None, typer.Option("--negatives", help="written, bm25, encoder or none.", rich_help_panel=_WHAT)
]
_NegativesEach = Annotated[
    int | None, typer.Option("--negatives-each", min=0, help="Hard negatives a query.", rich_help_panel=_WHAT)
]
_Grade = Annotated[
    bool | None, typer.Option("--grade/--no-grade", help="Grade documents 0 to 5.", rich_help_panel=_WHAT)
]
_Rewrite = Annotated[
    bool | None, typer.Option("--rewrite/--no-rewrite", help="Also rewrite queries.", rich_help_panel=_WHAT)
]
_Encoder = Annotated[
    str | None, typer.Option("--encoder", help="Local encoder, for ranks and mining.", rich_help_panel=_WHAT)
]
_Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="DATASET", help="Keep away from this evaluation set.", rich_help_panel=_WHAT),
]
_MostSeeds = Annotated[
    int | None, typer.Option("--most-seeds", min=1, help="Seeds that are chosen, evenly.", rich_help_panel=_WHAT)
]
_LeastQuality = Annotated[
    float | None,
    typer.Option("--least-quality", min=0, max=5, help="Of a seed; 0 asks no one.", rich_help_panel=_WHAT),
]
_Classifier = Annotated[
    str | None,
    typer.Option("--classifier", help="Judges the quality of seeds in the chat model's place.", rich_help_panel=_WHAT),
]
_Temperature = Annotated[float | None, typer.Option("--temperature", rich_help_panel=_WHAT)]
_RandomSeed = Annotated[int | None, typer.Option("--random-seed", rich_help_panel=_WHAT)]
_Shard = Annotated[str, typer.Option("--shard", metavar="I/N", help="This worker's share.", rich_help_panel=_HOW)]
_SeedsOnly = Annotated[bool, typer.Option("--seeds-only", help="Stop when the seeds are chosen.", rich_help_panel=_HOW)]
_Concurrency = Annotated[int, typer.Option("--concurrency", min=1, help="Most calls at once.", rich_help_panel=_HOW)]
_Batch = Annotated[
    bool, typer.Option("--batch", help="By OpenAI's Batch API: half the price, within a day.", rich_help_panel=_HOW)
]
_BatchSize = Annotated[
    int, typer.Option("--batch-size", min=1, max=50_000, help="Requests in a batch.", rich_help_panel=_HOW)
]
_Force = Annotated[
    bool,
    typer.Option("--force", help="Go on with changed settings, or with many rejections.", rich_help_panel=_HOW),
]
_MaxTokens = Annotated[
    int | None, typer.Option("--max-tokens", min=1, help="Of all runs in DIR.", rich_help_panel=_COST)
]
_MaxCost = Annotated[float | None, typer.Option("--max-cost", min=0, help="Money, by --price.", rich_help_panel=_COST)]
_MaxCalls = Annotated[int | None, typer.Option("--max-calls", min=1, rich_help_panel=_COST)]
_MaxSeconds = Annotated[float | None, typer.Option("--max-seconds", min=0, help="Of this run.", rich_help_panel=_COST)]
_Price = Annotated[
    str | None,
    typer.Option("--price", metavar="PROMPT,COMPLETION", help="Of a million tokens.", rich_help_panel=_COST),
]
_ReplyTokens = Annotated[
    int | None, typer.Option("--reply-tokens", min=1, help="Longest reply.", rich_help_panel=_COST)
]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Show prompts, calls and cost; send and write nothing.")]
_Push = Annotated[
    str | None, typer.Option("--push", metavar="OWNER/NAME", help="Send the data set to the hub, private.")
]
_AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def synthesize(
    paths: _Paths,
    out: _Out,
    llm: _Llm = None,
    config: _Config = None,
    varied: _Varied = None,
    hard: _Hard = None,
    negatives: _Negatives = None,
    negatives_each: _NegativesEach = None,
    grade: _Grade = None,
    rewrite: _Rewrite = None,
    encoder: _Encoder = None,
    exclude: _Exclude = None,
    most_seeds: _MostSeeds = None,
    least_quality: _LeastQuality = None,
    classifier: _Classifier = None,
    temperature: _Temperature = None,
    random_seed: _RandomSeed = None,
    shard: _Shard = "1/1",
    seeds_only: _SeedsOnly = False,
    concurrency: _Concurrency = 16,
    batch: _Batch = False,
    batch_size: _BatchSize = 20_000,
    force: _Force = False,
    max_tokens: _MaxTokens = None,
    max_cost: _MaxCost = None,
    max_calls: _MaxCalls = None,
    max_seconds: _MaxSeconds = None,
    price: _Price = None,
    reply_tokens: _ReplyTokens = None,
    dry_run: _DryRun = False,
    push: _Push = None,
    as_json: _AsJson = False,
) -> None:
    """Make training data from documents; the same command goes on where a run was stopped."""
    options = {
        "model": llm,
        "varied": varied,
        "hard": hard,
        "negatives": negatives,
        "negatives_each": negatives_each,
        "grade": grade,
        "rewrite": rewrite,
        "encoder": encoder,
        "most_seeds": most_seeds,
        "least_quality": least_quality,
        "classifier": classifier,
        "temperature": temperature,
        "random_seed": random_seed,
        "exclude": tuple(exclude or ()),
    }
    settings, excluded = choices.settings_of(options, config)
    named = [str(path) for path in paths]
    prices = choices.price_of(price)
    if dry_run:
        _estimate(named, settings, prices, shard, choices.guards(excluded, settings), as_json=as_json)
        return
    from reasonir_agent.llm import Bounds
    from reasonir_trainer.synthesis.pipeline import How
    from reasonir_trainer.synthesis.run_folder import Shard

    _refuse_inside(named, out)
    if max_cost is not None and prices is None:
        raise InputError(
            "a bound on money needs the model's price: give --price PROMPT,COMPLETION (for a million tokens)"
        )
    how = How(
        shard=Shard.read(shard),
        bounds=Bounds(tokens=max_tokens, money=max_cost, calls=max_calls, seconds=max_seconds),
        price=prices,
        workers=batch_size if batch else concurrency + concurrency // 4 + 1,
        force=force,
        seeds_only=seeds_only,
    )
    longest = reply_tokens or (_REPLY_TOKENS if max_tokens is not None or max_cost is not None else None)
    calls = _Calls(concurrency, longest, batch_size if batch else None)
    code = _make(named, out, settings, excluded, how, calls, push, as_json=as_json)
    if code:
        raise screen.Ended(code)


@dataclass(frozen=True, slots=True)
class _Calls:
    """How the model is asked.

    Attributes:
        at_once: most calls under way.
        reply_tokens: longest reply; None leaves it to the server.
        batch_size: requests in a batch; None asks live.
    """

    at_once: int
    reply_tokens: int | None
    batch_size: int | None


def _make(
    paths: list[str],
    out: Path,
    settings: SynthesisSettings,
    excluded: tuple[str, ...],
    how: How,
    calls: _Calls,
    push: str | None,
    *,
    as_json: bool,
) -> int:
    """Run, finish and tell; returns the exit code."""
    from reasonir_trainer.cli.ending import finish_and_tell
    from reasonir_trainer.synthesis.run_folder import Inputs, Request, RunFolder

    guards = choices.guards(excluded, settings)
    folder = RunFolder(out, how.shard)
    request = Request(settings, Inputs.of(paths), excluded, tuple(guard.sha256 for guard in guards))
    with watching() as progress:
        run = _run(folder, request, how, calls, guards, progress)
        with interruptible(run.interrupt):
            report = run.work()
    report.warnings += [warning for guard in guards for warning in guard.warnings]
    return finish_and_tell(folder, request, how, report, guards, push, as_json=as_json)


def _run(
    folder: RunFolder, request: Request, how: How, calls: _Calls, guards: list[Exclusion], progress: Progress
) -> Run:
    """The run with its parts."""
    from reasonir_trainer.synthesis.item_maker import item_maker
    from reasonir_trainer.synthesis.pipeline import Run
    from reasonir_trainer.synthesis.seed_stage import DocumentSeeds

    settings, open_encoder = request.settings, choices.encoder_opener()
    return Run(
        folder,
        request,
        how,
        seeds=DocumentSeeds(request.inputs.paths, settings, open_encoder, guards),
        open_caller=_caller(folder, settings, how.price, calls),
        open_maker=item_maker(settings, open_encoder),
        progress=progress,
    )


def _caller(folder: RunFolder, settings: SynthesisSettings, price: Price | None, calls: _Calls) -> OpenCaller:
    """Who answers the calls: the model at once, or a batch."""
    from reasonir_trainer.synthesis.batch import BatchLimits
    from reasonir_trainer.synthesis.opening import batched_calls, live_calls

    if calls.batch_size is None:
        return live_calls(
            choices.open_named(
                settings.model,
                concurrency=calls.at_once,
                temperature=settings.temperature,
                reply_tokens=calls.reply_tokens,
                price=price,
            )
        )
    return batched_calls(
        settings.model,
        folder,
        base_url=choices.base_url(),
        api_key=choices.api_key(),
        temperature=settings.temperature,
        reply_tokens=calls.reply_tokens,
        limits=BatchLimits(requests=calls.batch_size),
    )


def _estimate(
    paths: list[str],
    settings: SynthesisSettings,
    price: Price | None,
    shard: str,
    guards: list[Exclusion],
    *,
    as_json: bool,
) -> None:
    """Print what a run would ask and cost."""
    from reasonir_agent.bridge import run_sync
    from reasonir_trainer.synthesis.estimate import sampled
    from reasonir_trainer.synthesis.run_folder import Shard

    found = run_sync(sampled(paths, settings, Shard.read(shard), price, guards))
    if as_json:
        screen.print_json(found.as_json())
        return
    for name, role, text in found.prompts:
        screen.say(f"--- {name} ({role})\n{text}\n")
    cost = f", cost about {found.cost:,.2f}" if found.cost is not None else ""
    screen.say(
        f"{found.seeds:,} seeds, {found.items:,} items; {found.least_calls:,} calls at least, about "
        f"{found.likely_calls:,} likely; about {found.prompt_tokens:,} + {found.completion_tokens:,} tokens{cost}\n"
        "nothing was sent, nothing was written"
    )


def _refuse_inside(paths: list[str], out: Path) -> None:
    """A run's own files must not become its documents."""
    for path in paths:
        top = Path(path)
        if top.is_dir() and out.resolve().is_relative_to(top.resolve()):
            raise InputError(f"--out {out} lies in {path}, whose documents are read; take a folder outside of it")
