"""Theorems of the cached loss: it is the plain loss, for every parameter, however it is cut into mini-batches."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from sentence_transformers.base.losses import gradcache
from torch import Tensor, nn
from torch.nn import functional

from reasonir_trainer.data.batches import Batch
from reasonir_trainer.data.examples import Candidate, Example, Source
from reasonir_trainer.training.config import TrainingConfig
from reasonir_trainer.training.losses import ContrastiveLoss, LossSettings
from reasonir_trainer.training.model import Base, load_base
from reasonir_trainer.training.run import make_mix, make_reading
from reasonir_trainer.training.trainer import as_tensors

Make = Callable[..., TrainingConfig]
CPU = torch.device("cpu")


@dataclass
class Scene:
    base: Base
    batch: Batch

    @property
    def inputs(self) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
        tensors = as_tensors(self.batch, CPU)
        return [tensors["queries"], tensors["documents"]], tensors["facts"]

    def gradients(self, loss: nn.Module) -> tuple[float, dict[str, Tensor]]:
        self.base.model.zero_grad()
        torch.manual_seed(3)
        value = loss(*self.inputs)
        value.backward()
        return float(value.detach()), {
            name: one.grad.clone() for name, one in self.base.trainable().items() if one.grad is not None
        }


@pytest.fixture
def scene(make: Make) -> Callable[..., Scene]:
    def made(source: Source, *, dropout: bool = False, batch: int = 12, **changes: Any) -> Scene:
        config = make(dropout=dropout, batch=batch, negatives=2, **changes)
        base = load_base(config)
        base.model.train()
        reading = make_reading(config, base, [source])
        mix = make_mix(config.model_copy(update={"sources": config.sources[:1]}), [source])
        return Scene(base, reading.batch(mix.draw(0)))

    return made


def plain_loss(
    base: Base, batch: Batch, settings: LossSettings, *, mini_batches: list[list[list[int]]] | None = None
) -> Tensor:
    """The loss as the formula says it, one graph, in a loop over queries."""
    tensors = as_tensors(batch, CPU)
    sides = []
    for number, (side, order) in enumerate((("queries", "query_order"), ("documents", "document_order"))):
        features = tensors[side]
        count = len(features["input_ids"])
        groups = mini_batches[number] if mini_batches else [list(range(count))]
        rows = [embed(base, {name: _pick(value, group) for name, value in features.items()}) for group in groups]
        sides.append(torch.cat(rows)[tensors["facts"][order]])
    queries, documents = sides
    losses = []
    for row, own in enumerate(batch.own.tolist()):
        cosines = documents @ queries[row]
        hidden = {
            place
            for place, key in enumerate(batch.keys.tolist())
            if key in set(batch.known[row].tolist()) and place not in own
        }
        kept = [place for place in range(len(documents)) if place not in hidden]
        scores = cosines / settings.temperature
        losses.append(torch.logsumexp(scores[kept], 0) - scores[own[0]])
    weights = torch.from_numpy(batch.weights)
    return (torch.stack(losses) * weights).sum() / weights.sum()


def embed(base: Base, features: dict[str, Any]) -> Tensor:
    longest = int(features["attention_mask"].sum(1).max())
    features = {name: one[:, :longest] if isinstance(one, Tensor) else one for name, one in features.items()}
    found: Tensor = base.model(features)["sentence_embedding"]
    return found


def _pick(value: Any, rows: list[int]) -> Any:
    return value[rows] if isinstance(value, Tensor) else value


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys() and len(found) > 3
    assert max(float(one.abs().max()) for one in expected.values()) > 0.01  # not zero against zero
    scale = max(float(one.abs().max()) for one in expected.values())
    for name, one in found.items():
        assert float((one - expected[name]).abs().max()) <= 2e-5 * scale, name


@pytest.mark.parametrize("tokens", [1, 40, 61, 100_000])  # one text at a time, some, some that do not divide, all
@pytest.mark.parametrize("keep", [0, 100, 100_000])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_without_dropout_cached_is_plain_for_every_parameter(
    scene: Callable[..., Scene], source: Source, tokens: int, keep: int, method: str
) -> None:
    here = scene(source, method=method)
    if method == "lora":  # B begins at 0, and A's gradient with it
        for name, one in here.base.trainable().items():
            if "lora_B" in name:
                nn.init.normal_(one, std=0.1, generator=torch.Generator().manual_seed(len(name)))
    settings = LossSettings(temperature=0.05)
    value, found = here.gradients(
        ContrastiveLoss(here.base.model, settings, mini_batch_tokens=tokens, keep_tokens=keep)
    )
    here.base.model.zero_grad()
    plain = plain_loss(here.base, here.batch, settings)
    plain.backward()
    assert value == pytest.approx(float(plain.detach()), rel=1e-5)
    assert_equal(found, {name: one.grad for name, one in here.base.trainable().items() if one.grad is not None})


@pytest.mark.parametrize("keep", [0, 100])
@pytest.mark.parametrize("replays", [True, False])
def test_with_dropout_the_second_pass_draws_what_the_first_drew(
    scene: Callable[..., Scene], source: Source, keep: int, replays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal to the same mini-batches with the graph kept; without the replay it is not."""
    here = scene(source, dropout=True)
    settings = LossSettings(temperature=0.05)
    loss = ContrastiveLoss(here.base.model, settings, mini_batch_tokens=61, keep_tokens=keep)
    if not replays:
        monkeypatch.setattr(gradcache.RandContext, "__enter__", lambda self: None)
        monkeypatch.setattr(gradcache.RandContext, "__exit__", lambda self, *_: None)
    value, found = here.gradients(loss)
    sides, _ = here.inputs
    groups = [[list(range(begin, end)) for begin, end in gradcache._minibatch_ranges(side, 1, 61)] for side in sides]
    assert min(map(len, groups)) > 2
    here.base.model.zero_grad()
    torch.manual_seed(3)
    plain = plain_loss(here.base, here.batch, settings, mini_batches=groups)
    plain.backward()
    assert value == pytest.approx(float(plain.detach()), rel=1e-5)
    with nullcontext() if replays else pytest.raises(AssertionError):
        assert_equal(found, {name: one.grad for name, one in here.base.trainable().items() if one.grad is not None})


