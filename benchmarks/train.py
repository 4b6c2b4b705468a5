"""Tokens a second and peak memory of training steps: our loss against sentence-transformers' cached loss, same weights and data.

    python benchmarks/train.py speed [--data TRIPLETS.jsonl] [--batch 128] [--rounds 3]
    python benchmarks/train.py memory [--batches 256 512 1024 2048 4096]

A step is tokenised texts to changed weights: loss, gradients, AdamW on all weights of MiniLM. `speed` has three ways:

    ours            as `reasonir-trainer train` does it with its defaults for this device
    theirs          CachedMultipleNegativesRankingLoss with its defaults: float32, dropout, mini-batches of 32
    theirs, alike   the same with our precision and without dropout

They take turns, one step each a round after a warm-up; the table gives medians. Tokens are those of the texts, padding and
repetitions aside, the same number for every way. Peak memory is that of a process of its own for each way, and beyond what the
process had before its first step. Without --data the texts are pieces of the example corpus, 5 to 200 words.

`memory` takes one step of ours for each batch, each in a process of its own, on pairs of texts of 32 tokens.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss

from reasonir_agent.encoder.locate import minilm_folder
from reasonir_trainer.data.examples import Candidate, Example, Source
from reasonir_trainer.data.mixing import Drawn
from reasonir_trainer.data.reading import SourceSpec, read_source
from reasonir_trainer.training.config import TrainingConfig, make_config
from reasonir_trainer.training.model import load_base, quiet, switch_off_dropout
from reasonir_trainer.training.run import make_loss, make_reading
from reasonir_trainer.training.trainer import as_tensors

WAYS = ("ours", "theirs", "theirs, alike")
TOKENS = 256
Step = Callable[[], None]


def pieces(count: int) -> list[Example]:
    """Triplets cut from the example corpus, with fixed random numbers."""
    dice = random.Random(7)
    words = [word for file in sorted(Path("examples/corpus").glob("*.md")) for word in file.read_text("utf-8").split()]

    def piece(least: int, middle: float) -> str:
        length = int(min(200, max(least, dice.lognormvariate(middle, 0.8))))
        start = dice.randrange(len(words) - length)
        return " ".join(words[start : start + length])

    return [
        Example(str(number), piece(5, 3.0), (Candidate(piece(8, 4.3)),), (Candidate(piece(8, 4.3)),))
        for number in range(count)
    ]


def short(count: int) -> list[Example]:
    """Pairs of texts of exactly 32 tokens: start, 30 words of one token each, end."""
    dice = random.Random(7)
    words = "the of and to in for with on at from by about into over after water light stone river heat".split()
    texts = [" ".join(dice.choices(words, k=30)) for _ in range(2 * count)]
    return [Example(str(number), texts[number], (Candidate(texts[-1 - number]),)) for number in range(count)]


def settings(device: str) -> TrainingConfig:
    """Our defaults, all weights trained."""
    return make_config(
        {
            "output": "unused",
            "sources": [{"path": "unused"}],
            "method": "full",
            "query_tokens": TOKENS,
            "document_tokens": TOKENS,
            "device": device,
        }
    )


def ours(examples: list[Example], device: str) -> tuple[Step, int]:
    """A step of ours, and the tokens of its texts."""
    config = settings(device)
    base = load_base(config)
    loss = make_loss(config, base)
    source = Source("all", examples)
    batch = make_reading(config, base, [source]).batch(Drawn(source, examples, 0))
    tensors = as_tensors(batch, base.model.device)
    inputs = [tensors["queries"], tensors["documents"]]
    step = _step(base.model, lambda: loss(inputs, tensors["facts"]), base.precision)
    return step, batch.queries.tokens + batch.documents.tokens


def theirs(examples: list[Example], device: str, *, alike: bool) -> Step:
    """A step of sentence-transformers'."""
    with quiet():
        model = SentenceTransformer(str(minilm_folder()), device=None if device == "auto" else device)
    model.max_seq_length = TOKENS
    precision = torch.float32
    if alike:
        switch_off_dropout(model)
        precision = load_base(settings(device)).precision
    loss = CachedMultipleNegativesRankingLoss(model, scale=50.0)  # temperature 0.02
    columns = [[one.query for one in examples], [one.positives[0].text for one in examples]]
    if all(one.negatives for one in examples):
        columns.append([one.negatives[0].text for one in examples])
    features = [model.preprocess(column) for column in columns]
    features = [
        {name: value.to(model.device) for name, value in one.items() if torch.is_tensor(value)} for one in features
    ]
    return _step(model, lambda: loss([dict(one) for one in features], None), precision)


