"""Is late interaction a second stage worth having? nDCG@10 of the first 50 of `reasonir-mini`, ordered again, one run.

    python benchmarks/second_stage.py TRAINING.yaml [--whole] [--sets NAME ...] [--steps 240] [--batch 32] [--rate 1e-4] [--depth 50]

The token vectors of the default encoder's own network are compared by MaxSim (sentence-transformers' `MultiVectorEncoder`), once
as they are and once after training its upper layers with that package's loss on the sources of a training configuration. The
held-out sets are the configuration's, reduced as it says or, with --whole, all of their queries and documents. There are two
first stages: the encoder alone, and with BM25 as `reasonir search` has it. Passages are ordered by

    (1 - w) * score of the first stage + w * MaxSim, each standardised over the question's first 50

so w = 0 is the first stage alone and w = 1 late interaction alone.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules import Transformer
from sentence_transformers.multi_vector_encoder.losses import MultiVectorMultipleNegativesRankingLoss
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from sentence_transformers.multi_vector_encoder.scoring import mean_colbert_scores
from sentence_transformers.sentence_transformer.modules import Normalize

from reasonir_agent.encoder import ReasonIREncoder
from reasonir_agent.evaluation.metrics import HEADLINE, score
from reasonir_agent.evaluation.ranking import FirstStage, Found
from reasonir_agent.evaluation.systems import Dense
from reasonir_agent.evaluation.systems.legs import LEXICAL
from reasonir_agent.evaluation.vector_cache import VectorCache
from reasonir_trainer.training.config import TrainingConfig, read_config
from reasonir_trainer.training.evaluating import HeldOut, open_held_out
from reasonir_trainer.training.model import Base, load_base, network, quiet, switch_off_dropout
from reasonir_trainer.training.run import make_mix, read_sources

SHARES = (0.0, 0.1, 0.2, 0.35, 0.5, 1.0)
STAGES = {"encoder alone": None, "encoder and BM25": LEXICAL["bm25-reasonir"]}
SCALE = 40.0
"""What the mean similarity of a query's tokens is multiplied by in the loss."""
Candidates = dict[str, list[Found]]
"""For each question what the first stage found, best first."""


def first_stages(dense: Dense, one: HeldOut, depth: int) -> dict[str, Candidates]:
    split = one.split
    assert split.documents is not None
    found = {}
    for name, lexical in STAGES.items():
        ranking = FirstStage(dense, lexical).open(split, split.documents).rank(split.queries)
        found[name] = {query: ranked[:depth] for query, ranked in ranking.items()}
    return found


def late_interaction(base: Base, tokens: int) -> MultiVectorEncoder:
    transformer = base.model[0]
    assert isinstance(transformer, Transformer)
    with quiet():
        model = MultiVectorEncoder(
            modules=[transformer, MultiVectorMask(), Normalize(module_input_name="token_embeddings")],
            similarity_fn_name="meanmaxsim",
        )
    model.max_seq_length = tokens
    return model