@pytest.mark.parametrize("keep", [0, 100])
def test_the_vectors_of_a_side_lie_in_one_place(scene: Callable[..., Scene], source: Source, keep: int) -> None:
    """Apart, they fragment the memory, which then grows with the batch by more than the vectors."""
    here = scene(source)
    places: list[tuple[int, int]] = []

    class Watched(ContrastiveLoss):
        def calculate_loss(
            self, reps: list[list[Tensor]], labels: Any = None, *, with_backward: bool = False
        ) -> Tensor:
            places.extend((len(side), len({one.untyped_storage().data_ptr() for one in side})) for side in reps)
            return super().calculate_loss(reps, labels, with_backward=with_backward)

    here.gradients(Watched(here.base.model, LossSettings(), mini_batch_tokens=61, keep_tokens=keep))
    assert [one for _, one in places] == [1, 1]
    assert min(count for count, _ in places) > 2


def test_dropout_off_draws_nothing(scene: Callable[..., Scene], source: Source) -> None:
    here = scene(source)
    state = torch.get_rng_state()
    with torch.no_grad():
        one, two = (embed(here.base, here.inputs[0][0]) for _ in range(2))
    assert torch.equal(one, two)
    assert torch.equal(state, torch.get_rng_state())


class _Given(nn.Module):
    """A model that gives one vector for every text."""

    def __init__(self, vector: Tensor) -> None:
        super().__init__()
        self.vector = nn.Parameter(vector)

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"sentence_embedding": self.vector.expand(len(features["input_ids"]), -1) * 1.0}


def test_equal_embeddings_give_the_logarithm_of_the_candidates(scene: Callable[..., Scene], source: Source) -> None:
    here = scene(source)
    loss = ContrastiveLoss(_Given(functional.normalize(torch.ones(8), dim=0)), LossSettings())  # type: ignore[arg-type]
    assert len(here.batch.keys) == 12 * 3  # a positive and two negatives for each query
    assert float(loss(*here.inputs).detach()) == pytest.approx(math.log(36), rel=1e-5)


class _Table(nn.Module):
    """A model whose vectors are written down: the n-th text of each side has the n-th row."""

    def __init__(self, queries: list[list[float]], documents: list[list[float]]) -> None:
        super().__init__()
        self.sides = nn.ParameterList([functional.normalize(torch.tensor(one), dim=1) for one in (queries, documents)])

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        ids = features["input_ids"]
        return {"sentence_embedding": self.sides[int(ids[0, 0])][ids[:, 1]]}


def _loss(
    queries: list[list[float]], documents: list[list[float]], own: list[list[int]], settings: LossSettings, **facts: Any
) -> float:
    """The loss of vectors that are written down."""
    count, many = len(queries), len(documents)
    sides = [
        {
            "input_ids": torch.tensor([[side, number] for number in range(size)]),
            "attention_mask": torch.ones(size, 2, dtype=torch.long),
        }
        for side, size in enumerate((count, many))
    ]
    labels = {
        "query_order": torch.arange(count),
        "document_order": torch.arange(many),
        "own": torch.tensor(own),
        "grades": torch.full((count, len(own[0])), math.nan),
        "weights": torch.ones(count),
        "known": torch.full((count, 1), -1),
        "keys": torch.arange(many),
        **facts,
    }
    return float(ContrastiveLoss(_Table(queries, documents), settings)(sides, labels).detach())  # type: ignore[arg-type]


X, Y = [1.0, 0.0], [0.0, 1.0]


def test_infonce_by_hand() -> None:
    """One query, its positive at cosine 1, a stranger at 0, t = 1: log(e + 1) - 1 for each."""
    found = _loss([X, Y], [X, Y], [[0], [1]], LossSettings(temperature=1.0))
    assert found == pytest.approx(math.log(math.e + 1) - 1, rel=1e-6)