def _step(model: SentenceTransformer, loss: Callable[[], torch.Tensor], precision: torch.dtype) -> Step:
    model.train()
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=1e-6)
    forward, kind = model.forward, model.device.type

    def in_precision(*given: object, **more: object) -> object:  # as accelerate does it
        with torch.autocast(kind, torch.bfloat16, enabled=precision is torch.bfloat16):
            return forward(*given, **more)

    model.forward = in_precision  # type: ignore[method-assign,assignment]

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        optimizer.step()
        if kind == "cuda":
            torch.cuda.synchronize()

    return step


def made(way: str, examples: list[Example], device: str) -> Step:
    """The step of a way."""
    return ours(examples, device)[0] if way == "ours" else theirs(examples, device, alike=way == WAYS[2])


def peak() -> float:
    """Megabytes that this process, or its GPU, held at most."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e6
    status = Path("/proc/self/status")
    if status.exists():  # `ru_maxrss` of a child begins at its parent's peak
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def child(way: str, data: str, batch: int, device: str) -> None:
    """One step in a process of its own; prints the peak before and after."""
    step = made(way, read(data, batch), device)
    before = peak()
    step()
    print(json.dumps({"before": before, "after": peak()}))


def measured(way: str, data: str, batch: int, device: str) -> dict[str, float]:
    """The peak of a way, from a process of its own."""
    words = [sys.executable, __file__, "child", way, "--data", data, "--batch", str(batch), "--device", device]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return dict(json.loads(said.splitlines()[-1]))


def read(data: str, batch: int) -> list[Example]:
    """A batch of a file, of the example corpus ("") or of short texts ("short")."""
    if data == "short":
        return short(batch)
    found = (
        pieces(batch) if not data else list(read_source(SourceSpec(name="data", path=Path(data), most=batch)).examples)
    )
    if len(found) < batch:
        raise SystemExit(f"{data} holds {len(found)} examples, fewer than a batch of {batch}")
    return found


def speed(given: argparse.Namespace) -> None:
    """The table of the three ways."""
    examples = read(given.data, given.batch)
    first, tokens = ours(examples, given.device)
    steps = {WAYS[0]: first, **{way: made(way, examples, given.device) for way in WAYS[1:]}}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(given.rounds + 1):  # the first one warms up
        for way, step in steps.items():
            began = time.perf_counter()
            step()
            if number:
                seconds[way].append(time.perf_counter() - began)
    middle = {way: statistics.median(times) for way, times in seconds.items()}
    print(f"batch {given.batch}, {tokens:,} tokens, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{'way':<14} {'tokens/s':>9} {'fastest':>9} {'slowest':>9} {'time':>8} {'peak MB':>8} {'beyond':>7}")
    for way, times in seconds.items():
        memory = measured(way, given.data, given.batch, given.device)
        print(
            f"{way:<14} {tokens / middle[way]:9,.0f} {tokens / min(times):9,.0f} {tokens / max(times):9,.0f} "
            f"{middle[way] / middle[WAYS[0]]:7.2f}x {memory['after']:8,.0f} {memory['after'] - memory['before']:7,.0f}"
        )


def memory(given: argparse.Namespace) -> None:
    """The table of peaks by batch."""
    print(f"{'batch':>6} {'peak MB':>8} {'beyond MB':>10} {'of the first':>13}")
    first = 0.0
    for batch in given.batches:
        found = measured(WAYS[0], "short", batch, given.device)
        first = first or found["after"]
        print(
            f"{batch:>6} {found['after']:8,.0f} {found['after'] - found['before']:10,.0f} {found['after'] / first:12.3f}x"
        )


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(dest="what", required=True)
    for name in ("speed", "memory", "child"):
        one = what.add_parser(name)
        one.add_argument("--device", default="auto")
        if name == "child":
            one.add_argument("way", choices=WAYS)
        if name == "memory":
            one.add_argument("--batches", type=int, nargs="+", default=[256, 512, 1024, 2048, 4096])
        else:
            one.add_argument("--data", default="")
            one.add_argument("--batch", type=int, default=128)
        if name == "speed":
            one.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    if given.what == "child":
        child(given.way, given.data, given.batch, given.device)
    else:
        {"speed": speed, "memory": memory}[given.what](given)


if __name__ == "__main__":
    main()
