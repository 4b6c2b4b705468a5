"""Tokens a second of our encoder against sentence-transformers' `encode`: same weights, texts, machine; one run, alternating.

    python benchmarks/encode.py [TEXTS.jsonl] [--rounds 3] [--dtype float32]

TEXTS.jsonl holds {text}; without it the example corpus is repeated. Three mixes are cut from it: short (about 24
tokens), mixed (8 to 254, as they come) and long (254). Each round times every way once, in turn; the table gives the
median over the rounds and the ratio to sentence-transformers' defaults. `cosine` is the least over all texts against
sentence-transformers in float32.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from reasonir_agent.encoder import ReasonIREncoder
from reasonir_agent.encoder.locate import minilm_folder
from reasonir_agent.encoder.torch_backbone import cpu_is_fast_at_bfloat16

Encode = Callable[[list[str]], np.ndarray]


def mixes(encoder: ReasonIREncoder, file: Path | None) -> dict[str, list[str]]:
    """Texts of three length profiles, with fixed random numbers."""
    if file is None:
        texts = [path.read_text(encoding="utf-8") for path in sorted(Path("examples/corpus").glob("*.md"))]
        texts = [text for text in texts if encoder.unknown_share([text]) < 0.1]
    else:
        texts = [json.loads(line)["text"] for line in file.read_text(encoding="utf-8").splitlines()]
    dice = random.Random(7)
    dice.shuffle(texts)
    words = [word for text in texts for word in text.split()]

    def piece(length: int) -> str:
        start = dice.randrange(len(words) - length)
        return " ".join(words[start : start + length])

    return {
        "short": [piece(dice.randint(8, 24)) for _ in range(600)],
        "mixed": [piece(int(min(180, max(5, dice.lognormvariate(4.0, 0.9))))) for _ in range(240)],
        "long": [piece(230) for _ in range(80)],
    }


def ways(dtype: str) -> dict[str, Encode]:
    """The competitors, by name; the first is what the others are compared with."""
    folder = str(minilm_folder())
    plain = SentenceTransformer(folder, device="cpu")
    found: dict[str, Encode] = {
        "sentence-transformers, defaults": lambda texts: plain.encode(texts, show_progress_bar=False)
    }
    for size in (8, 16, 64):
        found[f"sentence-transformers, batch {size}"] = lambda texts, size=size: plain.encode(
            texts, batch_size=size, show_progress_bar=False
        )
    if cpu_is_fast_at_bfloat16() or dtype == "bfloat16":
        half = SentenceTransformer(folder, device="cpu", model_kwargs={"dtype": torch.bfloat16})
        found["sentence-transformers, bfloat16, batch 32"] = lambda texts: half.encode(texts, show_progress_bar=False)
    ours = ReasonIREncoder("minilm", device="cpu", dtype=dtype)
    found[f"reasonir-agent, {dtype}"] = ours.encode_documents
    return found


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("texts", type=Path, nargs="?")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--dtype", default="auto", choices=["auto", "float32", "bfloat16"])
    given = arguments.parse_args()
    warnings.simplefilter("ignore")

    found = ways(given.dtype)
    counter = ReasonIREncoder("minilm")
    profiles = mixes(counter, given.texts)
    reference_name = next(iter(found))
    print(f"{torch.get_num_threads()} threads, bfloat16 units: {cpu_is_fast_at_bfloat16()}, torch {torch.__version__}")
    for profile, texts in profiles.items():
        tokens = sum(min(counter.window, n + 2) for n in counter.count_tokens(texts))
        seconds: dict[str, list[float]] = {name: [] for name in found}
        vectors: dict[str, np.ndarray] = {}
        for encode in found.values():
            encode(texts[:16])
        for _ in range(given.rounds):
            for name, encode in found.items():
                began = time.perf_counter()
                vectors[name] = np.asarray(encode(texts), dtype=np.float32)
                seconds[name].append(time.perf_counter() - began)
        print(f"\n{profile}: {len(texts)} texts, {tokens} tokens")
        print(f"  {'way':44} {'tokens/s':>9} {'ratio':>6} {'cosine':>8}")
        slowest = statistics.median(seconds[reference_name])
        for name, taken in seconds.items():
            lengths = np.linalg.norm(vectors[name], axis=1) * np.linalg.norm(vectors[reference_name], axis=1)
            cosine = ((vectors[name] * vectors[reference_name]).sum(axis=1) / lengths).min()
            median = statistics.median(taken)
            print(f"  {name:44} {tokens / median:>9.0f} {slowest / median:>6.2f} {cosine:>8.5f}")


if __name__ == "__main__":
    main()