def train(model: MultiVectorEncoder, base: Base, config: TrainingConfig) -> None:
    layers = network(base.model).encoder.layer
    for weight in model.parameters():
        weight.requires_grad_(False)
    trained = [weight for layer in layers[len(layers) // 2 :] for weight in layer.parameters()]
    for weight in trained:
        weight.requires_grad_(True)
    optimizer = torch.optim.AdamW(trained, lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, config.steps)
    loss = MultiVectorMultipleNegativesRankingLoss(
        model, scale=SCALE, similarity_fct=mean_colbert_scores, mini_batch_size=16
    )
    switch_off_dropout(model)
    mix = make_mix(config, read_sources(config))
    began = time.perf_counter()
    model.train()
    for step in range(config.steps):
        examples = list({one.positives[0].text: one for one in mix.draw(step).examples}.values())
        sides = [[one.query for one in examples], [one.positives[0].text for one in examples]]
        lost = loss([model.preprocess(side) for side in sides], None)
        optimizer.zero_grad()
        lost.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % 10 == 0:
            print(f"step {step + 1}: loss {lost.item():.3f}, {time.perf_counter() - began:.0f} s", flush=True)
    model.eval()


def ordered_again(
    model: MultiVectorEncoder, one: HeldOut, stages: dict[str, Candidates]
) -> dict[tuple[str, float], float]:
    """nDCG@10 x 100 for each first stage and share of late interaction."""
    split = one.split
    assert split.documents is not None
    texts = split.documents.texts
    places = {found.place for stage in stages.values() for ranked in stage.values() for found in ranked}
    needed = sorted((place for place in places if place is not None), key=lambda place: -len(texts[place]))
    with torch.inference_mode():
        vectors: dict[int, torch.Tensor] = {}
        for start in range(0, len(needed), 512):
            some = needed[start : start + 512]
            encoded = model.encode_document([texts[place] for place in some], batch_size=16)
            vectors.update((place, found.bfloat16()) for place, found in zip(some, encoded, strict=True))
        figures = {}
        for name, candidates in stages.items():
            runs: dict[float, dict[str, dict[str, float]]] = {share: {} for share in SHARES}
            for query, ranked in candidates.items():
                asked = model.encode_query([split.queries[query]])[0].float()
                late = [float((asked @ vectors[found.place or 0].float().T).amax(1).mean()) for found in ranked]
                scores, again = standardised(np.array([found.score for found in ranked])), standardised(np.array(late))
                for share in SHARES:
                    mixed = (1 - share) * scores + share * again
                    runs[share][query] = {found.id: float(value) for found, value in zip(ranked, mixed, strict=True)}
            for share, run in runs.items():
                per_query = score({query: split.qrels[query] for query in run}, run)
                figures[name, share] = 100 * sum(values[HEADLINE] for values in per_query.values()) / len(per_query)
    return figures


def standardised(values: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = (values - values.mean()) / (values.std() + 1e-9)
    return scaled


def table(title: str, figures: dict[str, dict[tuple[str, float], float]]) -> None:
    for stage in STAGES:
        print(f"\n{stage}, {title}\n{'w':>5}" + "".join(f"{name:>14}" for name in figures) + f"{'average':>14}")
        for share in SHARES:
            row = [found[stage, share] for found in figures.values()]
            print(f"{share:5.2f}" + "".join(f"{value:14.1f}" for value in [*row, sum(row) / len(row)]), flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("config", type=Path)
    arguments.add_argument("--steps", type=int, default=240)
    arguments.add_argument("--batch", type=int, default=32)
    arguments.add_argument("--rate", type=float, default=1e-4)
    arguments.add_argument("--whole", action="store_true")
    arguments.add_argument("--sets", nargs="+", default=[])
    arguments.add_argument("--depth", type=int, default=50)
    arguments.add_argument("--cache", type=Path, default=Path("evaluations/vectors"))
    asked = arguments.parse_args()
    warnings.filterwarnings("ignore")
    torch.manual_seed(0)
    config = read_config(asked.config).model_copy(
        update={
            "base": "reasonir-mini",
            "method": "full",
            "steps": asked.steps,
            "batch": asked.batch,
            "learning_rate": asked.rate,
        }
    )
    sets = [one for one in config.evaluation.sets if not asked.sets or one.label in asked.sets]
    if asked.whole:
        sets = [one.model_copy(update={"most_queries": None, "most_documents": None}) for one in sets]
    held_out = open_held_out(sets)
    dense = Dense("reasonir-mini", ReasonIREncoder("reasonir-mini"), VectorCache(asked.cache))
    candidates = {one.name: first_stages(dense, one, asked.depth) for one in held_out}
    base = load_base(config)
    model = late_interaction(base, 256)
    model.eval()
    for title in ("as it is", f"trained, {asked.steps} steps of {asked.batch} pairs"):
        if title != "as it is":
            model.max_seq_length = config.document_tokens or 160
            train(model, base, config)
            model.max_seq_length = 256
        table(title, {one.name: ordered_again(model, one, candidates[one.name]) for one in held_out})


if __name__ == "__main__":
    main()
