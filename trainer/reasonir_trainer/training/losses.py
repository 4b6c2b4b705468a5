"""One loss over the documents of the global batch, on sentence-transformers' GradCache engine.

InfoNCE (ReasonIR, section on training): for query i with positive p(i),

    L_i = -cos(q_i, d_p(i)) / t + log sum_j exp(cos(q_i, d_j) / t)

over every document j of every process but those that are known or suspected to help query i too (the mask). A query's own
negatives are never suspected: they were chosen. Where candidates are graded, KL(softmax(grade / s) || softmax(cos / t)) over the
query's own candidates is added. A batch's loss is the weighted mean over the queries of all processes.

Memory. `CachedLossMixin` embeds the batch in mini-batches without a graph, takes the gradient at the embeddings, and embeds
again with a graph, replaying dropout. Two things are added. The texts of a side come sorted by length, so a mini-batch of
`mini_batch_tokens` holds little padding. And the graphs of the first `keep_tokens` tokens are kept instead of being computed
twice; what is kept does not grow with the batch, so memory does not either. The loss itself is computed and differentiated in
blocks of rows: nothing of the size batch x batch is ever in memory.

Over several processes each one computes the rows of its own queries against everyone's documents. The mean of the processes'
gradients, which is what DDP and FSDP take, is the gradient of the whole batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from sentence_transformers.base.losses.gradcache import CachedLossMixin, RandContext
from sentence_transformers.util import all_gather, all_gather_with_grad, get_rank, get_world_size
from torch import Tensor, nn
from torch.nn import functional

from reasonir_agent.errors import InputError
from reasonir_trainer.training.sharding import is_sharded

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

ROWS_AT_ONCE: Final = 256
"""Rows of the score matrix in memory: 256 x 16,384 documents are 16 MB in float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSettings:
    """What is learnt from a batch.

    Attributes:
        temperature: t above; 0.02 is the paper's.
        near_duplicate: a document whose cosine with the positive reaches it is no negative; None suspects nobody.
        margin: a document whose cosine with the query passes the positive's by more is no negative; None suspects nobody.
        contrast: weight of InfoNCE.
        distill: weight of the KL divergence from the grades; 0 leaves it out.
        grade_temperature: s above, in units of the grades.
        distill_temperature: t of the KL term.
        anchor: weight of 1 - cos(new vector, the base's vector), averaged over queries and documents; 0 leaves it out.
    """

    temperature: float = 0.02
    near_duplicate: float | None = None
    margin: float | None = None
    contrast: float = 1.0
    distill: float = 0.0
    grade_temperature: float = 1.0
    distill_temperature: float = 0.05
    anchor: float = 0.0

    def __post_init__(self) -> None:
        for name in ("temperature", "grade_temperature", "distill_temperature"):
            if not getattr(self, name) > 0:
                raise InputError(f"loss.{name} must be above 0, got {getattr(self, name)}")
        for name in ("contrast", "distill", "anchor"):
            if getattr(self, name) < 0:
                raise InputError(f"loss.{name} must be 0 or more, got {getattr(self, name)}")
        if not self.contrast + self.distill + self.anchor > 0:
            raise InputError("the loss has no part: one of contrast, distill and anchor must be above 0")
        if self.near_duplicate is not None and not 0 < self.near_duplicate <= 1:
            raise InputError(f"loss.near_duplicate must be above 0 and at most 1, got {self.near_duplicate}")
        if self.margin is not None and self.margin < 0:
            raise InputError(f"loss.margin must be 0 or more, got {self.margin}")


class _Kept(RandContext):
    """In the place of a random state: the embeddings of a mini-batch, whose graph was kept."""

    def __init__(self, embeddings: Tensor) -> None:
        self.embeddings = embeddings

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