def test_a_document_that_is_known_to_help_is_no_negative() -> None:
    """The second document helps the first query too: its denominator holds its own positive alone."""
    known = torch.tensor([[1], [-1]])
    found = _loss([X, Y], [X, Y], [[0], [1]], LossSettings(temperature=1.0), known=known)
    assert found == pytest.approx((0 + math.log(math.e + 1) - 1) / 2, rel=1e-6)


def test_a_near_duplicate_of_the_positive_is_no_negative() -> None:
    near = [1.0, 0.05]  # cosine 0.99875 with X
    settings = {"temperature": 1.0}
    with_it = _loss([X, Y], [X, near], [[0], [1]], LossSettings(**settings))
    without = _loss([X, Y], [X, near], [[0], [1]], LossSettings(**settings, near_duplicate=0.99))
    assert without < with_it
    far = _loss([X, Y], [X, Y], [[0], [1]], LossSettings(**settings, near_duplicate=0.99))
    assert far == pytest.approx(_loss([X, Y], [X, Y], [[0], [1]], LossSettings(**settings)))


def test_a_document_nearer_than_the_positive_by_the_margin_is_no_negative() -> None:
    """The first query's positive is at 0.6, the second's positive at 1.0: above 0.6 + 0.3, not above 0.6 + 0.5."""
    queries, documents, own = [X, X], [[0.6, 0.8], X], [[0], [1]]
    suspected = _loss(queries, documents, own, LossSettings(temperature=1.0, margin=0.3))
    kept = _loss(queries, documents, own, LossSettings(temperature=1.0, margin=0.5))
    second = math.log(math.e + math.exp(0.6)) - 1
    assert suspected == pytest.approx((0 + second) / 2, rel=1e-5)
    assert kept == pytest.approx((math.log(math.e + math.exp(0.6)) - 0.6 + second) / 2, rel=1e-5)


def test_own_negatives_are_never_suspected() -> None:
    found = _loss([X], [[0.6, 0.8], X], [[0, 1]], LossSettings(temperature=1.0, margin=0.0, near_duplicate=0.5))
    assert found == pytest.approx(math.log(math.e + math.exp(0.6)) - 0.6, rel=1e-5)


def test_weights_are_a_weighted_mean() -> None:
    queries, documents, own = [X, X], [X, [0.6, 0.8]], [[0], [1]]
    alone = math.log(math.e + math.exp(0.6))
    found = _loss(queries, documents, own, LossSettings(temperature=1.0), weights=torch.tensor([3.0, 1.0]))
    assert found == pytest.approx((3 * (alone - 1) + (alone - 0.6)) / 4, rel=1e-5)


def test_distillation_is_zero_where_cosines_follow_the_grades_and_by_hand_elsewhere() -> None:
    """Grades 1 and 0 with s = 1, cosines 1 and 0 with t = 1: the same softmax. Equal cosines: log 2 minus the entropy."""
    settings = LossSettings(contrast=0.0, distill=1.0, grade_temperature=1.0, distill_temperature=1.0)
    grades = torch.tensor([[1.0, 0.0]])
    assert _loss([X], [X, Y], [[0, 1]], settings, grades=grades) == pytest.approx(0.0, abs=1e-6)
    p = math.e / (math.e + 1)
    entropy = -(p * math.log(p) + (1 - p) * math.log(1 - p))
    found = _loss([[1.0, 1.0]], [X, Y], [[0, 1]], settings, grades=grades)
    assert found == pytest.approx(math.log(2) - entropy, rel=1e-5)


def test_what_nobody_graded_teaches_nothing_by_distillation() -> None:
    settings = LossSettings(contrast=0.0, distill=1.0)
    for grades in ([[math.nan, math.nan]], [[2.0, math.nan]]):
        assert _loss([X], [X, Y], [[0, 1]], settings, grades=torch.tensor(grades)) == 0.0
    padded = _loss([X], [X, Y], [[0, -1]], settings, grades=torch.tensor([[2.0, 1.0]]))
    assert padded == 0.0  # a missing candidate is not graded


def test_equal_documents_of_a_batch_are_one(
    scene: Callable[..., Scene], make_examples: Callable[..., list[Example]]
) -> None:
    """Two queries share a positive: it is encoded once and no negative of either."""
    first, second, *rest = make_examples(4)
    shared = Candidate(first.positives[0].text.upper())
    twin = Example("twin", second.query, (shared,), ())
    batch = scene(Source("some", [first, twin, *rest]), batch=4).batch
    assert len(batch.keys) == 4 + 3 - 1
    assert batch.own[:, 0].tolist().count(int(batch.own[0, 0])) + len(set(batch.own[:, 0].tolist())) >= 4


def test_gradients_of_blocks_are_those_of_the_whole(
    scene: Callable[..., Scene], source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = scene(source)
    _, whole = here.gradients(ContrastiveLoss(here.base.model, LossSettings()))
    monkeypatch.setattr("reasonir_trainer.training.losses.ROWS_AT_ONCE", 5)
    _, blocks = here.gradients(ContrastiveLoss(here.base.model, LossSettings()))
    assert_equal(blocks, whole)
