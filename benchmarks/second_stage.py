"""Is late interaction a second stage worth having? nDCG@10 of the first 50 of `reasonir-mini`, ordered again, one run.

    python benchmarks/second_stage.py TRAINING.yaml [--steps 60] [--batch 32] [--rate 5e-5] [--queries 60] [--depth 50]

The token vectors of the default encoder's own network are compared by MaxSim (sentence-transformers' `MultiVectorEncoder`), once
as they are and once after training its upper layers with that package's loss on the sources of a training configuration. The
held-out sets are the configuration's, those left out whose documents are judged by parts. Passages are ordered by

    (1 - w) * cosine + w * MaxSim, each standardised over the question's first 50

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
from sentence_transformers.sentence_transformer.modules import Normalize

from reasonir_agent.encoder import ReasonIREncoder
from reasonir_agent.evaluation.metrics import HEADLINE, score
from reasonir_agent.evaluation.ranking import FirstStage, as_run
from reasonir_agent.evaluation.systems import Dense
from reasonir_agent.evaluation.vector_cache import VectorCache
from reasonir_trainer.training.config import TrainingConfig, read_config
from reasonir_trainer.training.evaluating import HeldOut, open_held_out
from reasonir_trainer.training.model import Base, load_base, network, quiet
from reasonir_trainer.training.run import make_mix, read_sources

SHARES = (0.0, 0.1, 0.2, 0.3, 0.5, 1.0)
Candidates = dict[str, dict[str, float]]
"""For each question the first documents with their cosines."""


def first_stage(dense: Dense, one: HeldOut, depth: int) -> Candidates:
    split = one.split
    assert split.documents is not None
    ranked = as_run(FirstStage(dense, None).open(split, split.documents).rank(split.queries))
    return {query: dict(list(found.items())[:depth]) for query, found in ranked.items()}


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
    loss = MultiVectorMultipleNegativesRankingLoss(model)
    mix = make_mix(config, read_sources(config))
    began = time.perf_counter()
    model.train()
    for step in range(config.steps):
        examples = mix.draw(step).examples
        sides = [[one.query for one in examples], [one.positives[0].text for one in examples]]
        lost = loss([model.preprocess(side) for side in sides], None)
        optimizer.zero_grad()
        lost.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % 10 == 0:
            print(f"step {step + 1}: loss {lost.item():.3f}, {time.perf_counter() - began:.0f} s", flush=True)
    model.eval()


def ordered_again(model: MultiVectorEncoder, one: HeldOut, candidates: Candidates) -> dict[float, float]:
    """nDCG@10 x 100 for each share of late interaction."""
    split = one.split
    assert split.documents is not None
    texts = dict(zip(split.documents.ids, split.documents.texts, strict=True))
    needed = sorted({name for found in candidates.values() for name in found})
    with torch.inference_mode():
        documents = dict(zip(needed, model.encode_document([texts[name] for name in needed]), strict=True))
        runs: dict[float, Candidates] = {share: {} for share in SHARES}
        for query, found in candidates.items():
            asked = model.encode_query([split.queries[query]])
            late = model.similarity(asked, [documents[name] for name in found])[0].float().cpu().numpy()
            cosines = np.array(list(found.values()))
            for share in SHARES:
                mixed = (1 - share) * standardised(cosines) + share * standardised(late)
                runs[share][query] = dict(zip(found, mixed.tolist(), strict=True))
    figures = {}
    for share, run in runs.items():
        per_query = score({query: split.qrels[query] for query in run}, run)
        figures[share] = 100 * sum(values[HEADLINE] for values in per_query.values()) / len(per_query)
    return figures


def standardised(values: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = (values - values.mean()) / (values.std() + 1e-9)
    return scaled


def table(title: str, figures: dict[str, dict[float, float]]) -> None:
    print(f"\n{title}\n{'w':>5}" + "".join(f"{name:>14}" for name in figures) + f"{'average':>14}")
    for share in SHARES:
        row = [figures[name][share] for name in figures]
        print(f"{share:5.1f}" + "".join(f"{value:14.1f}" for value in [*row, sum(row) / len(row)]), flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("config", type=Path)
    arguments.add_argument("--steps", type=int, default=60)
    arguments.add_argument("--batch", type=int, default=32)
    arguments.add_argument("--rate", type=float, default=5e-5)
    arguments.add_argument("--queries", type=int, default=60)
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
    sets = [one.model_copy(update={"most_queries": asked.queries}) for one in config.evaluation.sets]
    held_out = [
        one for one in open_held_out(sets) if one.split.documents is not None and one.split.documents.units is None
    ]
    dense = Dense("reasonir-mini", ReasonIREncoder("reasonir-mini"), VectorCache(asked.cache))
    candidates = {one.name: first_stage(dense, one, asked.depth) for one in held_out}
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