class ContrastiveLoss(CachedLossMixin, nn.Module):
    """The loss of a step.

    `forward` takes two sides of features (`input_ids`, `attention_mask`, sorted by length, and `prompt_length` where a prefix is
    not pooled) and, as labels, what `data.batches.Batch` says about them, as tensors.

    Args:
        model: gives `sentence_embedding`, unit length.
        settings: what is learnt.
        mini_batch_tokens: tokens that are embedded at a time, at least one text.
        keep_tokens: tokens whose graph is kept rather than computed twice; used where nothing wraps the model.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        settings: LossSettings,
        *,
        mini_batch_tokens: int = 4096,
        keep_tokens: int = 0,
    ) -> None:
        super().__init__()
        self.model = model
        self.settings = settings
        self.mini_batch_size = 1
        self.mini_batch_num_tokens = mini_batch_tokens
        self.keep_tokens = keep_tokens
        self._room = 0
        self._side = torch.empty(0, 0)

    def forward(self, sentence_features: Iterable[dict[str, Any]], labels: Mapping[str, Tensor]) -> Tensor:
        """The loss of this process's part of the batch, scaled so that the mean over processes is the batch's."""
        self._room = self.keep_tokens if _is_plain(self.model) else 0
        loss: Tensor = self.forward_cached(sentence_features, labels)  # type: ignore[arg-type]
        return loss

    def embed_minibatch(
        self,
        sentence_feature: dict[str, Tensor],
        begin: int,
        end: int,
        with_grad: bool,
        copy_random_state: bool,
        random_state: RandContext | None = None,
    ) -> tuple[Tensor, RandContext | None]:
        """Embed a mini-batch; in the first pass with its graph while there is room, in the second by that graph."""
        if isinstance(random_state, _Kept):
            return random_state.embeddings, None
        embed = super().embed_minibatch
        if with_grad:
            found: tuple[Tensor, RandContext | None] = embed(
                sentence_feature, begin, end, with_grad, copy_random_state, random_state
            )
            return found
        tokens = int(sentence_feature["attention_mask"][begin:end].sum()) if self._room else 0
        is_kept = copy_random_state and 0 < tokens <= self._room
        embeddings, state = embed(sentence_feature, begin, end, is_kept, copy_random_state and not is_kept)
        if is_kept:
            self._room -= tokens
            state = _Kept(embeddings)
        return self._in_one_place(embeddings.detach(), begin, len(sentence_feature["attention_mask"])), state

    def _in_one_place(self, embeddings: Tensor, begin: int, rows: int) -> Tensor:
        """The same, as rows of one tensor for the whole side [rows, dim].

        One by one, the small tensors would stay where a mini-batch's large ones were freed: the C library then finds no
        room for the next mini-batch, and memory grows with the batch by far more than the vectors.
        """
        if begin == 0:
            self._side = embeddings.new_empty(rows, embeddings.shape[1])
        place = self._side[begin : begin + len(embeddings)]
        return place.copy_(embeddings)

    def embed_minibatch_iter(
        self,
        sentence_feature: dict[str, Tensor],
        with_grad: bool,
        copy_random_state: bool,
        random_states: list[RandContext] | None = None,
        ranges: list[tuple[int, int]] | None = None,
    ) -> Iterator[tuple[Tensor, RandContext | None]]:
        """Embed every mini-batch of a side; before that, where weights are sharded, as often as others have more of them."""
        assert ranges is not None
        last = len(sentence_feature["attention_mask"])
        for _ in range(self._fewer_than_others(len(ranges))):
            with torch.random.fork_rng():  # dropout draws as if this had not been
                idle, _ = super().embed_minibatch(sentence_feature, last - 1, last, with_grad, False)
            if with_grad:
                torch.autograd.backward(idle.sum() * 0.0)
        yield from super().embed_minibatch_iter(sentence_feature, with_grad, copy_random_state, random_states, ranges)

    def _fewer_than_others(self, mini_batches: int) -> int:
        """How many passes this process must do for nothing: sharded weights are gathered by all processes together."""
        if get_world_size() == 1 or not is_sharded(self.model):
            return 0
        device = next(self.model.parameters()).device
        return int(all_gather(torch.tensor([mini_batches], device=device)).max()) - mini_batches

    def calculate_loss(self, reps: list[list[Tensor]], labels: Any = None, *, with_backward: bool = False) -> Tensor:
        """The loss from the embeddings, differentiated block by block when asked for."""
        queries = torch.cat(reps[0]).float()[labels["query_order"]]  # [B, dim]
        documents = torch.cat(reps[1]).float()[labels["document_order"]]  # [D, dim]
        # The blocks' gradients meet at these two, so that the graph behind them is gone through once.
        near_queries, near_documents = (one.detach().requires_grad_(with_backward) for one in (queries, documents))
        everyone, keys, first = _gathered(near_documents, labels["keys"])
        meeting = everyone.detach().requires_grad_(with_backward)
        share = _share(labels["weights"])
        total = queries.new_zeros(())
        for begin in range(0, len(queries), ROWS_AT_ONCE):
            rows = slice(begin, begin + ROWS_AT_ONCE)
            block = {name: labels[name][rows] for name in ("own", "grades", "known")}
            block["own"] = torch.where(block["own"] < 0, -1, block["own"] + first)
            losses = _row_losses(near_queries[rows], meeting, keys, block, self.settings)
            loss = (losses * share[rows]).sum()
            total = total + _backward(loss, with_backward)
        if self.settings.anchor:
            total = total + _backward(self._anchor(near_queries, near_documents, labels), with_backward)
        if with_backward:
            torch.autograd.backward(everyone, meeting.grad)
            torch.autograd.backward(queries, near_queries.grad)
            torch.autograd.backward(documents, near_documents.grad)
        return total

    def _anchor(self, queries: Tensor, documents: Tensor, labels: Mapping[str, Tensor]) -> Tensor:
        moved = 1.0 - (queries * labels["anchor_queries"]).sum(1).mean()
        moved = moved + 1.0 - (documents * labels["anchor_documents"]).sum(1).mean()
        return moved * (self.settings.anchor / 2)


def _is_plain(model: nn.Module) -> bool:
    """Whether nothing wraps the model: DDP and FSDP count forward passes with a graph."""
    from sentence_transformers import SentenceTransformer

    return isinstance(model, SentenceTransformer) and get_world_size() == 1


def _backward(loss: Tensor, with_backward: bool) -> Tensor:
    if with_backward:
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()
    return loss


def _row_losses(
    queries: Tensor, documents: Tensor, keys: Tensor, block: Mapping[str, Tensor], settings: LossSettings
) -> Tensor:
    """Loss of each row: queries [R, dim], documents [D, dim] of all processes, keys [D] -> [R]."""
    own, grades = block["own"], block["grades"]  # [R, 1 + N]
    cosines = queries @ documents.T  # [R, D]
    losses = queries.new_zeros(len(queries))
    if settings.contrast:
        hidden = _false_negatives(cosines.detach(), documents.detach(), keys, block, settings)
        scores = (cosines / settings.temperature).masked_fill(hidden, -torch.inf)
        positive = scores.gather(1, own[:, :1]).squeeze(1)
        losses = losses + settings.contrast * (torch.logsumexp(scores, dim=1) - positive)
    if settings.distill:
        losses = losses + settings.distill * _divergence(cosines, own, grades, settings)
    return losses


def _false_negatives(
    cosines: Tensor, documents: Tensor, keys: Tensor, block: Mapping[str, Tensor], settings: LossSettings
) -> Tensor:
    """[R, D], true where a document is taken out of a query's denominator."""
    own, known = block["own"], block["known"]
    hidden = torch.zeros_like(cosines, dtype=torch.bool)
    for column in known.unbind(1):
        hidden |= keys[None, :] == column[:, None]
    positive = cosines.gather(1, own[:, :1])  # [R, 1]
    if settings.margin is not None:
        hidden |= cosines > positive + settings.margin
    if settings.near_duplicate is not None:
        hidden |= documents[own[:, 0]] @ documents.T >= settings.near_duplicate
    chosen = torch.zeros(len(own), cosines.shape[1] + 1, dtype=torch.bool, device=own.device)
    chosen.scatter_(1, torch.where(own < 0, cosines.shape[1], own), True)  # one column more takes what is missing
    return hidden & ~chosen[:, :-1]


