"""What a run's data must be, told before the base is loaded: enough for every part of the loss, and not what measures it.

A KL divergence without grades would be 0 in silence. And a set whose queries were trained on chooses the weights that know
them by heart, and says nothing of queries that nobody has seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from reasonir_agent.errors import InputError
from reasonir_trainer.data.examples import Example, Source, key_of
from reasonir_trainer.training.config import TrainingConfig

if TYPE_CHECKING:
    from reasonir_trainer.training.evaluating import HeldOut

MOST_SHARED: Final = 0.1
"""Share of a set's queries that a source may have too: of the Stacks project's lemmas, 2 of 100 held out repeat one of `train`."""


def check_data(config: TrainingConfig, sources: Sequence[Source], held_out: Sequence[HeldOut] = ()) -> None:
    """Check what was read. A source of weight 0 is not trained on, so it may hold anything.

    Args:
        config: what is asked for.
        sources: of the configuration, in its order.
        held_out: what is measured on.

    Raises:
        InputError: grades are to be learnt and there are none, or a source has the queries of a set.
    """
    drawn = [source for source, one in zip(sources, config.sources, strict=True) if one.weight != 0]
    if config.loss.distill > 0:
        _check_grades(config, [one for source in drawn for one in source.examples])
    if held_out:
        for source in drawn:
            _check_apart(source, held_out)


def _check_grades(config: TrainingConfig, examples: Sequence[Example]) -> None:
    if any(_graded(one, config.negatives) > 1 for one in examples):
        return
    enough = [2 - _graded(one, 0) for one in examples if _graded(one, len(one.negatives)) > 1]
    asked = f"loss.distill is {config.loss.distill:g}, which compares two or more graded documents of a query"
    if enough:
        raise InputError(
            f"{asked}, but with negatives: {config.negatives} a batch has at most one of them; set negatives to "
            f"{min(enough)} or more, or loss.distill: 0"
        )
    raise InputError(
        f"{asked}, but no source has a query with a graded negative and another graded document; grade the data "
        "(`reasonir-trainer synthesize --grade` or `mine --grade`), or set loss.distill: 0"
    )


def _graded(example: Example, negatives: int) -> int:
    """The most graded documents that an example brings into a batch: one positive, and so many negatives."""
    positive = any(one.grade is not None for one in example.positives)
    return positive + min(negatives, sum(one.grade is not None for one in example.negatives))


def _check_apart(source: Source, held_out: Sequence[HeldOut]) -> None:
    learnt = {key_of(one.query) for one in source.examples}
    for one in held_out:
        queries = list(one.split.queries.values())
        shared = [query for query in queries if key_of(query) in learnt]
        if len(shared) > MOST_SHARED * len(queries):
            raise InputError(
                f"the source {source.name!r} has {len(shared)} of the {len(queries)} queries of the evaluation set "
                f"{one.name!r}, such as {shared[0]!r:.80}; train on other data than you measure on: the training part of "
                "`reasonir-trainer export --held-out`, or splits of the source that leave out the set's"
            )