def _divergence(cosines: Tensor, own: Tensor, grades: Tensor, settings: LossSettings) -> Tensor:
    """KL(grades || cosines) over each query's graded candidates; 0 where fewer than two are graded."""
    graded = (own >= 0) & ~grades.isnan()
    usable = graded.sum(1) > 1
    graded = graded | ~usable[:, None]  # a row of nothing has no softmax; its loss is left out below
    mine = cosines.gather(1, own.clamp(min=0)) / settings.distill_temperature
    student = functional.log_softmax(mine.masked_fill(~graded, -torch.inf), dim=1)
    wanted = (grades.nan_to_num() / settings.grade_temperature).masked_fill(~graded, -torch.inf)
    teacher = functional.log_softmax(wanted, dim=1)
    terms = torch.where(graded, teacher.exp() * (teacher - student), torch.zeros_like(student))
    return torch.where(usable, terms.sum(1), torch.zeros_like(terms[:, 0]))


def _share(weights: Tensor) -> Tensor:
    """What each local row counts, so that the mean over processes is the weighted mean over all rows."""
    if get_world_size() == 1:
        return weights / weights.sum()
    return weights / all_gather(weights).sum() * get_world_size()


def _gathered(documents: Tensor, keys: Tensor) -> tuple[Tensor, Tensor, int]:
    """Everyone's documents and keys, and the place of this process's first; processes may differ in number."""
    if get_world_size() == 1:
        return documents * 1.0, keys, 0
    counts = all_gather(torch.tensor([len(documents)], device=documents.device)).tolist()
    most = max(counts)
    filled = functional.pad(documents, (0, 0, 0, most - len(documents)))
    all_keys = all_gather(functional.pad(keys, (0, most - len(keys))))
    real = torch.cat([torch.arange(count) + rank * most for rank, count in enumerate(counts)]).to(documents.device)
    return all_gather_with_grad(filled)[real], all_keys[real], sum(counts[: get_rank()])
